"""Patches of images as the rows of a least-squares problem: a matrix that is never formed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import fold, pad
from torch.nn.grad import conv2d_weight

from nmfnet.linalg.blocks import Blocks
from nmfnet.linalg.holders import AtHand

Pair = tuple[int, int]  # of rows and columns of an image

GRAM_ROWS = 4096  # patches that a Gram matrix is made of, at least,
GRAM_ROWS_PER_FEATURE = 4  # or so many for each of its columns


class Sums(NamedTuple):
    """Sums over rows z with weights v: of ``v``, ``v z`` and ``v z zt``."""

    n: Tensor
    inputs: Tensor
    gram: Tensor


@dataclass(frozen=True)
class Window:
    """Where the patches of an image are, in rows and columns; the words are PyTorch's.

    Parameters
    ----------
    kernel, stride, padding, dilation : (int, int)
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def places(self, size: Pair) -> Pair:
        """Number of patches along the rows and the columns of an image; below 1 where none fits."""
        return self._along(0, size), self._along(1, size)

    def _along(self, axis: int, size: Pair) -> int:
        extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size[axis] + 2 * self.padding[axis] - extent) // self.stride[axis] + 1

    def uncovered(self, size: Pair) -> Pair:
        """Rows and columns at the end of a padded image that no patch reaches."""
        places = self.places(size)
        extents = [(places[i] - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + 1 for i in (0, 1)]
        return size[0] + 2 * self.padding[0] - extents[0], size[1] + 2 * self.padding[1] - extents[1]

    @property
    def overlaps(self) -> bool:
        """Whether two patches may share a pixel."""
        return any(self.stride[i] < self.dilation[i] * (self.kernel[i] - 1) + 1 for i in (0, 1))


def channels_first(Z: Tensor) -> Tensor:
    """View of images (m, h, w, c) as PyTorch's functions take them, (m, c, h, w), without moving a number."""
    return Z.permute(0, 3, 1, 2)


def channels_last(Z: Tensor) -> Tensor:
    """Images (m, c, h, w) as (m, h, w, c), so that positions are rows and channels columns; moved if they must be.

    The strides are those of the shape.  Images of one channel would otherwise keep the stride of their channels, by
    which PyTorch takes them for channels-first ones, and then moves whatever they are convolved with.
    """
    images = Z.permute(0, 2, 3, 1).contiguous()
    return images.flatten(1).view(images.shape)


@dataclass(frozen=True)
class Patches:
    """The patches of images as a matrix (r, n), for r positions in all images and patches of n numbers.

    The columns are in the order of the weights of a PyTorch convolution: by channel, then row, then column.

    Parameters
    ----------
    images : Tensor of shape (m, h, w, c)
    window : Window
    """

    images: Tensor
    window: Window

    @property
    def n_columns(self) -> int:
        """Numbers n in a patch."""
        return self.images.shape[3] * self.window.kernel[0] * self.window.kernel[1]

    @property
    def places(self) -> int:
        """Positions in an image."""
        rows, columns = self.window.places((self.images.shape[1], self.images.shape[2]))
        return rows * columns

    @property
    def shape(self) -> tuple[int, int]:
        """Rows r and columns n."""
        return len(self.images) * self.places, self.n_columns

    def __len__(self) -> int:
        return len(self.images) * self.places

    @property
    def device(self) -> torch.device:
        """Of the images."""
        return self.images.device

    def dense(self) -> Tensor:
        """The matrix itself, (r, n)."""
        w, (top, left) = self.window, self.window.padding
        images = pad(self.images, (0, 0, left, left, top, top)).contiguous()
        m, _, _, c = images.shape
        image, row, column, channel = images.stride()
        places = w.places((self.images.shape[1], self.images.shape[2]))
        strides = (
            image,
            row * w.stride[0],
            column * w.stride[1],
            channel,
            row * w.dilation[0],
            column * w.dilation[1],
        )
        return images.as_strided((m, *places, c, *w.kernel), strides).reshape(-1, self.n_columns)  # faster than unfold

    def put_back(self, rows: Tensor) -> Tensor:
        """Images (m, h, w, c) of the means of these patches (r, n) where they overlap; other numbers stay."""
        w, size = self.window, (self.images.shape[1], self.images.shape[2])
        columns = rows.reshape(len(self.images), -1, self.n_columns).transpose(1, 2)
        sums = fold(columns, size, w.kernel, w.dilation, w.padding, w.stride)
        ones = fold(torch.ones_like(columns[:1]), size, w.kernel, w.dilation, w.padding, w.stride)
        return torch.where(channels_last(ones) > 0, channels_last(sums / ones.clamp(min=1)), self.images)

    def transposed_product(self, E: Tensor) -> Tensor:
        """``Pt E``, of shape (n, k), for E (m, h', w', k): what PyTorch calls the gradient of the weights."""
        w, k = self.window, E.shape[3]
        size = (k, self.images.shape[3], *w.kernel)
        product = conv2d_weight(
            channels_first(self.images), list(size), channels_first(E), w.stride, w.padding, w.dilation
        )
        return product.reshape(k, -1).T

    def products(self, E: Tensor | Blocks, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``Pt E`` and the sum of the rows of E, by weights (m,) of the images."""
        if not isinstance(E, Blocks):
            E = E if weight is None else weight[:, None, None, None] * E
            return self.transposed_product(E), E.sum((0, 1, 2))
        E = E if weight is None else E.weighted(weight)
        each = [
            (Patches(self.images[block], self.window).transposed_product(part), part.sum((0, 1, 2)))
            for block, part in E
        ]
        products, sums = zip(*each, strict=True)
        return torch.stack(products).sum(0), torch.stack(sums).sum(0)

    def sum(self, weight: Tensor | None = None) -> Tensor:
        """Sum of the rows, of shape (n,), by weights (m,) of the images: the patches of the sum of the images."""
        images = self.images.sum(0) if weight is None else torch.tensordot(weight, self.images, 1)
        return Patches(images[None], self.window).dense().sum(0)

    def gram(self, weight: Tensor | None = None, all_rows: bool = False, at_hand: AtHand | None = None) -> Sums:
        """Sums for the Gram matrix: of the first images alone where they have rows enough, as batches are shuffled.

        Where `at_hand` says that the images are but some of a batch, the first ones are those of the batch.
        """
        rows = max(GRAM_ROWS, GRAM_ROWS_PER_FEATURE * self.n_columns)
        first = -(-rows // self.places) if at_hand is None else at_hand.among_first(-(-rows // self.places))
        count = len(self.images) if all_rows else min(len(self.images), first)
        P = Patches(self.images[:count], self.window).dense()
        if weight is None:
            return Sums(torch.full((), float(len(P)), dtype=torch.float64, device=P.device), P.sum(0), P.T @ P)
        v = weight[:count].repeat_interleave(self.places)
        return Sums(v.sum(dtype=torch.float64), v @ P, P.T @ (v[:, None] * P))
