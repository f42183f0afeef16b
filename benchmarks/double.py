"""A large table in float64 and in float32, with LightGBM beside: processor seconds and errors.

    OMP_NUM_THREADS=1 python -m benchmarks.double [ROUNDS]      writes docs/results/double.md
    OMP_NUM_THREADS=2 python -m benchmarks.double [ROUNDS]      the same with two threads, on an idle machine

200,000 rows of 50 numbers, ten classes, by scikit-learn's `make_classification`, and 50,000 rows to test on; all with
their defaults, and nmfnet with wider layers, too.  The fits of a round take turns, each in a process of its own, so
that none profits from what another has warmed up or left in memory.  Processor seconds of one thread are the same
beside other work; those of several count their waiting for each other, so that of these the wall counts.  Runs are
stored, and made once.  LightGBM is left out where it is not installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from benchmarks.store import REPORTS, RESULTS, Store
from sklearn.datasets import make_classification

RUNS = Store(RESULTS / "double", "name", "threads", "seed")
ROWS, TEST, COLUMNS, CLASSES = 200_000, 50_000, 50, 10
CASES = {
    "nmfnet, float64": "nmfnet float64 100",
    "nmfnet, float32": "nmfnet float32 100",
    "nmfnet 256-256, float64": "nmfnet float64 256-256",
    "LightGBM, float64": "lightgbm float64 -",
}

INTRODUCTION = """# A large table in float64

Does training in float64 take longer than in float32, and how long does LightGBM take?

- **Task.** {rows:,} rows of {columns} numbers with {classes} classes, and {test:,} other rows to test on. They come
  from scikit-learn's `make_classification`, with 5 % of the labels random.
- **Models** have their defaults. nmfnet was also fitted with two hidden layers of 256 units.
- **Numbers** are medians of the fits, with the smallest and the largest in brackets if there are several ({machine}).
- **Epochs** of LightGBM are its rounds, each with one tree for each class.

Made by `python -m benchmarks.double`."""


def data(dtype: str) -> tuple[Any, ...]:
    """X, y to train on and to test on."""
    X, y = make_classification(
        ROWS + TEST, COLUMNS, n_informative=20, n_redundant=10, n_classes=CLASSES, flip_y=0.05, random_state=0
    )
    X = X.astype(dtype)
    return X[:ROWS], y[:ROWS], X[ROWS:], y[ROWS:]


def measure(package: str, dtype: str, hidden: str, seed: int) -> dict[str, float]:
    """Fit once; seconds, processor seconds, epochs or rounds of trees, and the error on new rows."""
    if package == "nmfnet":
        from nmfnet import NMFNetClassifier

        model: Any = NMFNetClassifier(tuple(map(int, hidden.split("-"))), random_state=seed)
    else:
        from lightgbm import LGBMClassifier

        model = LGBMClassifier(n_jobs=int(os.environ["OMP_NUM_THREADS"]), random_state=seed, verbose=-1)
    X, y, X_test, y_test = data(dtype)
    model.fit(X[:1000], y[:1000])  # libraries are loaded
    start, processor = time.perf_counter(), time.process_time()
    model.fit(X, y)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    error = 100 * float(np.mean(model.predict(X_test) != y_test))
    return {"seconds": seconds, "processor": processor, "epochs": int(model.n_iter_), "error": error}


def main(rounds: int) -> None:
    """Measure all cases in turns, those aside that are stored, and write the tables."""
    threads = int(os.environ["OMP_NUM_THREADS"])
    for seed in range(rounds):
        for name, case in CASES.items():
            if RUNS.find("classes", name, threads, seed) is None and importlib.util.find_spec(case.split()[0]):
                command = [sys.executable, "-m", "benchmarks.double", *case.split(), str(seed)]
                result = subprocess.run(command, check=True, capture_output=True, text=True)
                measured = json.loads(result.stdout.splitlines()[-1])
                RUNS.add("classes", {"name": name, "threads": threads, "seed": seed, **measured})
                print(name, measured, flush=True)
    lines = [INTRODUCTION.format(rows=ROWS, test=TEST, columns=COLUMNS, classes=CLASSES, machine=platform.machine())]
    lines += table(1, "processor", "One thread", "processor seconds")
    lines += table(2, "seconds", "Two threads, on a machine that did nothing else", "seconds")
    (REPORTS / "double.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def table(threads: int, key: str, title: str, unit: str) -> list[str]:
    """Lines of the runs with so many threads."""
    lines = []
    for name in CASES:
        runs = [run for run in RUNS.records("classes") if (run["name"], run["threads"]) == (name, threads)]
        if runs:
            epochs = " or ".join(map(str, sorted({run["epochs"] for run in runs})))
            cells = [_cell([run[key] for run in runs], 1), _cell([run["error"] for run in runs], 2)]
            lines.append(f"| {name} | {len(runs)} | {epochs} | {' | '.join(cells)} |")
    head = [
        "",
        f"## {title}",
        "",
        f"| | fits | epochs | {unit} | test error, % |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    return head + lines if lines else []


def _cell(values: list[float], digits: int) -> str:
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


if __name__ == "__main__":
    if len(sys.argv) == 5:
        print(json.dumps(measure(*sys.argv[1:4], int(sys.argv[4]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
