"""Weights to start from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nmfnet.layers import Layer


def initial_weights(
    layers: Sequence[Layer], generator: torch.Generator, dtype: torch.dtype, last: float = 1.0
) -> list[Tensor]:
    """Random weights of all layers.

    Parameters
    ----------
    layers : sequence of Layer
    generator : torch.Generator
        On the CPU, so that a seed means the same on every device, and in every dtype.
    dtype : torch.dtype
    last : float, default=1
        Factor of the output layer's.

    Returns
    -------
    list of Tensor
    """
    weights = [layer.initial(generator, dtype) for layer in layers]
    weights[-1] *= last
    return weights
