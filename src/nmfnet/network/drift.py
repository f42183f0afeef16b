"""Scalings that follow the data: what a network has seen of a column must not make later values invisible or huge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from nmfnet.data.column_statistics import Blocks, Columns, columns_of
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.scaling import Scaling, target_scaling
from nmfnet.data.sharded import Sharded
from nmfnet.data.source import InMemory
from nmfnet.linalg.holders import Holders, summed
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network.network import Network

# A column that is scaled well has a root mean square of 1.  It is huge, and scaled anew, if its root mean square is
# larger than the first of these.  It is tiny, and scaled anew, if no scaled value is farther from the mean than the
# second.
MAX_COLUMN_RMS, MIN_SPREAD = 8.0, 1 / 64
MIN_MIXED_SPREAD = 1 / 8  # instead of MIN_SPREAD, right after a column was scaled by a mixture of old and new values
MIN_SPREAD_ROWS = 64  # fewer do not show that a column is tiny
MIN_SPREAD_ROWS_ALL = 2  # instead, where all columns are tiny
# Targets have moved if their mean residual is more standard errors from 0 than this.
LEVEL_ERRORS = 5.0
LEVEL_ROWS, MAX_LEVEL_ROWS = 16, 64  # fewer do not show it; more count as so many
# Principal components are given up if they miss more than this share of the variance, in about so many rows.
MAX_LOST_VARIANCE, LOST_VARIANCE_ROWS = 0.5, 1024
SCALINGS = ("inputs", "targets")  # of a network

Carry = Callable[[list[Tensor]], list[Tensor]]


class Rescaled(NamedTuple):
    """A network with other scalings, and from weights of the old one to those of this one."""

    network: Network
    carry: Carry


@dataclass(frozen=True)
class Change:
    """A scaling in place of another one.

    Attributes
    ----------
    scaling : Scaling
    same_outputs, same_weights : callable
        From weights of the network with the old scaling to those with the new one: so that it predicts the same, or
        so that it does the same to what is scaled.  They make new tensors.
    rows : Tensor of shape (m,)
        Which of the rows at hand have to do with it.
    """

    scaling: Scaling
    same_outputs: Carry
    same_weights: Carry
    rows: Tensor


def followed(
    network: Network,
    source: InMemory | Sharded,
    *,
    names: Sequence[str] = SCALINGS,
    whole: bool = False,
    young: bool = False,
) -> Rescaled | None:
    """The network with scalings that fit the rows at hand, too; None where they do already.

    Only columns that have become huge or tiny, those that vary for the first time, and real targets whose level has
    changed are scaled anew.  Weights are carried over so that predictions stay what they are, unless the weights as
    they are fit the rows in question better: a column in another unit, or with another origin, mostly means what it
    meant.

    Parameters
    ----------
    network : Network
        Left as it is.
    source : InMemory or Sharded
        With the rows; of several processes only with the `whole` of them.
    names : sequence of str
        Scalings that may change.
    whole : bool, default=False
        Whether the rows are all that is fitted next: real targets are then scaled by them in any case.
    young : bool, default=False
        Whether columns have just been scaled anew, by rows from before and after a change.

    """
    X, Y, holders = source.X, source.Y, source.holders
    rows_at_hand = replace(source, before=0) if isinstance(source, InMemory) else source
    carries: list[Carry] = []
    tiny = MIN_MIXED_SPREAD if young else MIN_SPREAD
    for name in names:
        if name == "inputs" and network.input_shape is not None:
            continue  # a shift could not be carried over to weights, where images are padded with zeros
        if name == "inputs":
            change = _change_of_inputs(network, rows_at_hand, tiny)
        else:
            change = _change_of_targets(network, rows_at_hand, tiny, whole)
        if change is None:
            continue
        ways = (change.same_outputs, change.same_weights)
        changed: dict[str, Any] = {name: change.scaling}
        if name == "inputs":
            changed["layers"] = ()  # of the new weights: there may be other inputs
        found = [replace(network, weights=way(network.weights), **changed) for way in ways]
        rows = change.rows.nonzero()[:, 0]
        losses = [_loss(each, X[rows], Y[rows], holders) for each in found]
        best = int(losses[1] < losses[0] or not losses[0] < float("inf"))
        network = found[best]
        carries.append(ways[best])
    return Rescaled(network, lambda weights: _through(carries, weights)) if carries else None


def tamed(network: Network, source: InMemory) -> InMemory:
    """Rows whose inputs and real targets are not huge: a single value far from all others is brought nearer."""
    X, Y = source.X, source.Y
    inputs = network.inputs
    bounded = inputs is None or inputs.projects or isinstance(inputs, PiecewiseLinear)
    X = X if inputs is None or bounded else _tamed(inputs, X)
    return replace(source, X=X, Y=Y if network.targets is None else _tamed(network.targets, Y))


def _tamed(scaling: Scaling, X: Any) -> Any:
    bound = MAX_COLUMN_RMS * len(X) ** 0.5  # of a value that is huge in the mean of the rows
    if not isinstance(X, SparseRows):
        Z = scaling(X)
        far = Z.abs() > bound
        nearer = scaling.shift + Z.sign() * MAX_COLUMN_RMS / scaling.factor
        return torch.where(far, nearer, X) if bool(far.any()) else X
    factor = scaling.factor.cpu()[X.columns]
    far = (X.values * factor).abs() > bound
    nearer = X.values.sign() * MAX_COLUMN_RMS / factor
    return X.with_values(torch.where(far, nearer, X.values)) if bool(far.any()) else X


def _through(carries: list[Carry], weights: list[Tensor]) -> list[Tensor]:
    for carry in carries:
        weights = carry(weights)
    return weights


def _loss(network: Network, X: Any, Y: Tensor, holders: Holders) -> float:
    outputs, targets = (network.scaled_targets(A).double() for A in (network.predict(X), Y))
    loss, n = summed(holders, float(network.output.loss(outputs, targets).sum()), len(Y))
    return loss / n if n else float("nan")


def _change_of_inputs(network: Network, source: InMemory | Sharded, tiny: float) -> Change | None:
    old, intercept, X = network.inputs, network.intercept, source.X
    if old is None or isinstance(old, PiecewiseLinear):  # whose intervals stay
        return None
    plain = _without_components(old) if old.projects else old
    columns = columns_of(Blocks(source, "X"), intercept)
    found = _scaled_anew(plain, columns, source, "X", tiny, _invisible(old), old.projects)
    if found is None and not (old.projects and _lost(old, plain, source) > MAX_LOST_VARIANCE):
        return None
    new, rows = found or (plain, torch.ones(len(X), dtype=torch.bool))
    before, after = plain.factor.double(), new.factor.double()
    moved = (new.shift.double() - plain.shift.double()) * before
    ratio = torch.where(after != 0, before / after, 1.0)

    def carried(weights: list[Tensor], same_outputs: bool) -> list[Tensor]:
        W = weights[0].double()
        W, bias = (W[:-1], W[-1:]) if intercept else (W, W[:0])
        if old.projects:
            W = (old.factor.double() / before[:, None]) @ W
        W = torch.where(before[:, None] != 0, W, 0.0)  # of what was not seen weights know nothing
        if same_outputs:
            W, bias = ratio[:, None] * W, bias + moved @ W
        return [torch.cat([W, bias]).to(weights[0].dtype), *weights[1:]]

    return Change(new, lambda weights: carried(weights, True), lambda weights: carried(weights, False), rows)


def _change_of_targets(network: Network, source: InMemory | Sharded, tiny: float, whole: bool) -> Change | None:
    X, Y = source.X, source.Y
    old = network.targets
    if old is None:
        return None
    if whole:
        new, rows = target_scaling(source, network.intercept), torch.ones(len(Y), dtype=torch.bool)
        if torch.equal(new.shift, old.shift) and torch.equal(new.factor, old.factor):
            return None
    else:
        columns = columns_of(Blocks(source, "Y"), network.intercept)
        found = _scaled_anew(old, columns, source, "Y", tiny, old.factor == 0)
        found = found or _moved(network, old, X, Y)
        if found is None:
            return None
        new, rows = found
    ratio = new.factor.double() / old.factor.double()
    moved = (old.shift.double() - new.shift.double()) * new.factor.double()

    def same_outputs(weights: list[Tensor]) -> list[Tensor]:
        W = weights[-1].double() * ratio
        if network.intercept:
            W[-1] += moved
        return [*weights[:-1], W.to(weights[-1].dtype)]

    return Change(new, same_outputs, list, rows)


def _moved(network: Network, old: Scaling, X: Any, Y: Tensor) -> tuple[Scaling, Tensor] | None:
    """A scaling of targets whose means are no longer those of the predictions, and the rows (m,) that tell."""
    if not network.intercept or len(Y) < LEVEL_ROWS:
        return None
    residual = Y.double() - network.predict(X).double()
    mean = residual.mean(0)
    rows = min(len(Y), MAX_LEVEL_ROWS)  # of many rows every mean is significantly off, by next to nothing
    off = mean.abs() * rows**0.5 > LEVEL_ERRORS * residual.std(0) + 4 * torch.finfo(Y.dtype).eps * Y.abs().amax(0)
    if not bool(off.any()):
        return None
    shift = old.shift.double() + torch.where(off, mean, 0.0)
    return Scaling(shift.to(Y.dtype), old.factor), torch.ones(len(Y), dtype=torch.bool, device=Y.device)


def _scaled_anew(
    old: Scaling, columns: Columns, source: InMemory | Sharded, part: Literal["X", "Y"], tiny: float, hidden: Tensor,
    uneven: bool = False,
) -> tuple[Scaling, Tensor] | None:  # fmt: skip
    """A scaling by column in place of one, some columns of which no longer fit, and the rows (m,) that tell.

    Of `hidden` columns (n,) nothing was seen until now; of `uneven` ones only all together can be too small.
    """
    X, shift, factor = getattr(source, part), old.shift.double(), old.factor.double()
    varies = columns.vary(X.dtype)
    distance = torch.maximum(columns.highest - shift, shift - columns.lowest)
    far = factor * (columns.deviation.square() + (columns.mean - shift).square()).sqrt() > MAX_COLUMN_RMS
    rows = _far(old, X, far)
    if summed(source.holders, float(rows.sum()))[0] < 2:  # an outlier, until there are more of it
        far = torch.zeros_like(far)
    near = (factor * columns.spread < tiny) & varies & ~hidden
    all_far, all_near = (bool((each | ~varies).all()) for each in (far, near))
    if columns.rows < (MIN_SPREAD_ROWS_ALL if all_near else MIN_SPREAD_ROWS) or (uneven and not all_near):
        near = torch.zeros_like(near)
    shown = hidden & (distance > 4 * torch.finfo(X.dtype).eps * torch.maximum(shift.abs(), distance))
    if not bool((far | near | shown).any()):
        return None
    known = factor[~hidden]
    one_unit = len(known) > 1 and bool((known == known[0]).all()) and bool(varies.any()) and (all_far or all_near)
    changed = torch.where((far | near) & varies, columns.inverse_scale(varies, one_unit), factor)
    # What was constant until now may be rare: there is no telling its variance.
    most = known.max() if len(known) else factor.new_tensor(float("inf"))
    factor = torch.where(shown, torch.minimum(1 / distance, most), changed).to(X.dtype)
    shift = torch.where((far | near) & columns.centred, columns.mean, shift)
    if not bool(factor.isfinite().all()):
        return None
    return Scaling(shift.to(X.dtype), factor), rows if bool(far.any()) else torch.ones_like(rows)


def _far(scaling: Scaling, X: Any, columns: Tensor) -> Tensor:
    """Rows (m,) of X with a huge value in one of the columns (n,)."""
    if not bool(columns.any()):
        return torch.zeros(len(X), dtype=torch.bool, device=columns.device)
    if isinstance(X, SparseRows):
        huge = (X.values * scaling.factor.cpu()[X.columns]).abs() > MAX_COLUMN_RMS
        return X.any_row(columns.cpu()[X.columns] & huge)
    X = X[:, columns]
    return (((X - scaling.shift[columns]) * scaling.factor[columns]).abs() > MAX_COLUMN_RMS).any(1)


def _invisible(scaling: Scaling) -> Tensor:
    """Columns (n,) that leave no trace in what is scaled."""
    if not scaling.projects:
        return scaling.factor == 0
    size = torch.linalg.vector_norm(scaling.factor, dim=1)
    return size <= 1e-6 * size.max()


def _without_components(scaling: Scaling) -> Scaling:
    """All columns in the unit in which they have a mean square of 1, about."""
    n, r = scaling.factor.shape
    common = torch.linalg.vector_norm(scaling.factor[:, 0]) * (n / r) ** 0.5
    return Scaling(scaling.shift, common.expand(n).clone())


def _lost(scaling: Scaling, plain: Scaling, source: InMemory | Sharded) -> float:
    """Share of the mean square of some rows that is not in the principal components."""
    n = len(source.Y) if isinstance(source, InMemory) else source.n_rows
    numbers = torch.arange(n) if source.numbers is None else source.numbers
    rows = (numbers % max(1, n // LOST_VARIANCE_ROWS) == 0).nonzero()[:, 0]
    Z = plain(source.X[rows.to(source.device)]).double()
    V = scaling.factor.double()
    V = V / torch.linalg.vector_norm(V[:, 0])
    total, kept = summed(source.holders, float(Z.square().sum()), float((Z @ V).square().sum()))
    return 1 - kept / total if total else 0.0
