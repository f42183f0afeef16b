"""What one reading of files finds out: whether all numbers are finite, what columns are like, some of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmfnet.data.column_messages import listed
from nmfnet.data.on_disk import RowsOnDisk
from nmfnet.data.source import Source
from nmfnet.errors import DataError
from nmfnet.linalg import float64_blocks

MIN_COMPONENTS = 64  # principal components that are always kept
MAX_COVARIANCE_COLUMNS = 8192  # of the widest input whose covariance matrix is formed
COVARIANCE_ROWS = 10_000  # that a covariance matrix is formed of; four times the number of columns if that is more
MOST_KEPT_BYTES = 2**28  # of these rows; more are read once more when they are needed


@dataclass
class OnePass:
    """Sums over rows in one pass: those of blocks are joined as by Chan, Golub and LeVeque (1979).

    Attributes
    ----------
    weight : float
        Of all rows so far.
    mean, squares, highest, lowest : Tensor of shape (n,)
        Of the columns, in float64: squares are around the mean.
    """

    weight: float
    mean: Tensor
    squares: Tensor
    highest: Tensor
    lowest: Tensor

    @classmethod
    def empty(cls, n: int, device: torch.device | str = "cpu") -> OnePass:
        """Of no rows."""
        zeros = torch.zeros(n, dtype=torch.float64, device=device)
        infinite = torch.full_like(zeros, torch.inf)
        return cls(0.0, zeros, zeros.clone(), -infinite, infinite)

    def add(self, block: Tensor, weight: Tensor | None) -> Tensor:
        """Take up rows (m, n) in float64, which are written into; return which columns are finite there."""
        most, least = block.amax(0), block.amin(0)  # NaN, where there is any
        torch.maximum(self.highest, most, out=self.highest)
        torch.minimum(self.lowest, least, out=self.lowest)
        w = block.new_ones(len(block)) if weight is None else weight
        of_block = float(w.sum())
        own = torch.minimum(torch.maximum(block.T @ (w / of_block), least), most)  # a constant column's exactly
        self.squares += block.sub_(own).square_().T @ w
        away, share = own - self.mean, of_block / (self.weight + of_block)
        self.squares += away.square() * (self.weight * share)
        self.mean += away * share
        self.weight += of_block
        return most.isfinite() & least.isfinite()

    def of_weight(self, weight: float, device: torch.device) -> OnePass:
        """The same where all rows together have another weight."""
        share = weight / self.weight if self.weight else 1.0
        found = (self.mean, self.squares * share, self.highest, self.lowest)
        return OnePass(weight, *(each.to(device) for each in found))


@dataclass
class FirstReading:
    """What was found in the rows of files.

    Attributes
    ----------
    columns : OnePass
    kept : Tensor of shape (m, n) or None
        Every so-many-th row, as :func:`covariance_step` says, until the covariance matrix is formed.
    """

    columns: OnePass
    kept: Tensor | None = None


def first_reading(X: RowsOnDisk, weight: Tensor | None, keep: bool, names: Sequence[str] | None) -> FirstReading:
    """Read all rows once.

    Parameters
    ----------
    X : RowsOnDisk
    weight : Tensor of shape (n,), optional
        Positive, in float64.
    keep : bool
        Whether some rows are kept for a covariance matrix, if they are few enough.
    names : sequence of str, optional
        Of the columns, for messages.

    Raises
    ------
    DataError
        If a number is not finite; names rows and columns.
    """
    n, start, kept = X.shape[1], 0, list[Tensor]()
    step = covariance_step(len(X), n)
    keep = keep and may_have_components(len(X), n) and len(X) // step * n * X.dtype.itemsize <= MOST_KEPT_BYTES
    columns = OnePass.empty(n)
    for rows in X.blocks():
        begun = start
        for block in float64_blocks(rows):
            part = slice(start, start + len(block))
            _check(columns.add(block, None if weight is None else weight[part]), X, part, names)
            start += len(block)
        if keep:
            kept.append(rows[-begun % step :: step].clone())
    return FirstReading(columns, torch.cat(kept) if keep else None)


def check_finite(X: RowsOnDisk, names: Sequence[str] | None) -> None:
    """Read all rows once, and do nothing but that.

    Raises
    ------
    DataError
        If a number is not finite.
    """
    start = 0
    for rows in X.blocks():
        low, high = rows.amin(0), rows.amax(0)
        _check(low.isfinite() & high.isfinite(), X, slice(start, start + len(rows)), names)
        start += len(rows)


def of_source(source: Source) -> FirstReading | None:
    """What the first reading of the inputs at hand has found; None where there was none."""
    X = getattr(source, "X", None)
    return X.first if isinstance(X, RowsOnDisk) else None


def forget_rows(source: Source) -> None:
    """Free the memory of rows that were kept, if nobody has needed them."""
    first = of_source(source)
    if first is not None:
        first.kept = None


def may_have_components(rows: int, columns: int) -> bool:
    """Whether principal components may take the place of so many columns."""
    return 2 * MIN_COMPONENTS <= columns <= MAX_COVARIANCE_COLUMNS and rows >= 2 * MIN_COMPONENTS


def covariance_step(rows: int, columns: int) -> int:
    """One in so many rows is enough for a covariance matrix."""
    return max(1, rows // max(COVARIANCE_ROWS, 4 * columns))


def _check(finite: Tensor, X: RowsOnDisk, part: slice, names: Sequence[str] | None) -> None:
    if bool(finite.all()):
        return
    odd = (~finite).nonzero()[:, 0].tolist()
    first, last = part.start, part.stop - 1
    if X.index is not None:
        first, last = int(X.index[first]), int(X.index[last])
    columns = listed([i if names is None else names[i] for i in odd])
    raise DataError(
        f"Input X contains NaN or infinity, in rows {first} to {last}, column{'s' if len(odd) > 1 else ''} {columns}: "
        "fill it in before; only inputs in memory may have missing values."
    )
