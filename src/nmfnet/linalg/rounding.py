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
# (Max, 1960).  What is too large to be said is left out.
STEPS = {1: 1.596, 2: 0.996, 4: 0.335, 8: 0.031}


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


class RoundedSums:
    """Sums over all who hold samples, sent in few bits.  What rounding leaves out is added to the next sums.

    Each holder adds up a part of all numbers: it is told this part by the others, and tells them its sums.  Both
    messages are rounded, so that there are two errors to remember: of what one has said of one's own samples, and of
    one's sums.  All have the same sums then, to the last bit.

    Parameters
    ----------
    holders : Holders
    bits : {1, 2, 4, 8}
        Of a number.
    """

    def __init__(self, holders: Holders, bits: int) -> None:
        self.holders, self.bits = holders, bits
        self.forget()

    def forget(self) -> None:
        """Forget what was left out so far."""
        self.own: dict[Hashable, Tensor] = {}
        self.sums: dict[Hashable, Tensor] = {}

    def __call__(self, parts: Mapping[K, Tensor]) -> dict[K, Tensor]:
        """Sums of tensors that have names, of the same shapes each time; all holders give the same names."""
        size = self.holders.size
        rows = {name: _in_rows(part, size) for name, part in parts.items()}
        told = self.holders.swapped(self._told(rows, self.own))
        widths = [row.shape[1] for row in rows.values()]
        dtype = next(iter(rows.values())).dtype
        sums = decoded(told, self.bits, dtype).sum(0, keepdim=True).split(widths, 1)
        found = self.holders.gathered(self._told(dict(zip(rows, sums, strict=True)), self.sums), [1] * size)
        whole = decoded(found, self.bits, dtype).split(widths, 1)
        return {
            name: each.flatten()[: part.numel()].view_as(part)
            for (name, part), each in zip(parts.items(), whole, strict=True)
        }

    def _told(self, rows: Mapping[K, Tensor], left: dict[Hashable, Tensor]) -> Tensor:
        """Bytes for rows and what was `left` of earlier ones; sets what is left of these."""
        wanted = torch.cat([row + left[name] if name in left else row for name, row in rows.items()], 1)
        code = encoded(wanted, self.bits)
        missing = wanted.sub_(decoded(code, self.bits, wanted.dtype))
        left.update(zip(rows, missing.split([row.shape[1] for row in rows.values()], 1), strict=True))
        return code


def _in_rows(part: Tensor, size: int) -> Tensor:
    """The numbers of a tensor and zeros behind, in a row of whole blocks for each holder."""
    return pad(part.flatten(), (0, -part.numel() % (size * BLOCK))).view(size, -1)
