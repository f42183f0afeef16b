"""Streams that are stored and loaded: does a loaded model go on as the live one?

    python -m benchmarks.resumed_streams [SEEDS]      writes docs/results/streams.md

`partial_fit` of digits, in calls of 50, or row by row after a fit, in random order.  After half of the rows the
model is stored.  Then three models go on with the same rows: the live one, the one that is loaded from the file, and a
network with the same weights that remembers nothing else, as a file held before it had the stream (version 3).
Errors on test rows, in per cent: when the model is stored, and at their worst and in the end afterwards.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from typing import Any

import numpy as np
from benchmarks.store import REPORTS, RESULTS, Store

import nmfnet
from nmfnet import NMFNetClassifier

RUNS = Store(RESULTS / "resumed_streams", "case", "seed")
CASES = {"calls of 50 rows": (50, 4000), "fit, then single rows": (1, 240)}  # rows

INTRODUCTION = """# Streams that are stored and loaded

A model learns from a stream with `partial_fit`. Half-way it is saved. Does the loaded model go on as the one that
stayed in memory?

- **Task.** Digits, in random order, in calls of 50 rows, or row by row after a fit of 600 rows.
- **Models.** *Live* is the model that stayed in memory. *Loaded* comes from the file. *Weights alone* has the weights,
  but nothing else of the stream, such as Gram matrices and its last rows. All three go on with the same rows.
- **Numbers** are test errors in %: medians of the seeds, with the lowest and the highest in brackets.

Made by `python -m benchmarks.resumed_streams`.
"""


def stored(model: Any) -> tuple[Any, Any]:
    """The model from its file, and one that has its weights alone."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model")
        loaded, alone = nmfnet.load(f"{folder}/model"), nmfnet.load(f"{folder}/model")
    alone._stream_ = None
    return loaded, alone


def errors(size: int, n: int, seed: int, fitted: bool) -> dict[str, list[float]]:
    """Errors of the three models, from the one when they are stored on."""
    digits = nmfnet.datasets.load("digits")
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(digits.X_train)) for _ in range(-(-n // len(digits.X_train)))])[:n]
    calls = np.array_split(order, n // size)
    model = NMFNetClassifier((100,), random_state=seed)
    if fitted:
        model.fit(digits.X_train[:600], digits.y_train[:600])
    for rows in calls[: len(calls) // 2]:
        model.partial_fit(digits.X_train[rows], digits.y_train[rows], classes=np.arange(10))
    loaded, alone = stored(model)
    models = {"live": model, "loaded": loaded, "weights alone": alone}
    found = {name: [100 * (1 - each.score(digits.X_test, digits.y_test))] for name, each in models.items()}
    for i, rows in enumerate(calls[len(calls) // 2 :]):
        for name, each in models.items():
            each.partial_fit(digits.X_train[rows], digits.y_train[rows])
            if i % 10 == 0:
                found[name].append(100 * (1 - each.score(digits.X_test, digits.y_test)))
    for name, each in models.items():
        found[name].append(100 * (1 - each.score(digits.X_test, digits.y_test)))
    same = all(np.array_equal(a, b) for a, b in zip(model.coefs_, loaded.coefs_, strict=True))
    found["same"] = [float(same)]
    return found


def main(seeds: int) -> None:
    """Measure all cases, those aside that are stored, and write the table."""
    for seed in range(seeds):
        for case, (size, n) in CASES.items():
            if RUNS.find("digits", case, seed) is None:
                RUNS.add("digits", {"case": case, "seed": seed, **errors(size, n, seed, case.startswith("fit"))})
                print(case, seed, flush=True)
    lines = [
        INTRODUCTION,
        "| case | rows | seeds | model | when stored | worst afterwards | in the end | same weights as the live one |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for case, (_, n) in CASES.items():
        runs = [run for run in RUNS.records("digits") if run["case"] == case]
        for name in ("live", "loaded", "weights alone") if runs else ():
            cells = [_cell([how(run[name]) for run in runs]) for how in (_first, _worst, _last)]
            same = f"{sum(run['same'][0] for run in runs):.0f} of {len(runs)}" if name == "loaded" else ""
            lines.append(f"| {case} | {n} | {len(runs)} | {name} | {' | '.join(cells)} | {same} |")
            print(lines[-1], flush=True)
    (REPORTS / "streams.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _first(values: list[float]) -> float:
    return values[0]


def _worst(values: list[float]) -> float:
    return max(values[1:])


def _last(values: list[float]) -> float:
    return values[-1]


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
