"""What `fit` and `partial_fit` do, once everything is checked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from scipy.sparse import issparse
from torch import Tensor

from nmfnet._parameters import resolve
from nmfnet.errors import DivergenceError
from nmfnet.estimators.building import fitted_network, new_network
from nmfnet.estimators.data import Data
from nmfnet.estimators.parameters import batch_size, device_for, generator_for, penalty
from nmfnet.network import Network
from nmfnet.scaling import target_scaling
from nmfnet.training import (
    PRETRAININGS,
    SOLVERS,
    Callback,
    PrintLog,
    Progress,
    Settings,
    Solver,
    announced,
    epoch,
    planned,
    train,
)

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet


def fit(
    estimator: BaseNMFNet, hidden: list[int], data: Data, validation: Data | None, tasks: Callback | None = None
) -> None:
    """Train from the start, or from the last fit's weights; `tasks` hears of it after the estimator's callbacks."""
    device, generator = device_for(estimator.device, data.X), generator_for(estimator.random_state)
    solver = resolve(estimator.solver, SOLVERS)
    X, Y, weight = dense_where_needed(estimator, solver, data).on(device)
    # Weights of mean 1, and the penalty against their sum as it was.
    scale = 1.0 if weight is None else float(weight.double().mean())
    weight = None if weight is None else (weight / scale)
    settings = training_settings(estimator, solver, Y, weight)
    settings.validation = None if validation is None else validation.on(device)
    progress = Progress()
    continued = estimator.warm_start and hasattr(estimator, "network_")
    if continued:
        network = fitted_network(estimator, solver, hidden, X, Y)
        if network.targets is not None:  # the targets may have another unit now
            network.targets = target_scaling(Y, bool(estimator.fit_intercept), weight)
        history = list(estimator.history_)
        progress = Progress(history, history[-1]["seconds"] if history else 0.0)
    else:
        with progress.timed():
            network = new_network(estimator, solver, hidden, X, Y, weight, generator)
    settings.alpha = penalty(estimator.alpha, solver.default_alpha(network)) / scale
    settings.callbacks = [*settings.callbacks, *([tasks] if tasks else [])]
    settings.trained = continued
    with announced(settings.callbacks, network, settings.max_iter):
        if not continued:
            pretrain(estimator, network, X, Y, generator, progress, settings)
        train(network, solver, X, Y, settings, progress, generator)
    estimator.network_, estimator.history_ = network, progress.history
    for name in ("_sweep", "_random_"):  # the next partial_fit starts its averages anew
        estimator.__dict__.pop(name, None)


def partial_fit(estimator: BaseNMFNet, hidden: list[int], data: Data) -> None:
    """One pass over some samples, with the averages of earlier calls."""
    first = not hasattr(estimator, "network_")
    device, solver = device_for(estimator.device, data.X), resolve(estimator.solver, SOLVERS)
    X, Y, weight = dense_where_needed(estimator, solver, data).on(device)
    settings = training_settings(estimator, solver, Y, weight)
    settings.callbacks = []  # they are of a fit, with a begin and an end
    settings.alpha = penalty(estimator.alpha, 0.0)  # nobody knows how many samples it would be against
    settings.trained = not first
    goes_on = "_sweep" in estimator.__dict__
    generator = torch.Generator() if goes_on else generator_for(estimator.random_state)
    if first:
        network, history = new_network(estimator, solver, hidden, X, Y, weight, generator, partial=True), []
    else:
        network, history = fitted_network(estimator, solver, hidden, X, Y, fitting=False), estimator.history_
    if goes_on:
        generator.set_state(estimator._random_)
    progress = Progress(history, history[-1]["seconds"] if history else 0.0)
    if goes_on and solver.keeps_state:
        sweep = estimator._sweep.fork()
    else:
        sweep = solver.prepare(network, X, planned(settings, len(Y), generator, partial=True))
    record = epoch(sweep.network, sweep, X, Y, settings, progress, generator)
    if record is None:
        raise DivergenceError("partial_fit ended with non-finite weights and left the model as it was.")
    estimator.history_ = [*history, record]
    if estimator.verbose:
        PrintLog().on_epoch_end(network, record)
    estimator.network_ = network.with_weights(sweep.lend())
    estimator._sweep, estimator._random_ = sweep, generator.get_state()


def dense_where_needed(estimator: BaseNMFNet, solver: Solver, data: Data) -> Data:
    """Sparse inputs stay sparse for a solver that takes them; pre-training does not."""
    keep = not issparse(data.X) or (solver.takes_sparse and estimator.pretrain is None)
    return data if keep else data._replace(X=data.X.toarray())


def training_settings(estimator: BaseNMFNet, solver: Solver, Y: Tensor, weight: Tensor | None) -> Settings:
    """Settings of the loop for the targets Y (n, n_L)."""
    n, values = len(Y), Y.shape[1] if estimator._kind() == "real" else 0
    output = solver.output(estimator._kind())
    return Settings(
        batch_size=batch_size(estimator.batch_size, n, solver.default_batch_size(n, values)),
        max_iter=estimator.max_iter, max_time=estimator.max_time, tol=estimator.tol,
        n_iter_no_change=estimator.n_iter_no_change, alpha=0.0, l1_ratio=float(estimator.l1_ratio),
        early_stopping=bool(estimator.early_stopping), sample_weight=weight, penalizes_bias=solver.penalizes_bias,
        error=partial(estimator._error, output=output),
        score=partial(estimator._score, output=output) if estimator.early_stopping else None,
        callbacks=[*(estimator.callbacks or ()), *([PrintLog()] if estimator.verbose else [])],
    )  # fmt: skip


def pretrain(
    estimator: BaseNMFNet,
    network: Network,
    X: Tensor,
    Y: Tensor,
    generator: torch.Generator,
    progress: Progress,
    settings: Settings,
) -> None:
    """Replace the random weights by those of the pre-training, if there is one."""
    if estimator.pretrain is None or any(callback.resumes() for callback in settings.callbacks):
        return
    pretraining = resolve(estimator.pretrain, PRETRAININGS)

    def announce(layer: int) -> None:
        for callback in settings.callbacks:
            callback.on_pretrain_layer(layer, len(network.weights) - 1)

    with progress.timed():
        names = getattr(estimator, "feature_names_in_", None)
        pretraining(network, X, network.scaled_targets(Y), generator, announce, settings.sample_weight, names)
