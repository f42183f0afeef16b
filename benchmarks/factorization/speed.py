"""Time to scikit-learn's own final objective, and peak memory, side by side.

    python benchmarks/factorization/speed.py --idle     all cases, about ten minutes; goes on where it was stopped
    python benchmarks/factorization/speed.py CASE ...   those alone;  --rows N: a trial on a part, not stored
    python benchmarks/factorization/report.py           writes docs/results/factorization.md

scikit-learn's estimator is fitted with its defaults (init "nndsvda", solver "cd") and the case's tol and max_iter, its
start included in the time.  The objective it ends at is the target.  nmfnet's is fitted with its own start, and
the time until its objective is no larger is taken by a callback that reads the clock after each pass; so is the time
until it is within a thousandth.  Both may use `--threads` threads, and run one after the other in the same process, on
the same array.  Memory is the peak of a run of each in a process of its own, less that before the fit.  `--idle` says
in the result that nothing else ran on the machine; without it processor seconds are what counts.  A case is made
again only if the code or the case changed since, or with `--again`.
"""

import argparse
import contextlib
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from cases import add, load, stored, version
from sklearn.decomposition import NMF as TheirNMF
from sklearn.decomposition import MiniBatchNMF
from threadpoolctl import threadpool_limits

import nmfnet

CASES = {
    "fashion-10": {"data": "fashion", "rank": 10},
    "fashion-10-tight": {"data": "fashion", "rank": 10, "tol": 1e-6, "max_iter": 500},
    "fashion-50": {"data": "fashion", "rank": 50, "memory": True},
    "fashion-50-float32": {"data": "fashion", "rank": 50, "dtype": "float32", "memory": True},
    "fashion-200": {"data": "fashion", "rank": 200, "max_iter": 40},  # to the end it takes them a quarter of an hour
    "faces-50": {"data": "faces", "rank": 50, "memory": True},
    "faces-50-tight": {"data": "faces", "rank": 50, "tol": 1e-6, "max_iter": 1000},
    "text-50": {"data": "text", "rank": 50, "memory": True},
    "minibatch-fashion-50": {"data": "fashion", "rank": 50, "batch_size": 1024, "memory": True},
    "transform-fashion-200": {"data": "fashion", "rank": 200, "transform": 2000},
}
PASSES = 150  # at most, where the target is not reached


class Clock:
    """Seconds on the wall and, since a shared machine may give us only part of a core, of the processor."""

    def __init__(self):
        self.start = time.perf_counter(), time.process_time()

    def read(self):
        return {"seconds": time.perf_counter() - self.start[0], "cpu": time.process_time() - self.start[1]}


def theirs(case, X):
    """Fit scikit-learn's; return the seconds, the objective and the iterations."""
    settings = {"tol": case.get("tol", 1e-4), "max_iter": case.get("max_iter", 200), "random_state": 0}
    if "batch_size" in case:
        model = MiniBatchNMF(case["rank"], batch_size=case["batch_size"], **settings)
    else:
        model = TheirNMF(case["rank"], init="nndsvda", **settings)
    clock = Clock()
    Z = model.fit_transform(X)
    return {**clock.read(), "objective": squared_error(X, Z, model) / 2, "passes": int(model.n_iter_)}


def squared_error(X, Z, model):
    """``||X - Z H||^2`` in float64: block by block, or by Gram products of a sparse X."""
    H = model.components_.astype(float)
    if not isinstance(X, np.ndarray):
        return float(X.multiply(X).sum() - 2 * ((X.T @ Z).T * H).sum() + ((Z.T @ Z) * (H @ H.T)).sum())
    blocks = range(0, X.shape[0], 4096)
    return sum(float(np.square(X[i : i + 4096] - Z[i : i + 4096].astype(float) @ H).sum()) for i in blocks)


class Reached(Exception):
    """The target is reached."""


def ours(case, X, target):
    """Fit until the target; return the seconds to it and to near it, the passes and the last objective."""
    if "batch_size" in case:  # the objective of the final transform, which the time includes
        model = nmfnet.NMF(case["rank"], batch_size=case["batch_size"], max_iter=20, random_state=0)
        clock = Clock()
        Z = model.fit_transform(X)
        last = {**clock.read(), "passes": int(model.n_iter_), "objective": squared_error(X, Z, model) / 2}
        return {**last, "reached": last["objective"] <= target}
    model, seen, near = nmfnet.NMF(case["rank"], random_state=0, max_iter=PASSES, tol=0, verbose=1), [], {}
    if case.get("max_iter", 0) > PASSES:
        model.max_iter = case["max_iter"]
    clock = Clock()

    def look(n_iter, value):
        seen.append({**clock.read(), "passes": n_iter, "objective": value})
        if value <= 1.001 * target and not near:
            near.update(seen[-1])
        if value <= target:
            raise Reached

    model._announce = look
    with contextlib.suppress(Reached):
        model.fit(X)
    return {**seen[-1], "reached": seen[-1]["objective"] <= target, "near": near}


def transforms(case, X):
    """Transform new rows with the same components."""
    train, new = X[:4000], X[-case["transform"] :]
    ours = nmfnet.NMF(case["rank"], max_iter=15, tol=0, random_state=0).fit(train)
    theirs = TheirNMF(case["rank"], init="nndsvda", max_iter=200, random_state=0)
    theirs.components_, theirs.n_components_, theirs.n_features_in_ = ours.components_, case["rank"], X.shape[1]
    theirs._n_components, theirs._beta_loss = case["rank"], 2  # what its transform reads besides
    run = {}
    for name, model in (("theirs", theirs), ("ours", ours)):
        clock = Clock()
        Z = model.transform(new)
        run[name] = {**clock.read(), "objective": squared_error(new, Z, model) / 2, "passes": 0}
    run["ours"]["reached"] = run["ours"]["objective"] <= run["theirs"]["objective"]
    return run


def compare(case, X):
    """Both, one after the other."""
    if "transform" in case:
        return transforms(case, X)
    reference = theirs(case, X)
    return {"theirs": reference, "ours": ours(case, X, reference["objective"])}


def peak(name, which, threads):
    """Peak memory of one fit in a process of its own, in MiB, less that before the fit."""
    command = [sys.executable, __file__, name, "--memory", which, "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def memory(case, which):
    """Three of their iterations, three of our passes: later ones need no more."""
    X = load(case)
    case = {**case, "max_iter": 3}

    def fit(X):
        if which == "theirs":
            theirs(case, X)
        elif "batch_size" in case:
            nmfnet.NMF(case["rank"], batch_size=case["batch_size"], max_iter=1, random_state=0).fit(X)
        else:
            nmfnet.NMF(case["rank"], max_iter=3, tol=0, random_state=0).fit(X)

    fit(X[:500])  # loads all code
    Path("/proc/self/clear_refs").write_text("5")  # start the high-water mark anew
    before = status("VmRSS")
    fit(X)
    print((status("VmHWM") - before) / 1024)


def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, help="only so many rows: a trial, printed and not stored")
    parser.add_argument("--memory", choices=["ours", "theirs"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    threadpool_limits(arguments.threads)  # scikit-learn's products, too
    if arguments.memory:
        memory(CASES[arguments.cases[0]], arguments.memory)
        return
    for name in arguments.cases:
        case = CASES[name]
        key = version(case)
        if not (arguments.again or arguments.rows) and stored("speed", name, key, arguments.idle):
            print(name, "is stored")
            continue
        X = load(case)[: arguments.rows]
        run = compare(case, X)
        print(name, run, flush=True)
        if arguments.rows:
            continue
        result = {**case, "shape": list(X.shape), **run}
        del X
        if case.get("memory"):
            result["memory"] = {which: peak(name, which, arguments.threads) for which in ("theirs", "ours")}
        add("speed", name, key, arguments.idle, arguments.threads, result)


if __name__ == "__main__":
    main()
