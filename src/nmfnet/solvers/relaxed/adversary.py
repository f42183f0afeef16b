"""Adversarial inputs: how far inputs are moved away from their own targets, and whether at all."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nmfnet.linalg.statistics import Question, sum_of_squares, total_weight, weighted_sum
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.stateful import Stateful

AUTO_RADIUS = 0.1  # of inputs, in root mean squares of their lengths
# Running errors, in those of the most frequent class as a constant guess, below which classes are easy to tell apart,
# and above which adversarial inputs turn out not to be.
EASY_ERROR, HARD_ERROR = 1 / 18, 4 / 18
FRESH_EPOCHS = 10  # epochs in which the error on training samples still is much like that on others
ERROR_SAMPLES = 10_000  # that the running error is about, or all if there are fewer
MIN_RELATIVE_LENGTH = 1e-3  # of the mean length of the directions: those much shorter are not stretched to full length


class Adversary(Stateful):
    """Decides on a `radius` while training goes on, and moves inputs by it.

    Where classes are easy to tell apart, adversarial inputs leave a wide margin between them; where they overlap,
    adversarial inputs may be those of another class.  The training error tells which it is as long as samples are new
    to the network.  The radius is 0 until that error falls below a threshold in the first epochs, and again 0 if the
    error then climbs above another one.

    Parameters
    ----------
    radius : float or "auto"
        A number is kept for ever.
    network : Network
        "auto" is 0 for ever unless targets are classes, and inputs have a common unit: those of tables, scaled
        column by column, have no distances that mean the same in all directions.  It is 0 in front of convolutions,
        too: there adversarial inputs cost half of an epoch and did not lower errors (docs/relaxed-steps.md).
    plan : Plan
        And unless it has an end, and begins with new weights, to which all samples are new.
    """

    fields = ("radius", "settled", "seen", "error", "shares")

    def __init__(self, radius: float | Literal["auto"], network: Network, plan: Plan) -> None:
        dense = not network.layers[0].shares_weights
        one_unit = network.inputs is not None and not network.by_column
        open_question = network.output.name == "softmax" and plan.n_updates is not None and not plan.trained
        self.settled = radius != "auto" or not (dense and one_unit and open_question)
        self.radius = 0.0 if radius == "auto" else float(radius)
        self.n_samples = plan.n_samples
        self.seen: float | Tensor = 0.0
        self.error: Tensor | None = None  # running mean
        self.shares: Tensor | None = None  # of the classes, likewise

    def counts(self, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None = None) -> Question[list[Tensor]]:
        """What to :meth:`observe` of outputs (b, k) of the inputs that the update is made from, and targets (b, k).

        The number of samples, of wrong ones, and of each class; nothing if all is settled.
        """
        if self.settled:
            return (yield [])
        wrong = (outputs.argmax(1) != Y.argmax(1)).to(Y.dtype)
        n = total_weight(Y, sample_weight)
        return (yield [n, weighted_sum(wrong, sample_weight), weighted_sum(Y, sample_weight)])

    def observe(self, counts: list[Tensor], share: float = 1.0) -> None:
        """Note the :meth:`counts` of samples of which a `share` is new."""
        if not counts:
            return
        n, *sums = counts
        error, shares = (each / n.to(each.dtype) for each in sums)
        seen = share * n
        new = (seen / min(self.n_samples, ERROR_SAMPLES)).clamp(max=1.0).to(error.dtype)
        self.error = torch.lerp(torch.ones_like(error) if self.error is None else self.error, error, new)
        self.shares = shares if self.shares is None else torch.lerp(self.shares, shares, new)
        self.seen += seen

    def decide(self) -> None:
        """Change the radius if the running error says so; waits for the device until all is settled."""
        if self.settled or self.error is None or self.shares is None:
            return
        error = float(self.error) / max(1 - float(self.shares.max()), torch.finfo(self.error.dtype).tiny)
        if self.radius:
            self.settled = error > HARD_ERROR
            self.radius = 0.0 if self.settled else self.radius
        elif error < EASY_ERROR:
            self.radius = AUTO_RADIUS
        else:
            self.settled = float(self.seen) > FRESH_EPOCHS * self.n_samples

    def stop(self) -> None:
        """No adversarial inputs from now on."""
        self.settled, self.radius = True, 0.0

    def shift(self, Z: Tensor, E: Tensor, sample_weight: Tensor | None = None) -> Question[Tensor]:
        """Step for inputs Z (b, n): away from their target, which is Z + E, all by the same length."""
        largest = (E.abs().amax() if len(E) else E.new_zeros(())).clamp(min=torch.finfo(E.dtype).tiny)
        E = E / largest  # squares of small numbers would vanish
        length = torch.linalg.vector_norm(E, dim=1, keepdim=True)
        sums = [total_weight(Z, sample_weight), sum_of_squares(Z, sample_weight)]
        n, squares, count, lengths = yield [*sums, total_weight(Z, None), largest * length.sum()]
        shortest = MIN_RELATIVE_LENGTH * lengths / (largest * count.to(lengths.dtype))
        length = torch.maximum(length, shortest).clamp(min=torch.finfo(E.dtype).tiny)
        return E.mul(-self.radius * (squares / n.to(squares.dtype)).sqrt()).div_(length)
