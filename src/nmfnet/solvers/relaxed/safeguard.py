"""The divergence check: whether steps have been too long."""

from __future__ import annotations

import math
from collections.abc import Callable

from nmfnet.stateful import Stateful


class Safeguard(Stateful):
    """Notices a batch whose loss is far above the lowest running mean, and tells whether the steps are the reason.

    All losses are means over the samples of a batch, reduced over processes.
    """

    fields = ("first", "mean", "lowest", "worst_ratio")

    def __init__(self) -> None:
        self.reset()
        self.newest = float("nan")  # loss
        self.worst_ratio = 1.0  # of a loss to that of zero outputs, where the average had diverged as well

    def reset(self) -> None:
        """Forget the losses so far: the next batch begins a new running mean."""
        self.first = self.mean = self.lowest = float("nan")

    @property
    def knows_nothing(self) -> bool:
        """Whether the next batch begins a new running mean."""
        return math.isnan(self.first)

    @property
    def most(self) -> float:
        """Loss of a batch up to which it is accepted at once."""
        return self.limit(self.lowest)

    def limit(self, loss: float) -> float:
        """Up to where a loss counts as of the size of another one."""
        return max(2 * loss, loss + self.first / 4)

    def accepts(self, loss: float) -> bool:
        """Whether the loss of a batch is within the limit of the lowest running mean so far."""
        self.newest = loss
        if self.knows_nothing:
            self.first = self.mean = self.lowest = loss
        return loss <= self.most

    def observe(self, loss: float) -> None:
        """Go on with the running mean."""
        self.mean += (loss - self.mean) / 4
        self.lowest = min(self.lowest, self.mean)

    def diverged(self, loss: float, of_average: float, of_zeros: Callable[[], float]) -> bool:
        """Whether a batch's loss is so large because of the steps, not of the batch.

        Then it is far above that of the average on the same batch or, should the average have diverged as well, above
        that of zero outputs.  The second threshold is scaled by the largest ratio seen, so that samples far from all
        others cannot halve the step again and again.
        """
        if not loss <= self.limit(of_average):
            return True
        zeros = of_zeros()
        if loss <= self.limit(self.worst_ratio * zeros):
            return False
        self.worst_ratio = loss / zeros if zeros else self.worst_ratio
        return True
