"""The average of the weights so far, which predicts and which training goes back to."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.solvers.relaxed.defaults import UNANCHORED_DELTA
from nmfnet.solvers.relaxed.schedule import Schedule
from nmfnet.stateful import Stateful

MIN_NEWEST_WEIGHT = 0.02  # of the newest iterate without a plan, so that the average follows changes
TRAINED_UPDATES = 20  # that trained weights count for in the average, where small batches go on from them


class Averaging(Stateful):
    """Schedule-free averaging (Defazio et al., 2024), and the anchor of the working weights to the average.

    There are two sets of weights: the average x, and the working weights y that batches go through.  Whole steps lead
    from the iterate z to the next one; z is not stored, since ``y = (1 - a) z + a (x + c (z - x))``, with the anchor a
    and the weight c of the newest iterate in the average.

    The newest iterate enters the average only when a batch has gone well through it.  Until then its weight is
    `pending`, so that an iterate that diverged never enters.

    Parameters
    ----------
    weights : list of Tensor
        To start from; copied.
    power : float
        Iterate s has a weight of about ``s ** power``.
    schedule : Schedule
    """

    fields = ("mean", "pending")

    def __init__(self, weights: list[Tensor], power: float, schedule: Schedule) -> None:
        self.mean = [W.clone() for W in weights]
        self.power, self.schedule = power, schedule
        self.pending = 0.0  # weight with which the working weights will enter; 0: they have

    @property
    def newest_weight(self) -> float:
        """Weight c of the newest iterate in the average."""
        schedule, share = self.schedule, self.schedule.share
        earlier = TRAINED_UPDATES if share < 1 and schedule.trained and schedule.endless else 0
        newest = (self.power + 1) * share / (schedule.updates + earlier + (self.power + 1) * share)
        return max(newest, MIN_NEWEST_WEIGHT * share) if schedule.endless else newest

    @property
    def anchor(self) -> float:
        """Share a of the average in the working weights, which move by at most UNANCHORED_DELTA at once."""
        return max(0.0, 1 - UNANCHORED_DELTA / self.schedule.delta)

    def update(self, working: list[Tensor], well: Tensor | None = None) -> None:
        """Let the newest working weights into the average: of all layers in one call, in which there is no Ctrl-C.

        Where a batch has not gone `well`, a scalar, they never enter.
        """
        if self.pending:
            if well is None:
                torch._foreach_lerp_(self.mean, working, self.pending)
            else:
                torch._foreach_lerp_(self.mean, working, [(self.pending * well).to(W.dtype) for W in working])
            self.pending = 0.0

    def anchored(self, layer: int, W: Tensor) -> None:
        """Pull a layer's working weights, which have just moved, to the average as it will be; in place."""
        a, c = self.anchor, self.newest_weight
        if a:
            W.lerp_(self.mean[layer], -a * c / (1 - a))

    def announce(self) -> None:
        """The working weights have moved: they are to enter once a batch has gone through them."""
        a, c = self.anchor, self.newest_weight
        self.pending = c / (1 - a + a * c)

    def restart(self, working: list[Tensor]) -> None:
        """Set the working weights to the average, in place; those that are still pending never enter."""
        self.pending = 0.0
        for W, mean in zip(working, self.mean, strict=True):
            W.copy_(mean)
