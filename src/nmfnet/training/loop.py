"""The only training loop: batches, stopping, the check for non-finite weights, Ctrl-C."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from nmfnet.errors import DivergenceError, DivergenceWarning
from nmfnet.network import Network
from nmfnet.training.callbacks import Callback, EpochRecord

Sweep = Callable[[Tensor, Tensor], Tensor]


class Solver(Protocol):
    """What the loop asks of a solver's settings; see :class:`nmfnet.Pinv` for one."""

    default_batch_size: ClassVar[int]

    def prepare(self, network: Network, X: Tensor, alpha: float, l1_ratio: float) -> Sweep:
        """Look at the whole data once, and return the sweep over a batch."""


ErrorFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Settings:
    """What the loop needs to know, named as in :class:`nmfnet.NMFNetClassifier`."""

    batch_size: int
    max_iter: int
    tol: float
    n_iter_no_change: int
    alpha: float
    l1_ratio: float
    error: ErrorFunction  # (outputs, targets) -> the error of each sample, shape (m,)
    callbacks: Sequence[Callback] = ()
    validation: tuple[Tensor, Tensor] | None = None


@dataclass
class Progress:
    """The epochs so far: grows, and goes on in a warm start."""

    history: list[EpochRecord] = field(default_factory=list)
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time spent inside as training time."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


@dataclass
class Best:
    """The best epoch of one fit, and how long ago it was; with a validation set, its weights."""

    tol: float
    score: float = float("inf")
    weights: list[Tensor] | None = None
    epochs_without_progress: int = 0

    def add(self, record: EpochRecord, weights: list[Tensor]) -> None:
        """Note an epoch, and whether it improved on the best by `tol`."""
        score = record.get("val_error", record["objective"])
        self.epochs_without_progress = 0 if score < self.score - self.tol else self.epochs_without_progress + 1
        if score < self.score:
            self.score = score
            if "val_error" in record:
                self.weights = list(weights)


def train(
    network: Network,
    solver: Solver,
    X: Tensor,
    Y: Tensor,
    settings: Settings,
    progress: Progress,
    generator: torch.Generator,
) -> None:
    """Run epochs of the solver's sweep until one of the stopping rules holds.

    With a validation set the weights of the best epoch are restored at the end.  Ctrl-C ends the
    training after the last complete sweep, with a warning.

    Parameters
    ----------
    network : Network
        Changed in place.  A sweep replaces its weight tensors and never writes into them, which is
        what makes keeping the last good ones free.
    solver : Solver
        Its `prepare` looks at the whole X once and returns the sweep: from a batch (b, n_0) and its
        targets (b, n_L) to the outputs from before the update.
    X : Tensor of shape (n, n_0)
    Y : Tensor of shape (n, n_L)
    settings : Settings
    progress : Progress
        Grows in place.
    generator : torch.Generator
        Order of the samples.

    Raises
    ------
    DivergenceError
        If the first epoch ends with non-finite weights.  Later, training stops with a
        DivergenceWarning and the weights of the last good epoch.
    """
    best = Best(settings.tol)
    good = list(network.weights)
    try:
        with progress.timed():
            sweep = solver.prepare(network, X, settings.alpha, settings.l1_ratio)
        for _ in range(settings.max_iter):
            record = _epoch(network, sweep, X, Y, settings, progress, generator)
            if record is None:
                network.weights[:] = good
                _report_divergence(progress)
                break
            good = list(network.weights)
            progress.history.append(record)
            best.add(record, good)
            for callback in settings.callbacks:
                callback.on_epoch_end(network, record)
            if best.epochs_without_progress >= settings.n_iter_no_change:
                break
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", ConvergenceWarning, stacklevel=4)
        if not network.is_finite():
            network.weights[:] = good
    if best.weights is not None:
        network.weights[:] = best.weights


def _epoch(
    network: Network,
    sweep: Sweep,
    X: Tensor,
    Y: Tensor,
    settings: Settings,
    progress: Progress,
    generator: torch.Generator,
) -> EpochRecord | None:
    """One pass over the data in random order; None if it ends with numbers that are not finite."""
    n = len(X)
    objective = error = torch.zeros((), dtype=torch.float64, device=X.device)
    batches = list(shuffled(n, settings.batch_size, generator))
    for number, rows in enumerate(batches, 1):
        with progress.timed():
            rows = rows.to(X.device)
            X_batch, Y_batch = (X, Y) if len(batches) == 1 else (X[rows], Y[rows])
            try:
                outputs = _whole_sweep(network, sweep, X_batch, Y_batch)
            except DivergenceError:  # a decomposition met overflowed activations
                return None
            objective = objective + (Y_batch - outputs).double().square().sum() / 2
            error = error + settings.error(outputs, Y_batch).double().sum()
        for callback in settings.callbacks:
            callback.on_batch_end(number, len(batches))
    if not (network.is_finite() and objective.isfinite()):
        return None
    record = EpochRecord(epoch=len(progress.history) + 1)
    with progress.timed():
        record["objective"] = (float(objective) + network.penalty(settings.alpha, settings.l1_ratio)) / n
        record["train_error"] = float(error) / n
        if settings.validation is not None:
            X_val, Y_val = settings.validation
            record["val_error"] = float(settings.error(network.predict(X_val), Y_val).double().mean())
    record["seconds"] = progress.seconds
    return record


def _whole_sweep(network: Network, sweep: Sweep, X: Tensor, Y: Tensor) -> Tensor:
    """A sweep that leaves the weights as they were if it ends half-way, by Ctrl-C or an error."""
    before = list(network.weights)
    try:
        return sweep(X, Y)
    except BaseException:
        network.weights[:] = before
        raise


def shuffled(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers 0..n-1 in random order, in batches of about equal size, at most `batch_size`.

    About equal, since a small last batch would get as large a least-squares step as the others.
    """
    n_batches = -(-n // batch_size)
    yield from torch.randperm(n, generator=generator).tensor_split(n_batches)


def _report_divergence(progress: Progress) -> None:
    advice = "Scale the inputs and targets, or raise alpha or the solver's delta_x."
    if not progress.history:
        raise DivergenceError(f"The first epoch ended with non-finite weights. {advice}")
    warnings.warn(
        f"Epoch {len(progress.history) + 1} ended with non-finite weights; those of the last good epoch "
        f"were kept. {advice}",
        DivergenceWarning,
        stacklevel=5,
    )
