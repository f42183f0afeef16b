"""Multiplicative steps, of training as of the transformers: a nonnegative factor is changed in place.

Each is written for factors of any layout, so that the callers' products may be of rows or of columns.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import threshold


def multiply_(factor: Tensor, up: Tensor, down: Tensor, l1: float) -> None:
    """``factor <- factor o up / (down + l1)`` (Lee and Seung, 2001), in place; `down` is overwritten.

    With ``up = P`` and ``down = G F`` for a nonnegative P and G no step increases ``tr(Ft G F) / 2 - tr(Pt F)``
    plus the penalty; an L2 penalty belongs to G.
    """
    tiny = torch.finfo(factor.dtype).tiny
    factor.mul_(up).div_(down.add_(l1 + tiny))  # in this order, zeros stay zeros
    # Entries on their way to zero pass through subnormal numbers, which slow products down fivefold.
    threshold(factor, tiny, 0.0, inplace=True)


def multiply_root_(factor: Tensor, up: Tensor, down: Tensor, l1: float, l2: float) -> None:
    """``factor <- factor o sqrt(up / (down + l1 + l2 factor))`` (Ding, Li and Jordan, 2010), in place.

    For P and G of any sign, with ``up = [P]+ + [G]- F`` and ``down = [P]- + [G]+ F``, both overwritten.
    """
    if l1 or l2:
        down.add_(factor, alpha=l2).add_(l1)
    # Zeros stay zeros, and no quotient overflows: down >= g_jj f_j.
    factor.mul_(up.sqrt_()).div_(down.add_(torch.finfo(factor.dtype).tiny).sqrt_())


def signs(A: Tensor) -> tuple[Tensor, Tensor]:
    """The positive and the negative part, A = [A]+ - [A]-."""
    return A.clamp(min=0), A.neg().clamp_(min=0)
