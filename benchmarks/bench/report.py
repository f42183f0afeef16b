"""docs/results/bench.md and its plots, from the stored runs and tuning logs."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from scipy.stats import rankdata

from nmfnet.plotting.axes import whole_numbers

from ..interval import interval
from ..store import Record
from ..ticks import plain_numbers
from . import registry
from .problem import Task

Runs = list[Record]
BASELINES = ("adam", "adamw", "sgd", "muon", "adamw-adversarial", "muon-adversarial")
STYLES = ["-", "--", ":", "-."]
COLOURS = defaultdict(  # of a solver, by the beginning of its name, in all panels
    lambda: "#999999",
    adam="#E69F00", adamw="#D55E00", muon="#009E73", relaxed="#0072B2", pinv="#CC79A7", sgd="#56B4E9",
    sklearn="#000000",
)  # fmt: skip

HEAD = """# Solvers compared

nmfnet with its defaults, beside optimizers whose settings were tuned for each task, boosted trees and linear models.
Every solver got the same rows, and every network the same layers.

- **Errors** are those of the last epoch, on test rows. No choice was made on them. With three seeds or more the 95 %
  confidence interval of the mean stands behind it.
- **Loss** is the mean log-loss for classes, and the mean squared error for real targets.
- **Epochs** are those that a solver took. They may be fewer than the task allows, if a rule of the solver ended the
  training. Solvers without epochs have 1.
- **Seconds** are of training alone, without scoring: the median, with the smallest and the largest in brackets. They
  are of runs that had the machine to themselves. If there are none, the column is empty.
- **To the baseline's** are the seconds until the error first is as low as the baseline's. The baseline is the tuned
  optimizer with the lowest error, and its error is the mean over its seeds. The number is the median over the seeds,
  and *never* if half of them or more do not get there.
- **Settings** were chosen on validation rows alone ([below](#tuning)).

Made by `python -m benchmarks.bench report` from [benchmarks/results/bench](../../benchmarks/results/bench). The code
is in [benchmarks/bench](../../benchmarks/bench).

| solver | what it is |
| --- | --- |
| relaxed | nmfnet, `solver="relaxed"` |
| relaxed-6000, relaxed-20000 | the same in batches of so many rows |
| pinv | nmfnet, `solver="pinv"` |
| adam, adamw, sgd, muon | PyTorch's optimizers |
| adamw-adversarial, muon-adversarial | the same with adversarial inputs, as `relaxed` has them |
| sklearn-mlp | `MLPClassifier` or `MLPRegressor` |
| boosted-trees | `HistGradientBoostingClassifier` or `HistGradientBoostingRegressor` |
| linear | `LogisticRegression` or `RidgeCV` |

| behind @ | settings |
| --- | --- |
| nothing | tuned for the task; nmfnet, trees and linear models have nothing to tune |
| default | the solver's own |
| common | those that are best for all tasks together |
| 2threads, bfloat16 | tuned; two threads, or products that may be in [bfloat16](precision.md#what-processors-do) |
"""

TUNING = """## Tuning

Settings were chosen by successive halving, with seed 0. A budget of "16 at 0.1, 6 at 0.3, 2 at 1" means: 16
configurations were trained for a tenth of the epochs, the best 6 of them for 0.3, and the best 2 for all. If the grid
is smaller, there are fewer trials. The grid and every trial are in
[bench/tuning](../../benchmarks/results/bench/tuning).

| setting | what it is |
| --- | --- |
| rate, learning_rate_init | the highest learning rate. *End of the grid*: a better one may lie beyond |
| schedule | of the learning rate: one-cycle rises for 30 % of the steps, cosine for 2 %. Both fall to 0 |
| decay, alpha | weight decay; penalty of scikit-learn's networks |
| noise, dropout | share of the inputs, and of the hidden activations, that are masked |
| smoothing | label smoothing |
| reach | radius of adversarial inputs |
"""


def write(runs: Runs, logs: list[Record], folder: Path) -> None:
    """Write the report and its plot into a folder."""
    by_task: dict[str, dict[str, Runs]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        by_task[run["task"]][run["solver"]].append(run)
    tasks = [task for task in registry.tasks().values() if task.name in by_task]
    lines = [HEAD]
    for task in tasks:
        lines += section(task, by_task[task.name])
    lines += ranks(tasks, by_task) + tuning(logs) + where(by_task)
    (folder / "bench.md").write_text("\n".join(lines).rstrip() + "\n")
    shown = [task for task in tasks if "tables" not in task.tags]
    if shown:
        plot(shown, by_task).savefig(folder / "bench.png", dpi=120)


def section(task: Task, solvers: dict[str, Runs]) -> list[str]:
    """Table of a task, the lowest error first."""
    lines = [f"## {task.name}", "", f"Hidden layers {task.network}, at most {task.epochs} epochs.", ""]
    lines += [
        f"| solver | seeds | epochs | {task.metric} | loss | seconds | to the baseline's |",
        "| --- " + "| ---: " * 6 + "|",
    ]
    goal = baseline(solvers)
    for name, runs in sorted(solvers.items(), key=lambda entry: order(entry[1])):
        errors, losses = last(runs, "error"), last(runs, "loss")
        ended = sorted({run["status"].split(":")[0] for run in runs if run["status"] != "done"})
        cells = [interval(errors) or ", ".join(ended), interval(losses), seconds(runs)]
        cells.append("" if goal is None else reached(alone(runs), goal))
        lines.append(f"| {name} | {len(runs)} | {epochs(runs)} | {' | '.join(cells)} |")
    return [*lines, "", *milestones(task, solvers)]


def epochs(runs: Runs) -> str:
    """Epochs that the runs took, from the fewest to the most; 1 of solvers that have none."""
    counts = sorted({len(run["epochs"]) for run in runs})
    return "" if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def milestones(task: Task, solvers: dict[str, Runs]) -> list[str]:
    """Table of the seconds and updates until the error is at most each of the task's goals."""
    if not task.goals:
        return []
    lines = ["Medians of the seconds and updates until the error is at most a goal:", ""]
    lines += ["| solver " + "".join(f"| {goal:g} %: seconds | {goal:g} %: updates " for goal in task.goals) + "|"]
    lines.append("| --- " + "| ---: " * (2 * len(task.goals)) + "|")
    for name, runs in sorted(solvers.items(), key=lambda entry: order(entry[1])):
        cells = [f"{reached(alone(runs), goal)} | {reached(runs, goal, 'updates')}" for goal in task.goals]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def baseline(solvers: dict[str, Runs]) -> float | None:
    """Mean last error of the best of the tuned optimizers."""
    names = [
        name for name in solvers if name.split("@")[0] in BASELINES and not {"default", "common"} & {*name.split("@")}
    ]
    errors = [statistics.mean(values) for name in names if (values := last(solvers[name], "error"))]
    return min(errors, default=None)


def last(runs: Runs, key: str) -> list[float]:
    """Values after the last epoch, of the runs that came to their end."""
    return [run["epochs"][-1][key] for run in runs if run["status"] == "done" and run["epochs"]]


def order(runs: Runs) -> float:
    """To sort by."""
    errors = last(runs, "error")
    return statistics.mean(errors) if errors else float("inf")


def alone(runs: Runs) -> Runs:
    """Keep the runs whose seconds count."""
    return [run for run in runs if run["conditions"]["alone"]]


def seconds(runs: Runs) -> str:
    """Median and range of the seconds of training."""
    values = [run["seconds"] for run in alone(runs)]
    if not values:
        return ""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def reached(runs: Runs, goal: float, what: str = "seconds") -> str:
    """Median of the seconds or updates until the error is at most `goal`, if more than half of the runs get there."""
    times = [
        next((epoch[what] for epoch in run["epochs"] if epoch["error"] <= goal), float("inf"))
        for run in runs
        if run["epochs"] and what in run["epochs"][0]
    ]
    median = statistics.median(times) if times else float("inf")
    if median == float("inf"):
        return "never" if times else ""
    return f"{median:.0f}" if what == "updates" else f"{median:.3g}"


def ranks(tasks: list[Task], by_task: dict[str, dict[str, Runs]]) -> list[str]:
    """Mean rank over the tables, of the solvers that have run on all of them."""
    tables = [by_task[task.name] for task in tasks if "tables" in task.tags]
    names = sorted(set.intersection(*(set(solvers) for solvers in tables))) if tables else []
    if len(names) < 2:
        return []
    each = [rankdata([order(solvers[name]) for name in names]) for solvers in tables]
    mean = {name: statistics.mean(float(row[i]) for row in each) for i, name in enumerate(names)}
    lines = ["## All tables", "", f"Mean rank by error over {len(tables)} tables; 1 is best.", ""]
    lines += ["| solver | mean rank |", "| --- | ---: |"]
    return [*lines, *(f"| {name} | {mean[name]:.2f} |" for name in sorted(mean, key=mean.__getitem__)), ""]


def tuning(logs: list[Record]) -> list[str]:
    """What was tuned, at what cost, and what came out."""
    lines = [TUNING]
    lines += ["| task | solver | budget | trials | minutes | best on validation rows | settings |"]
    lines += ["| --- | --- | --- | ---: | ---: | ---: | --- |"]
    for log in logs:
        budget = ", ".join(f"{n} at {share:g}" for n, share in log["rungs"])
        minutes = sum(trial["seconds"] for trial in log["trials"]) / 60
        errors = [t["epochs"][-1]["error"] for t in log["trials"] if t["settings"] == log["best"] and t["epochs"]]
        best = f"{errors[-1]:.3g}" if errors else "unfinished"
        settings = ", ".join(f"{k} {v}{edge(log, k, v)}" for k, v in (log["best"] or {}).items())
        cells = [log["task"], log["solver"], budget, str(len(log["trials"])), f"{minutes:.0f}", best, settings]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def edge(log: Record, name: str, value: Any) -> str:
    """Mark a rate at an end of its grid: the best one may lie beyond."""
    rates = log["space"].get(name, ()) if "rate" in name else ()
    return " (end of the grid)" if rates and value in (rates[0], rates[-1]) else ""


def where(by_task: dict[str, dict[str, Runs]]) -> list[str]:
    """Return the machines, threads and versions, with the number of runs of each."""
    count: dict[str, int] = defaultdict(int)
    for solvers in by_task.values():
        for run in (run for runs in solvers.values() for run in runs):
            c = run["conditions"]
            versions = ", ".join(f"{k} {v}" for k, v in c["versions"].items())
            count[f"{c['processor']}; {c['threads']} of {c['cores']} cores; {c['precision']}; {versions}"] += 1
    lines = [f"- {runs} runs: {conditions}" for conditions, runs in sorted(count.items())]
    return ["## Where the runs were made", "", *lines, ""]


def plot(tasks: list[Task], by_task: dict[str, dict[str, Runs]]) -> Figure:
    """Error against epochs, and against seconds of the runs that were alone, where there are any; two panels a row."""
    panels = [
        (task, key)
        for task in sorted(tasks, key=lambda task: not any(map(alone, by_task[task.name].values())))  # pairs first
        for key in ("epoch", "seconds")
        if key == "epoch" or any(map(alone, by_task[task.name].values()))
    ]
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(11, 3.6 * rows), layout="constrained")
    places = figure.subplots(rows, 2, squeeze=False).ravel()
    for ax, (task, key) in zip(places, panels, strict=False):
        solvers = sorted(by_task[task.name].items())
        variants = Counter[str]()
        for name, runs in solvers:
            family = name.split("@")[0].split("-")[0]
            style = (COLOURS[family], STYLES[variants[family] % len(STYLES)])
            variants[family] += 1
            curve(ax, runs if key == "epoch" else alone(runs), key, style, name)
        ax.set(xlabel=key, ylabel=task.metric, title=task.name)
        whole_numbers(ax.xaxis)
        plain_numbers(ax, "y")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7)
    for ax in places[len(panels) :]:
        ax.remove()
    return figure


def curve(ax: Any, runs: Runs, key: str, style: tuple[str, str], name: str) -> None:
    """Draw a line a seed; errors of 0 are left out, the axis being logarithmic."""
    for number, run in enumerate(run for run in runs if len(run["epochs"]) > 1):
        points = [(epoch[key], epoch["error"]) for epoch in run["epochs"] if epoch["error"] > 0]
        colour, line = style
        ax.plot(*zip(*points, strict=True), color=colour, ls=line, lw=1, label=name if number == 0 else None)
