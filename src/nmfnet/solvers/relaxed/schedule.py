"""The relative step: how far a layer's pre-activations move in one update."""

from __future__ import annotations

from nmfnet.stateful import Stateful

FULL_STEP_SAMPLES = 64  # in a batch without a plan, from which on the step is whole


class Schedule(Stateful):
    """A relative step delta that falls linearly to 0 over the planned updates.

    Without a plan it stays, and batches of a few samples take a smaller step.

    Parameters
    ----------
    delta : float
    n_updates : int or None
        Planned.
    """

    fields = ("delta", "updates", "rejected")

    def __init__(self, delta: float, n_updates: int | None) -> None:
        self.delta, self.n_updates = delta, n_updates
        self.updates = self.rejected = 0

    @property
    def endless(self) -> bool:
        """Whether nobody knows how many updates will follow."""
        return self.n_updates is None

    def share(self, n_samples: float) -> float:
        """Share of delta that an update from so many samples takes."""
        if self.n_updates is not None:
            return max(0.0, 1 - self.updates / self.n_updates)
        return min(1.0, (n_samples / FULL_STEP_SAMPLES) ** 0.5)

    def accept(self) -> None:
        """Count an update."""
        self.updates += 1

    def reject(self) -> None:
        """Count an update that was undone, and halve the steps that follow."""
        self.delta /= 2
        self.updates += 1
        self.rejected += 1
