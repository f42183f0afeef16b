"""Updates without an end in sight: what `partial_fit` does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from nmfnet.data.source import Source
from nmfnet.errors import DivergenceError
from nmfnet.network import Network
from nmfnet.network.drift import Rescaled
from nmfnet.solvers.base import Plan, Solver, Sweep
from nmfnet.stateful import copied
from nmfnet.training.loop import epoch, planned, whole_update
from nmfnet.training.records import EpochRecord
from nmfnet.training.scoring import sampled
from nmfnet.training.settings import FitSettings
from nmfnet.training.state import Best, Progress, Training
from nmfnet.training.threads import suited_threads


class Updated(NamedTuple):
    """What `partial_fit` returns: the network with weights of its own, all epochs, and the sweep to go on with.

    The plan is the one that a solver would prepare such a sweep with.
    """

    network: Network
    history: list[EpochRecord]
    sweep: Sweep
    plan: Plan


def update_network(
    network: Network,
    solver: Solver,
    source: Source,
    settings: FitSettings,
    generator: torch.Generator,
    *,
    sweep: Sweep | None = None,
    rescaled: Rescaled | None = None,
    progress: Progress | None = None,
) -> Updated:
    """One pass over some samples, without an end in sight: what `partial_fit` does.

    Parameters
    ----------
    network, solver, source, settings, generator, progress
        As in :func:`fit_network`.
    sweep : Sweep, optional
        Of an earlier call, which goes on.  Without one the network's weights are copied.
    rescaled : Rescaled, optional
        The network with scalings that fit the samples better.

    Raises
    ------
    DivergenceError
        If it ends with numbers that are not finite.
    """
    progress = Progress() if progress is None else progress
    min_rows = whole_update(solver, settings)
    plan = planned(settings, source, generator, min_rows, endless=True)
    if sweep is None:
        network = network if rescaled is None else rescaled.network
        sweep = solver.prepare(network.with_weights(copied(network.weights)), source, plan)
    else:
        sweep = solver.proceed(sweep, source, plan, rescaled)
    best = Best(settings.tol, "objective")
    sample = sampled(source, generator.initial_seed())
    training = Training(
        sweep.network, solver, source, None, settings, progress, generator, sweep, best, [], sample, min_rows
    )
    with suited_threads(sweep.network, source, settings.batch_size):
        record = epoch(training)
    if record is None:
        raise DivergenceError("partial_fit ended with non-finite weights and left the model as it was.")
    return Updated(sweep.network.with_weights(copied(sweep.weights())), [*progress.history, record], sweep, plan)


@contextmanager
def undone_on_failure(sweep: Sweep, generator: torch.Generator) -> Iterator[None]:
    """Leave a sweep and a generator as they were if anything fails."""
    network, state = sweep.network, copied(sweep.state())  # little beside the products of an update
    drawn = generator.get_state()
    try:
        yield
    except BaseException:
        sweep.network = network
        sweep.restore(state)
        generator.set_state(drawn)
        raise
