"""How far inputs are moved against their own targets, and whether at all: worst-case inputs (adversarial training)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nmfnet.linalg import mean_length, weighted_mean
from nmfnet.network import Network
from nmfnet.solvers.base import Plan

REACH = 0.1  # of inputs, in root mean squares of their lengths
# Running errors, in those of the most frequent class as a constant guess, below which classes are easy to tell apart,
# and above which moved inputs turn out not to be.
EASY, HARD = 1 / 18, 4 / 18
FRESH = 10  # epochs in which the error on training samples still is much like that on others
SAMPLES = 10_000  # that the running error is about, or all if there are fewer
FLAT = 1e-3  # of the mean length of the directions: those much shorter are not stretched to full length


class Adversary:
    """Decides on a `reach` while training goes on, and moves inputs by it.

    Where classes are easy to tell apart, moved inputs leave a wide margin between them; where they overlap, moved
    inputs may be those of another class.  A training error tells which it is as long as samples are new to the
    network: the reach is 0 until the error falls below a threshold in the first epochs, and again if it then
    climbs above another.

    Parameters
    ----------
    reach : float or "auto"
        A number is kept for ever.
    network : Network
        "auto" is 0 for ever unless targets are classes, and inputs have a common unit: those of tables, scaled
        column by column, have no distances that mean the same in all directions.
    plan : Plan
        And unless it has an end, and begins with new weights, to which all samples are new.
    """

    def __init__(self, reach: float | Literal["auto"], network: Network, plan: Plan) -> None:
        one_unit = network.inputs is not None and not network.inputs.by_column
        open_question = network.output.name == "softmax" and plan.n_updates is not None and not plan.trained
        self.settled = reach != "auto" or not (one_unit and open_question)
        self.reach = 0.0 if reach == "auto" else float(reach)
        self.n_samples = plan.n_samples
        self.seen = 0.0
        self.error: Tensor | None = None  # running mean
        self.shares: Tensor | None = None  # of the classes, likewise

    def observe(self, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None = None) -> None:
        """Note the outputs (b, k) for inputs, moved ones if there are any, and their targets (b, k)."""
        if self.settled:
            return
        n = len(Y) if sample_weight is None else float(sample_weight.sum())
        new = min(1.0, n / min(self.n_samples, SAMPLES))
        error = weighted_mean((outputs.argmax(1) != Y.argmax(1)).to(Y.dtype), sample_weight)
        shares = weighted_mean(Y, sample_weight)
        self.error = torch.lerp(torch.ones_like(error) if self.error is None else self.error, error, new)
        self.shares = shares if self.shares is None else torch.lerp(self.shares, shares, new)
        self.seen += n

    def decide(self) -> bool:
        """Whether the reach changes now; waits for the device until all is settled."""
        if self.settled or self.error is None or self.shares is None:
            return False
        error = float(self.error) / max(1 - float(self.shares.max()), torch.finfo(self.error.dtype).tiny)
        if self.reach:
            self.settled = error > HARD
            self.reach = 0.0 if self.settled else self.reach
            return self.settled
        if error < EASY:
            self.reach = REACH
            return True
        self.settled = self.seen > FRESH * self.n_samples
        return False

    def stop(self) -> None:
        """No inputs are moved from now on."""
        self.settled, self.reach = True, 0.0

    def shift(self, Z: Tensor, E: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Step for inputs Z (b, n): away from their target, which is Z + E, all by the same length."""
        E = E / E.abs().amax().clamp(min=torch.finfo(E.dtype).tiny)  # squares of small numbers would vanish
        length = torch.linalg.vector_norm(E, dim=1, keepdim=True)
        length = torch.maximum(length, FLAT * length.mean()).clamp(min=torch.finfo(E.dtype).tiny)
        return E.mul(-self.reach * mean_length(Z, sample_weight)).div_(length)
