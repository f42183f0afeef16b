"""Where training samples come from: in batches of random order, or in blocks of their own order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from nmfnet.linalg.sparse import SparseRows, picked

Rows: TypeAlias = Tensor | SparseRows  # inputs (m, n): dense, or sparse

BLOCK_NUMBERS = 2**22  # of the inputs, in a block


class Samples(NamedTuple):
    """Some samples.

    Attributes
    ----------
    X : Tensor or SparseRows of shape (m, n_0)
    Y : Tensor of shape (m, n_L)
    weight : Tensor of shape (m,) or None
        Positive; None is 1 for all.
    """

    X: Rows
    Y: Tensor
    weight: Tensor | None = None


class Source(Protocol):
    """Samples to train on or to be scored on.  A new source is a class like :class:`InMemory`."""

    @property
    def n_rows(self) -> int:
        """Number of samples."""

    @property
    def n_features(self) -> int:
        """Width of the inputs."""

    @property
    def n_outputs(self) -> int:
        """Width of the targets."""

    @property
    def total_weight(self) -> float:
        """Sum of the samples' weights; their number where they have none."""

    @property
    def is_sparse(self) -> bool:
        """Whether inputs are sparse."""

    def batches(self, batch_size: int, generator: torch.Generator, start: int = 0) -> Iterator[Samples]:
        """All samples in random order, in :func:`n_batches` batches of about equal size, from the `start`-th on.

        The order follows from the generator's state alone.
        """

    def blocks(self) -> Iterator[Samples]:
        """All samples in their own order, as many at a time as are easily held."""


@dataclass(frozen=True)
class InMemory:
    """A source of tensors or sparse rows that are all in memory.

    Parameters
    ----------
    X : Tensor or SparseRows of shape (n, n_0)
    Y : Tensor of shape (n, n_L)
    weight : Tensor of shape (n,), optional
        Positive.
    """

    X: Rows
    Y: Tensor
    weight: Tensor | None = None

    def normalized(self) -> tuple[InMemory, float]:
        """The same with weights of mean 1, and the mean that they had."""
        if self.weight is None:
            return self, 1.0
        mean = float(self.weight.double().mean())
        return InMemory(self.X, self.Y, self.weight / mean), mean

    @property
    def n_rows(self) -> int:
        """Number of samples."""
        return len(self.Y)

    @property
    def n_features(self) -> int:
        """Width of the inputs."""
        return self.X.shape[1]

    @property
    def n_outputs(self) -> int:
        """Width of the targets."""
        return self.Y.shape[1]

    @property
    def total_weight(self) -> float:
        """Sum of the samples' weights; their number where they have none."""
        return float(self.n_rows if self.weight is None else self.weight.double().sum())

    @property
    def is_sparse(self) -> bool:
        """Whether inputs are sparse, even where batches of them are dense, as on a GPU."""
        return isinstance(self.X, SparseRows)

    def batches(self, batch_size: int, generator: torch.Generator, start: int = 0) -> Iterator[Samples]:
        """All samples in random order, in batches of about equal size.

        About equal, since a small last batch would get as large a least-squares step as the others.
        """
        parts = torch.randperm(self.n_rows, generator=generator).tensor_split(n_batches(self.n_rows, batch_size))
        # The order is drawn now, not with the first batch: it may go on behind the last one.
        whole = Samples(self.X, self.Y, self.weight)
        return (whole if len(parts) == 1 else self._picked(rows.to(self.X.device)) for rows in parts[start:])

    def blocks(self) -> Iterator[Samples]:
        """All samples in their own order."""
        rows = max(64, BLOCK_NUMBERS // max(1, self.n_features))
        for start in range(0, self.n_rows, rows):
            part = slice(start, start + rows)
            yield Samples(self.X[part], self.Y[part], None if self.weight is None else self.weight[part])

    def _picked(self, rows: Tensor) -> Samples:
        weight = None if self.weight is None else picked(self.weight, rows)
        return Samples(picked(self.X, rows), picked(self.Y, rows), weight)


def n_batches(n_rows: int, batch_size: int) -> int:
    """Batches of at most `batch_size` in a pass over the data."""
    return -(-n_rows // batch_size)
