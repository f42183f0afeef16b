"""A large table in float64 and in float32, with LightGBM beside: processor seconds and errors.

    OMP_NUM_THREADS=1 python -m benchmarks.double [ROUNDS]      writes docs/results/double.md

200,000 rows of 50 numbers, ten classes, by scikit-learn's `make_classification`, and 50,000 rows to test on; all with
their defaults.  The fits of a round take turns, each in a process of its own, so that none profits from what another
has warmed up or left in memory.  One thread: its processor seconds are the same beside other work, where threads that
wait for each other would be slower and count that, too.  Runs are stored, and made once.  LightGBM is left out where
it is not installed.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from benchmarks.store import REPORTS, RESULTS, Store
from sklearn.datasets import make_classification

RUNS = Store(RESULTS / "double", "name", "seed")
ROWS, TEST, COLUMNS, CLASSES = 200_000, 50_000, 50, 10
CASES = {
    "nmfnet, float64": "nmfnet float64",
    "nmfnet, float32": "nmfnet float32",
    "LightGBM, float64": "lightgbm float64",
}


def data(dtype: str) -> tuple[Any, ...]:
    """X, y to train on and to test on."""
    X, y = make_classification(
        ROWS + TEST, COLUMNS, n_informative=20, n_redundant=10, n_classes=CLASSES, flip_y=0.05, random_state=0
    )
    X = X.astype(dtype)
    return X[:ROWS], y[:ROWS], X[ROWS:], y[ROWS:]


def measure(package: str, dtype: str, seed: int) -> dict[str, float]:
    """Fit once; seconds, processor seconds and the error on new rows."""
    if package == "nmfnet":
        from nmfnet import NMFNetClassifier

        model: Any = NMFNetClassifier(random_state=seed)
    else:
        from lightgbm import LGBMClassifier

        model = LGBMClassifier(random_state=seed, verbose=-1)
    X, y, X_test, y_test = data(dtype)
    model.fit(X[:1000], y[:1000])  # libraries are loaded
    start, processor = time.perf_counter(), time.process_time()
    model.fit(X, y)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    return {"seconds": seconds, "processor": processor, "error": 100 * float(np.mean(model.predict(X_test) != y_test))}


def main(rounds: int) -> None:
    """Measure all cases in turns, those aside that are stored, and write the table."""
    for seed in range(rounds):
        for name, case in CASES.items():
            if RUNS.find("classes", name, seed) is None and importlib.util.find_spec(case.split()[0]) is not None:
                command = [sys.executable, "-m", "benchmarks.double", *case.split(), str(seed)]
                result = subprocess.run(command, check=True, capture_output=True, text=True)
                measured = json.loads(result.stdout.splitlines()[-1])
                RUNS.add("classes", {"name": name, "seed": seed, **measured})
                print(name, measured, flush=True)
    lines = [
        "# A large table in float64",
        "",
        f"{ROWS:,} × {COLUMNS} numbers, {CLASSES} classes; defaults. Processor seconds of a fit with one thread "
        f"({platform.machine()}), medians of the fits, least and most in brackets; other work ran beside. Made by "
        "`OMP_NUM_THREADS=1 python -m benchmarks.double`.",
        "",
        "| | fits | processor seconds | test error, % |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in CASES:
        runs = [run for run in RUNS.records("classes") if run["name"] == name]
        if runs:
            cells = [_cell([run["processor"] for run in runs], 1), _cell([run["error"] for run in runs], 2)]
            lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} |")
    (REPORTS / "double.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _cell(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
