"""Processor seconds of an epoch in two versions of the code, in turn: has something made training slower?

    git worktree add ../old COMMIT
    python benchmarks/epochs.py ../old/src src --runs 5       # data in the folder $NMFNET_DATA

Each run is a process of its own, with one thread; its number is that of its fastest epoch after the first, which loads
and decomposes.  An epoch is its updates, and the losses that are recorded at its end.  Inputs are not moved about
(`adversarial=0`): in which epoch that begins hangs on rounding, and such an epoch takes half as long again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

# data set, rows, hidden widths, whether the targets are the inputs
TASKS = {
    "MNIST": ("mnist", 60_000, (1000, 500), False),
    "CIFAR-10": ("cifar10", 20_000, (1500, 1000), False),
    "autoencoder": ("mnist", 30_000, (500, 100, 30, 100, 500), True),
}


def once(task: str) -> None:
    """Print the seconds of the fastest epoch, and of a fit of three epochs, in this process."""
    from nmfnet import Callback, NMFNetClassifier, NMFNetRegressor, Relaxed

    class Clock(Callback):
        """Notes the processor time at the end of every epoch."""

        def __init__(self) -> None:
            self.times: list[float] = []

        def on_epoch_end(self, network: object, record: object) -> None:
            self.times.append(time.process_time())

    name, rows, hidden, itself = TASKS[task]
    with np.load(Path(os.environ["NMFNET_DATA"]) / f"{name}.npz") as data:
        X = data["X_train"][:rows].reshape(rows, -1).astype(np.float32) / 255
        y = X if itself else data["y_train"][:rows]
    estimator = NMFNetRegressor if itself else NMFNetClassifier
    clock, start = Clock(), time.process_time()
    estimator(hidden, solver=Relaxed(adversarial=0), max_iter=3, random_state=0, callbacks=[clock]).fit(X, y)
    print(min(np.diff(clock.times)), time.process_time() - start)


def measured(source: str, task: str) -> list[float]:
    """What :func:`once` prints with the code in a folder."""
    command = [sys.executable, __file__, "once", task]
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return [float(number) for number in printed.split()[-2:]]


def compared(old: str, new: str, runs: int, tasks: list[str]) -> None:
    """Ratios of new to old, run by run."""
    print("| task | epoch, old | epoch, new | ratio, median | least | most | ratio of a fit of three epochs |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for task in tasks:
        pairs = [(measured(old, task), measured(new, task)) for _ in range(runs)]
        epochs = [after[0] / before[0] for before, after in pairs]
        fits = statistics.median(after[1] / before[1] for before, after in pairs)
        before, after = (statistics.median(pair[i][0] for pair in pairs) for i in (0, 1))
        ratio, least, most = statistics.median(epochs), min(epochs), max(epochs)
        print(
            f"| {task} | {before:.2f} s | {after:.2f} s | {ratio:.3f} | {least:.3f} | {most:.3f} | {fits:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1] == "once":
        once(sys.argv[2])
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("old", help="folder with the package of the old code")
        parser.add_argument("new")
        parser.add_argument("--runs", type=int, default=5)
        parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
        arguments = parser.parse_args()
        compared(arguments.old, arguments.new, arguments.runs, arguments.tasks)
