"""The relative step: how far a layer's pre-activations move in one update."""

from __future__ import annotations

from nmfnet.stateful import Stateful

FIRST_UPDATES = 100  # of a stream, in which the steps of small batches are as long as noise allows


class Schedule(Stateful):
    """A relative step delta that falls linearly to 0 over the planned updates; without a plan it stays.

    A small batch is a share of an update: of its step, of its momentum, of what the average moves by.

    Parameters
    ----------
    delta : float
    n_updates : int or None
        Planned.
    trained : bool, default=False
        Whether the weights to start from have been trained.
    """

    fields = ("delta", "updates", "begun", "rejected")

    def __init__(self, delta: float, n_updates: int | None, trained: bool = False) -> None:
        self.delta, self.n_updates, self.trained = delta, n_updates, trained
        self.start_delta = delta
        self.updates: float = 0.0  # by their shares
        self.begun = -1  # number of the last whole update that has begun
        self.rejected = 0
        self.share = 1.0  # of an update, in the batch at hand

    @property
    def endless(self) -> bool:
        """Whether nobody knows how many updates will follow."""
        return self.n_updates is None

    def begin(self, share: float) -> int | None:
        """Begin a share of an update; the number of the update, unless it has begun before."""
        untrained = self.endless and not self.trained and self.updates < FIRST_UPDATES
        self.share = share**0.5 if untrained else share  # there is much to learn, which rows agree on
        number = int(self.updates)
        if number <= self.begun:
            return None
        self.begun = number
        return number

    @property
    def step(self) -> float:
        """Relative step of the batch at hand, over delta."""
        left = 1.0 if self.n_updates is None else max(0.0, 1 - self.updates / self.n_updates)
        return left * self.share

    def accept(self) -> None:
        """Count an update."""
        self.updates += self.share

    def reject(self) -> None:
        """Count an update that was undone, and halve the steps that follow."""
        self.delta /= 2
        self.updates += self.share
        self.rejected += 1
