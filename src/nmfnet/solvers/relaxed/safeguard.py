"""Notices when a training goes astray."""

from __future__ import annotations

import math


class Watch:
    """Notices that the loss of a batch is far above what it was."""

    def __init__(self) -> None:
        self.first = self.mean = self.lowest = float("nan")

    def good(self, loss: float) -> bool:
        """Whether the loss of a batch is within its limit, that of the lowest running mean so far."""
        if math.isnan(self.first):
            self.first = self.mean = self.lowest = loss
        return loss <= self.limit(self.lowest)

    def limit(self, loss: float) -> float:
        """Up to where a loss is of the size of another one."""
        return max(2 * loss, loss + self.first / 4)

    def note(self, loss: float) -> None:
        """Go on with the running mean."""
        self.mean += (loss - self.mean) / 4
        self.lowest = min(self.lowest, self.mean)
