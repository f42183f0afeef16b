"""Numbers of a few bits, and sums over several holders that are sent as such."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmfnet.linalg.holders import Holders

K = TypeVar("K", bound=Hashable)

BLOCK = 128  # numbers that have a step in common, of 16 bits
# Distance between neighbouring numbers, in root mean squares of a block: the best ones of normally distributed numbers
# (Max, 1960).  What is too large to be said becomes the largest number that there is.
STEPS = {2: 0.996, 4: 0.335, 8: 0.031}


@cache
def rotation(dtype: torch.dtype, device: torch.device) -> Tensor:
    """An orthogonal matrix by which the numbers of a block become much like normally distributed ones.

    Each of the new ones is a sum of all with random signs: of a few large numbers and many small ones, too.
    """
    H = torch.ones(1, 1, dtype=torch.float64)
    while len(H) < BLOCK:  # Sylvester's Hadamard matrices
        H = torch.cat([torch.cat([H, H], 1), torch.cat([H, -H], 1)])
    signs = torch.randint(0, 2, (BLOCK, 1), generator=torch.Generator().manual_seed(0)) * 2 - 1
    return (signs * H / BLOCK**0.5).to(device, dtype)


def encoded(values: Tensor, bits: int) -> Tensor:
    """Bytes (r, k) for numbers (r, n), where n is a multiple of `BLOCK`: codes of so many bits, and steps."""
    blocks = values.unflatten(1, (-1, BLOCK)) @ rotation(values.dtype, values.device)
    steps = (STEPS[bits] * blocks.square().mean(2).sqrt()).to(torch.bfloat16)
    unit = steps.to(values.dtype).clamp(min=torch.finfo(values.dtype).tiny)[:, :, None]
    half = 2 ** (bits - 1)
    codes = (blocks / unit).floor_().clamp_(-half, half - 1).add_(half).to(torch.uint8)
    shares = codes.flatten(1).unflatten(1, (-1, 8 // bits)) << _shifts(bits, values)
    packed = shares.sum(2, dtype=torch.uint8)
    return torch.cat([packed, steps.view(torch.uint8)], 1)


def decoded(code: Tensor, bits: int, dtype: torch.dtype) -> Tensor:
    """Numbers (r, n) that bytes (r, k) of :func:`encoded` stand for."""
    blocks = code.shape[1] // (BLOCK * bits // 8 + 2)
    packed, steps = code.split([blocks * BLOCK * bits // 8, 2 * blocks], 1)
    codes = (packed[:, :, None] >> _shifts(bits, code)) & (2**bits - 1)
    values = codes.flatten(1).unflatten(1, (-1, BLOCK)).to(dtype).add_(0.5 - 2 ** (bits - 1))
    values.mul_(steps.contiguous().view(torch.bfloat16).to(dtype)[:, :, None])
    return (values @ rotation(dtype, values.device).T).flatten(1)


def _shifts(bits: int, like: Tensor) -> Tensor:
    return torch.arange(0, 8, bits, dtype=torch.uint8, device=like.device)


def rounded_sums(parts: Mapping[K, Tensor], bits: int, holders: Holders) -> dict[K, Tensor]:
    """Sums of tensors over all who hold samples, sent in so many bits of a number.

    Each holder adds up a part of all numbers: it is told this part by the others, and tells them its sums.  Both
    messages are rounded.  All have the same sums then, to the last bit.

    Parameters
    ----------
    parts : mapping of str or others to Tensor
        All holders give the same names and shapes, in the same order.
    bits : {2, 4, 8}
    holders : Holders
    """
    rows = torch.cat([_in_rows(part, holders.size) for part in parts.values()], 1)
    told = decoded(holders.swapped(encoded(rows, bits)), bits, rows.dtype)
    sums = encoded(told.sum(0, keepdim=True), bits)
    found = decoded(holders.gathered(sums, [1] * holders.size), bits, rows.dtype)
    widths = [_width(part, holders.size) for part in parts.values()]
    return {
        name: row.flatten()[: part.numel()].view_as(part)
        for (name, part), row in zip(parts.items(), found.split(widths, 1), strict=True)
    }


def _width(part: Tensor, size: int) -> int:
    """Numbers of a tensor that each holder adds up: whole blocks."""
    return -(-part.numel() // (size * BLOCK)) * BLOCK


def _in_rows(part: Tensor, size: int) -> Tensor:
    """The numbers of a tensor and zeros behind, in a row for each holder."""
    width = _width(part, size)
    return pad(part.flatten(), (0, size * width - part.numel())).view(size, width)
