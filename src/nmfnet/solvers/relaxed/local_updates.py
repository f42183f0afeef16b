"""Updates that each of several ranks makes by its own samples, between averages over the ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nmfnet.data.source import Rows
from nmfnet.errors import DivergenceError
from nmfnet.linalg.holders import AtHand, Holders, summed
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.defaults import Resolved
from nmfnet.solvers.relaxed.sweep import RelaxedSweep
from nmfnet.stateful import State


class LocalSweep(RelaxedSweep):
    """As the sweep of one process with the samples of this rank; after every few updates averages are averaged.

    All ranks go on from the mean of the averages of their weights, each by its share of the samples that they come
    from.  Whether inputs are moved is decided then, for all.  All else that a sweep remembers stays each rank's own.

    What is sent are differences to the last mean.  Numbers of 16 bits are enough for these: they round by 1/512 of
    what has changed, not of the weights.

    Parameters
    ----------
    settings, network, plan, masking_value
        As of :class:`RelaxedSweep`.
    ranks : Holders
    every : int
        Updates between two averages.
    """

    def __init__(
        self,
        settings: Resolved,
        network: Network,
        plan: Plan,
        masking_value: Tensor | None,
        ranks: Holders,
        every: int,
    ) -> None:
        super().__init__(settings, network, plan, masking_value)
        self.ranks, self.every = ranks, every
        self.updates, self.samples = 0, 0  # since the last mean
        self.adversary.n_samples /= ranks.size  # of which errors are counted here
        self._begin()

    @torch.no_grad()
    def __call__(
        self,
        X: Rows,
        Y: Tensor,
        sample_weight: Tensor | None = None,
        share: float = 1.0,
        at_hand: AtHand | None = None,
    ) -> Tensor:
        """Update the weights from the samples at hand, if there are any."""
        outputs = torch.zeros_like(Y)
        try:
            if len(Y):
                outputs = super().__call__(X, Y, sample_weight, share, at_hand)
        except DivergenceError:  # of this rank, of which the others know nothing
            self._roll_back()
        self.updates, self.samples = self.updates + 1, self.samples + len(Y)
        if self.updates >= self.every:
            self._meet()
        return outputs

    def weights(self) -> list[Tensor]:
        """The mean of the averages over the ranks, the same on all; valid until the next call."""
        if self.updates:
            self._meet()
        return super().weights()

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state` of any one rank."""
        super().restore(state)
        self._begin()

    def _begin(self) -> None:
        """All ranks have the same weights."""
        self.common = [W.clone() for W in self.averaging.mean]
        self.updates, self.samples = 0, 0

    def _decide(self) -> None:
        """Not alone."""

    @torch.no_grad()
    def _meet(self) -> None:
        """Let all ranks go on from the mean of their averages, and from one answer to whether inputs are moved."""
        self.averaging.update(self.network.weights)
        (total,) = summed(self.ranks, self.samples)
        share = self.samples / max(1.0, total)
        self.adversary.agree(share, self.ranks)
        pairs: Any = zip(self.averaging.mean, self.common, strict=True)
        changes = [W.sub(common).mul_(share).to(torch.bfloat16) for W, common in pairs]
        for mean, common, change in zip(self.averaging.mean, self.common, self.ranks(changes), strict=True):
            mean.copy_(common.add_(change))
        self.averaging.restart(self.network.weights)
        self.updates, self.samples = 0, 0
