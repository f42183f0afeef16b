"""Tables of docs/results/convolution.md, from the runs that convolution.py stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from store import REPORTS, Record, Store

BEGIN, END = "<!-- begin of the tables -->", "<!-- end of the tables -->"
MOST_SHOWN = 15  # errors in a line
NAMES = {
    "mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "mnist1d": "MNIST-1D",
    "cifar10-deep": "CIFAR-10, deep network",
}  # fmt: skip
ROWS = {"test": "test rows", "validation": "validation rows", "validation-10000": "10,000 validation rows"}
METHODS = {"adamw": "AdamW", "sgd": "SGD", "muon": "Muon"}
BACKPROPAGATION_BATCH = "128"  # where none was given


@dataclass
class Line:
    """Runs that differ by their seeds alone."""

    method: str
    batch: str
    settings: str
    made: int  # epochs: fewer than planned, if the runs were cut off
    runs: list[Record] = field(default_factory=list)

    def mean(self, name: str) -> np.ndarray:
        """Mean over the seeds after each epoch."""
        return np.mean([run[name] for run in self.runs], 0)

    @property
    def last(self) -> list[float]:
        """Errors at the end."""
        return [run["errors"][-1] for run in self.runs]

    @property
    def seconds(self) -> float:
        """Of an epoch."""
        return float(self.mean("seconds")[-1]) / self.made


@dataclass
class Group:
    """Runs of a task whose rows, epochs and scores are the same."""

    task: str
    score: str
    rows: int
    epochs: int
    lines: list[Line]

    @property
    def name(self) -> str:
        """For headings."""
        return f"{NAMES[self.task]}, {self.rows:,} rows, {self.epochs} epochs"


def groups(store: Store, tasks: Iterable[str]) -> Iterator[Group]:
    """Of all stored runs: those of test rows first, lines by their last errors."""
    for task in tasks:
        found: dict[tuple[Any, ...], dict[tuple[Any, ...], Line]] = {}
        for run in store.records(task):
            batch = run["batch"]
            if batch == "auto" and run["method"] != "nmfnet":
                batch = BACKPROPAGATION_BATCH
            name = (METHODS.get(run["method"], run["method"]), batch, run["settings"], len(run["errors"]))
            lines = found.setdefault((run["score"], run["rows"], run["epochs"]), {})
            lines.setdefault(name, Line(*name)).runs.append(run)
        for key in sorted(found):
            yield Group(task, *key, sorted(found[key].values(), key=lambda line: float(np.mean(line.last))))


def table(group: Group) -> Iterator[str]:
    """All runs of a group."""
    every = max(1, group.epochs // MOST_SHOWN)
    after = "each epoch" if every == 1 else f"every {every} epochs"
    yield from ["", f"## {group.name}, {ROWS[group.score]}", ""]
    with_losses = any("losses" in run for line in group.lines for run in line.runs)
    columns = f"error after {after}, % | ± |{' loss |' * with_losses} seconds an epoch"
    yield f"| method | batch | settings | seeds | {columns} |"
    yield f"| --- | --- | --- | ---: | --- | ---: |{' ---: |' * with_losses} ---: |"
    for line in group.lines:
        shown = " ".join(f"{error:.2f}" for error in line.mean("errors")[every - 1 :: every])
        shown += f" (cut off after {line.made})" if line.made < group.epochs else ""
        shown += f" | {np.std(line.last, ddof=1):.2f}" if len(line.runs) > 1 else " |"
        losses = [run["losses"][-1] for run in line.runs if "losses" in run]
        shown += (f" | {np.mean(losses):.4f}" if losses else " |") * with_losses
        first = f"| {line.method} | {line.batch} | {line.settings or 'defaults'} | {len(line.runs)}"
        yield f"{first} | {shown} | {line.seconds:.1f} |"


def ratios(every: Iterable[Group]) -> Iterator[str]:
    """Of each of nmfnet's lines to each of the others, on test rows."""
    yield from ["## nmfnet over the others, test rows", ""]
    yield "Each number is nmfnet's, divided by the other method's. Below 1 nmfnet is better. The last column is the"
    yield "time in which nmfnet gets to the error at which the other method ends, divided by the other's whole time."
    yield ""
    yield (
        "| task | batch and settings of nmfnet | other method | error after 1 epoch | error at the end "
        "| seconds an epoch | seconds to the other's last error |"
    )
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: |"
    for group in every:
        complete = [line for line in group.lines if line.made == group.epochs and group.score == "test"]
        for ours in (line for line in complete if line.method == "nmfnet"):
            for other in (line for line in complete if line.method != "nmfnet"):
                errors, theirs = ours.mean("errors"), other.mean("errors")
                there = np.flatnonzero(errors <= theirs[-1])
                sooner = "never there"
                if len(there):
                    sooner = f"{ours.mean('seconds')[there[0]] / other.mean('seconds')[-1]:.2f}"
                name = " ".join(filter(None, [other.method, other.settings]))
                of_ours = " ".join(filter(None, [ours.batch, ours.settings]))
                yield (
                    f"| {group.name} | {of_ours} | {name} | {errors[0] / theirs[0]:.2f} "
                    f"| {errors[-1] / theirs[-1]:.2f} | {ours.seconds / other.seconds:.2f} | {sooner} |"
                )


def report(store: Store, tasks: Iterable[str]) -> None:
    """Rewrite the tables between the two marks of docs/results/convolution.md."""
    path = REPORTS / "convolution.md"
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    every = list(groups(store, tasks))
    lines = [*ratios(every), *(line for group in every for line in table(group))]
    path.write_text(f"{before}{BEGIN}\n{chr(10).join(lines).strip()}\n{END}{rest.split(END)[1]}", encoding="utf-8")
