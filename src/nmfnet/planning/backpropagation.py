"""The same network trained by data-parallel backpropagation with AdamW, to compare."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from nmfnet.planning.epoch import Part
from nmfnet.planning.messages import Message, Wire
from nmfnet.planning.operations import Product
from nmfnet.planning.rates import Rates
from nmfnet.planning.task import Task

FIRST_BUCKET, BUCKET = 2**20, 25 * 2**20  # bytes of gradients in a message of DistributedDataParallel
PASSES_OF_WEIGHTS = 14  # gradient, its copy in a bucket, their sum, two means, weights
PASSES_OF_UNITS = 8


@dataclass(frozen=True)
class Backpropagation:
    """An epoch of one of several ranks, each of which has the same share of a global batch.

    Ranks beyond the samples of a batch have nothing to do.

    Attributes
    ----------
    task : Task
        Whose network and samples these are; inputs are not projected.
    batch_size : int
        Of all ranks together.
    ranks : int, default=1
    """

    task: Task
    batch_size: int
    ranks: int = 1

    @property
    def at_work(self) -> int:
        """Ranks that have samples of a batch."""
        return min(self.ranks, self.batch_size)

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return math.ceil(self.task.rows / self.batch_size)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Inputs and units of each layer."""
        first, *rest = ((layer.n_in, layer.n_out) for layer in self.task.layers)
        return [(self.task.n_features, first[1]), *rest]

    @property
    def weights(self) -> int:
        """Of all layers, biases included."""
        return sum((n + 1) * k for n, k in self.sizes)

    @property
    def products(self) -> Iterator[Product]:
        """Forward ``Z W``, gradients of weights ``Zt E`` and of inputs ``E Wt``."""
        m = self.task.rows / self.steps / self.at_work
        for number, (n, k) in enumerate(self.sizes):
            yield Product("Forward", m, n, k, self.steps)
            yield Product("Gradients of weights", n, m, k, self.steps, left=True)
            if number:
                yield Product("Gradients of inputs", m, k, n, self.steps, right=True)

    @property
    def messages(self) -> list[Message]:
        """All gradients in every step, by buckets."""
        if self.at_work == 1:
            return []
        size = self.weights * self.task.number_bytes
        buckets = 1 + max(0, math.ceil((size - FIRST_BUCKET) / BUCKET))
        return [Message("Gradients", buckets * self.steps, size * self.steps)]

    def total(self, rates: Rates, wire: Wire) -> Part:
        """Operations, seconds, messages and bytes of a rank in an epoch."""
        found, sent = list(self.products), self.messages
        m = self.task.rows / self.steps / self.at_work
        numbers = PASSES_OF_WEIGHTS * self.weights + m * PASSES_OF_UNITS * sum(k for _, k in self.sizes)
        of_matrix = max(n * k for n, k in self.sizes)
        seconds = sum(each.times * rates.product(each) for each in found)
        seconds += rates.moving(self.steps * numbers, of_matrix) + self.steps * rates.step(len(self.sizes))
        return Part(
            sum(each.operations for each in found), seconds + wire.seconds(sent, self.at_work),
            sum(each.times for each in sent), sum(each.bytes for each in sent),
        )  # fmt: skip
