"""A training as a value: all that it would need to go on elsewhere, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from nmfnet.network import Network
from nmfnet.scaling import Scaling

if TYPE_CHECKING:
    from nmfnet.training.loop import Best, Progress, Settings
    from nmfnet.training.solver import Solver, Sweep

State: TypeAlias = dict[str, Any]  # of tensors, numbers, text, None, and lists and dicts of them


@dataclass
class Position:
    """Where in an epoch a training is.

    Attributes
    ----------
    start : Tensor or None
        State of the generator from which the order of the epoch's samples was drawn; None between epochs.
    batch : int
        Batches done.
    totals : Tensor of float64 or None
        What is summed over the samples of these batches.
    retries : int
        Of the sweep, before the epoch.
    """

    start: Tensor | None = None
    batch: int = 0
    totals: Tensor | None = None
    retries: int = 0

    def begin(self, generator: torch.Generator, retries: int) -> None:
        """Begin an epoch, or go on with one; the generator will draw its order."""
        if self.start is None:
            self.start, self.batch, self.totals, self.retries = generator.get_state(), 0, None, retries
        else:
            generator.set_state(self.start)

    def add(self, totals: Tensor) -> None:
        """Count a batch."""
        self.totals = totals if self.totals is None else self.totals + totals
        self.batch += 1


@dataclass
class Training:
    """What a fit is made of, for callbacks that store it.

    Attributes
    ----------
    network, solver, X, Y, settings, progress, generator, sweep, best
        As in :func:`nmfnet.training.train`.
    good : list of Tensor
        Weights to go back to: of the last whole epoch, or an average that goes on; see ``Sweep.weights``.
    epochs : int
        Done in this fit.
    position : Position
    """

    network: Network
    solver: Solver
    X: Tensor
    Y: Tensor
    settings: Settings
    progress: Progress
    generator: torch.Generator
    sweep: Sweep
    best: Best
    good: list[Tensor]
    epochs: int = 0
    position: Position = field(default_factory=Position)

    def state(self) -> State:
        """All that changes in a training; tensors are shared, since none of them is written into from now on."""
        scalings = {"inputs": self.network.inputs, "targets": self.network.targets}
        return {
            "epochs": self.epochs,
            "position": dict(vars(self.position)),
            "generator": self.generator.get_state(),
            "sweep": self.sweep.state(),
            "best": dict(vars(self.best)),
            "good": list(self.good),
            "history": [dict(record) for record in self.progress.history],
            "seconds": self.progress.seconds,
            "scalings": {name: None if each is None else dict(vars(each)) for name, each in scalings.items()},
        }

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state` of the same training."""
        device = self.network.weights[0].device
        for name, scaling in state["scalings"].items():
            setattr(self.network, name, None if scaling is None else Scaling(**moved(scaling, device)))
        self.sweep.restore(moved(state["sweep"], device))
        self.epochs, self.good = state["epochs"], moved(state["good"], device)
        self.position = Position(**{**moved(state["position"], device), "start": state["position"]["start"]})
        self.generator.set_state(state["generator"])
        vars(self.best).update(moved(state["best"], device))
        self.progress.history[:], self.progress.seconds = state["history"], state["seconds"]

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a stored state to be one of this training."""
        settings, network = self.settings, self.network
        frozen = f", layers {sorted(network.frozen)} frozen" if network.frozen else ""
        names = ("batch_size", "max_iter", "tol", "n_iter_no_change", "alpha", "l1_ratio")
        return {
            "solver": repr(self.solver),
            "network": f"{network.sizes}, {network.activation_names}, {network.output}, {network.intercept}{frozen}",
            "dtype": str(network.dtype),
            **{name: getattr(settings, name) for name in names},
            "data": digest([self.X, self.Y, settings.sample_weight]),
            "validation set": digest(settings.validation),
        }


def moved(value: Any, device: torch.device) -> Any:
    """A state with its tensors on a device, except those of generators, which are bytes."""
    if isinstance(value, Tensor):
        return value if value.dtype == torch.uint8 else value.to(device)
    if isinstance(value, dict):
        return {name: moved(each, device) for name, each in value.items()}
    return [moved(each, device) for each in value] if isinstance(value, list) else value


def digest(data: Any) -> str:
    """Checksum of tensors, and of what consists of tensors."""
    checksum = hashlib.blake2b(digest_size=16)
    for tensor in _tensors(data):
        checksum.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        checksum.update(tensor.detach().cpu().contiguous().numpy().data)
    return checksum.hexdigest()


def _tensors(data: Any) -> Iterable[Tensor]:
    if isinstance(data, Tensor):
        yield data
    elif isinstance(data, np.ndarray):  # of a sparse matrix
        yield torch.as_tensor(data)
    elif isinstance(data, (list, tuple)):
        for each in data:
            yield from _tensors(each)
    elif hasattr(data, "__dict__"):
        yield from _tensors(list(vars(data).values()))
