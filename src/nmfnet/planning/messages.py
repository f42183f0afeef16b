"""What ranks send each other in an epoch, counted as ``nmfnet.distributed`` counts it, and how long that takes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from nmfnet.distributed import LENGTH, SHORT, WIDE_NUMBERS
from nmfnet.linalg.rounding import BLOCK
from nmfnet.linalg.statistics import triangle_numbers
from nmfnet.planning.operations import owners_of
from nmfnet.planning.task import Task

RECORD = LENGTH + SHORT  # bytes of the record of an epoch
SUMMED = "primal", "given"  # forms of layers whose steps are made of sums over samples alone
WIDE = 8  # bytes of a number where there are few


class Message(NamedTuple):
    """Messages of an epoch: what they are about, how many, and the bytes that a rank puts into all of them."""

    part: str
    times: float
    bytes: float


@dataclass(frozen=True)
class Wire:
    """A network between ranks.

    Attributes
    ----------
    bandwidth : float
        Bytes a second, of each rank.
    latency : float
        Seconds of a step.
    """

    bandwidth: float = 1.25e9
    latency: float = 50e-6

    def seconds(self, messages: Iterable[Message], ranks: int) -> float:
        """Sums over ranks by halving and doubling: twice (1 - 1/N) the bytes, in 2 log2 N steps."""
        if ranks == 1:
            return 0.0
        of_byte, of_message = 2 * (1 - 1 / ranks) / self.bandwidth, 2 * math.ceil(math.log2(ranks)) * self.latency
        return sum(each.bytes * of_byte + each.times * of_message for each in messages)


def messages(task: Task, ranks: int) -> list[Message]:
    """Messages of an epoch that each rank takes part in."""
    if ranks == 1:
        return []
    outputs = task.layers[-1].n_out
    sums_alone = all(layer.form in SUMMED for layer in task.layers)
    of_batches = _one_a_batch(task, ranks) if sums_alone else _several_a_batch(task, ranks)
    return [*of_batches, *_records(task, ranks, outputs)]


def _few(task: Task) -> dict[str, int]:
    """Numbers that are sent of a batch beside its statistics: sums, and of how many samples they are."""
    found = {"Losses": 2, "Lengths": 1 + sum(1 + layer.parts for layer in task.layers)}
    return {**found, "Errors": 2 + task.layers[-1].n_out} if task.undecided else found


def _one_a_batch(task: Task, ranks: int) -> list[Message]:
    """All in one message, or the losses in another one with what inputs are moved by; rounded sums in two more."""
    u, few = task.updates, _few(task)
    moving = [Message("Adversarial inputs", u, (4 + few.pop("Losses")) * WIDE * u)] if task.adversarial else []
    sums = _rounded(task, ranks, u, sum(few.values())) if task.message_bits else _sums(task, u, sum(few.values()))
    return [*sums, *moving, *_inverses(task, ranks)]


def _inverses(task: Task, ranks: int) -> list[Message]:
    """Those that one rank each computes, with two numbers beside."""
    if owners_of(task, ranks) is None:
        return []
    numbers = sum(triangle_numbers(layer.n_in) + 2 for layer in task.layers if layer.form == "primal")
    size, times = WIDE if numbers <= WIDE_NUMBERS else task.number_bytes, task.refreshes("primal")
    return [Message("Inverses", times, numbers * size * times)]


def _several_a_batch(task: Task, ranks: int) -> list[Message]:
    """One after the other, and the rows of the layers that take a form without a Gram matrix.

    Of these each rank gets the rows of the whole batch, by a message for inputs and one for residuals, and one before
    each that says how many they are.
    """
    u, found = task.updates, []
    if any(layer.form in SUMMED for layer in task.layers):
        found = _sums(task, u, 0)
    for layer in task.layers:
        if layer.form not in SUMMED:
            rows = task.rows / ranks * (layer.n_in + layer.n_out)
            found.append(Message("Rows of batches", 4 * u, rows * task.number_bytes + 2 * WIDE * u))
    found += [Message(part, u, numbers * WIDE * u) for part, numbers in _few(task).items()]
    return [*found, Message("Adversarial inputs", u, 4 * WIDE * u)] if task.adversarial else found


def _sums(task: Task, u: float, few: int) -> list[Message]:
    """Right-hand sides (n, k) with means and the number of samples, and `few` numbers; Gram matrices with them."""
    summed = [layer for layer in task.layers if layer.form in SUMMED]
    numbers = few + sum((layer.n_in + 1) * (layer.n_out + 1) for layer in summed)
    size = WIDE if numbers <= WIDE_NUMBERS else task.number_bytes  # of few numbers; with Gram matrices they are many
    grams = sum(triangle_numbers(layer.n_in) for layer in summed if layer.form == "primal")
    return [
        Message("Right-hand sides", u, numbers * size * u),
        Message("Gram matrices", 0, grams * task.number_bytes * task.refreshes("primal")),
    ]


def _rounded(task: Task, ranks: int, u: float, few: int) -> list[Message]:
    """Means, the number of samples, and `few` numbers; then right-hand sides and Gram matrices, in few bits.

    Each rank is told a part of all numbers by the others, and tells them its sums.
    """

    def sent(numbers: int) -> float:
        blocks = ranks * math.ceil(numbers / (ranks * BLOCK))
        return blocks * (BLOCK * task.message_bits // 8 + 2)

    numbers = few + sum(layer.n_in + layer.n_out + 1 for layer in task.layers)
    size = WIDE if numbers <= WIDE_NUMBERS else task.number_bytes
    sides = sum(sent(layer.n_in * layer.n_out) for layer in task.layers)
    primal = [layer.n_in for layer in task.layers if layer.form == "primal"]
    grams = sum(sent(triangle_numbers(n)) + n * size for n in primal)
    return [
        Message("Means and lengths", u, numbers * size * u),
        Message("Right-hand sides", 2 * u, sides * u),
        Message("Gram matrices", 0, grams * task.refreshes("primal")),
    ]


def _records(task: Task, ranks: int, outputs: int) -> list[Message]:
    """Outputs and targets of the samples that losses are recorded of, their sums, whether to go on, and the record."""
    numbers = 2 * (task.recorded + task.validation) / ranks * outputs
    sets = 1 + (task.validation > 0)
    return [
        Message("Recorded losses", sets, numbers * task.number_bytes),
        Message("Ends of epochs", 3, 3 * WIDE + 4 + RECORD),
    ]
