"""Compare solvers on tasks.

    python -m benchmarks.bench list                 tasks, solvers, and what is stored
    python -m benchmarks.bench tune TASK [SOLVER]   successive halving on validation data; goes on where it was
    python -m benchmarks.bench common [SOLVER]      the best setting for all tasks that are tuned
    python -m benchmarks.bench run                  test errors: the runs that are missing or stale
    python -m benchmarks.bench report               docs/results/bench.md and its plots, from what is stored

Run it in the root of the repository.  Image sets are read as nmfnet.datasets.load does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..store import REPORTS, RESULTS
from . import running
from .execute import PRECISIONS, use_threads
from .store import Logs, Runs
from .tune import common, tune

OURS = RESULTS / "bench"


def seeds(text: str) -> list[int]:
    """Read 3, 0-4 or 0,2,5."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        "python -m benchmarks.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = "folder of the results; a report of others than the default's goes beside their folder"
    top.add_argument("--results", type=Path, default=OURS, help=beside)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    one = commands.add_parser("tune")
    one.add_argument("task", metavar="TASK", help="name or tag")
    one.add_argument("solver", nargs="*", metavar="SOLVER", help="all that have something to tune, if none is given")
    each = commands.add_parser("common")
    each.add_argument("solver", nargs="*", metavar="SOLVER")
    run = commands.add_parser("run")
    run.add_argument("--datasets", nargs="+", metavar="TASK", help="names or tags; default: all")
    run.add_argument("--solvers", nargs="+", metavar="SOLVER", help="default: all")
    run.add_argument("--seeds", type=seeds, default=[0], help="such as 0-4 (default: 0)")
    run.add_argument("--interleave", action="store_true", help="every solver with a seed before the next seed")
    run.add_argument("--timed", action="store_true", help="the machine has nothing else to do; interleaves")
    run.add_argument("--settings", choices=["tuned", "common", "default"], default="tuned")
    run.add_argument("--epochs", type=int, help="fewer, for a try: nothing is stored")
    for command in (one, run):
        command.add_argument("--threads", type=int, default=1)
        command.add_argument("--precision", choices=list(PRECISIONS), default="float32", help="of matrix products")
    commands.add_parser("report")
    return top


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks for."""
    asked = parser().parse_args(arguments)
    store, tuning = Runs(asked.results), Logs(asked.results)
    if asked.command in ("tune", "run"):
        use_threads(asked.threads)
    if asked.command == "list":
        running.show(store, tuning)
    elif asked.command == "tune":
        for task in running.chosen_tasks([asked.task]):
            for solver in running.chosen_solvers(asked.solver):
                if solver.space and solver.supports(task):
                    log = tune(tuning, task, solver, asked.precision)
                    print(f"{task.name} {solver.name}: {log['best']}", flush=True)
    elif asked.command == "common":
        for solver in running.chosen_solvers(asked.solver):
            found = common(tuning, solver) if solver.space else None
            if found:
                print(f"{solver.name}: mean rank {found[1]:.1f} over {', '.join(found[2])}: {found[0]}")
    elif asked.command == "run":
        running.run(store, tuning, asked)
    else:
        from . import report

        ours = asked.results.resolve() == OURS
        report.write(store.records(), tuning.records(), REPORTS if ours else asked.results.parent)


if __name__ == "__main__":
    main()
