"""Random numbers, drawn on the CPU and in float64: a seed means the same on every device and in every dtype."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

NUMBERS_AT_ONCE = 2**20  # drawn at a time


def uniform(rows: int, columns: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers in [0, 1], shape (rows, columns), of the dtype and on the device of `like`."""
    return _drawn(torch.rand, rows, columns, like, generator)


def normal(rows: int, columns: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers, alike."""
    return _drawn(torch.randn, rows, columns, like, generator)


def _drawn(
    draw: Callable[..., Tensor], rows: int, columns: int, like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Part by part: the numbers in float64 take little memory beside those that are kept."""
    drawn = torch.empty(rows, columns, dtype=like.dtype)
    for part in drawn.split(max(1, NUMBERS_AT_ONCE // max(1, columns))):
        part.copy_(draw(part.shape, generator=generator, dtype=torch.float64))
    return drawn.to(like.device)
