"""Nesterov momentum of right-hand sides."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.stateful import Stateful


class Momentum(Stateful):
    """Running means of what steps are made of, extrapolated by one step (Nesterov).

    Parameters
    ----------
    beta : float
        Share of the running mean that stays; 0 is no momentum.
    """

    fields = ("means",)

    def __init__(self, beta: float) -> None:
        self.beta, self.share = beta, 1.0  # the latter of an update: many small shares together are one update
        self.means: dict[str, Tensor] = {}

    def forget(self) -> None:
        """Start the running means anew."""
        self.means = {}

    def __call__(self, name: str, now: Tensor) -> Tensor:
        """Return `now` extrapolated, in place, and move its running mean on."""
        if not self.beta:
            return now
        if name not in self.means:
            self.means[name] = now.clone()
        beta = self.beta**self.share
        mean = torch.lerp(now, self.means[name], beta, out=self.means[name])
        return now.lerp_(mean, beta)
