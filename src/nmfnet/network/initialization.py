"""Weights to start from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def he_weights(
    sizes: Sequence[int], intercept: bool, generator: torch.Generator, dtype: torch.dtype, last: float = 1.0
) -> list[Tensor]:
    """Random weights of variance 2 / n_{l-1} (He et al., 2015), biases zero.

    Parameters
    ----------
    sizes : sequence of int
        Widths n_0, ..., n_L.
    intercept : bool
        Whether to append a bias row.
    generator : torch.Generator
        On the CPU, so that a seed means the same on every device.
    dtype : torch.dtype
    last : float, default=1
        Factor of the output layer's.

    Returns
    -------
    list of Tensor
    """
    weights = []
    for rows, columns in pairwise(sizes):
        W = torch.zeros(rows + intercept, columns, dtype=dtype)
        W[:rows].normal_(generator=generator).mul_((2 / rows) ** 0.5)
        weights.append(W)
    weights[-1] *= last
    return weights
