"""Images of a batch some at a time: all at once may be more memory than a process keeps, and than caches hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

MOST_NUMBERS = 2**22  # of a batch, up to which they are made at once on a CPU,
BLOCK_NUMBERS = 2**20  # and about so many at a time where there are more


def image_blocks(like: Tensor, numbers: int) -> list[slice]:
    """Images (m, ...), some at a time, of which each leads to so many numbers; or all at once.

    A device has the memory at hand, and is slowed down by many small steps.
    """
    m = len(like)
    if like.device.type != "cpu" or m * numbers <= MOST_NUMBERS:
        return [slice(0, m)]
    size = max(1, BLOCK_NUMBERS // numbers)
    return [slice(start, min(m, start + size)) for start in range(0, m, size)]


@dataclass(frozen=True)
class Blocks:
    """A difference of images (m, h, w, k) that is only made block by block, from a smaller one.

    Parameters
    ----------
    smaller : Tensor of shape (m, h', w', k)
        As behind pooling.
    enlarge : callable
        Returns images (b, h, w, k) of images (b, h', w', k), which are those of a slice.
    slices : list of slice
        The blocks.
    """

    smaller: Tensor
    enlarge: Callable[[Tensor, slice], Tensor]
    slices: list[slice]

    @property
    def shape(self) -> tuple[int, int]:
        """Images and channels."""
        return len(self.smaller), self.smaller.shape[-1]

    def __len__(self) -> int:
        return len(self.smaller)

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """Each block: which images these are, and their difference."""
        for block in self.slices:
            yield block, self.enlarge(self.smaller[block], block)

    def whole(self) -> Tensor:
        """All of it (m, h, w, k)."""
        return torch.cat([part for _, part in self])

    def weighted(self, weight: Tensor) -> Blocks:
        """By weights (m,) of the images."""
        return replace(self, smaller=weight[:, None, None, None] * self.smaller)
