"""Mini-batches: online factorization, whose memory of the data is two sums of products."""

from __future__ import annotations

from torch import Tensor

from nmfnet.factorization.acceleration import Problem, check_finite
from nmfnet.factorization.steps import Pass

NEAR = 0.1  # relative projected gradient to which the Z of a batch is found


class Online:
    """The components H (k, n) and what they remember of the batches so far (Mairal, Bach, Ponce and Sapiro, 2010).

    Parameters
    ----------
    H : Tensor of shape (k, n)
    forget_factor : float
        What earlier batches count after a step of ``share=1``.
    memory : tuple of Tensor, optional
        Zt X (k, n) and Zt Z, from earlier steps.
    """

    def __init__(self, H: Tensor, forget_factor: float, memory: tuple[Tensor, Tensor] | None = None) -> None:
        self.H, self.forget_factor, self.memory = H, forget_factor, memory

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
        last = check_finite(problem.sweep(Z, self.H, Z, until=NEAR))
        Q, S = last.Q, last.S
        if self.memory is not None:
            keep = self.forget_factor**share
            Q, S = (keep * old.to(new) + new for old, new in zip(self.memory, (Q, S), strict=True))
        self.memory = Q, S
        self.H = problem.h_step(self.H, Pass(Q, S, 0.0, 0.0))
        return last.objective
