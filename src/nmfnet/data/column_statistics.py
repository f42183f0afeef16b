"""What the columns of inputs or real targets are like, in statistics that add up over blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from nmfnet.data.first_reading import OnePass, of_source
from nmfnet.data.on_disk import RowsOnDisk
from nmfnet.data.source import Rows, Source
from nmfnet.data.words import are_words
from nmfnet.linalg import float64_blocks
from nmfnet.linalg.holders import Holders
from nmfnet.linalg.sparse import SparseRows

# Columns share a unit if nine in ten of them reach at most so many times as far as the median column, and no dense one
# reaches farther than the second number times as far: its unit would leave nothing of all others.
MAX_REACH_OF_ONE_UNIT, MAX_REACH_OF_ANY = 2.0, 32.0
MAX_REACH_OF_WORDS = 32.0  # these share a unit, though some documents repeat one of them very often
# A dense column that deviates less than this share of the median one has a unit of its own, in which it would be lost,
# unless it is small because it rarely differs, as pixels at an edge do: then its mean is near one end, in deviations.
# Of fewer rows nobody knows what is rare; so many columns may be pixels or spectra, which have dark ends.
MIN_DEVIATION_OF_ANY, RARE, MIN_ROWS, PIXELS = 0.25, 0.5, 30, 128
HUGE = 1e100  # squares of larger distances, and of the inverse of smaller ones, may be out of range


@dataclass(frozen=True)
class Blocks:
    """The inputs or the targets of a source, block by block, as often as they are asked for.

    Attributes
    ----------
    source : Source
    part : {"X", "Y"}
    """

    source: Source
    part: Literal["X", "Y"]

    def __len__(self) -> int:
        return self.source.n_rows

    def __iter__(self) -> Iterator[tuple[Rows, Tensor | None]]:
        """Rows (m, n), and their weights (m,) in float64, of mean 1 over all rows."""
        mean_weight = self.source.total_weight / len(self)
        if self.part == "Y":  # which are in memory where inputs are read from files
            yield self.source.Y, self._weight
            return
        for X, _, weight in self.source.blocks():
            yield X, None if weight is None else weight.double() / mean_weight

    @property
    def _weight(self) -> Tensor | None:
        """Weights of all rows at hand."""
        weight = self.source.weight
        return None if weight is None else weight.double() / (self.source.total_weight / len(self))

    def sampled(self, step: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """As `in_float64`, of the rows that the first reading of files has kept, if it has; they are left then."""
        first = of_source(self.source) if self.part == "X" else None
        if first is None or first.kept is None:
            yield from self.in_float64(step)
            return
        (kept, first.kept), weight, done = (first.kept, None), self._weight, 0
        for block in float64_blocks(kept.to(self.source.device)):
            rows = slice(done * step, (done + len(block)) * step, step)
            yield block, None if weight is None else weight[rows]
            done += len(block)

    def in_float64(self, step: int = 1) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Every `step`-th dense row, in blocks to write into, and their weights."""
        start, numbers = 0, self.source.numbers
        for X, weight in self:
            rows: Any = slice(-start % step, None, step)
            if numbers is not None and step > 1:
                rows = (numbers[start : start + len(X)] % step == 0).to(X.device)
            assert isinstance(X, Tensor)
            picked, w = X[rows], None if weight is None else weight[rows]
            done = 0
            for block in float64_blocks(picked):
                yield block, None if w is None else w[done : done + len(block)]
                done += len(block)
            start += len(X)


@dataclass(frozen=True)
class Columns:
    """What some rows say about their columns, each of shape (n,) in float64.

    Attributes
    ----------
    mean, deviation : Tensor
        Of the columns; the deviation is from the mean.
    lowest, highest : Tensor
    spread : Tensor
        Largest distance from the mean.
    rows : int
    centred : bool
        Whether the mean may be subtracted; otherwise it is given as 0.
    dense : bool
    words : bool
        Whether sparse columns are words of documents.
    """

    mean: Tensor
    deviation: Tensor
    lowest: Tensor
    highest: Tensor
    spread: Tensor
    rows: int
    centred: bool
    dense: bool = True
    words: bool = False

    def vary(self, dtype: torch.dtype) -> Tensor:
        """Whether each column varies: by more than rounding leaves of a constant, and so that 1 over it is finite."""
        limits, reach = torch.finfo(dtype), torch.maximum(self.highest, -self.lowest)
        return (self.deviation > 4 * limits.eps * reach) & (self.deviation > 4 / limits.max)

    def share_unit(self, varies: Tensor) -> bool:
        """Whether all columns that vary do so in the same unit."""
        if not bool(varies.any()):
            return False
        spread = self.spread[varies]
        middle, most = spread.median(), torch.quantile(spread, 0.9)  # of two columns the smaller
        if float(most) > (MAX_REACH_OF_WORDS if self.words else MAX_REACH_OF_ONE_UNIT) * float(middle):
            return False
        return not self.dense or not (float(spread.max()) > MAX_REACH_OF_ANY * float(middle) or self._any_lost(varies))

    def _any_lost(self, varies: Tensor) -> bool:
        """Whether a column that varies is too small to be seen beside the others, and not for being rare."""
        small = varies & (self.deviation < MIN_DEVIATION_OF_ANY * self.deviation[varies].median())
        nearer_end = torch.minimum(self.mean - self.lowest, self.highest - self.mean)
        known = self.rows >= MIN_ROWS and len(self.mean) < PIXELS
        return known and bool((small & (nearer_end > RARE * self.deviation)).any())

    def inverse_scale(self, varies: Tensor, same_unit: bool) -> Tensor:
        """Factors of columns of their own unit, or of one unit; of sparse ones the largest value becomes 1."""
        size = self.deviation if self.dense else self.spread
        if same_unit:
            largest = size[varies].max()
            return (largest * (size[varies] / largest).square().mean().sqrt()).reciprocal().expand_as(size)
        return 1 / torch.where(varies, size, torch.ones_like(size))


def columns_of(blocks: Blocks, centre: bool) -> Columns:
    """Look over rows (m, n); sparse ones are not centred."""
    return _sparse_columns(blocks) if _is_sparse(blocks) else _dense_columns(blocks, centre)


def _is_sparse(blocks: Blocks) -> bool:
    return blocks.part == "X" and blocks.source.is_sparse


def _sparse_columns(blocks: Blocks) -> Columns:
    """Root mean squares in place of deviations, and the largest absolute values."""
    holders, nothing = blocks.source.holders, torch.zeros(blocks.source.n_features, dtype=torch.float64)
    sizes = [(len(X), *_sizes(X, weight)) for X, weight in blocks if len(X)] or [(0, nothing, nothing)]
    reach = holders.largest(torch.stack([largest for _, _, largest in sizes]).amax(0))
    unit = torch.where(reach > 0, reach, 1.0)  # keeps squares in range
    (squares,) = holders([torch.stack([m * (rms / unit).square() for m, rms, _ in sizes]).sum(0)])
    deviation = unit * (squares / len(blocks)).sqrt()
    words = are_words(blocks.source)
    return Columns(torch.zeros_like(reach), deviation, -reach, reach, reach, len(blocks), False, False, words)


def _sizes(X: Any, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Root mean square and largest absolute value of each column (n,), in float64."""
    if isinstance(X, SparseRows):
        return X.sizes(weight)
    largest = X.abs().amax(0).double()  # made dense for another device
    squares = (X.double() / torch.where(largest > 0, largest, 1.0)).square()
    return largest * (squares if weight is None else weight[:, None] * squares).mean(0).sqrt(), largest


def _dense_columns(blocks: Blocks, centre: bool) -> Columns:
    holders = blocks.source.holders
    stored = blocks.part == "X" and isinstance(getattr(blocks.source, "X", None), RowsOnDisk)
    here = _in_one_pass(blocks) if stored else None
    highest, lowest = _extremes(blocks) if here is None else of_all(holders, here.highest, here.lowest)
    mean, squares = torch.zeros_like(highest), torch.zeros_like(highest)
    if centre:
        if here is not None:
            mean = here.mean * (here.weight / len(blocks))
        else:
            for block, weight in blocks.in_float64():
                mean.addmv_(block.T, (block.new_ones(len(block)) if weight is None else weight) / len(blocks))
        (mean,) = holders([mean])
        mean = torch.minimum(torch.maximum(mean, lowest), highest)  # where rounding has put it outside
    spread = torch.maximum(highest - mean, mean - lowest)
    unit = torch.where(spread > 0, spread, torch.ones_like(spread))  # keeps squares in range
    if here is not None and bool(((spread == 0) | ((spread > 1 / HUGE) & (spread < HUGE))).all()):
        squares = (here.squares + here.weight * (here.mean - mean).square()) / unit.square()
    else:
        for block, weight in blocks.in_float64():
            block.sub_(mean).div_(unit).square_()
            squares += (block if weight is None else block.mul_(weight[:, None])).sum(0)
    (squares,) = holders([squares])
    deviation = unit * (squares / len(blocks)).sqrt()
    return Columns(mean, deviation, lowest, highest, spread, len(blocks), centre)


def _in_one_pass(blocks: Blocks) -> OnePass:
    """What the first reading has found, or one now."""
    source, first = blocks.source, of_source(blocks.source)
    if first is not None:
        here = float(len(source.Y) if source.weight is None else source.weight.double().sum())
        return first.columns.of_weight(here * len(blocks) / source.total_weight, source.device)
    found = OnePass.empty(source.n_features, source.device)
    for block, weight in blocks.in_float64():
        if len(block):
            found.add(block, weight)
    return found


def _extremes(blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Largest and smallest value of each dense column (n,), in float64."""
    n = blocks.source.n_features if blocks.part == "X" else blocks.source.n_outputs
    highest = torch.full((n,), -torch.inf, dtype=torch.float64, device=blocks.source.device)
    lowest = -highest
    for X, _ in blocks:
        if isinstance(X, Tensor) and len(X):  # abs() would copy X
            # In place: small tensors that are kept, one of each block, would lie where the next block could be.
            torch.maximum(highest, X.amax(0), out=highest)
            torch.minimum(lowest, X.amin(0), out=lowest)
    return of_all(blocks.source.holders, highest, lowest)


def of_all(holders: Holders, highest: Tensor, lowest: Tensor) -> tuple[Tensor, Tensor]:
    """Extremes (n,) of the rows of all who hold some."""
    highest, lowest = holders.largest(torch.cat([highest, -lowest])).tensor_split(2)
    return highest, -lowest
