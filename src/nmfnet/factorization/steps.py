"""Steps on both factors: what one pass over the data leaves behind, and what the alternation is told of it."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor

from nmfnet.factorization.data import Data, nonzeros

ENTRIES_PER_COMPONENT_ENTRY = 0.5  # of X, as many as a whole online step has at least


class Pass(NamedTuple):
    """What a pass leaves behind.

    Attributes
    ----------
    Q : Tensor of shape (k, n)
        Zt X, or Zt X^ with the surrogate X^ of X.
    S : Tensor of shape (k, k)
        Zt Z.
    objective : float
        At the new Z and the H of the pass.
    z_residual : float
        Relative projected gradient in Z, where it was asked for.
    """

    Q: Tensor
    S: Tensor
    objective: float
    z_residual: float


class Step(NamedTuple):
    """What a step on both factors tells.

    Attributes
    ----------
    objective : float
        At the new Z and the H before.
    z_residual, h_residual : float
        Relative projected gradients there, where they were asked for.
    """

    objective: float
    z_residual: float
    h_residual: float


class SweepThenStep:
    """Steps on both factors, one after the other: a pass over the data, then H from all of its products."""

    @abstractmethod
    def sweep(self, Z: Tensor, H: Tensor, out: Tensor, until: float = 0.0, measure: bool = False) -> Pass:
        """One pass over the data with a step on Z (k, m), written to `out`."""

    @abstractmethod
    def h_step(self, H: Tensor, done: Pass) -> Tensor:
        """A step on H (k, n) from the products of a pass."""

    @abstractmethod
    def h_residual(self, H: Tensor, done: Pass) -> float:
        """Relative projected gradient in H."""

    def step(
        self,
        Z: Tensor,
        H: Tensor,
        out: Tensor,
        most: float = math.inf,
        measure_z: bool = False,
        measure_h: bool = False,
    ) -> Step:
        """A step on Z (k, m), written to `out`, and one on H (k, n) with that, in place.

        Where the objective is above `most`, neither is of use, and the step on H is left out.
        """
        done = self.sweep(Z, H, out, measure=measure_z)
        if done.objective > most:
            return Step(done.objective, 0.0, 0.0)
        h_residual = self.h_residual(H, done) if measure_h else 0.0
        H.copy_(self.h_step(H, done))
        return Step(done.objective, done.z_residual, h_residual)


def online_rows(data: Data, k: int, least: float) -> float:
    """Rows of a whole online step, given k components, the rows at hand, and the fewest.

    Rows with few entries tell less: where a step had fewer of them than half of what its components have, noise would
    rule.  What was before the rows at hand is never forgotten by more than three steps.
    """
    m, n = data.shape
    return max(least, m / 3, ENTRIES_PER_COMPONENT_ENTRY * k * n * m / max(1, nonzeros(data)))
