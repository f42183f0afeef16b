"""Who holds samples: this process all of them, or each of several some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

# From the sums over the samples at hand to those over all samples.
Reducer = Callable[[Sequence[Tensor]], list[Tensor]]


class Holders(Protocol):
    """Those who hold samples: what each knows of its own becomes what all know of all.

    Whoever holds samples makes the same calls in the same order.
    """

    rank: int  # of this one, from 0
    size: int  # number of the holders

    def __call__(self, sums: Sequence[Tensor]) -> list[Tensor]:
        """Sums over all samples, from those over the samples at hand."""

    def largest(self, values: Tensor) -> Tensor:
        """Largest of each of the values (n,) that there are anywhere; minus infinity where nothing is at hand."""

    def gathered(self, rows: Tensor, counts: list[int] | None = None) -> Tensor:
        """Rows (m, ...) of all, those of the first holder first; who knows how many each has says so."""

    def swapped(self, rows: Tensor) -> Tensor:
        """Of the `rows` (size, ...) of each holder the one with this one's number, those of the first holder first."""

    def any(self, flag: bool) -> bool:
        """Whether it is so for any of the holders."""

    def objects(self, value: T) -> list[T]:
        """What each holder says, the first one first."""

    def shared(self, value: T) -> T:
        """What the first holder says."""


class Local:
    """One process, which has all samples at hand."""

    rank, size = 0, 1

    def __call__(self, sums: Sequence[Tensor]) -> list[Tensor]:
        """As they are."""
        return list(sums)

    def largest(self, values: Tensor) -> Tensor:
        """As they are."""
        return values

    def gathered(self, rows: Tensor, counts: list[int] | None = None) -> Tensor:
        """As they are."""
        return rows

    def swapped(self, rows: Tensor) -> Tensor:
        """As they are."""
        return rows

    def any(self, flag: bool) -> bool:
        """As it is."""
        return flag

    def objects(self, value: T) -> list[T]:
        """The only one."""
        return [value]

    def shared(self, value: T) -> T:
        """As it is."""
        return value


local = Local()


def summed(holders: Holders, *values: float) -> list[float]:
    """Sums of numbers over all who hold samples, in float64."""
    if holders is local:
        return list(values)
    return holders([torch.tensor(values, dtype=torch.float64)])[0].tolist()


class AtHand(NamedTuple):
    """Which samples of a batch are at hand.

    Attributes
    ----------
    positions : Tensor of shape (m,)
        Of these samples in the whole batch.
    total : int
        Samples of the whole batch.
    """

    positions: Tensor
    total: int

    def among_first(self, n: int) -> int:
        """How many of them are among the first n of the batch."""
        return int((self.positions < n).sum())


def batch_rows(rows: int, at_hand: AtHand | None) -> int:
    """Samples of a whole batch, of which so many are at hand; all of them without an `at_hand`."""
    return rows if at_hand is None else at_hand.total
