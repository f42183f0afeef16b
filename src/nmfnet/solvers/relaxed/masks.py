"""Random masks for inputs and hidden activations, cheap enough to draw anew for every batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nmfnet.linalg.sparse import SparseRows

PLACES = 2**20  # at which a mask can begin in the pool
STRIDE = 1024  # in the pool, at most, from a row of a mask to the next one


class Masks:
    """Masks of 1 / (1 - p) with probability 1 - p and 0 otherwise, p rounded to a multiple of 1/256.

    A mask is a piece of a pool of such numbers, cut out at a random place: to draw one costs nothing, where fresh
    random numbers would take as long as the activations they are for.  Wide rows overlap there, so that a pool stays
    small: what is masked of a sample is masked of the next one `STRIDE` units before.  The pool follows from the seed
    and p alone, so that the state of `generator` is all the state there is.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)
        self.pools: dict[tuple[float, torch.dtype, torch.device], Tensor] = {}

    def fork(self) -> Masks:
        """A copy that goes on from here by itself."""
        other = Masks(self.seed)
        other.generator.set_state(self.generator.get_state())
        other.pools = dict(self.pools)  # never written into
        return other

    def __call__(self, like: Tensor, p: float) -> Tensor:
        """A mask of the shape, dtype and device of `like`: a view, not to be written into."""
        key = (p, like.dtype, like.device)
        width = like.shape[-1]
        stride = min(width, STRIDE)
        size = PLACES + width + stride * (like[..., 0].numel() - 1)
        if key not in self.pools or len(self.pools[key]) < size:
            self.pools[key] = self._pool(like, size, p)
        place = int(torch.randint(PLACES, (), generator=self.generator))
        return self.pools[key].as_strided(like.shape, (stride, 1)[-like.ndim :], place)

    def _pool(self, like: Tensor, size: int, p: float) -> Tensor:
        """A byte of randomness an entry, drawn eight at a time: several times as fast as bernoulli_."""
        words = torch.empty(-(-size // 8), dtype=torch.int64)
        words.random_(-(2**63), None, generator=torch.Generator().manual_seed(self.seed))
        threshold = min(255, round(256 * p))
        keep = words.view(torch.uint8) >= threshold
        return keep.to(like.dtype).mul_(256 / (256 - threshold)).to(like.device)


def background(X: Any) -> Tensor | None:
    """What a masked input becomes, shape (n,): 0, or the value nearest to it that the column of X (m, n) has."""
    if isinstance(X, SparseRows):
        return None
    lowest = X.amin(0)
    nonnegative = bool((lowest >= 0).all())  # as pixels and counts are: one look less
    return lowest if nonnegative else lowest.clamp(min=0) + X.amax(0).clamp(max=0)
