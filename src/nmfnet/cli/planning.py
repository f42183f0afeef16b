"""`nmfnet plan`: what a training will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import nmfnet
from nmfnet.cli import data as cli_data
from nmfnet.cli import images, training
from nmfnet.cli.tables import facts
from nmfnet.datasets import Schema
from nmfnet.estimators.parameters import device_for
from nmfnet.estimators.untrained import Untrained, untrained
from nmfnet.planning import Backpropagation, Epoch, MeasuredRates, Rates, Task, Wire, memory

RANKS = tuple(2**power for power in range(11))
BATCHES = (128, 8192)  # of backpropagation


class Asked(NamedTuple):
    """The options of `nmfnet plan` that say what is trained, and where."""

    data: str
    schema: Schema
    hidden: str
    epochs: int
    batch_size: str
    validation: float
    device: str
    task: str
    threads: int | None
    message_bits: int = 0


def plan(asked: Asked, ranks: int, wire: Wire, console: Console) -> None:
    """Read the data, measure this machine, and print tables.

    Raises
    ------
    NMFNetError, ValueError, OSError
        If the data or an option is unfit.
    """
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    task = task_of(asked)
    if ranks > task.rows:
        raise ValueError(f"--ranks {ranks}: there are {task.rows} training rows, and each rank needs one")
    dtype = torch.float32 if task.number_bytes == 4 else torch.float64
    rates = MeasuredRates(device_for(asked.device, None), dtype, clock_of(asked.device))
    console.print(facts(sizes(task, asked)))
    console.print(parts_table(Epoch(task, ranks), rates, wire))
    console.print(facts(totals(task, ranks, rates, wire, asked.epochs)))
    console.print(ranks_table(task, rates, wire))


def clock_of(device: str) -> Callable[[], float]:
    """Of one thread the processor's own: other work on the machine is not to count."""
    return time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def task_of(asked: Asked) -> Task:
    """What would be trained, from the data and the options."""
    dataset = cli_data.read(asked.data, asked.schema, asked.task)
    y = cli_data.targets(dataset)
    kind = cli_data.task_of(y, asked.task)
    cls = nmfnet.NMFNetClassifier if kind == "classification" else nmfnet.NMFNetRegressor
    model = cls(
        images.hidden_layer_sizes(asked.hidden, 2), batch_size=training.batch_size(asked.batch_size),
        max_iter=asked.epochs, device=asked.device,
        early_stopping=asked.validation > 0, validation_fraction=asked.validation or 0.1, random_state=0,
    )  # fmt: skip
    found = untrained(model, cli_data.features(dataset), y)
    return described(found, asked.epochs, asked.message_bits)


def described(found: Untrained, epochs: int, message_bits: int = 0) -> Task:
    """The task of a network and its samples."""
    resolved = found.solver.resolved(found.network, found.plan, found.source)
    network, source, _, plan, held_out = found
    return Task.of(network, resolved, source, plan, epochs, held_out, message_bits)


def sizes(task: Task, asked: Asked) -> Iterable[tuple[str, str]]:
    """What is trained, in words."""
    first = f"{task.n_features}"
    if task.projects:
        first += f" (of which {task.layers[0].n_in} components)"
    yield "Network", "-".join([first, *(str(layer.n_out) for layer in task.layers)])
    yield "Rows", f"{task.rows:,}, in {task.updates} batches of {task.batch_rows:.0f}"
    forms = {layer.form for layer in task.layers} - {"primal"}
    if forms:
        yield "Least squares", ", ".join(f"{layer.n_in} inputs: {layer.form}" for layer in task.layers)
    yield "Device", f"{asked.device}, {torch.get_num_threads()} threads, float{8 * task.number_bytes}"
    yield "Not counted", "what comes before the first epoch: reading, scaling, folds, the temperature"


def parts_table(epoch: Epoch, rates: Rates, wire: Wire) -> Table:
    """An epoch of a rank, part by part."""
    of = "" if epoch.ranks == 1 else f" of each of {epoch.ranks} ranks"
    table = Table(box=SIMPLE_HEAD, title=f"An epoch{of}", title_justify="left")
    table.add_column("")
    for header in ("10⁹ operations", "Seconds", "Messages", "Sent"):
        table.add_column(header, justify="right")
    for name, part in [*epoch.parts(rates, wire).items(), ("Total", epoch.total(rates, wire))]:
        table.add_row(
            name,
            f"{part.operations / 1e9:,.1f}" if part.operations else "",
            f"{part.seconds:.3f}",
            f"{part.messages:.0f}" if part.messages else "",
            shown_bytes(part.bytes) if part.bytes else "",
        )
    return table


def totals(task: Task, ranks: int, rates: Rates, wire: Wire, epochs: int) -> Iterable[tuple[str, str]]:
    """Seconds of all epochs, bytes and memory, in words."""
    epoch = Epoch(task, ranks)
    yield "All epochs", f"{epochs * epoch.total(rates, wire).seconds:.1f} s"
    if task.undecided and not task.adversarial:
        moved = Epoch(task.with_adversary(), ranks).total(rates, wire)
        yield "Adversarial inputs", f"{moved.seconds:.2f} s an epoch, once training turns them on"
    if ranks > 1:
        yield (
            "Sent by a rank",
            ", ".join(f"{each.part.lower()} {shown_bytes(each.bytes)}" for each in epoch.messages if each.bytes),
        )
    held = memory(task, ranks)
    yield (
        "Memory of tensors",
        f"{shown_bytes(sum(held.values()))}: "
        + ", ".join(f"{part.lower()} {shown_bytes(count)}" for part, count in held.items()),
    )


def ranks_table(task: Task, rates: Rates, wire: Wire) -> Table:
    """1 to 1024 ranks beside data-parallel backpropagation: seconds, and bytes that a rank sends, in an epoch."""
    gigabits = wire.bandwidth * 8 / 1e9
    table = Table(
        box=SIMPLE_HEAD, title_justify="left",
        title=f"An epoch by ranks, beside AdamW with global batches ({gigabits:g} Gbit/s, {wire.latency * 1e6:g} µs)",
    )  # fmt: skip
    names = ("nmfnet", *(f"AdamW {batch}" for batch in BATCHES))
    for header in ("Ranks", *(header for name in names for header in (f"{name}\nseconds", "\nsent"))):
        table.add_column(header, justify="right")
    for ranks in (each for each in RANKS if each <= task.rows):
        others = (Backpropagation(task, batch, ranks) for batch in BATCHES)
        totals = [Epoch(task, ranks).total(rates, wire), *(each.total(rates, wire) for each in others)]
        cells = [cell for each in totals for cell in (f"{each.seconds:.2f}", shown_bytes(each.bytes))]
        table.add_row(str(ranks), *cells)
    return table


def shown_bytes(count: float) -> str:
    """In the unit that leaves one to three digits before the point."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
