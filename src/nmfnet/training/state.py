"""A training as a value: all that it would need to go on elsewhere, bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from nmfnet.data.piecewise import PiecewiseLinear, restored
from nmfnet.data.source import Source
from nmfnet.linalg.holders import Holders, local
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network import Network
from nmfnet.solvers.base import Solver, Sweep
from nmfnet.stateful import State, Stateful, copied
from nmfnet.training.choice import Choice
from nmfnet.training.records import EpochRecord
from nmfnet.training.settings import FitSettings

ODD = 0x1E3779B97F4A7C15  # that checksums are multiplied by
DATA, VALIDATION = "training data", "validation data"  # in a fingerprint, by their checksums
LONGEST_SHOWN = 100  # characters of a value in a message


@dataclass
class Progress:
    """The epochs so far: grows, and goes on in a warm start."""

    history: list[EpochRecord] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def after(cls, history: Sequence[EpochRecord]) -> Progress:
        """Progress that goes on from these epochs."""
        return cls(list(history), history[-1]["seconds"] if history else 0.0)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time spent inside as training time."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


@dataclass
class Position(Stateful):
    """Where in an epoch a training is.

    Attributes
    ----------
    start : Tensor or None
        State of the generator from which the order of the epoch's samples was drawn; None between epochs.
    batch : int
        Batches done.
    samples : int
        Samples of these batches.
    totals : Tensor of float64 or None
        What is summed over the samples of these batches.
    retries : int
        Of the sweep, before the epoch.
    """

    fields: ClassVar = ("start", "batch", "samples", "totals", "retries")

    start: Tensor | None = None
    batch: int = 0
    samples: int = 0
    totals: Tensor | None = None
    retries: int = 0

    def begin(self, generator: torch.Generator, retries: int) -> None:
        """Begin an epoch, or go on with one; the generator will draw its order."""
        if self.start is None:
            self.start, self.totals, self.retries = generator.get_state(), None, retries
            self.batch = self.samples = 0
        else:
            generator.set_state(self.start)

    def state_over(self, holders: Holders) -> State:
        """The fields, with sums over the samples of all processes."""
        if self.totals is None or holders is local:
            return self.state()
        totals, n = holders([self.totals, self.totals.new_tensor(float(self.samples))])
        return {**self.state(), "totals": totals, "samples": int(n)}

    def begin_sums(self) -> None:
        """Sum from zero: another process has what was summed so far."""
        self.totals, self.samples = None if self.totals is None else torch.zeros_like(self.totals), 0

    def add(self, totals: Tensor, n: int) -> None:
        """Count a batch of n samples."""
        self.totals = totals if self.totals is None else self.totals + totals
        self.samples += n
        self.batch += 1


@dataclass
class Best(Stateful):
    """The best epoch of one fit, and how long ago it was; if a validation set decides, its number and weights.

    Of epochs with the same validation loss the one with the least error is the best.
    """

    fields: ClassVar = ("score", "error", "weights", "epoch", "epochs_without_progress")

    tol: float
    monitor: Literal["objective", "val_loss"]
    score: float = float("inf")
    error: float = float("inf")
    weights: list[Tensor] | None = None
    epoch: int | None = None
    epochs_without_progress: int = 0

    def add(self, record: EpochRecord, weights: list[Tensor]) -> None:
        """Note an epoch, the weights it ended with, and whether it improved on the best by `tol`."""
        score, error = record[self.monitor], record.get("val_error", 0.0)
        self.epochs_without_progress = 0 if score < self.score - self.tol else self.epochs_without_progress + 1
        if (score, error) < (self.score, self.error):
            self.score, self.error = score, error
            if self.monitor == "val_loss":
                self.weights, self.epoch = weights, record["epoch"]


@dataclass
class Training:
    """What a fit is made of, for callbacks that store it.

    Attributes
    ----------
    network, solver, source, validation, settings, progress, generator
        As in :func:`nmfnet.training.fit_network`.
    sweep : Sweep
    best : Best
    weights : list of Tensor
        Of the last whole epoch, to go back to.
    sample : Source
        Samples that losses and errors in training are recorded of.
    min_rows : int
        Samples of a whole update; see :class:`nmfnet.data.source.Batch`.
    epochs : int
        Done in this fit.
    position : Position
    prepared : callable or None
        Prepares the sweep anew, for a network whose inputs a stored state has changed.
    choice : Choice
    """

    network: Network
    solver: Solver
    source: Source
    validation: Source | None
    settings: FitSettings
    progress: Progress
    generator: torch.Generator
    sweep: Sweep
    best: Best
    weights: list[Tensor]
    sample: Source
    min_rows: int = 1
    epochs: int = 0
    position: Position = field(default_factory=Position)
    prepared: Callable[[], Sweep] | None = None
    choice: Choice = field(default_factory=Choice)

    def state(self) -> State:
        """All that changes in a training; tensors are valid until it goes on.

        Where several processes train together all ask for it at the same time, and any of them may store it.
        """
        scalings = {"inputs": self.network.inputs, "targets": self.network.targets}
        return {
            "epochs": self.epochs,
            "position": self.position.state_over(self.source.holders),
            "generator": self.generator.get_state(),
            "sweep": self.sweep.state(),
            "best": self.best.state(),
            "weights": self.weights,
            "history": [dict(record) for record in self.progress.history],
            "seconds": self.progress.seconds,
            "choice": self.choice.state(),
            "scalings": {name: None if each is None else each.state() for name, each in scalings.items()},
        }

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state` of the same training."""
        device = self.network.weights[0].device
        for name, stored in state["scalings"].items():
            scaling = None if stored is None else restored(moved(stored, device))
            if isinstance(scaling, PiecewiseLinear) and scaling.n_out != len(self.network.weights[0]):
                self.network.encode(scaling, moved(state["sweep"]["weights"], device))
                assert self.prepared is not None
                self.sweep = self.prepared()
            setattr(self.network, name, scaling)
        self.sweep.restore(moved(state["sweep"], device))
        self.epochs, self.weights = state["epochs"], copied(moved(state["weights"], device))
        self.position.restore({**moved(state["position"], device), "start": state["position"]["start"]})
        if self.source.holders.rank:
            self.position.begin_sums()
        self.generator.set_state(state["generator"])
        self.best.restore(moved(state["best"], device))
        self.progress.history[:], self.progress.seconds = state["history"], state["seconds"]
        self.choice = Choice.restored(moved(state["choice"], device))
        if self.choice.alpha is not None:
            self.settings = replace(self.settings, alpha=self.choice.alpha)

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a stored state to be one of this training: plain values, named as users do."""
        settings, network, solver = self.settings, self.network, self.solver
        names_of = network.activation_names
        shape = "" if network.input_shape is None else f" on {' x '.join(map(str, network.input_shape))}"
        names = ("batch_size", "max_iter", "tol", "n_iter_no_change", "l1_ratio")
        parameters = solver.get_params() if hasattr(solver, "get_params") else {"settings": solver}
        return {
            "solver": type(solver).__name__,
            **{f"the solver's {name}": str(value) for name, value in parameters.items()},
            "network": "-".join(map(repr, [network.sizes[0], *network.hidden, network.sizes[-1]])) + shape,
            "activation": names_of if isinstance(names_of, str) else list(names_of),
            "output": network.output.name,
            "label smoothing": network.output.smoothing,
            "biases": network.intercept,
            "frozen layers": sorted(network.frozen),
            "dtype": str(network.dtype).removeprefix("torch."),
            **{name: getattr(settings, name) for name in names},
            "alpha": "auto" if settings.auto_alpha else settings.alpha,
            DATA: digest(self.source),
            VALIDATION: None if self.validation is None else digest(self.validation),
        }


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, what differs between the fingerprints of a stored training and of that which is to go on with it."""
    said = []
    for name in [*now, *(name for name in stored if name not in now)]:
        then, value = stored.get(name), now.get(name)
        if then == value or (name.startswith("the solver's") and stored.get("solver") != now.get("solver")):
            continue
        if name in (DATA, VALIDATION) and None not in (then, value):
            said.append(f"the {name} differ")
        elif name == VALIDATION:
            said.append("there were no validation data, now there are" if then is None else
                        "there were validation data, now there are none")  # fmt: skip
        else:
            said.append(f"{name} was {_shown(then)} and is {_shown(value)} now")
    return said


def _shown(value: Any) -> str:
    """A value in a message, as users write it."""
    text = ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def moved(value: Any, device: torch.device) -> Any:
    """A state with its tensors on a device, except those of generators, which are bytes."""
    if isinstance(value, Tensor):
        return value if value.dtype == torch.uint8 else value.to(device)
    if isinstance(value, dict):
        return {name: moved(each, device) for name, each in value.items()}
    return [moved(each, device) for each in value] if isinstance(value, list) else value


def digest(source: Source) -> str:
    """Checksum of all samples in their order, however they are divided into blocks and among processes."""
    n, found, start = source.n_rows + source.before, 0, 0
    for block in source.blocks():
        m = len(block.Y)
        places = torch.arange(start, start + m) if source.numbers is None else source.numbers[start : start + m]
        rows = places * ODD + sum(_checksums(part, seed) for seed, part in enumerate(block) if part is not None)
        rows = (rows ^ (rows >> 29)) * ODD  # so that rows cannot change places
        found, start = found + int((rows ^ (rows >> 32)).sum()), start + m
    total = sum(source.holders.objects(found)) % 2**64
    return f"{source.dtype} {n} x {source.n_features}, {source.n_outputs}: {total:016x}"


def _checksums(part: Any, seed: int) -> Tensor:
    """A whole number for each row of a part of some samples, shape (m,)."""
    generator = torch.Generator().manual_seed(seed)
    numbers = part.values if isinstance(part, SparseRows) else part.detach().cpu()
    words = numbers.contiguous().view(torch.int32).long()
    width = part.shape[1] if isinstance(part, SparseRows) else 1 if part.ndim == 1 else part.shape[1]
    each = numbers.element_size() // 4  # words of a number
    factors = torch.randint(2**62, (width * each,), generator=generator) * 2 + 1
    if not isinstance(part, SparseRows):
        return (words.view(len(part), -1) * factors).sum(1)
    products = (words.view(-1, each) * factors.view(width, each)[part.columns]).sum(1)
    rows = torch.arange(len(part)).repeat_interleave(part.counts)
    return torch.zeros(len(part), dtype=torch.long).index_add_(0, rows, products)
