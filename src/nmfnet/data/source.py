"""Where training samples come from: in batches of random order, or in blocks of their own order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from nmfnet.data.windows import Window, share_of, windows
from nmfnet.linalg.holders import AtHand, Holders, local
from nmfnet.linalg.sparse import SparseRows, picked, stacked

Rows: TypeAlias = Tensor | SparseRows  # inputs (m, n): dense, or sparse


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


class Batch(NamedTuple):
    """Samples for an update, or for a share of one.

    Attributes
    ----------
    X, Y, weight
        As in :class:`Samples`.
    n_new : int
        Samples, the last ones, that this batch is about; those before fill it up.
    share : float
        Of an update that the new ones make; 1 for all but small batches.
    at_hand : AtHand or None
        Which samples of the batch these are; None: all.
    """

    X: Rows
    Y: Tensor
    weight: Tensor | None
    n_new: int
    share: float
    at_hand: AtHand | None = None

    def new(self) -> Samples:
        """The new samples."""
        part = slice(len(self.Y) - self.n_new, None)
        return Samples(self.X[part], self.Y[part], None if self.weight is None else self.weight[part])


class Source(Protocol):
    """Samples to train on or to be scored on.  A new source is a class like :class:`InMemory`.

    Several processes may hold some of the samples each.  What is said of samples, as their number, is of all of them;
    batches and blocks are of those at hand.
    """

    @property
    def holders(self) -> Holders:
        """Who holds the samples."""

    @property
    def numbers(self) -> Tensor | None:
        """Numbers (m,) among all samples of those at hand, in the order of the blocks; None where all are at hand."""

    @property
    def Y(self) -> Tensor:
        """Targets of the samples at hand, in the order of the blocks."""

    @property
    def weight(self) -> Tensor | None:
        """Of the samples at hand, positive; None is 1 for all."""

    @property
    def n_rows(self) -> int:
        """Number of new samples."""

    @property
    def before(self) -> int:
        """Samples at the beginning that are not new: they only fill small batches up."""

    @property
    def n_features(self) -> int:
        """Width of the inputs."""

    @property
    def n_outputs(self) -> int:
        """Width of the targets."""

    @property
    def dtype(self) -> torch.dtype:
        """Of inputs and targets."""

    @property
    def device(self) -> torch.device:
        """Where the samples are."""

    @property
    def total_weight(self) -> float:
        """Sum of the samples' weights; their number where they have none."""

    @property
    def is_sparse(self) -> bool:
        """Whether inputs are sparse."""

    def batches(
        self, batch_size: int, generator: torch.Generator, start: int = 0, min_rows: int = 1
    ) -> Iterator[Batch]:
        """All samples in random order, in :func:`n_batches` batches of about equal size, from the `start`-th on.

        The order follows from the generator's state alone.  Batches of less than `min_rows` samples are filled up
        with those before them.
        """

    def blocks(self) -> Iterator[Samples]:
        """All samples in their own order, as many at a time as are easily held."""

    def subset(self, rows: Tensor) -> Source:
        """Some of the samples, by their numbers (m,)."""

    def collected(self, rounded: bool = False) -> Source:
        """All samples at hand, whoever holds them: for few of them.  Dense inputs may be `rounded`, to send less."""

    def normalized(self) -> tuple[Source, float]:
        """The same with weights of mean 1, and the mean that they had."""

    def joined(self, values: Tensor) -> Tensor:
        """Values (n, ...) of all samples by their numbers, from those at hand, in the order of blocks."""


@dataclass(frozen=True)
class InMemory:
    """A source of tensors or sparse rows that are all in memory.

    Parameters
    ----------
    X : Tensor or SparseRows of shape (n, n_0)
    Y : Tensor of shape (n, n_L)
    weight : Tensor of shape (n,), optional
        Positive.
    before : int, default=0
        Of these samples, those at the beginning that are not new: they only fill small batches up.
    """

    X: Rows
    Y: Tensor
    weight: Tensor | None = None
    before: int = 0

    block_numbers: ClassVar[int] = 2**22  # of the inputs, in a block
    holders: ClassVar[Holders] = local
    numbers: ClassVar[Tensor | None] = None

    @property
    def samples(self) -> Samples:
        """All of them."""
        return Samples(self.X, self.Y, self.weight)

    def normalized(self) -> tuple[InMemory, float]:
        """The same with weights of mean 1, in the dtype of the targets, and the mean that they had."""
        if self.weight is None:
            return self, 1.0
        largest = float(self.weight.max())  # sums of huge numbers overflow
        mean = largest * float((self.weight / largest).mean())
        return replace(self, weight=(self.weight / mean).to(self.Y.dtype)), mean

    @property
    def n_rows(self) -> int:
        """Number of new samples."""
        return len(self.Y) - self.before

    @property
    def n_features(self) -> int:
        """Width of the inputs."""
        return self.X.shape[1]

    @property
    def n_outputs(self) -> int:
        """Width of the targets."""
        return self.Y.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Of inputs and targets."""
        return self.Y.dtype

    @property
    def device(self) -> torch.device:
        """Where the samples are."""
        return self.Y.device

    @property
    def total_weight(self) -> float:
        """Sum of the samples' weights; their number where they have none."""
        return float(self.n_rows if self.weight is None else self.weight.double().sum())

    @property
    def is_sparse(self) -> bool:
        """Whether inputs are sparse, even where batches of them are dense, as on a GPU."""
        return isinstance(self.X, SparseRows)

    def batches(
        self, batch_size: int, generator: torch.Generator, start: int = 0, min_rows: int = 1
    ) -> Iterator[Batch]:
        """All new samples in random order, in batches of about equal size.

        About equal, since a small last batch would get as large a least-squares step as the others.
        """
        # The order is drawn now, not with the first batch: it may go on behind the last one.  It goes to a device as a
        # whole, since a device is waited for whenever something is sent to it.
        order = torch.randperm(self.n_rows, generator=generator).to(self.device)
        parts = order.tensor_split(n_batches(self.n_rows, batch_size))
        return (self._batch(window, min_rows) for window in islice(windows(parts, self.before, min_rows), start, None))

    def blocks(self) -> Iterator[Samples]:
        """All samples in their own order."""
        rows = max(64, self.block_numbers // max(1, self.n_features))
        for start, X in zip(range(0, len(self.Y), rows), self._input_blocks(rows), strict=True):
            part = slice(start, start + rows)
            yield Samples(X, self.Y[part], None if self.weight is None else self.weight[part])

    def _input_blocks(self, rows: int) -> Iterator[Rows]:
        """The inputs of all samples in their order, so many at a time."""
        return (self._inputs(slice(start, start + rows)) for start in range(0, len(self.Y), rows))

    def subset(self, rows: Tensor) -> Subset:
        """Some of the samples, by their numbers (m,)."""
        rows = rows.to(self.Y.device)
        return Subset(self.X, self.Y[rows], None if self.weight is None else self.weight[rows], rows=rows)

    def with_targets(self, Y: Tensor) -> InMemory:
        """The same inputs with other targets (n, k)."""
        return replace(self, Y=Y)

    def collected(self, rounded: bool = False) -> InMemory:
        """All are at hand."""
        return self

    def joined(self, values: Tensor) -> Tensor:
        """As they are."""
        return values

    def _batch(self, window: Window, min_rows: int) -> Batch:
        if window.n_new == len(self.Y):  # all there is, in the order that it has
            X = self._inputs(slice(None))
            return Batch(X, self.Y, self.weight, window.n_new, share_of(window, min_rows, self.weight))
        X, Y, weight = self.take(window.rows)
        return Batch(X, Y, weight, window.n_new, share_of(window, min_rows, weight))

    def take(self, rows: Tensor) -> Samples:
        """Some of the samples, by their places (m,)."""
        weight = None if self.weight is None else picked(self.weight, rows)
        return Samples(self._inputs(rows), picked(self.Y, rows), weight)

    def _inputs(self, rows: Tensor | slice) -> Rows:
        return picked(self.X, rows) if isinstance(rows, Tensor) else self.X[rows]


@dataclass(frozen=True)
class Subset(InMemory):
    """Some rows of :class:`InMemory`, whose inputs are not copied.

    Parameters
    ----------
    X : Tensor or SparseRows
        All inputs.
    Y, weight
        Of the rows.
    rows : Tensor of shape (m,)
        Their numbers in X.
    """

    block_numbers: ClassVar[int] = 2**20  # which are copied
    rows: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    def _inputs(self, rows: Tensor | slice) -> Rows:
        return picked(self.X, self.rows[rows])


def n_batches(n_rows: int, batch_size: int) -> int:
    """Batches of at most `batch_size` in a pass over the data."""
    return -(-n_rows // batch_size)


def joined(before: Samples, data: InMemory) -> InMemory:
    """New samples after those before them; without weights samples weigh 1."""
    device, weight = data.Y.device, None
    if before.weight is not None or data.weight is not None:
        pairs = ((before.weight, before.Y), (data.weight, data.Y))
        weights = [Y.new_ones(len(Y), dtype=torch.float64) if given is None else given for given, Y in pairs]
        weight = torch.cat([each.to(device) for each in weights])
    X, Y = stacked(before.X.to(device), data.X), torch.cat([before.Y.to(device), data.Y])
    return InMemory(X, Y, weight, len(before.Y))


def newest(samples: Samples, n: int, n_new: int = 0) -> Samples:
    """The last n samples, or all, copied; where more than n are new, some from all over these."""
    X, Y, weight = samples
    start = len(Y) - n_new if n_new > n else max(0, len(Y) - n)
    last = torch.linspace(start, len(Y) - 1, min(n, len(Y) - start), dtype=torch.float64).round().long().to(Y.device)
    return Samples(picked(X, last), Y[last], None if weight is None else weight[last])
