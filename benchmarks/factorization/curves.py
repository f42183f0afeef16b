"""Objective against time over many data sets, ranks and seeds: nmfnet's NMF and scikit-learn's, both as they come.

    python benchmarks/factorization/curves.py                  all cases, 40 minutes; goes on where it was stopped
    python benchmarks/factorization/curves.py digits counts    of some data sets; --loss, --seeds, --dtypes: a part
    python benchmarks/factorization/report.py                  writes docs/results/factorization.md

Each case is fitted twice by each package: with its default `tol` and `max_iter`, and without a tolerance for twice
as long as the slower one took, at least half a second.  The longer fits give the curves.  The packages take turns, on
one thread.  Processor seconds count, with the clock stopped while an objective is found.  A case is made again only if
the code or its settings changed since, or with `--again`.
"""

import argparse
import itertools
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import warnings

import torch
from cases import add, load, stored, version
from threadpoolctl import threadpool_limits
from traces import Loss, Trace, ours, theirs

SEEDS, DTYPES = range(5), ("float64", "float32")
FROBENIUS = {
    "digits": (5, 15, 40),
    "mnist-2000": (10, 20, 40),
    "fashion-2000": (10, 20, 40),
    "faces-32": (10, 20, 40),
    "counts": (5, 20, 40),
    "spectra": (10, 30, 60),
    "tfidf": (10, 20, 40),
}
DIVERGENCE = {
    "digits": (5, 15, 40),
    "digits-csr": (5, 15, 40),
    "counts": (5, 20, 40),
    "words": (10, 20, 40),
    "tfidf": (10, 20, 40),
}
GRIDS = {"frobenius": FROBENIUS, "kullback-leibler": DIVERGENCE}
LONGER, SHORTEST, LONGEST = 2, 0.5, 10.0  # the fits of the curves, in times of the default ones, and seconds
FITS = {"theirs": theirs, "ours": ours}


def fit(which, X, case, loss, limit=float("inf"), **settings):
    """One fit; its time, its final objective where it came to an end, and its curve."""
    trace = Trace(loss, limit)
    factors = FITS[which](X, case["rank"], case["seed"], trace, case["loss"] != "frobenius", **settings)
    seconds = trace.end()
    if factors is not None:
        trace.points.append((seconds, loss(*factors)))
    return {"seconds": round(seconds, 4), "objective": trace.points[-1][1], "trace": trace}


def compare(X, case):
    """All four fits of a case."""
    loss, result = Loss(X, case["loss"] != "frobenius"), {"theirs": {}, "ours": {}}
    order = list(FITS)[:: 1 if case["seed"] % 2 else -1]
    for which in order:
        done = fit(which, X, case, loss)
        result[which] = {"seconds": done["seconds"], "final": done["objective"]}
    longest = max(result[which]["seconds"] for which in order)
    limit = min(max(LONGER * longest, SHORTEST), LONGEST)
    for which in order:
        trace = fit(which, X, case, loss, limit, tol=0, max_iter=10**6)["trace"]
        result[which]["curve"] = trace.near_the_end()
        if which == "ours":
            result["to_theirs"] = trace.reached(result["theirs"]["final"])
    return {**result, "limit": limit}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*")
    parser.add_argument("--loss", nargs="*", default=list(GRIDS), choices=list(GRIDS))
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--dtypes", nargs="*", default=DTYPES, choices=DTYPES)
    parser.add_argument("--ranks", nargs="*", type=int)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--dry", action="store_true", help="print, and store nothing")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    threadpool_limits(1)
    names = [
        (loss, data) for loss in arguments.loss for data in GRIDS[loss] if data in (arguments.data or GRIDS[loss])
    ]
    for (loss, data), dtype in itertools.product(names, arguments.dtypes):
        X = load({"data": data, "dtype": dtype})
        for rank, seed in itertools.product(arguments.ranks or GRIDS[loss][data], arguments.seeds):
            case = {"loss": loss, "data": data, "dtype": dtype, "rank": rank, "seed": seed}
            name, key = " ".join(map(str, case.values())), version(case)
            if not (arguments.again or arguments.dry) and stored("curves", name, key, False):
                continue
            result = compare(X, case)
            print(
                name,
                {w: (result[w]["seconds"], result[w]["final"]) for w in FITS},
                round(result["limit"], 1),
                flush=True,
            )
            if not arguments.dry:
                add("curves", name, key, False, 1, {**case, "shape": list(X.shape), **result})


if __name__ == "__main__":
    main()
