"""What `partial_fit` does, once everything is checked: a stream of samples, in calls of any size."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import cast

import torch

from nmfnet.data.scaling import Scaling, input_scaling, target_scaling
from nmfnet.data.source import InMemory, Samples, joined, newest
from nmfnet.estimators.fitting import Architecture
from nmfnet.estimators.images import image_scaling
from nmfnet.network import Network
from nmfnet.network.drift import SCALINGS, Carry, Rescaled, followed, tamed
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
    unsettled : frozenset of str
        Scalings that rest on too few rows, so that every call makes them anew: "inputs", "targets".
    age : int
        Rows since something was last scaled anew.
    """

    sweep: Sweep
    generator: torch.Generator
    recent: Samples
    unsettled: frozenset[str]
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
    scaled, unsettled = None, frozenset(SCALINGS)
    if start is None:
        network = architecture.new_network(solver, source, generator, partial=True)
    else:
        architecture.check(start, solver, source, "partial_fit")
        network = start.on(source.X.device)
        scaled, unsettled = rescaled(network, stream, source, min_rows)
    safe = nullcontext() if stream is None else undone_on_failure(stream.sweep, stream.generator)
    with safe:
        updated = update_network(
            network,
            solver,
            tamed(network if scaled is None else scaled.network, source),
            settings,
            generator if stream is None else stream.generator,
            sweep=None if stream is None else stream.sweep,
            rescaled=scaled,
            progress=Progress.after(history),
        )
    age = 0 if scaled is not None else n + (2 * min_rows if stream is None else stream.age)
    unsettled = unsettled if len(source.Y) < min_rows else frozenset()
    drawn = generator if stream is None else stream.generator
    return updated, Stream(updated.sweep, drawn, newest(data.samples, min_rows, n), unsettled, age)


def rescaled(
    network: Network, stream: Stream | None, source: InMemory, min_rows: int
) -> tuple[Rescaled | None, frozenset[str]]:
    """The network with scalings that fit the rows, too, and the scalings that all rows so far were needed for.

    None where the scalings are the same.
    """
    unsettled = frozenset[str]() if stream is None else stream.unsettled
    rows = replace(source, before=0)  # the earlier ones, too
    found, carry = network, cast("Carry | None", list if unsettled else None)
    if "inputs" in unsettled and network.inputs is not None:
        found = replace(found, inputs=_input_scaling(network, rows))
    if "targets" in unsettled and network.targets is not None:
        found = replace(found, targets=target_scaling(rows, network.intercept))
    young = stream is not None and stream.age < 2 * min_rows
    others = [name for name in SCALINGS if name not in unsettled]
    changed = followed(found, source, names=others, young=young)
    if changed is not None:
        found, carry = changed
    unsettled |= {name for name in others if is_all_new(getattr(network, name), getattr(found, name))}
    return (None if carry is None else Rescaled(found, carry)), unsettled


def _input_scaling(network: Network, source: InMemory) -> Scaling | None:
    """Scaling of the inputs by the first rows of a stream."""

    def scaling_of(rows: InMemory) -> Scaling:
        return input_scaling(rows, 1.0, network.intercept, 1.0)

    return (
        scaling_of(source) if network.input_shape is None else image_scaling(source, network.input_shape, scaling_of)
    )


def is_all_new(old: Scaling | None, new: Scaling | None) -> bool:
    """Whether no column is scaled as it was."""
    if old is None or new is None or old.factor.shape != new.factor.shape:
        return False
    return bool((old.factor != new.factor).all())
