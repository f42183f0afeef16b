"""Random masks for inputs and hidden activations, cheap enough to draw anew for every batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nmfnet.data.column_statistics import of_all
from nmfnet.data.first_reading import of_source
from nmfnet.data.source import Source
from nmfnet.linalg.holders import AtHand, Reducer, batch_rows
from nmfnet.linalg.sparse import SparseRows
from nmfnet.stateful import State

POOL_STARTS = 2**20  # where a mask can begin in the pool
MAX_ROW_STRIDE = 1024  # in the pool, at most, between the beginnings of two rows of a mask


class Masks:
    """Masks of 1 / (1 - p) with probability 1 - p and 0 otherwise, p rounded to a multiple of 1/256.

    A mask is a piece of a pool of such numbers, cut out at a random place: to draw one costs nothing, where fresh
    random numbers would take as long as the activations they are for.  Rows overlap in the pool, so that it stays
    small: in layers wider than `MAX_ROW_STRIDE`, unit j + `MAX_ROW_STRIDE` of one row and unit j of the next share a
    mask value.  The pool follows from the seed and p alone, so that the state of `generator` is all the state there
    is.

    Parameters
    ----------
    seed : int

    Attributes
    ----------
    at_hand : AtHand or None
        Which samples of the batch masks are for: the others' are drawn, too, so that each has its own wherever it is.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.at_hand: AtHand | None = None
        self.generator = torch.Generator().manual_seed(seed)
        self.pools: dict[tuple[float, torch.dtype, torch.device], Tensor] = {}

    def state(self) -> State:
        """State of the generator, which is all that changes."""
        return {"generator": self.generator.get_state()}

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`: the same masks again."""
        self.generator.set_state(state["generator"])

    def __call__(self, like: Tensor, p: float, shape: tuple[int, ...] | None = None) -> Tensor:
        """A mask of the dtype and device of `like`: a view, not to be written into.

        Parameters
        ----------
        like : Tensor of shape (m, ...) or (m,)
        p : float
        shape : tuple of int, optional
            Of a sample's mask; by default that of a sample.
        """
        key = (p, like.dtype, like.device)
        shape = tuple(like.shape[1:]) if shape is None else shape
        rows, width = (batch_rows(len(like), self.at_hand), math.prod(shape)) if like.ndim > 1 else (1, len(like))
        stride = min(width, MAX_ROW_STRIDE)
        size = POOL_STARTS + width + stride * (rows - 1)
        if key not in self.pools or len(self.pools[key]) < size:
            self.pools[key] = self._pool(like, size, p)
        place = int(torch.randint(POOL_STARTS, (), generator=self.generator))
        inner = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        sizes, strides = ((rows, *shape), (stride, *inner)) if like.ndim > 1 else ((width,), (1,))
        mask = self.pools[key].as_strided(sizes, strides, place)
        return mask if self.at_hand is None or like.ndim == 1 else mask[self.at_hand.positions]

    def of_stored(self, X: SparseRows, p: float, reduce: Reducer) -> Tensor:
        """A mask of the values that sparse rows store, shape (number of stored values,)."""
        if self.at_hand is None:
            return self(X.values, p)
        counts = X.counts
        of_batch = torch.zeros(self.at_hand.total, dtype=torch.float64)
        of_batch[self.at_hand.positions] = counts.double()
        ends = reduce([of_batch])[0].long().cumsum(0)
        first = (ends[self.at_hand.positions] - counts).repeat_interleave(counts)
        within = torch.arange(len(first)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        return self(X.values.new_empty(1).expand(int(ends[-1])), p)[first + within]

    def _pool(self, like: Tensor, size: int, p: float) -> Tensor:
        """A byte of randomness an entry, drawn eight at a time: several times as fast as bernoulli_."""
        words = torch.empty(-(-size // 8), dtype=torch.int64)
        words.random_(-(2**63), None, generator=torch.Generator().manual_seed(self.seed))
        threshold = min(255, round(256 * p))
        keep = words.view(torch.uint8) >= threshold
        return keep.to(like.dtype).mul_(256 / (256 - threshold)).to(like.device)


def masking_value(source: Source) -> Tensor | None:
    """What a masked input becomes, shape (n,): 0, or the value nearest to 0 that its column has."""
    if source.is_sparse:
        return None
    lowest, highest = _extremes(source)
    highest, lowest = of_all(source.holders, highest, lowest)
    return lowest.clamp(min=0) + highest.clamp(max=0)


def _extremes(source: Source) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each column (n,), of the samples at hand."""
    first = of_source(source)
    if first is not None:
        lowest, highest = first.columns.lowest, first.columns.highest
        return lowest.to(source.device, source.dtype), highest.to(source.device, source.dtype)
    lowest = torch.full((source.n_features,), math.inf, dtype=source.dtype, device=source.device)
    highest = -lowest
    for block in source.blocks():
        if not len(block.Y):
            continue
        low, high = block.X.amin(0), block.X.amax(0)  # type: ignore[union-attr]  # aminmax takes three times as long
        torch.minimum(lowest, low, out=lowest)
        torch.maximum(highest, high, out=highest)
    return lowest, highest
