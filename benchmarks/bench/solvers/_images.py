"""Convolutional networks in PyTorch for the baselines: channels last, the activation behind the pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nmfnet.layers import Conv1d, Conv2d, GlobalAvgPool, MaxPool1d, MaxPool2d, build_layers

from ..problem import Problem

BLOCK = 500  # images that are predicted at a time


def fans(problem: Problem) -> list[tuple[int, int]]:
    """Inputs of a unit, and units or channels, of every layer with weights."""
    shape = problem.input_shape
    layers = build_layers(problem.hidden, problem.train.X.shape[1], problem.n_outputs, True, shape)
    return [(layer.n_in, layer.n_out) for layer in layers]


def forward(
    X: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    problem: Problem,
    mask: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Outputs (m, n_outputs) for rows X (m, n), with weights (n_out, n_in); `mask` drops out in front of widths."""
    assert problem.input_shape is not None
    channels, *size = problem.input_shape
    Z = X.view(len(X), channels, size[0] if len(size) == 2 else 1, size[-1])
    Z = Z.contiguous(memory_format=torch.channels_last)
    layers, active = iter(zip(weights, biases, strict=True)), False  # whether an activation is due
    for spec in problem.hidden:
        if isinstance(spec, (MaxPool1d, MaxPool2d)):  # the same before the activation as behind it
            w = spec.window
            Z = F.max_pool2d(Z, w.kernel, w.stride, w.padding)
            continue
        Z, active = torch.relu(Z) if active else Z, False
        if isinstance(spec, GlobalAvgPool):
            Z = Z.mean((2, 3), keepdim=True)
        elif isinstance(spec, (Conv1d, Conv2d)):
            (W, b), w = next(layers), spec.window
            W = W.view(len(W), -1, *w.kernel).contiguous(memory_format=torch.channels_last)
            Z, active = F.conv2d(Z, W, b, w.stride, w.padding, w.dilation), True
        else:
            Z = Z.flatten(1)
            W, b = next(layers)
            Z, active = F.linear(Z if mask is None else mask(Z), W, b), True
    Z = (torch.relu(Z) if active else Z).flatten(1)
    return F.linear(Z if mask is None else mask(Z), *next(layers))
