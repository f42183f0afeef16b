"""The only training loop: batches, stopping, the check for non-finite weights, Ctrl-C."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from nmfnet.data.source import Batch, Source, n_batches
from nmfnet.errors import DivergenceError, DivergenceWarning
from nmfnet.linalg.holders import Holders, local
from nmfnet.network import Network
from nmfnet.solvers.base import Plan, Solver, Sweep
from nmfnet.stateful import copied
from nmfnet.training.callbacks import Callback, announced
from nmfnet.training.choice import Choice, averaged
from nmfnet.training.records import EpochRecord
from nmfnet.training.scoring import calibrated, error_unit, predicted, sampled, scores, summed_loss
from nmfnet.training.settings import FitSettings
from nmfnet.training.stacking import stacked
from nmfnet.training.state import Best, Progress, Training
from nmfnet.training.threads import suited_threads

Pretraining = Callable[[Network], None]
Beforehand = Callable[[], Choice]
ADVICE = "Scale the inputs and targets, or raise the solver's damping (relaxed) or delta_x (pinv)."


class Fitted(NamedTuple):
    """What a fit returns.

    Attributes
    ----------
    network : Network
        The one that was passed, trained.
    history : list of EpochRecord
        Of all epochs, those of earlier fits that it went on from included.
    best_epoch : int or None
        Whose weights the network has, where a validation set decided.
    """

    network: Network
    history: list[EpochRecord]
    best_epoch: int | None = None


def fit_network(
    network: Network,
    solver: Solver,
    source: Source,
    settings: FitSettings,
    generator: torch.Generator,
    *,
    validation: Source | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
    pretrain: Pretraining | None = None,
    choose: Beforehand | None = None,
) -> Fitted:
    """Train a network: the only way to do so, for estimators, modules and autoencoders.

    Epochs of the solver's sweep run until one of the stopping rules holds.  With early stopping on a validation set
    the weights are those of the best epoch.  Ctrl-C and the time budget end the training after the last complete
    sweep, Ctrl-C with a warning.

    Parameters
    ----------
    network : Network
        Trained in place, its weight tensors included: who needs those that it starts from copies them.
    solver : Solver
        Its `prepare` looks at the source once and returns the sweep.
    source : Source
        Samples to train on.
    settings : FitSettings
    generator : torch.Generator
        Order of the samples.
    validation : Source, optional
        Samples to score each epoch on.
    progress : Progress, optional
        Epochs and seconds before this fit.
    callbacks : sequence of Callback
    pretrain : callable, optional
        Replaces the weights of the network in place before the first epoch, unless a callback resumes a training.
    choose : callable, optional
        Returns what held-out rows tell: a penalty, a temperature, networks to average with; called likewise.

    Returns
    -------
    Fitted

    Raises
    ------
    DivergenceError
        If the first epoch ends with non-finite weights.  Later, training stops with a DivergenceWarning and the
        weights of the last whole epoch.
    """
    progress = Progress() if progress is None else progress
    _make_alike(network, source.holders)
    if settings.alpha == "auto":
        settings = replace(settings, alpha=solver.default_alpha(network), auto_alpha=True)
    with suited_threads(network, source, settings.batch_size), announced(callbacks, network, settings.max_iter):
        resumes = any(callback.resumes() for callback in callbacks)
        if pretrain is not None and not resumes:
            with progress.timed():
                pretrain(network)
                _make_alike(network, source.holders)
        deadline = None if settings.max_time is None else progress.seconds + settings.max_time
        with progress.timed():
            choice = source.holders.shared(Choice() if choose is None or resumes else choose())
        if choice.alpha is not None:
            settings = replace(settings, alpha=choice.alpha)
        if choice.inputs is not None or choice.divided:
            _begin_anew(network, choice, solver, source.device, generator.initial_seed())
        training = None
        try:
            training = _begun(network, solver, source, settings, generator, validation, progress, callbacks, choice)
            diverged = _run(training, callbacks, deadline)
        except KeyboardInterrupt:
            if source.holders is not local:  # the others go on
                raise
            warnings.warn("Training interrupted by user.", ConvergenceWarning, stacklevel=4)
            diverged = False
        finally:
            for callback in callbacks:
                callback.on_train_end()
        if training is not None:
            network.weights[:] = _final_weights(training, diverged)
    if training is None:
        return Fitted(network, progress.history)
    choice = training.choice
    if choice.share is not None:
        network = stacked(network, choice.members, choice.share, predicted(network, training.sample))
        return Fitted(network, progress.history, training.best.epoch)
    network = averaged(network, choice.members)  # with the weights that callbacks may have put into the network
    if choice.temperature is not None:
        network = calibrated(network, choice.temperature, predicted(network, training.sample))
    return Fitted(network, progress.history, training.best.epoch)


def _begin_anew(network: Network, choice: Choice, solver: Any, device: torch.device, seed: int) -> None:
    """Go on with other inputs of the first layer, and with the units that the members leave; with new weights."""
    inputs = network.inputs if choice.inputs is None else choice.inputs.on(device)
    others = choice.divided or [0] * (len(network.weights) - 1)
    network.reshape(inputs, [W.shape[1] - n for W, n in zip(network.weights[:-1], others, strict=True)])
    weights = solver.initial_weights(network.layers, torch.Generator().manual_seed(seed), network.dtype)
    network.weights[:] = [W.to(device) for W in weights]


def _make_alike(network: Network, holders: Holders) -> None:
    """Have all processes start from the same numbers: those of another kind of machine differ in the last digits."""
    if holders is local:
        return
    digests = holders.objects([sha256(W.cpu().numpy().tobytes()).digest() for W in network.weights])
    drawn = [W for W, *each in zip(network.weights, *digests, strict=True) if len(set(each)) > 1]  # mostly none
    of_first, network.inputs, network.targets = holders.shared((drawn, network.inputs, network.targets))
    for W, other in zip(drawn, of_first, strict=True):
        W.copy_(other)


def _begun(
    network: Network,
    solver: Solver,
    source: Source,
    settings: FitSettings,
    generator: torch.Generator,
    validation: Source | None,
    progress: Progress,
    callbacks: Sequence[Callback],
    choice: Choice,
) -> Training:
    """A training before its first epoch, or where a callback has restored it to."""
    min_rows = min(whole_update(solver, settings), source.n_rows)
    start = list(network.weights)  # if they are written into, then by a sweep whose own weights() stay finite

    def prepared() -> Sweep:
        return solver.prepare(network, source, planned(settings, source, generator, min_rows))

    with progress.timed():
        sweep = prepared()
    unit = error_unit(network, source, settings.real)
    if validation is not None and settings.early_stopping:
        best = Best(settings.tol * unit, "val_loss")
    else:  # objectives are of scaled targets
        best = Best(settings.tol * (unit if network.targets is None else 1.0), "objective")
    training = Training(
        network, solver, source, validation, settings, progress, generator, sweep, best, start,
        sampled(source, generator.initial_seed()), min_rows, prepared=prepared, choice=choice,
    )  # fmt: skip
    for callback in callbacks:  # one of them may restore a stored state
        callback.on_train_begin(training)
    return training


def _run(training: Training, callbacks: Sequence[Callback], deadline: float | None) -> bool:
    """Epochs until a stopping rule holds; whether the training diverged."""
    settings, progress, best = training.settings, training.progress, training.best
    while training.epochs < settings.max_iter:
        for callback in callbacks:
            callback.on_epoch_begin(len(progress.history) + 1)
        record = epoch(training, callbacks, deadline)
        if record is None:
            _report_divergence(progress)
            return True
        training.weights = copied(training.sweep.weights())
        training.epochs += 1
        progress.history.append(record)
        best.add(record, training.weights)
        network = training.network.with_weights(training.weights)
        ends = [callback.on_epoch_end(network, record) for callback in callbacks]
        out_of_time = deadline is not None and progress.seconds >= deadline
        asked = training.source.holders.any(any(ends) or out_of_time)
        if asked or best.epochs_without_progress >= settings.n_iter_no_change:
            break
    return False


def _final_weights(training: Training, diverged: bool) -> list[Tensor]:
    """Of the best epoch, of the last update, or of the last whole epoch where the last update was no good."""
    if training.best.weights is not None:
        return training.best.weights
    newest = training.sweep.weights()
    good = not diverged and training.network.with_weights(newest).is_finite()
    return copied(newest) if good else training.weights


def whole_update(solver: Solver, settings: FitSettings) -> int:
    """Fewest samples of a whole update; 1 where the asked batches have enough, however the rows are divided."""
    return solver.min_batch_samples if settings.batch_size < solver.min_batch_samples else 1


def planned(
    settings: FitSettings, source: Source, generator: torch.Generator, min_rows: int, endless: bool = False
) -> Plan:
    """Return what a solver may know before the first batch; `min_rows` are those of a whole update."""
    n = source.n_rows + source.before
    size = min(n, max(settings.batch_size, min_rows))
    assert settings.alpha != "auto"
    return Plan(
        alpha=settings.alpha,
        l1_ratio=settings.l1_ratio,
        n_samples=source.total_weight * max(1.0, min_rows / n),  # a stream may begin with fewer
        n_updates=None if endless else settings.max_iter * n_batches(n, size),
        batch_size=size,
        seed=generator.initial_seed(),
        trained=settings.trained,
    )


def epoch(training: Training, callbacks: Sequence[Callback] = (), deadline: float | None = None) -> EpochRecord | None:
    """One pass over the data in random order; None if it ends with numbers that are not finite.

    Batches of fewer samples than the solver needs are filled up with those before them, and are a share of an update.
    The epoch goes on from the training's position, and keeps it.  The time budget may end it early; what is recorded
    is then of the samples seen.
    """
    source, settings = training.source, training.settings
    position, progress = training.position, training.progress
    position.begin(training.generator, training.sweep.retries)
    count = n_batches(source.n_rows, settings.batch_size)
    batches = source.batches(settings.batch_size, training.generator, position.batch, training.min_rows)
    for number in range(position.batch + 1, count + 1):
        with progress.timed():
            try:
                _update(training, next(batches))
            except DivergenceError:  # a decomposition met overflowed activations
                return None
        for callback in callbacks:
            callback.on_batch_end(number, count)
        if deadline is not None and source.holders.any(progress.seconds >= deadline):
            break
    with progress.timed():
        record = _record(training)
    if record is not None:
        record["seconds"] = progress.seconds
    position.start = None
    return source.holders.shared(record)


def _update(training: Training, batch: Batch) -> None:
    """One update, or a share of one, and what is summed over its new samples."""
    outputs = swept(training.sweep, batch)
    new = batch.new()
    outputs = outputs[len(outputs) - batch.n_new :]
    training.position.add(summed_loss(training.network, outputs, new), batch.n_new)


def swept(sweep: Sweep, batch: Batch) -> Tensor:
    """One update, or a share of one; solvers need not know of shares, nor of other processes, where there are none."""
    given: dict[str, Any] = {} if batch.share == 1 else {"share": batch.share}
    if batch.at_hand is not None:
        given["at_hand"] = batch.at_hand
    return sweep(batch.X, batch.Y, batch.weight, **given)


def _record(training: Training) -> EpochRecord | None:
    """What is recorded of an epoch that ends; None if its numbers are not finite."""
    settings, position, source = training.settings, training.position, training.source
    assert position.totals is not None
    (totals,) = source.holders([torch.cat([position.totals, position.totals.new_tensor([position.samples])])])
    loss, seen, samples = totals.tolist()
    model = training.network.with_weights(training.sweep.weights())
    if not (math.isfinite(loss) and model.is_finite()):
        return None
    record = EpochRecord(epoch=len(training.progress.history) + 1)
    assert settings.alpha != "auto"
    penalty = model.penalty(settings.alpha, settings.l1_ratio, training.solver.penalizes_bias)
    record["objective"] = loss / seen + penalty / source.total_weight
    found = predicted(model, training.sample)
    model = calibrated(model, training.choice.temperature, found)
    record |= scores("train", model, settings, found)
    if training.validation is not None:
        record |= scores("val", model, settings, predicted(model, training.validation))
    record["n_samples"] = int(samples)
    record |= training.choice.record()
    if training.sweep.retries > position.retries:
        record["retries"] = training.sweep.retries - position.retries
    return record


def _report_divergence(progress: Progress) -> None:
    if not progress.history:
        raise DivergenceError(f"The first epoch ended with non-finite weights. {ADVICE}")
    warnings.warn(
        f"Epoch {len(progress.history) + 1} ended with non-finite weights or outputs; the last good weights "
        f"were kept. {ADVICE}",
        DivergenceWarning,
        stacklevel=6,
    )
