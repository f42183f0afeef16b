"""A training as a value: all that it would need to go on elsewhere, bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from nmfnet.data.piecewise import restored
from nmfnet.data.scaling import Scaling
from nmfnet.data.source import Source
from nmfnet.linalg.holders import Holders, local
from nmfnet.network import Network
from nmfnet.solvers.base import Solver, Sweep
from nmfnet.stateful import State, Stateful, copied
from nmfnet.training.choice import Choice
from nmfnet.training.records import EpochRecord
from nmfnet.training.settings import FitSettings


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
            if name == "inputs":
                self._reshape(scaling, moved(state["weights"], device))
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

    def _reshape(self, inputs: Scaling | None, weights: list[Tensor]) -> None:
        """Prepare for other shapes or another scale, where a stored choice had changed the inputs or the widths."""
        there = self.network.inputs
        other_scale = inputs is not None and there is not None and inputs.has_one_factor != there.has_one_factor
        if other_scale or [W.shape for W in weights] != [W.shape for W in self.network.weights]:
            self.network.reshape(inputs, [W.shape[1] for W in weights[:-1]])
            self.network.weights[:] = copied(weights)
            assert self.prepared is not None
            self.sweep = self.prepared()


def moved(value: Any, device: torch.device) -> Any:
    """A state with its tensors on a device, except those of generators, which are bytes."""
    if isinstance(value, Tensor):
        return value if value.dtype == torch.uint8 else value.to(device)
    if isinstance(value, dict):
        return {name: moved(each, device) for name, each in value.items()}
    return [moved(each, device) for each in value] if isinstance(value, list) else value
