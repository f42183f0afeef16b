"""docs/results/paper.md and paper.png from the stored runs of paper.py."""

import statistics
from pathlib import Path
from typing import Any

from interval import interval
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from store import Record

Runs = dict[str, list[Record]]
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]


def write(stored: list[Record], configurations: dict[str, Any], what: dict[str, str], folder: Path) -> None:
    """Write the report and its plot into a folder."""
    runs: Runs = {name: [r for r in stored if r["configuration"] == name] for name in configurations}
    runs = {name: stored for name, stored in runs.items() if stored}
    plot(runs, what).savefig(folder / "paper.png", dpi=120)
    lines = [
        "# What the paper's method reaches",
        "",
        '`solver="pinv"` with the settings of the paper\'s group: batches of 5000, pixels in [0, 1], float32,',
        "delta = 5e-3 for X and 1e-14 elsewhere, pre-training with 20 rounds of 25 NMF updates and 25 least-squares",
        "steps, n_w = 10 and n_z = 1 (CIFAR-10: 25 and 25), no penalty.  MNIST: 784-1000-500-10, CIFAR-10:",
        "3072-1500-1000-500-10.  Made by `python benchmarks/paper.py run NAME SEED ...` and",
        "`python benchmarks/paper.py report`; the runs are stored in",
        "[benchmarks/results/paper](../../benchmarks/results/paper).  The CIFAR-10 images are a copy that",
        "went through JPEG compression once.",
        "",
        "![Test error per epoch](paper.png)",
        "",
        "Test error in %, with the 95 % confidence interval of the mean where there are three seeds.  'Best' is the",
        "lowest of the curve, and so chosen on the test set: it says what early stopping could at most reach.",
        "",
        "| run | what | seeds | after epoch 1 | 5 | 10 | 20 | best | training error at the end |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, stored in runs.items():
        lines.append(f"| {name} | {what[name]} | {len(stored)} | {' | '.join(cells(stored))} |")
    lines += ["", "## Every epoch", "", "Test error in %, the mean over the seeds.", ""]
    epochs = max(len(r["epochs"]) for stored in runs.values() for r in stored)
    lines += ["| epoch | " + " | ".join(runs) + " |", "| ---: |" + " ---: |" * len(runs)]
    for epoch in range(epochs):
        errors = [at(stored, epoch) for stored in runs.values()]
        row = [f"{statistics.mean(values):.2f}" if values else "" for values in errors]
        lines.append(f"| {epoch + 1} | " + " | ".join(row) + " |")
    lines += [
        "",
        "## Where and when",
        "",
        "| run | seed | date | machine | versions |",
        "| --- | ---: | --- | --- | --- |",
    ]
    for name, stored in runs.items():
        for r in stored:
            versions = ", ".join(f"{k} {v}" for k, v in r["versions"].items())
            lines.append(f"| {name} | {r['seed']} | {r['date']} | {r['machine']} | {versions} |")
    lines += [
        "",
        "Most runs shared the machine with other work: their seconds are no measure of speed, [rate.md](rate.md) is.",
        "All but mnist-delta's second seed were made before the last changes to the code, which for these settings",
        "alter nothing but rounding.",
    ]
    (folder / "paper.md").write_text("\n".join(lines) + "\n")


def at(stored: list[dict[str, Any]], epoch: int, key: str = "test") -> list[float]:
    """The errors of every seed after an epoch, counted from 0."""
    return [r["epochs"][epoch][key] for r in stored if epoch < len(r["epochs"])]


def cells(stored: list[dict[str, Any]]) -> list[str]:
    """A row of the table."""
    shown = [interval(at(stored, epoch), ".2f", ".2f") for epoch in (0, 4, 9, 19)]
    best = interval([min(e["test"] for e in r["epochs"]) for r in stored], ".2f", ".2f")
    return [*shown, best, interval([r["epochs"][-1]["train"] for r in stored], ".2f", ".2f")]


def plot(runs: Runs, what: dict[str, str]) -> Figure:
    """Test and training error per epoch, MNIST left and CIFAR-10 right."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axes, data in zip(figure.subplots(1, 2), ("mnist", "cifar10"), strict=True):
        for colour, name in zip(COLOURS, (n for n in runs if n.startswith(data)), strict=False):
            for number, r in enumerate(runs[name]):
                epochs = [e["epoch"] for e in r["epochs"]]
                label = what[name] if number == 0 else None
                axes.plot(epochs, [e["test"] for e in r["epochs"]], color=colour, lw=1.5, label=label)
                axes.plot(epochs, [e["train"] for e in r["epochs"]], color=colour, lw=0.8, ls=":")
        axes.set(xlabel="epoch", ylabel="error (%): test solid, training dotted", title=data)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.grid(alpha=0.3)
        if axes.has_data():
            axes.legend(fontsize=8)
    return figure
