"""An epoch by its parts: operations, seconds, messages, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from nmfnet.planning.memory import memory
from nmfnet.planning.messages import Message, Wire, messages
from nmfnet.planning.operations import FACTORS, Product, factorizations, moved_numbers, products
from nmfnet.planning.rates import Rates
from nmfnet.planning.task import Task

PASSES, CALLS, SENDING = "Passes over memory", "Calls", "Messages"


class Part(NamedTuple):
    """What a part of an epoch takes."""

    operations: float = 0.0
    seconds: float = 0.0
    messages: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True)
class Epoch:
    """An epoch of one of several ranks.

    Attributes
    ----------
    task : Task
    ranks : int, default=1
    """

    task: Task
    ranks: int = 1

    @property
    def products(self) -> list[Product]:
        """Of this rank."""
        return products(self.task, self.ranks)

    @property
    def messages(self) -> list[Message]:
        """That this rank takes part in."""
        return messages(self.task, self.ranks)

    @property
    def memory(self) -> float:
        """Bytes of this rank's tensors."""
        return sum(memory(self.task, self.ranks).values())

    def parts(self, rates: Rates, wire: Wire) -> dict[str, Part]:
        """Each part by its name, the costly ones and the messages; what a name has in common is added up."""
        task, found = self.task, dict[str, Part]()
        for product in self.products:
            before = found.get(product.part, Part())
            seconds = product.times * rates.product(product)
            found[product.part] = Part(before.operations + product.operations, before.seconds + seconds)
        inverted = factorizations(task, self.ranks)
        found[FACTORS] = Part(
            sum(count * n**3 for n, count in inverted), sum(count * rates.factorization(n) for n, count in inverted)
        )
        of = task.batch_rows / self.ranks * max(layer.n_out for layer in task.layers)
        found[PASSES] = Part(seconds=rates.moving(moved_numbers(task, self.ranks), of))
        found[CALLS] = Part(seconds=rates.calls(len(task.layers), task.updates))
        sent = self.messages
        if sent:
            found[SENDING] = Part(
                0.0, wire.seconds(sent, self.ranks), sum(each.times for each in sent), sum(each.bytes for each in sent)
            )
        return found

    def total(self, rates: Rates, wire: Wire) -> Part:
        """All parts together."""
        return Part(*map(sum, zip(*self.parts(rates, wire).values(), strict=True)))
