"""Convolutions: one small fully-connected layer at every position of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from nmfnet.layers.base import he_weights, kernel
from nmfnet.linalg.patches import Patches, Window, channels_first, channels_last

Shape = tuple[int, int, int]  # height, width and channels of an image


@dataclass(frozen=True)
class Convolution:
    """A convolution, ``A = [P, 1] W`` for the patches P of the inputs.

    Parameters
    ----------
    in_shape : (int, int, int)
        Height, width and channels of the inputs.
    n_out : int
        Channels of the outputs.
    window : Window
        Where the patches are.
    bias : bool, default=True
        Whether the last row of W are the biases.
    """

    in_shape: Shape
    n_out: int
    window: Window
    bias: bool = True

    skip: ClassVar[int] = 0

    @property
    def n_in(self) -> int:
        """Numbers in a patch."""
        return self.in_shape[2] * self.window.kernel[0] * self.window.kernel[1]

    @property
    def out_shape(self) -> Shape:
        """Height, width and channels of the outputs."""
        return (*self.window.places(self.in_shape[:2]), self.n_out)

    @property
    def most_numbers(self) -> int:
        """The outputs at all positions."""
        return math.prod(self.out_shape)

    @property
    def shares_weights(self) -> bool:
        """True: by all positions."""
        return True

    @property
    def positions(self) -> int:
        """Of the kernel on an image."""
        return math.prod(self.out_shape[:2])

    def mask_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Channels are masked as a whole: a number alone could be told from its neighbours."""
        return (1, 1, in_shape[-1])

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Random weights of variance 2 / n_in (He et al., 2015), biases zero."""
        return he_weights(self.n_in, self.n_out, self.bias, generator, dtype)

    def filters(self, W: Tensor) -> Tensor:
        """Weights as PyTorch has them, (n_out, channels, rows, columns), without the biases."""
        V = kernel(W, self.bias).T.reshape(self.n_out, self.in_shape[2], *self.window.kernel)
        return V.contiguous(memory_format=torch.channels_last)

    def forward(self, Z: Tensor, W: Tensor) -> Tensor:
        """``[P, 1] W``, of shape (m, *out_shape), for Z (m, *in_shape)."""
        w = self.window
        bias = W[-1] if self.bias else None
        return channels_last(conv2d(channels_first(Z), self.filters(W), bias, w.stride, w.padding, w.dilation))

    def linearize(self, Z: Tensor, W: Tensor, skipped: Tensor | None = None) -> tuple[Tensor, ConvolutionAt]:
        """Pre-activations, and the layer at these inputs."""
        return self.forward(Z, W), self.at(Z)

    def at(self, Z: Tensor) -> ConvolutionAt:
        """The layer at these inputs."""
        return ConvolutionAt(Patches(Z, self.window), self)


@dataclass(frozen=True)
class ConvolutionAt:
    """A convolution at its inputs: their patches are the rows of its least-squares problem."""

    rows: Patches
    layer: Convolution

    @property
    def inputs(self) -> Tensor:
        """The images."""
        return self.rows.images

    def columns(self, E: Tensor) -> Tensor:
        """E itself, (m, h, w, n_out), in which a position is a row."""
        return E

    def moved(self, rows: Tensor) -> Tensor:
        """To the means of the patches where they overlap."""
        return self.rows.put_back(rows) - self.rows.images

    def carry(self, E: Tensor, W: Tensor, onto: Tensor | None = None, skip: Tensor | None = None) -> Tensor:
        """``E Wt`` on the patches, added up where they overlap: (m, *in_shape); added to `onto`, in place."""
        w = self.layer.window
        rest = w.uncovered(self.layer.in_shape[:2])
        found = channels_last(
            conv_transpose2d(channels_first(E), self.layer.filters(W), None, w.stride, w.padding, rest, 1, w.dilation)
        )
        found = found if skip is None else found.add_(skip)
        return found if onto is None else onto.add_(found)
