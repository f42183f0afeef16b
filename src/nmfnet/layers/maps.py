"""Maps without weights between two layers: reshaping, and pooling, which are linear once a maximum is chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from torch.nn import functional as F

from nmfnet.layers.convolution import Shape
from nmfnet.linalg.patches import Window, channels_first, channels_last
from nmfnet.linalg.sparse import SparseRows


class Map(Protocol):
    """A map of the images of a batch that is linear, or is so for what it has chosen from them."""

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Of a result, without the samples."""

    def __call__(self, Z: Any) -> tuple[Tensor, Any]:
        """The result, and what was chosen, if there is a choice."""

    def transposed(self, E: Tensor, chosen: Any) -> Tensor:
        """Carry a difference E of results back, by the transposed map."""

    @property
    def gain(self) -> float:
        """What the transposed map is to be multiplied by to be a right inverse, where windows do not overlap."""


@dataclass(frozen=True)
class ToImages:
    """From rows of numbers (m, n_0), channel by channel, to images (m, h, w, c)."""

    out_shape: Shape

    @property
    def gain(self) -> float:
        """1: nothing is lost."""
        return 1.0

    def __call__(self, Z: Tensor | SparseRows) -> tuple[Tensor, None]:
        """The images."""
        h, w, c = self.out_shape
        Z = Z.dense() if isinstance(Z, SparseRows) else Z
        return channels_last(Z.reshape(len(Z), c, h, w)), None

    def transposed(self, E: Tensor, chosen: Any = None) -> Tensor:
        """From images to rows."""
        return channels_first(E).reshape(len(E), -1)


@dataclass(frozen=True)
class ToRows:
    """From images (m, h, w, c) to rows of numbers, channel by channel, as PyTorch's Flatten has them."""

    in_shape: Shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The number of numbers."""
        return (math.prod(self.in_shape),)

    @property
    def gain(self) -> float:
        """1: nothing is lost."""
        return 1.0

    def __call__(self, Z: Tensor) -> tuple[Tensor, None]:
        """The rows."""
        return channels_first(Z).reshape(len(Z), math.prod(Z.shape[1:])), None

    def transposed(self, E: Tensor, chosen: Any = None) -> Tensor:
        """From rows to images."""
        h, w, c = self.in_shape
        return channels_last(E.reshape(len(E), c, h, w))


@dataclass(frozen=True)
class MaxPooling:
    """The largest number of each window and channel; a difference goes to where that one is."""

    in_shape: Shape
    window: Window

    @property
    def out_shape(self) -> Shape:
        """Positions of the window, and the channels."""
        return (*self.window.places(self.in_shape[:2]), self.in_shape[2])

    @property
    def gain(self) -> float:
        """1: the largest numbers move alone."""
        return 1.0

    def __call__(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """The largest numbers, and where they are."""
        w = self.window
        largest, places = F.max_pool2d(
            channels_first(Z), w.kernel, w.stride, w.padding, w.dilation, return_indices=True
        )
        return channels_last(largest), places

    def transposed(self, E: Tensor, chosen: Tensor) -> Tensor:
        """Zeros but for where the largest numbers were."""
        E, w, size = channels_first(E), self.window, self.in_shape[:2]
        if not w.overlaps:
            return channels_last(F.max_unpool2d(E, chosen, w.kernel, w.stride, w.padding, size))
        spread = E.new_zeros(len(E), E.shape[1], size[0] * size[1])
        return channels_last(spread.scatter_add_(2, chosen.flatten(2), E.flatten(2)).unflatten(2, size))


@dataclass(frozen=True)
class AveragePooling:
    """The mean of each window and channel, of padding zeros too, as PyTorch's AvgPool2d has it."""

    in_shape: Shape
    window: Window

    @property
    def out_shape(self) -> Shape:
        """Positions of the window, and the channels."""
        return (*self.window.places(self.in_shape[:2]), self.in_shape[2])

    @property
    def gain(self) -> float:
        """All numbers of a window move as their mean does."""
        return math.prod(self.window.kernel)

    def __call__(self, Z: Tensor) -> tuple[Tensor, None]:
        """The means."""
        w = self.window
        return channels_last(F.avg_pool2d(channels_first(Z), w.kernel, w.stride, w.padding)), None

    def transposed(self, E: Tensor, chosen: Any = None) -> Tensor:
        """Each entry, by the number of those that it is the mean of, at all of these."""
        w, c = self.window, self.in_shape[2]
        E, rest = E / math.prod(w.kernel), w.uncovered(self.in_shape[:2])
        if w.kernel == w.stride and w.padding == (0, 0):
            spread = E.repeat_interleave(w.kernel[0], 1).repeat_interleave(w.kernel[1], 2)
            return F.pad(spread, (0, 0, 0, rest[1], 0, rest[0])) if any(rest) else spread
        ones = E.new_ones(c, 1, *w.kernel)
        return channels_last(F.conv_transpose2d(channels_first(E), ones, None, w.stride, w.padding, rest, c))
