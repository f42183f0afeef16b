"""Images that are shifted, mirrored and partly hidden, anew in every batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from nmfnet._parameters import at_least, boolean
from nmfnet.data.sharded import Sharded
from nmfnet.data.source import Batch, InMemory
from nmfnet.linalg.holders import AtHand, batch_rows

Shape = tuple[int, ...]


@dataclass
class Augmentation(BaseEstimator):
    """Random changes of images or sequences in training, for ``augmentation=Augmentation(shift=4)``.

    Every image of every batch is changed in its own way.  The cost is small compared with an update.  Validation sets
    and images to predict are not changed.

    Parameters
    ----------
    shift : int, default=0
        Largest number of pixels by which an image is moved along each axis.  The gap at the edge is filled with the
        mirror image.
    flip : bool, default=False
        Whether a random half of the images is mirrored left to right.
    cutout : int, default=0
        Side of a square, in pixels, that is replaced by the mean of its channel.
    """

    shift: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse unfit settings, naming them."""
        at_least("shift", self.shift, 0, int)
        boolean("flip", self.flip)
        at_least("cutout", self.cutout, 0, int)

    def check_shape(self, input_shape: Shape | None) -> None:
        """Refuse images that are too small, and rows of numbers, which have no shape."""
        if input_shape is None:
            raise ValueError("augmentation is for images and sequences: it needs layers of nmfnet.layers.")
        for name in ("shift", "cutout"):
            if getattr(self, name) >= min(input_shape[1:]):
                raise ValueError(f"{name}={getattr(self, name)} is too much for images of {input_shape}: lower it.")

    def __call__(
        self, X: Tensor, input_shape: Shape, generator: torch.Generator, at_hand: AtHand | None = None
    ) -> Tensor:
        """Changed copies of images that are rows of numbers (m, n); `at_hand` says which of a batch, if not all."""
        c, w = input_shape[0], input_shape[-1]
        h = input_shape[1] if len(input_shape) == 3 else 1
        images, m = X.reshape(-1, c, h, w), len(X)

        def drawn(most: int) -> Tensor:
            of_batch = torch.randint(most, (batch_rows(m, at_hand), 1), generator=generator, device=X.device)
            return of_batch if at_hand is None else of_batch[at_hand.positions]

        rows = torch.arange(h, device=X.device).expand(m, h)
        columns = torch.arange(w, device=X.device).expand(m, w)
        if self.flip:
            columns = torch.where(drawn(2) == 1, w - 1 - columns, columns)
        if self.shift:
            rows = mirrored(rows + drawn(2 * self.shift + 1) - self.shift, h) if h > 1 else rows
            columns = mirrored(columns + drawn(2 * self.shift + 1) - self.shift, w)
        if self.flip or self.shift:
            each = torch.arange(m, device=X.device)[:, None, None]
            # Advanced indices on both sides of the channels put these last.
            images = images[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        if self.cutout:
            hidden = (
                self._hidden(h, drawn(h + self.cutout))[:, :, None] & self._hidden(w, drawn(w + self.cutout))[:, None]
            )
            images = torch.where(hidden[:, None], images.mean((2, 3), keepdim=True), images)
        return images.reshape(m, -1)

    def _hidden(self, size: int, start: Tensor) -> Tensor:
        """Which of the places (m, size) along an axis lie in a square that begins there."""
        places = torch.arange(size, device=start.device) + self.cutout
        return (
            (places >= start) & (places < start + self.cutout)
            if size > 1
            else torch.ones_like(start, dtype=torch.bool)
        )


def mirrored(places: Tensor, size: int) -> Tensor:
    """Places beyond the edges, by their mirror images."""
    return (size - 1 - (size - 1 - places.abs()).abs()).abs()


class _Augmented:
    """Of a source whose batches are augmented; in blocks the samples are as they are."""

    augmentation: Augmentation | None
    input_shape: Shape

    def batches(
        self, batch_size: int, generator: torch.Generator, start: int = 0, min_rows: int = 1
    ) -> Iterator[Batch]:
        """As of any source; the changes of a batch follow from its number, so that a training can be resumed."""
        plain = super().batches(batch_size, generator, start, min_rows)  # type: ignore[misc]
        seed = int(torch.randint(2**31, (), generator=generator))
        return (self._changed(batch, seed + number) for number, batch in enumerate(plain, start))

    def _changed(self, batch: Any, seed: int) -> Batch:
        assert self.augmentation is not None
        generator = torch.Generator(batch.X.device).manual_seed(seed)
        X = self.augmentation(batch.X, self.input_shape, generator, batch.at_hand)
        return batch._replace(X=X)


@dataclass(frozen=True)
class Augmented(_Augmented, InMemory):
    """A source in memory whose batches are augmented."""

    augmentation: Augmentation | None = None
    input_shape: Shape = ()


@dataclass(frozen=True)
class AugmentedShards(_Augmented, Sharded):
    """A source of several processes whose batches are augmented."""

    augmentation: Augmentation | None = None
    input_shape: Shape = ()


def augmented(
    source: InMemory | Sharded, augmentation: Augmentation | None, input_shape: Shape | None
) -> InMemory | Sharded:
    """The same samples, their batches augmented; as it is without an augmentation."""
    if augmentation is None:
        return source
    augmentation.check()
    augmentation.check_shape(input_shape)
    assert input_shape is not None
    if isinstance(source, Sharded):
        shards = source.here, source.numbers, source.n_rows, source.holders, source.known_owners
        return AugmentedShards(*shards, augmentation, input_shape)
    return Augmented(source.X, source.Y, source.weight, source.before, augmentation, input_shape)
