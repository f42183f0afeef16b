"""Which runs are wanted, which of them are missing, and making those."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from . import registry
from .execute import conditions, execute, loaded, precision, warm_up
from .problem import Settings, Solver, Task
from .store import Logs, Runs
from .tune import best, common

BUSY = 0.9  # of one core is what a process gets at least while it has the machine to itself


def chosen_solvers(names: Iterable[str] | None) -> list[Solver]:
    """Solvers by name; all, if none is named."""
    return _named(registry.solvers(), names, "solver")


def chosen_tasks(names: Iterable[str] | None) -> list[Task]:
    """Tasks by name or tag; all, if none is named."""
    everything = registry.tasks()
    names = [
        task.name for name in names or () for task in everything.values() if name in (task.name, *task.tags)
    ] or names
    return _named(everything, names, "task or tag")


def _named(everything: dict[str, Any], names: Iterable[str] | None, what: str) -> list[Any]:
    unknown = [name for name in names or () if name not in everything]
    if unknown:
        raise SystemExit(f"No {what} is called {', '.join(unknown)}; there are {', '.join(everything)}.")
    return [everything[name] for name in dict.fromkeys(names or everything)]


def settings_for(tuning: Logs, task: Task, solver: Solver, source: str) -> tuple[Settings, str]:
    """Settings to run with and where they came from: "tuned", "common" or "default"."""
    found = None
    if solver.space and source == "tuned":
        found = best(tuning, task, solver)
    elif solver.space and source == "common":
        shared = common(tuning, solver)
        found = shared[0] if shared else None
    return (found, source) if found else (dict(solver.settings), "default")


def run_name(solver: Solver, source: str, asked: argparse.Namespace) -> str:
    """Name that runs are stored by: other settings and precisions stand beside the usual runs."""
    variant = [source] if solver.space and source != "tuned" else []
    variant += [asked.precision] if asked.precision != "float32" else []
    variant += [f"{asked.threads}threads"] if asked.threads != 1 else []
    return "@".join([solver.name, *variant])


def order(solvers: list[Solver], seeds: list[int], interleave: bool) -> Iterator[tuple[Solver, int]]:
    """Solver after solver; or seed after seed, so that all solvers meet the same state of the machine."""
    if interleave:
        yield from ((solver, seed) for seed, solver in product(seeds, solvers))
    else:
        yield from product(solvers, seeds)


def run(store: Runs, tuning: Logs, asked: argparse.Namespace) -> None:
    """Make the runs that are missing or stale; with a number of epochs, a try that is not stored."""
    made, failed = 0, []
    for task in chosen_tasks(asked.datasets):
        solvers = [solver for solver in chosen_solvers(asked.solvers) if solver.supports(task)]
        for solver, seed in order(solvers, asked.seeds, asked.interleave or asked.timed):
            try:
                made += run_one(store, tuning, asked, task, solver, seed)
            except Exception:  # the runs after it are still wanted
                failed.append(f"{task.name} {solver.name} seed {seed}")
                traceback.print_exc()
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}.")
    if not made:
        print("All of these runs are stored.")


def run_one(store: Runs, tuning: Logs, asked: argparse.Namespace, task: Task, solver: Solver, seed: int) -> bool:
    """Make and store a run, unless it is there; whether it was made."""
    settings, source = settings_for(tuning, task, solver, asked.settings)
    name = run_name(solver, source, asked)
    key = {**task.key(), "settings": settings, "solver_version": solver.version(task)}
    if not asked.epochs and store.state(task.name, name, seed, key, asked.timed) == "stored":
        return False
    data, epochs = loaded(task.load), asked.epochs or task.epochs
    with precision(asked.precision):
        warm_up(task, solver, settings, data.test.X.shape[1], data.n_outputs)
        result = execute(task, solver, settings, seed, data.for_results(), data.n_outputs, epochs)
    print(line(task, name, seed, result), flush=True)
    alone = asked.timed and result["busy"] >= BUSY
    if asked.timed and not alone:
        print(f"  Something else ran: this process had {100 * result['busy']:.0f} % of a core. Not stored as timed.")
    if not asked.epochs:
        about = {"task": task.name, "solver": name, "seed": seed, "key": key, "metric": task.metric, "tuned": source}
        store.add(task.name, {**about, "conditions": conditions(alone, asked.precision), **result})
    return True


def line(task: Task, name: str, seed: int, result: dict[str, Any]) -> str:
    """A run in a line."""
    last = result["epochs"][-1] if result["epochs"] else {"error": float("nan"), "loss": float("nan")}
    return (
        f"{task.name:16} {name:20} seed {seed}  {task.metric} {last['error']:8.4g}  loss {last['loss']:8.4g}  "
        f"{result['seconds']:7.1f} s  {result['status']}"
    )


def show(store: Runs, tuning: Logs) -> None:
    """Print tasks, solvers, and what is stored of each pair."""
    solvers = chosen_solvers(None)
    print("solvers:", ", ".join(solver.name + ("*" if solver.space else "") for solver in solvers), "(* is tuned)\n")
    stored: dict[str, list[str]] = {}
    for found in store.records():
        stored.setdefault(found["task"], []).append(f"{found['solver']}-{found['seed']}")
    for task in chosen_tasks(None):
        print(f"{task.name:16} {task.network}, {task.epochs} epochs, {task.metric}")
        ready = [s.name for s in solvers if s.space and best(tuning, task, s)]
        print(f"  tuned: {', '.join(ready) or 'none'}\n  stored: {', '.join(stored.get(task.name, [])) or 'none'}")
