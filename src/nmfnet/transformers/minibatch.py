"""Mini-batches: online factorization, whose memory of the data is two sums of products."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from nmfnet.factorization.acceleration import Problem, check_finite
from nmfnet.factorization.steps import Pass


class Statistics(NamedTuple):
    """What steps on H take of the rows so far, earlier ones counting less.

    Attributes
    ----------
    Q : Tensor of shape (k, n)
    S : Tensor
        As in :class:`Pass`.
    rows : float
        How many rows they stand for.
    """

    Q: Tensor
    S: Tensor
    rows: float


class Online:
    """The components H (k, n) and the statistics of the batches so far (Mairal, Bach, Ponce and Sapiro, 2010).

    Parameters
    ----------
    H : Tensor of shape (k, n)
    forget_factor : float
        What earlier batches count after a step of ``share=1``.
    statistics : Statistics, optional
        From earlier steps.
    """

    def __init__(self, H: Tensor, forget_factor: float, statistics: Statistics | None = None) -> None:
        self.H, self.forget_factor, self.statistics = H, forget_factor, statistics

    def step(self, problem: Problem, Z: Tensor, share: float) -> float:
        """Find the Z of a batch, add its products to those remembered, and step on H with them.

        Parameters
        ----------
        problem : Problem
            Of the batch.
        Z : Tensor of shape (k, batch)
            Start, overwritten.
        share : float
            Steps that this one counts for.

        Returns
        -------
        float
            The objective of the batch before the step on H.
        """
        earlier, rows = self._earlier(share), float(Z.shape[1])

        def with_earlier(batch: Pass) -> Pass:
            Q, S, total = self.statistics = added(earlier, Statistics(batch.Q, batch.S, rows))
            # The penalties on H are those of one batch.
            return check_finite(Pass(rows / total * Q, rows / total * S, batch.objective, 0.0))

        batch, self.H = problem.online_step(Z, self.H, with_earlier)
        return batch.objective

    def _earlier(self, share: float) -> Statistics | None:
        """What the batches before count for."""
        if self.statistics is None:
            return None
        keep, (Q, S, rows) = self.forget_factor**share, self.statistics
        return Statistics(keep * Q.to(self.H), keep * S.to(self.H), keep * rows)


def added(earlier: Statistics | None, batch: Statistics) -> Statistics:
    """Statistics of a batch and of those before it."""
    if earlier is None:
        return batch
    return Statistics(earlier.Q + batch.Q, earlier.S + batch.S, earlier.rows + batch.rows)
