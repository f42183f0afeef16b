"""What `partial_fit` does, once everything is checked: a stream of samples, in calls of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import cast

import torch

from nmfnet.data.scaling import Scaling, input_scaling, target_scaling
from nmfnet.data.source import InMemory, Samples, joined, newest
from nmfnet.errors import ModelFileError, NMFNetError
from nmfnet.estimators.fitting import Architecture
from nmfnet.estimators.images import image_scaling
from nmfnet.linalg import all_finite
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network import Network
from nmfnet.network.drift import SCALINGS, Carry, Rescaled, followed, tamed
from nmfnet.solvers.base import Plan, Solver, Sweep
from nmfnet.stateful import State, copied
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
    plan : Plan
        With which the sweep was prepared.
    stored : bool
        Whether it comes from a file or a pickle, and nothing has been done with it yet.
    """

    sweep: Sweep
    generator: torch.Generator
    recent: Samples
    unsettled: frozenset[str]
    age: int
    plan: Plan
    stored: bool = False

    def state(self) -> State:
        """All that a stream goes on with, besides the network that predicts."""
        X, Y, weight = self.recent
        rows = X.state() if isinstance(X, SparseRows) else X
        return {
            "sweep": self.sweep.state(),
            "generator": self.generator.get_state(),
            "recent": {"X": rows, "Y": Y, "weight": weight},
            "unsettled": sorted(self.unsettled),
            "age": self.age,
            "plan": asdict(self.plan),
        }

    @classmethod
    def restored(cls, state: State, network: Network, solver: Solver) -> Stream:
        """The stream of a :meth:`state`, which goes on bit for bit as that one would.

        Parameters
        ----------
        state : dict
            Perhaps of a stranger's file: what does not fit is refused.
        network : Network
            That predicts.
        solver : Solver

        Raises
        ------
        ValueError, LookupError, TypeError, AttributeError, RuntimeError
            If it is not the state of a stream of this network.
        """
        X, Y, weight = (state["recent"][name] for name in ("X", "Y", "weight"))
        recent = Samples(SparseRows.restored(X, network.sizes[0]) if isinstance(X, dict) else X, Y, weight)
        plan, age = Plan(**state["plan"]), state["age"]
        unsettled = frozenset(state["unsettled"])
        check_recent(recent, network)
        if not unsettled <= set(SCALINGS) or type(age) is not int or age < 0 or plan.n_updates is not None:
            raise ValueError("its stream has settings that no stream has.")
        source = InMemory(*recent).normalized()[0]
        sweep = solver.prepare(network.with_weights(copied(network.weights)), source, plan)
        sweep.restore(state["sweep"])
        for weights in (sweep.weights(), sweep.state()["weights"]):
            if [(W.shape, W.dtype) for W in weights] != [(W.shape, W.dtype) for W in network.weights]:
                raise ValueError("its stream has weights of other shapes.")
        generator = torch.Generator()
        generator.set_state(state["generator"])
        return cls(sweep, generator, recent, unsettled, age, plan, stored=True)


def check_recent(recent: Samples, network: Network) -> None:
    """Refuse samples that the network could not be trained on."""
    X, Y, weight = recent
    n, k = network.sizes[0], network.sizes[-1]
    fits = X.shape == (len(Y), n) and Y.shape == (len(Y), k) and (weight is None or weight.shape == (len(Y),))
    if not fits or not len(Y) or X.dtype != network.dtype or Y.dtype != network.dtype:
        raise ValueError("its stream has samples that do not fit the network.")
    values = X.values if isinstance(X, SparseRows) else X
    if not (all_finite(values) and all_finite(Y) and (weight is None or bool((weight > 0).all()))):
        raise ValueError("its stream has samples that are not finite.")


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
    with named_failure(stream), safe:
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
    plan = updated.plan if stream is None else stream.plan
    return updated, Stream(updated.sweep, drawn, newest(data.samples, min_rows, n), unsettled, age, plan)


@contextmanager
def named_failure(stream: Stream | None) -> Iterator[None]:
    """Say so where a state that was read from a file cannot be gone on with."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, RuntimeError) as error:
        if stream is None or not stream.stored or isinstance(error, NMFNetError):
            raise
        raise ModelFileError(
            f"What the file of this model holds of its stream does not fit: {error} It predicts, but to train it fit "
            "it anew."
        ) from error


def rescaled(
    network: Network, stream: Stream | None, source: InMemory, min_rows: int
) -> tuple[Rescaled | None, frozenset[str]]:
    """The network with scalings that fit the rows, too, and the scalings that all rows so far were needed for.

    None where the scalings are the same.
    """
    unsettled = frozenset[str]() if stream is None else stream.unsettled
    rows = replace(source, before=0)  # the earlier ones, too
    found, carry = network, cast("Carry | None", list if unsettled else None)
    if "inputs" in unsettled and type(network.inputs) is Scaling:
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
