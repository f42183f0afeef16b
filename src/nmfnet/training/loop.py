"""The only training loop: batches, stopping, the check for non-finite weights, Ctrl-C."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, Self

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from nmfnet.errors import DivergenceError, DivergenceWarning
from nmfnet.network import Network
from nmfnet.outputs import Output
from nmfnet.scaling import Scaling
from nmfnet.training.callbacks import Callback, EpochRecord

Kind = Literal["classes", "labels", "real"]  # of targets


@dataclass(frozen=True)
class Plan:
    """What a solver may know before the first batch.

    Attributes
    ----------
    alpha, l1_ratio : float
        Penalty on the weights, against the loss summed over `n_samples`.
    n_samples : int
    n_updates : int or None
        Batches planned; None where there is no plan.
    seed : int
        Of the solver's own random numbers.
    """

    alpha: float = 0.0
    l1_ratio: float = 0.0
    n_samples: int = 1
    n_updates: int | None = None
    seed: int = 0


class Sweep(Protocol):
    """An update of all weights of the network from a batch."""

    def __call__(self, X: Tensor, Y: Tensor) -> Tensor:
        """Replace the network's weight tensors, and return the outputs from before."""

    network: Network

    def fork(self) -> Self:
        """A copy, whose calls leave this one as it is."""

    def weights(self) -> list[Tensor]:
        """Weights to predict with: the network's own, or an average of them."""

    @property
    def retries(self) -> int:
        """Factorizations so far that had to be repeated with more damping."""


class Solver(Protocol):
    """What the loop and the estimators ask of a solver's settings; see :class:`nmfnet.Pinv` for one."""

    keeps_state: ClassVar[bool]  # whether a sweep can go on with other data

    def default_batch_size(self, n: int) -> int:
        """Batch size for n samples."""

    def output(self, kind: Kind) -> Output:
        """What the outputs mean for such targets."""

    def scaling(self, X: Tensor, kind: Kind, centre: bool, partial: bool) -> Scaling | None:
        """Scaling of the inputs, if any."""

    def prepare(self, network: Network, X: Tensor, plan: Plan) -> Sweep:
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
    max_time: float | None = None  # seconds


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

    With a validation set the weights of the best epoch are restored at the end.  Ctrl-C and the time budget end the
    training after the last complete sweep, Ctrl-C with a warning.

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
    # The loss of real targets has their unit, squared.
    unit = 1.0 if network.targets is None else float(network.targets.factor.double().pow(-2).mean())
    best, good = Best(settings.tol * unit), list(network.weights)
    deadline = None if settings.max_time is None else progress.seconds + settings.max_time
    sweep = None
    try:
        with progress.timed():
            sweep = solver.prepare(network, X, planned(settings, len(X), generator))
        for _ in range(settings.max_iter):
            record = epoch(network, sweep, X, Y, settings, progress, generator, deadline)
            if record is None:
                _report_divergence(progress)
                sweep = None
                break
            good = list(sweep.weights())
            progress.history.append(record)
            best.add(record, good)
            for callback in settings.callbacks:
                callback.on_epoch_end(network.with_weights(good), record)
            out_of_time = deadline is not None and progress.seconds >= deadline
            if out_of_time or best.epochs_without_progress >= settings.n_iter_no_change:
                break
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", ConvergenceWarning, stacklevel=4)
    network.weights[:] = good if sweep is None else sweep.weights()
    if not network.is_finite():
        network.weights[:] = good
    if best.weights is not None:
        network.weights[:] = best.weights


def planned(settings: Settings, n: int, generator: torch.Generator, partial: bool = False) -> Plan:
    """Return the plan of a fit; `partial` is one without an end."""
    n_updates = None if partial else settings.max_iter * -(-n // settings.batch_size)
    return Plan(settings.alpha, settings.l1_ratio, n, n_updates, generator.initial_seed())


def epoch(
    network: Network,
    sweep: Sweep,
    X: Tensor,
    Y: Tensor,
    settings: Settings,
    progress: Progress,
    generator: torch.Generator,
    deadline: float | None = None,
) -> EpochRecord | None:
    """One pass over the data in random order; None if it ends with numbers that are not finite.

    The time budget may end it early; what is recorded is then of the samples seen.
    """
    seen, retries = 0, sweep.retries
    objective = error = torch.zeros((), dtype=torch.float64, device=X.device)
    batches = list(shuffled(len(X), settings.batch_size, generator))
    for number, rows in enumerate(batches, 1):
        with progress.timed():
            rows = rows.to(X.device)
            X_batch, Y_batch = (X, Y) if len(batches) == 1 else (X[rows], Y[rows])
            try:
                outputs = _whole_sweep(network, sweep, X_batch, Y_batch)
            except DivergenceError:  # a decomposition met overflowed activations
                return None
            outputs, Y_batch = outputs.double(), Y_batch.double()  # sums and squares of large numbers
            objective = objective + network.output.loss(outputs, Y_batch).sum()
            error = error + settings.error(outputs, Y_batch).sum()
            seen += len(rows)
        for callback in settings.callbacks:
            callback.on_batch_end(number, len(batches))
        if deadline is not None and progress.seconds >= deadline:
            break
    model = network.with_weights(sweep.weights())
    if not (model.is_finite() and objective.isfinite()):
        return None
    record = EpochRecord(epoch=len(progress.history) + 1)
    with progress.timed():
        record["objective"] = float(objective) / seen + model.penalty(settings.alpha, settings.l1_ratio) / len(X)
        record["train_error"] = float(error) / seen
        if settings.validation is not None:
            X_val, Y_val = settings.validation
            record["val_error"] = float(settings.error(model.predict(X_val).double(), Y_val.double()).mean())
    if sweep.retries > retries:
        record["retries"] = sweep.retries - retries
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
    advice = "Scale the inputs and targets, or raise the solver's damping (relaxed) or delta_x (pinv)."
    if not progress.history:
        raise DivergenceError(f"The first epoch ended with non-finite weights. {advice}")
    warnings.warn(
        f"Epoch {len(progress.history) + 1} ended with non-finite weights; those of the last good epoch "
        f"were kept. {advice}",
        DivergenceWarning,
        stacklevel=5,
    )
