"""Elastic-net penalties."""

from __future__ import annotations

from torch import Tensor


def penalties(alpha: float, l1_ratio: float) -> tuple[float, float]:
    """Split `alpha` into its L1 and its L2 part."""
    return alpha * l1_ratio, alpha * (1 - l1_ratio)


def penalty(F: Tensor, alpha: float, l1_ratio: float, intercept: bool = False) -> Tensor:
    """``alpha ((1 - l1_ratio) ||F||^2 / 2 + l1_ratio ||F||_1)``; a bias row is left out of the L1 part."""
    return cost(F, *penalties(alpha, l1_ratio), intercept)


def gradient(F: Tensor, l1_ratio: float) -> Tensor:
    """Of ``(1 - l1_ratio) ||F||^2 / 2 + l1_ratio ||F||_1``, where an entry of 0 has none."""
    return (1 - l1_ratio) * F + l1_ratio * F.sign() if l1_ratio else F


def cost(F: Tensor, l1: float, l2: float, intercept: bool = False) -> Tensor:
    """``l2 ||F||^2 / 2 + l1 ||F||_1``; a bias row is left out of the L1 part."""
    return l2 / 2 * F.square().sum() + l1 * (F[:-1] if intercept else F).abs().sum()
