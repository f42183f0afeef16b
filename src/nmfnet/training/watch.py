"""Notices when a training goes astray."""

from __future__ import annotations

from torch import Tensor

from nmfnet.linalg import weighted_mean


class Watch:
    """Notices that steps are too large: the loss of the batches climbs far above what it was."""

    def __init__(self, weights: list[Tensor]) -> None:
        self.first = self.mean = self.lowest = float("nan")
        self.weights = weights  # at the last good look

    def good(self, losses: Tensor, weights: list[Tensor], sample_weight: Tensor | None = None) -> bool:
        """Look at the losses (m,) of a batch; False if they call for smaller steps."""
        loss = float(weighted_mean(losses, sample_weight))
        if self.first != self.first:  # the first look
            self.first = self.mean = self.lowest = loss
        if not loss <= max(2 * self.lowest, self.lowest + self.first / 4):
            return False
        self.mean += (loss - self.mean) / 4
        self.lowest = min(self.lowest, self.mean)
        self.weights = weights
        return True
