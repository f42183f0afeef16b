"""What `partial_fit` does, once everything is checked: a stream of samples, in calls of any size."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from nmfnet.data.scaling import input_scaling, target_scaling
from nmfnet.data.source import InMemory, Samples, joined, newest
from nmfnet.estimators.fitting import Architecture
from nmfnet.network import Network
from nmfnet.network.drift import Rescaled, followed, tamed
from nmfnet.solvers.base import Solver, Sweep
from nmfnet.training import EpochRecord, FitSettings, Progress, Updated, undone_on_failure, update_network


@dataclass(frozen=True)
class Stream:
    """What goes on from one `partial_fit` to the next besides the network.

    Attributes
    ----------
    sweep : Sweep
    generator : torch.Generator
    recent : Samples
        The last rows, with the weights that were passed, for calls with few of their own.
    settled : bool
        Whether there have been enough of them to scale by; until then every call scales anew.
    age : int
        Rows since something was last scaled anew.
    """

    sweep: Sweep
    generator: torch.Generator
    recent: Samples
    settled: bool
    age: int


def update(
    architecture: Architecture,
    solver: Solver,
    data: InMemory,
    settings: FitSettings,
    generator: torch.Generator,
    *,
    start: Network | None = None,
    history: Sequence[EpochRecord] = (),
    stream: Stream | None = None,
) -> tuple[Updated, Stream]:
    """One pass over some samples, with the averages of earlier calls; small batches with the samples before.

    Parameters
    ----------
    architecture, solver, settings
        As in :func:`nmfnet.training.update_network`; the penalty is against the weights that were passed.
    data : InMemory
        With the weights that were passed.
    generator : torch.Generator
        For the first call.
    start : Network, optional
        The network to go on with.
    history : sequence of EpochRecord
        Its epochs.
    stream : Stream, optional
        Of the earlier calls.
    """
    n, min_rows = data.n_rows, solver.min_batch_samples
    if stream is not None and settings.batch_size < min_rows:
        data = joined(newest(stream.recent, min_rows - settings.batch_size), data)
    source, unit = data.normalized()
    # With "auto" nobody knows how many samples a penalty would be against.
    alpha = 0.0 if settings.alpha == "auto" else settings.alpha / unit
    settings = replace(settings, alpha=alpha, trained=start is not None)
    settled = start is not None if stream is None else stream.settled
    rescaled = None
    if start is None:
        network = architecture.new_network(solver, source, generator, partial=True)
    else:
        architecture.check(start, solver, source, "partial_fit")
        network = start.on(source.X.device)
        young = stream is not None and stream.age < 2 * min_rows
        rescaled = followed(network, source, young=young) if settled else scaled_anew(network, source)
    safe = nullcontext() if stream is None else undone_on_failure(stream.sweep, stream.generator)
    with safe:
        updated = update_network(
            network,
            solver,
            tamed(network if rescaled is None else rescaled.network, source),
            settings,
            generator if stream is None else stream.generator,
            sweep=None if stream is None else stream.sweep,
            rescaled=rescaled,
            progress=Progress.after(history),
        )
    age = 0 if rescaled is not None else n + (2 * min_rows if stream is None else stream.age)
    settled = settled or len(source.Y) >= min_rows
    drawn = generator if stream is None else stream.generator
    return updated, Stream(updated.sweep, drawn, newest(data.samples, min_rows, n), settled, age)


def scaled_anew(network: Network, source: InMemory) -> Rescaled:
    """The network with the scalings of these rows: the first ones, of which it has hardly learned anything."""
    inputs, targets = network.inputs, network.targets
    if inputs is not None:
        inputs = input_scaling(source.X, 1.0, network.intercept, 1.0, source.weight)
    if targets is not None:
        targets = target_scaling(source.Y, network.intercept, source.weight)
    return Rescaled(replace(network, inputs=inputs, targets=targets), list)
