"""The only training loop: batches, stopping, the check for non-finite weights, Ctrl-C."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from nmfnet.errors import DivergenceError, DivergenceWarning
from nmfnet.network import Network
from nmfnet.sparse import picked
from nmfnet.training.callbacks import Callback, EpochRecord
from nmfnet.training.resuming import Position, Training
from nmfnet.training.solver import Plan, Solver, Sweep

ErrorFunction = Callable[[Tensor, Tensor], Tensor]
ScoreFunction = Callable[[Tensor, Tensor, Tensor | None], float]


@dataclass
class Settings:
    """What the loop needs to know, named as in :class:`nmfnet.NMFNetClassifier`."""

    batch_size: int
    max_iter: int
    tol: float
    n_iter_no_change: float
    alpha: float
    l1_ratio: float
    error: ErrorFunction  # (outputs, targets) -> the error of each sample, shape (m,)
    callbacks: Sequence[Callback] = ()
    validation: tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor | None] | None = None  # X, Y and weights
    max_time: float | None = None  # seconds
    early_stopping: bool = True  # whether the validation set, where there is one, decides
    sample_weight: Tensor | None = None  # positive; None is 1 for all
    penalizes_bias: bool = False
    trained: bool = False  # whether the network has been trained before
    score: ScoreFunction | None = None  # (outputs, targets, weights) of the validation set -> what is recorded of it


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
    """The best epoch of one fit, and how long ago it was; if a validation set decides, its weights."""

    tol: float
    monitor: Literal["objective", "val_error"]
    score: float = float("inf")
    weights: list[Tensor] | None = None
    epochs_without_progress: int = 0

    def add(self, record: EpochRecord, sweep: Sweep) -> None:
        """Note an epoch of the sweep, and whether it improved on the best by `tol`."""
        score = record[self.monitor]
        self.epochs_without_progress = 0 if score < self.score - self.tol else self.epochs_without_progress + 1
        if score < self.score:
            self.score = score
            if self.monitor == "val_error":
                self.weights = sweep.lend()


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

    With early stopping on a validation set the weights of the best epoch are restored at the end.  Ctrl-C and the
    time budget end the training after the last complete sweep, Ctrl-C with a warning.

    Parameters
    ----------
    network : Network
        Changed in place.  The weight tensors that it begins with are not written into where `settings` says that it
        was trained before: they may be those of others, too.
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
        DivergenceWarning and the last good weights: of the last whole epoch, or those that a sweep vouches for.
    """
    if settings.batch_size < min(len(X), solver.fewest_samples):
        warnings.warn(
            f"batch_size={settings.batch_size} gives each step too few samples to learn well from: "
            f"take {solver.fewest_samples} or more, or 'auto'.",
            UserWarning,
            stacklevel=5,
        )
    validated = settings.validation is not None and settings.early_stopping
    best = Best(settings.tol * _unit(network), "val_error") if validated else Best(settings.tol, "objective")
    sweep, good, diverged = None, list(network.weights), False
    try:
        with progress.timed():
            sweep = solver.prepare(network, X, planned(settings, len(X), generator))
        good = sweep.weights()
        training = Training(network, solver, X, Y, settings, progress, generator, sweep, best, good)
        for callback in settings.callbacks:  # one of them may restore a stored state
            callback.on_train_begin(training)
        good = training.good
        deadline = None if settings.max_time is None else progress.seconds + settings.max_time
        while training.epochs < settings.max_iter:
            for callback in settings.callbacks:
                callback.on_epoch_begin(len(progress.history) + 1)
            record = epoch(network, sweep, X, Y, settings, progress, generator, deadline, training.position)
            if record is None:
                _report_divergence(progress)
                diverged = True
                break
            good = training.good = sweep.weights()
            training.epochs += 1
            progress.history.append(record)
            best.add(record, sweep)
            ends = []
            for callback in settings.callbacks:
                weights = sweep.lend() if callback.keeps_weights else sweep.weights()
                ends.append(callback.on_epoch_end(network.with_weights(weights), record))
            out_of_time = deadline is not None and progress.seconds >= deadline
            if any(ends) or out_of_time or best.epochs_without_progress >= settings.n_iter_no_change:
                break
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", ConvergenceWarning, stacklevel=4)
    finally:
        for callback in settings.callbacks:
            callback.on_train_end()
    if sweep is not None:
        network.weights[:] = sweep.weights()
    if diverged or not network.is_finite():
        network.weights[:] = good
    if best.weights is not None:
        network.weights[:] = best.weights


def planned(settings: Settings, n: int, generator: torch.Generator, partial: bool = False) -> Plan:
    """Return the plan of a fit; `partial` is one without an end."""
    n_updates = None if partial else settings.max_iter * -(-n // settings.batch_size)
    weight = settings.sample_weight
    total = n if weight is None else float(weight.double().sum())
    size = min(n, settings.batch_size)
    return Plan(
        settings.alpha, settings.l1_ratio, total, n_updates, size, generator.initial_seed(), settings.trained, weight
    )


def epoch(
    network: Network,
    sweep: Sweep,
    X: Tensor,
    Y: Tensor,
    settings: Settings,
    progress: Progress,
    generator: torch.Generator,
    deadline: float | None = None,
    position: Position | None = None,
) -> EpochRecord | None:
    """One pass over the data in random order; None if it ends with numbers that are not finite.

    It goes on from a `position`, and keeps it.  The time budget may end it early; what is recorded is then of the
    samples seen.
    """
    data = (X, Y) if settings.sample_weight is None else (X, Y, settings.sample_weight)
    position = Position() if position is None else position
    position.begin(generator, sweep.retries)
    batches = list(shuffled(len(X), settings.batch_size, generator))
    for number, rows in enumerate(batches[position.batch :], position.batch + 1):
        with progress.timed():
            rows = rows.to(X.device)
            batch = data if len(batches) == 1 else tuple(picked(part, rows) for part in data)
            try:
                outputs = _whole_sweep(network, sweep, *batch)
            except DivergenceError:  # a decomposition met overflowed activations
                return None
            position.add(summed(network, settings, outputs, *batch[1:]))
        for callback in settings.callbacks:
            callback.on_batch_end(number, len(batches))
        if deadline is not None and progress.seconds >= deadline:
            break
    assert position.totals is not None
    loss, error, seen = position.totals.tolist()
    if not math.isfinite(loss):
        return None
    model = network.with_weights(sweep.weights())
    if not model.is_finite():
        return None
    record = EpochRecord(epoch=len(progress.history) + 1)
    with progress.timed():
        n = len(X) if settings.sample_weight is None else float(settings.sample_weight.double().sum())
        penalty = model.penalty(settings.alpha, settings.l1_ratio, settings.penalizes_bias)
        record["objective"] = loss / seen + penalty / n
        record["train_loss"], record["train_error"] = loss / seen, error / seen
        if settings.validation is not None:
            X_val, Y_val, *weights = settings.validation
            weight = weights[0] if weights else None
            outputs = model.predict(X_val)
            loss, error, seen = summed(model, settings, outputs, Y_val, weight).tolist()
            record["val_loss"], record["val_error"] = loss / seen, error / seen
            if settings.score is not None:
                record["val_score"] = settings.score(outputs, Y_val, weight)
    record["n_samples"] = sum(len(rows) for rows in batches[: position.batch])
    if sweep.retries > position.retries:
        record["retries"] = sweep.retries - position.retries
    record["seconds"] = progress.seconds
    position.start = None
    return record


def summed(
    network: Network, settings: Settings, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None = None
) -> Tensor:
    """Loss, on the scale of the scaled targets, error, and number of samples, by their weights; of shape (3,)."""
    outputs, Y = outputs.double(), Y.double()  # sums and squares of large numbers
    loss = network.output.loss(network.scaled_targets(outputs), network.scaled_targets(Y))
    each = torch.stack([loss, settings.error(outputs, Y), torch.ones_like(loss)])
    return each.sum(1) if sample_weight is None else each @ sample_weight.double()


def _unit(network: Network) -> float:
    """What 1 is in the unit of errors: those of real targets have the targets' unit, squared."""
    return 1.0 if network.targets is None else float(network.targets.factor.double().pow(-2).mean())


def _whole_sweep(network: Network, sweep: Sweep, *batch: Tensor) -> Tensor:
    """A sweep that gives the network its weight tensors back if it ends half-way, by Ctrl-C or an error."""
    before = list(network.weights)
    try:
        return sweep(*batch)
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
        f"Epoch {len(progress.history) + 1} ended with non-finite weights or outputs; the last good weights "
        f"were kept. {advice}",
        DivergenceWarning,
        stacklevel=5,
    )
