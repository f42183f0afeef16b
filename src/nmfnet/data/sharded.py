"""Samples that several processes hold, each some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.data.source import Batch, InMemory, Rows, Samples, n_batches
from nmfnet.data.windows import Window, share_of, windows
from nmfnet.linalg.holders import AtHand, Holders
from nmfnet.linalg.sparse import gathered_rows, picked


class Owners(NamedTuple):
    """Who holds which samples.

    Attributes
    ----------
    numbers : Tensor of shape (n,)
        Of all samples, those of the first holder first, in the order that each has them in.
    counts : list of int
        How many each has.
    """

    numbers: Tensor
    counts: list[int]

    def of(self, rank: int) -> Tensor:
        """Numbers (m,) of the samples of one."""
        return self.numbers.split(self.counts)[rank]

    def of_some(self, rows: Tensor) -> Owners:
        """Of some of the samples, by their numbers (m,), each having its own in that order."""
        owner, each = torch.empty_like(self.numbers), torch.arange(len(self.counts))
        owner[self.numbers] = each.repeat_interleave(torch.tensor(self.counts))
        of_rows = owner[rows]
        return Owners(of_rows.argsort(stable=True), of_rows.bincount(minlength=len(self.counts)).tolist())


@dataclass(frozen=True)
class Sharded:
    """A source of samples that several processes hold, each some of them.

    All processes draw the same order of all samples, and each takes its own of each batch.  So batches are those that
    one process with all samples would make, whoever holds them.

    Parameters
    ----------
    here : InMemory
        Samples at hand; there may be none.  Either all processes have weights, or none has.
    numbers : Tensor of shape (m,)
        Their numbers among all samples.
    n_rows : int
        Number of all samples.
    holders : Holders
    known_owners : Owners, optional
        Who holds which; left out, they tell each other when it is needed.
    """

    here: InMemory
    numbers: Tensor
    n_rows: int
    holders: Holders
    known_owners: Owners | None = None

    before = 0

    @classmethod
    def of(cls, here: InMemory, holders: Holders, keys: Tensor | None = None) -> Sharded:
        """Samples in the order of keys (m,) of their own; left out, of the processes, those of the first one first."""
        m, weighted = len(here.Y), here.weight is not None
        of_all = holders.gathered(torch.tensor([[m, int(weighted)]]), [1] * holders.size)
        counts = of_all[:, 0].tolist()
        n = sum(counts)
        owners = Owners(torch.arange(n), counts)
        if keys is not None:
            keys = holders.gathered(keys, counts)
            owners = Owners(torch.searchsorted(keys.sort().values, keys), counts)
        if bool(of_all[:, 1].any()) and here.weight is None:
            here = replace(here, weight=torch.ones(m, dtype=torch.float64, device=here.device))
        return cls(here, owners.of(holders.rank), n, holders, owners)

    @property
    def X(self) -> Rows:
        """Inputs at hand."""
        return self.here.X

    @property
    def Y(self) -> Tensor:
        """Targets at hand."""
        return self.here.Y

    @property
    def weight(self) -> Tensor | None:
        """Weights at hand."""
        return self.here.weight

    @property
    def n_features(self) -> int:
        """Width of the inputs."""
        return self.here.n_features

    @property
    def n_outputs(self) -> int:
        """Width of the targets."""
        return self.here.n_outputs

    @property
    def dtype(self) -> torch.dtype:
        """Of inputs and targets."""
        return self.here.dtype

    @property
    def device(self) -> torch.device:
        """Where the samples are."""
        return self.here.device

    @property
    def is_sparse(self) -> bool:
        """Whether inputs are sparse."""
        return self.here.is_sparse

    @cached_property
    def total_weight(self) -> float:
        """Sum of the samples' weights; their number where they have none."""
        if self.weight is None:
            return float(self.n_rows)
        return float(self.holders([self.weight.sum(dtype=torch.float64)])[0])

    def normalized(self) -> tuple[Sharded, float]:
        """The same with weights of mean 1, in the dtype of the targets, and the mean that they had."""
        if self.weight is None:
            return self, 1.0
        most = self.weight.max() if len(self.weight) else self.weight.new_tensor(-torch.inf)
        largest = float(self.holders.largest(most.double().reshape(1)))  # sums of huge numbers overflow
        mean = largest * float(self.holders([(self.weight / largest).sum(dtype=torch.float64)])[0]) / self.n_rows
        return replace(self, here=replace(self.here, weight=(self.weight / mean).to(self.dtype))), mean

    def batches(
        self, batch_size: int, generator: torch.Generator, start: int = 0, min_rows: int = 1
    ) -> Iterator[Batch]:
        """Those at hand of each batch of all samples in random order."""
        order = torch.randperm(self.n_rows, generator=generator)
        parts = order.tensor_split(n_batches(self.n_rows, batch_size))
        return (self._batch(window, min_rows) for window in islice(windows(parts, 0, min_rows), start, None))

    def blocks(self) -> Iterator[Samples]:
        """Samples at hand in their own order; an empty block where there are none."""
        if not len(self.Y):
            yield self.here.take(torch.empty(0, dtype=torch.long))
        yield from self.here.blocks()

    def subset(self, rows: Tensor) -> Sharded:
        """Some of the samples, by their numbers (m,) among all."""
        here = self._here[rows]
        at_hand = (here >= 0).nonzero()[:, 0]
        owners = self._owners.of_some(rows.cpu())
        return Sharded(self.here.subset(here[at_hand]), at_hand, len(rows), self.holders, owners)

    def collected(self, rounded: bool = False) -> InMemory:
        """All samples, in memory of each process; dense inputs that are `rounded` are sent in 16 bits."""
        X, Y, weight = self.here.take(torch.arange(len(self.Y), device=self.device))
        of_all = self._owners
        order = torch.empty_like(of_all.numbers)
        order[of_all.numbers] = torch.arange(len(order))
        rows = (
            self._in_16_bits(X) if rounded and isinstance(X, Tensor) else gathered_rows(X, self.holders, of_all.counts)
        )
        return InMemory(
            picked(rows, order.to(self.device)),
            self.joined(Y),
            None if weight is None else self.joined(weight),
        )

    def _in_16_bits(self, X: Tensor) -> Tensor:
        """Inputs of all ranks, their distances from the means of columns rounded by at most 1/512."""
        mean = self.holders([X.sum(0, dtype=torch.float64)])[0].div_(self.n_rows).to(X.dtype)
        code = (X - mean).to(torch.bfloat16).flatten(1).view(torch.uint8)
        found = self.holders.gathered(code, self._owners.counts).view(torch.bfloat16).to(X.dtype)
        return found.unflatten(1, X.shape[1:]).add_(mean)

    def with_targets(self, Y: Tensor) -> Sharded:
        """The same inputs with other targets (m, k) of the samples at hand."""
        return replace(self, here=self.here.with_targets(Y))

    def joined(self, values: Tensor) -> Tensor:
        """Values (n, ...) of all samples by their numbers, from those of the samples at hand."""
        owners = self._owners
        gathered = self.holders.gathered(values, owners.counts)
        joined = torch.empty_like(gathered)
        joined[owners.numbers.to(gathered.device)] = gathered
        return joined

    @cached_property
    def _here(self) -> Tensor:
        """From the number of a sample to its place among those at hand; -1 where it is not."""
        here = torch.full((self.n_rows,), -1)
        here[self.numbers] = torch.arange(len(self.numbers))
        return here

    @cached_property
    def _owners(self) -> Owners:
        if self.known_owners is not None:
            return self.known_owners
        counts = self.holders.gathered(torch.tensor([len(self.numbers)]), [1] * self.holders.size).tolist()
        return Owners(self.holders.gathered(self.numbers, counts), counts)

    def _batch(self, window: Window, min_rows: int) -> Batch:
        m = len(window.rows)
        if window.n_new == self.n_rows:  # all there is, in the order that it has
            positions, rows = self.numbers, torch.arange(len(self.numbers))
        else:
            here = self._here[window.rows]
            positions = (here >= 0).nonzero()[:, 0]
            rows = here[positions]
        new = positions >= m - window.n_new
        X, Y, weight = self.here.take(rows.to(self.device))
        share = self._share(window, min_rows, weight, new)
        return Batch(X, Y, weight, int(new.sum()), share, AtHand(positions.to(self.device), m))

    def _share(self, window: Window, min_rows: int, weight: Tensor | None, new: Tensor) -> float:
        """As of :func:`share_of`, by weights that others have, too."""
        if weight is None or window.n_new >= min_rows:
            return share_of(window, min_rows, None)
        of_new, of_all = self.holders([weight[new].sum(dtype=torch.float64), weight.sum(dtype=torch.float64)])
        full = len(window.rows) / min_rows
        return full * full * float(of_new / of_all)
