"""Time to scikit-learn's own final objective, and peak memory, side by side.

    python benchmarks/factorization/speed.py [CASE ...] [--idle] [--repeat N] [--threads N]
    python benchmarks/factorization/report.py      writes docs/results/factorization.md

scikit-learn's estimator is fitted with its defaults (init "nndsvda", solver "cd") and the case's tol, its start
included in the time.  The objective it ends at is the target.  nmfnet's is fitted with its own start, and
the time until its objective is no larger is taken by a callback that reads the clock after each pass.  Both run
one after the other in the same process, `--repeat` times in turns, on the same array.  Memory is the peak of a run
of each in a
process of its own, less that before the fit.  `--idle` says in the result that nothing else ran on the machine.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
import sklearn
import torch
from sklearn.decomposition import NMF as TheirNMF
from sklearn.decomposition import MiniBatchNMF

import nmfnet

OUT = Path(__file__).resolve().parents[2] / "docs" / "results" / "factorization"
CASES = {
    "fashion-10": {"data": "fashion", "rank": 10},
    "fashion-10-tight": {"data": "fashion", "rank": 10, "tol": 1e-6, "max_iter": 1000},
    "fashion-50": {"data": "fashion", "rank": 50},
    "fashion-200": {"data": "fashion", "rank": 200},
    "fashion-50-float32": {"data": "fashion", "rank": 50, "dtype": "float32"},
    "faces-50": {"data": "faces", "rank": 50},
    "faces-50-tight": {"data": "faces", "rank": 50, "tol": 1e-6, "max_iter": 1000},
    "text-50": {"data": "text", "rank": 50},
    "minibatch-fashion-50": {"data": "fashion", "rank": 50, "batch_size": 1024},
}


def load(case):
    """Return the array of a case."""
    dtype = case.get("dtype", "float64")
    if case["data"] == "fashion":
        return nmfnet.datasets.load("fashion-mnist").X_train.astype(dtype)
    rng = np.random.default_rng(0)
    if case["data"] == "faces":  # Olivetti's size, 400 x 4096: blobs on a grid that forty people share in ten poses
        grid = np.stack(np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 64)), -1).reshape(-1, 2)
        centers, widths = rng.random((120, 2)), rng.uniform(0.02, 0.15, 120)
        parts = np.exp(-((grid[None] - centers[:, None]) ** 2).sum(-1) / (2 * widths[:, None] ** 2))
        people = rng.gamma(0.5, 1, (40, 120)).repeat(10, 0)
        X = (people * rng.gamma(4, 0.25, (400, 120))) @ parts
        return (X / X.max() + 0.02 * rng.random(X.shape)).astype(dtype)
    m, n, entries = 20_000, 50_000, 1_000_000  # words by Zipf's law in forty topics, 0.1 % of the matrix
    words = np.arange(1, n + 1) ** -0.8
    topics = words * rng.gamma(0.1, 1, (40, n))
    topics /= topics.sum(1, keepdims=True)
    of_rows = rng.integers(40, size=m)
    rows, columns = [], []
    for topic in range(40):
        members = np.flatnonzero(of_rows == topic)
        count = round(1.25 * entries * len(members) / m)
        rows.append(rng.choice(members, count))
        columns.append(rng.choice(n, count, p=topics[topic]))
    ones = np.ones(sum(map(len, rows)))
    X = scipy.sparse.csr_matrix((ones, (np.concatenate(rows), np.concatenate(columns))), shape=(m, n))
    X.data = np.log1p(X.data)
    return X.astype(dtype)


def theirs(case, X):
    """Fit scikit-learn's; return the seconds, the objective and the iterations."""
    settings = {"tol": case.get("tol", 1e-4), "max_iter": case.get("max_iter", 200), "random_state": 0}
    if "batch_size" in case:
        model = MiniBatchNMF(case["rank"], batch_size=case["batch_size"], **settings)
    else:
        model = TheirNMF(case["rank"], init="nndsvda", **settings)
    clock = Clock()
    model.fit(X)
    return {**clock.read(), "objective": objective(model, X), "n_iter": int(model.n_iter_)}


def objective(model, X):
    """Half the squared error of a fitted model, by its own transform for mini-batches."""
    if isinstance(model, MiniBatchNMF):
        return squared_error(X, model.transform(X), model.components_) / 2
    return float(model.reconstruction_err_) ** 2 / 2


def squared_error(X, W, H):
    total = 0.0
    for i in range(0, X.shape[0], 4096):
        total += float(np.square(X[i : i + 4096].astype(float) - W[i : i + 4096].astype(float) @ H).sum())
    return total


class Clock:
    """Seconds on the wall and, since a shared machine may give us only part of a core, of the processor."""

    def __init__(self):
        self.start = time.perf_counter(), time.process_time()

    def read(self):
        return {"seconds": time.perf_counter() - self.start[0], "cpu": time.process_time() - self.start[1]}


class Reached(Exception):
    """The target is reached."""


def ours(case, X, target):
    """Fit until the target; return the seconds to it (None if not reached), the passes and the last objective."""
    if "batch_size" in case:
        settings = {"batch_size": case["batch_size"], "max_iter": 20}
    else:
        settings = {"max_iter": 1000, "tol": 0, "verbose": 1}
    model, seen = nmfnet.NMF(case["rank"], random_state=0, **settings), []
    clock = Clock()

    def look(n_iter, value):
        seen.append({**clock.read(), "passes": n_iter, "objective": value})
        if value <= target:
            raise Reached

    model._announce = look
    with contextlib.suppress(Reached):
        model.fit(X)
    if "batch_size" in case:  # the objective of the final transform, which the time includes
        seen.append({**clock.read(), "passes": model.n_iter_, "objective": model.objective_})
    return {**seen[-1], "reached": seen[-1]["objective"] <= target}


def peak(name, which, target):
    """Peak memory of one fit in a process of its own, in MiB, less that before the fit."""
    command = [sys.executable, __file__, name, "--memory", which, "--target", str(target)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def memory(case, which, target):
    X = load(case)
    # A warm-up on a few rows loads all code.
    small = X[:500]
    (theirs(case, small) if which == "theirs" else ours(case, small, 0.0 if "batch_size" in case else 1e300))
    Path("/proc/self/clear_refs").write_text("5")  # start the high-water mark anew
    before = status("VmRSS")
    case = {**case, "max_iter": 3} if which == "theirs" else case
    (theirs(case, X) if which == "theirs" else ours(case, X, target))
    print((status("VmHWM") - before) / 1024)


def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, help="only so many rows: a trial, stored under another name")
    parser.add_argument("--memory", choices=["ours", "theirs"])
    parser.add_argument("--target", type=float)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    if arguments.memory:
        memory(CASES[arguments.cases[0]], arguments.memory, arguments.target)
        return
    OUT.mkdir(parents=True, exist_ok=True)
    for name in arguments.cases:
        case = CASES[name]
        X = load(case)[: arguments.rows]
        runs = []
        for _ in range(arguments.repeat):
            reference = theirs(case, X)
            runs.append({"theirs": reference, "ours": ours(case, X, reference["objective"])})
            print(name, runs[-1], flush=True)
        result = {
            "case": name, **case, "shape": list(X.shape), "runs": runs, "idle": arguments.idle,
            "threads": arguments.threads, "load": os.getloadavg()[0], "machine": platform.machine(),
            "sklearn": sklearn.__version__, "torch": torch.__version__, "numpy": np.__version__,
        }  # fmt: skip
        if arguments.rows is None:
            # Three of their iterations, and ours until an objective that three passes reach.
            result["memory"] = {which: peak(name, which, 1e300) for which in ("theirs", "ours")}
        suffix = f"-{arguments.rows}-rows" if arguments.rows else ""
        (OUT / f"speed-{name}{suffix}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
