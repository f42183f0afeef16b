"""What a fit is about to train, before its first epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import ArrayLike

from nmfnet._parameters import resolve
from nmfnet.data.source import Source
from nmfnet.estimators.data import checked_data, split
from nmfnet.estimators.parameters import device_for, generator_for
from nmfnet.estimators.stored import in_files, looked_over, stored_data
from nmfnet.network import Network
from nmfnet.solvers import SOLVERS
from nmfnet.solvers.base import Plan
from nmfnet.torch_modes import plain_tensors
from nmfnet.training.loop import planned, whole_update

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet


class Untrained(NamedTuple):
    """A network with random weights, its training samples, the solver and its plan.

    Attributes
    ----------
    validation_rows : int
        Held out.
    """

    network: Network
    source: Source
    solver: Any
    plan: Plan
    validation_rows: int


@plain_tensors()
def untrained(model: BaseNMFNet, X: ArrayLike, y: ArrayLike) -> Untrained:
    """What ``model.fit(X, y)`` would train; the model learns the columns and classes of the data."""
    hidden = model._check_parameters()
    data, validation = (stored_data if in_files(X) else checked_data)(model, X, y, None), None
    if model.early_stopping:
        data, validation = split(model, data)
    if in_files(X):
        data = looked_over(model, data, validation)
    solver, generator = resolve(model.solver, SOLVERS), generator_for(model.random_state)
    source = model._source(solver, data, device_for(model.device, data.X))
    network = model._architecture(hidden, False).new_network(solver, source, generator)
    settings = model._settings(solver, source, False)
    if settings.alpha == "auto":
        settings = replace(settings, alpha=solver.default_alpha(network))
    plan = planned(settings, source, generator, min(whole_update(solver, settings), source.n_rows))
    return Untrained(network, source, solver, plan, 0 if validation is None else len(validation.Y))
