"""Settings chosen on validation data by successive halving, every trial stored as it ends.

The random configurations of the first rung are the same for every task, so that the best common setting
of all tasks can be read off the logs (`common`).  A trial of a part of the epochs plans its schedule for that
part.  One seed; the test rows are never looked at.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from ..store import plain
from .execute import conditions, execute, loaded, precision
from .problem import Settings, Solver, Task
from .store import Logs

# (configurations, share of the epochs): 14.9 times the cost of one training.
RUNGS = ((32, 0.2), (11, 0.5), (3, 1.0))
SEED = 0

Trial = dict[str, Any]
Run = Callable[[Settings, int], dict[str, Any]]  # (settings, epochs) -> what `execute` returns


def configurations(solver: Solver, n: int) -> list[Settings]:
    """Return the solver's own settings and then random ones, the same list for every task and every `n`."""
    rng = np.random.default_rng(SEED)
    names = sorted(solver.space)
    found = [plain(dict(solver.settings))]
    n = min(n, math.prod(len(solver.space[name]) for name in names))
    while len(found) < n:
        drawn = {name: solver.space[name][rng.integers(len(solver.space[name]))] for name in names}
        settings = plain({**solver.settings, **drawn})
        if settings not in found:
            found.append(settings)
    return found


def merit(trial: Trial) -> tuple[float, float]:
    """To sort by: the error after the last epoch, then the loss; a trial that diverged comes last."""
    if trial["status"] != "done" or not trial["epochs"]:
        return math.inf, math.inf
    return trial["epochs"][-1]["error"], trial["epochs"][-1]["loss"]


def halving(log: dict[str, Any], run: Run, save: Callable[[], None]) -> None:
    """Make the trials that `log` lacks, rung by rung, each rung with the best of the one below."""
    candidates = log["configurations"]
    for rung, (n, share) in enumerate(log["rungs"]):
        candidates = candidates[:n]
        for settings in candidates:
            if find(log, rung, settings) is None:
                epochs = max(1, round(share * log["key"]["epochs"]))
                log["trials"].append({"rung": rung, "settings": settings, **run(settings, epochs)})
                save()
        trials = [trial for trial in log["trials"] if trial["rung"] == rung]
        candidates = [trial["settings"] for trial in sorted(trials, key=merit)]
    log["best"] = candidates[0]
    save()


def find(log: dict[str, Any], rung: int, settings: Settings) -> Trial | None:
    """Return a stored trial."""
    return next((t for t in log["trials"] if t["rung"] == rung and t["settings"] == settings), None)


def tune(logs: Logs, task: Task, solver: Solver, name: str, alone: bool = False) -> dict[str, Any]:
    """Tune a solver for a task, or go on where an interrupted tuning ended; return the log."""
    rungs = task.rungs or RUNGS
    log = {
        "task": task.name,
        "solver": solver.name,
        "key": {**task.key(), "version": f"{task.version}-{solver.version(task)}", "precision": name},
        "space": dict(solver.space),
        "rungs": rungs,
        "seed": SEED,
        "configurations": configurations(solver, rungs[0][0]),
    }
    log = plain(log)
    stored = logs.find(task.name, solver.name)
    if stored is not None:
        changed = [entry for entry in log if stored.get(entry) != log[entry]]
        if changed:
            raise SystemExit(
                f"{solver.name} in {logs.path(task.name)} was tuned with other {', '.join(changed)}: "
                "remove its line to tune anew."
            )
        log = stored
    log.setdefault("conditions", conditions(alone, name))
    log.setdefault("trials", [])
    log.setdefault("best", None)
    if log["best"] is not None:
        return log
    data = loaded(task.load)

    def run(settings: Settings, epochs: int) -> dict[str, Any]:
        with precision(name):
            trial = execute(task, solver, settings, SEED, data.for_tuning(), data.n_outputs, epochs)
        error, _ = merit(trial)
        print(
            f"{task.name} {solver.name}: {error:.4g} after {epochs} epochs, {trial['seconds']:.1f} s, {settings}",
            flush=True,
        )
        return trial

    halving(log, run, lambda: logs.add(task.name, log))
    return log


def best(logs: Logs, task: Task, solver: Solver) -> Settings | None:
    """Return the tuned settings, or None where tuning is missing or unfinished."""
    log = logs.find(task.name, solver.name)
    return None if log is None else log.get("best")


def common(logs: Logs, solver: Solver) -> tuple[Settings, float, list[str]] | None:
    """Return the configuration with the best mean rank in the first rung over all tasks tuned, the rank, the tasks."""
    complete = []
    for log in logs.records():
        first = [trial for trial in log["trials"] if trial["rung"] == 0]
        if log["solver"] == solver.name and len(first) == len(log["configurations"]):
            complete.append((log["task"], first))
    if not complete:
        return None
    shared = [
        settings
        for settings in configurations(solver, max(len(first) for _, first in complete))
        if all(any(trial["settings"] == settings for trial in first) for _, first in complete)
    ]

    def mean_rank(settings: Settings) -> float:
        return statistics.mean(rank(settings, shared, first) for _, first in complete)

    chosen = min(shared, key=mean_rank)
    return chosen, mean_rank(chosen), [task for task, _ in complete]


def rank(settings: Settings, among: list[Settings], trials: list[Trial]) -> float:
    """Rank of a configuration, from 1 for the best, equals sharing the mean of theirs."""
    merits = [merit(trial) for trial in trials if trial["settings"] in among]
    own = next(merit(trial) for trial in trials if trial["settings"] == settings)
    return sum(m < own for m in merits) + (1 + sum(m == own for m in merits)) / 2
