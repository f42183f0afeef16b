"""Random masks for inputs and hidden activations, cheap enough to draw anew for every batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nmfnet.data.source import Source
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
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
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
        rows, width = (len(like), math.prod(shape)) if like.ndim > 1 else (1, len(like))
        stride = min(width, MAX_ROW_STRIDE)
        size = POOL_STARTS + width + stride * (rows - 1)
        if key not in self.pools or len(self.pools[key]) < size:
            self.pools[key] = self._pool(like, size, p)
        place = int(torch.randint(POOL_STARTS, (), generator=self.generator))
        inner = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        sizes, strides = ((rows, *shape), (stride, *inner)) if like.ndim > 1 else ((width,), (1,))
        return self.pools[key].as_strided(sizes, strides, place)

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
    lowest = highest = None
    for block in source.blocks():
        low, high = block.X.aminmax(dim=0)  # type: ignore[union-attr]
        lowest = low if lowest is None else torch.minimum(lowest, low)
        highest = high if highest is None else torch.maximum(highest, high)
    assert lowest is not None and highest is not None
    return lowest.clamp(min=0) + highest.clamp(max=0)
