"""Early stopping, and how sure probabilities are, on the tables that come with scikit-learn.

    python benchmarks/selection.py [SPLITS]      writes docs/results/selection.md; some minutes

Means over ten splits into three quarters to train on and a quarter to test on.  MLPClassifier has scaled inputs; all
else is as by default, with one hidden layer of 100.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import copy
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from nmfnet import NMFNetClassifier
from nmfnet.callbacks import EarlyStopping

OUT = Path(__file__).resolve().parent.parent / "docs" / "results" / "selection.md"

TABLES = {"digits": load_digits, "breast cancer": load_breast_cancer, "wine": load_wine, "iris": load_iris}
SPLITS = 10
BINS = 10
INTRODUCTION = """Does nmfnet need early stopping, and how far can its probabilities be trusted?

The tables come with scikit-learn. Each was split {splits} times into three quarters for training and a quarter for
testing. Every number is a mean over the splits, on test rows, with its standard error in brackets. All networks have
one hidden layer of 100 units, and otherwise their defaults. Made by `python benchmarks/selection.py`.

| model | what it is |
| --- | --- |
| nmfnet | `NMFNetClassifier` |
| nmfnet, no temperature | the same networks: probabilities corrected for label smoothing, but not calibrated |
| nmfnet, early stopping | `early_stopping=True`: the epoch with the least log-loss on held-out rows is kept |
| nmfnet, earliest of the least errors | the error on held-out rows decides. Of equal epochs the first is kept |
| MLPClassifier | scikit-learn's network, with standardized inputs |
| MLPClassifier, early stopping | the same with `early_stopping=True` |

The *calibration error* is the expected calibration error with 10 bins: how far, on average, the confidence of
predictions is from the share of them that are right."""


def expected_calibration_error(P: Any, y: Any) -> float:
    """Mean distance of how sure predictions are from how often they are right, over bins (Naeini et al., 2015)."""
    sure, right = P.max(1), P.argmax(1) == y
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return float(sum(abs((sure - right)[bins == b].sum()) for b in range(BINS)) / len(y))


def splits(table: str) -> Iterator[tuple[int, list[Any]]]:
    """Seeds, with X_train, X_test, y_train, y_test."""
    X, y = TABLES[table](return_X_y=True)
    for seed in range(SPLITS):
        yield seed, train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)


def ours(seed: int, **settings: Any) -> Any:
    """Our classifier."""
    return NMFNetClassifier((100,), random_state=seed, **settings)


def mlp(seed: int, **settings: Any) -> Any:
    """scikit-learn's."""
    return make_pipeline(StandardScaler(), MLPClassifier((100,), random_state=seed, **settings))


def untempered(model: Any) -> Any:
    """The same model without its temperature: probabilities take the label smoothing back by its formula."""
    other = copy.copy(model)
    other.network_ = copy.copy(model.network_)
    other.network_.output = replace(model.network_.output, temperature=None)
    return other


def earliest(seed: int, X: Any, y: Any) -> Any:
    """Our classifier, stopped early by the error: of epochs that tie the earliest is kept."""
    X, X_val, y, y_val = train_test_split(X, y, test_size=0.1, random_state=seed, stratify=y)
    model = ours(seed, callbacks=[EarlyStopping("val_error", patience=10)])
    return model.fit(X, y, X_val=X_val, y_val=y_val)


def scored(model: Any, X: Any, y: Any, seconds: float) -> tuple[float, ...]:
    """Error in per cent, log-loss, calibration error, seconds and epochs."""
    P, last = model.predict_proba(X), model[-1] if isinstance(model, Pipeline) else model
    return 100 * (1 - model.score(X, y)), log_loss(y, P), expected_calibration_error(P, y), seconds, last.n_iter_


def fits(table: str) -> dict[str, list[tuple[float, ...]]]:
    """Scores of all models on all splits."""
    makers: dict[str, Callable[[int, Any, Any], Any]] = {
        "nmfnet": lambda seed, X, y: ours(seed).fit(X, y),
        "nmfnet, early stopping": lambda seed, X, y: ours(seed, early_stopping=True).fit(X, y),
        "nmfnet, earliest of the least errors": earliest,
        "MLPClassifier": lambda seed, X, y: mlp(seed).fit(X, y),
        "MLPClassifier, early stopping": lambda seed, X, y: mlp(seed, early_stopping=True).fit(X, y),
    }
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed, (X, X_test, y, y_test) in splits(table):
        for name, make in makers.items():
            start = time.process_time()
            model = make(seed, X, y)
            seconds = time.process_time() - start
            found.setdefault(name, []).append(scored(model, X_test, y_test, seconds))
            if name == "nmfnet":
                without = scored(untempered(model), X_test, y_test, math.nan)
                found.setdefault("nmfnet, no temperature", []).append(without)
    return found


def main() -> None:
    """Write the tables."""
    warnings.simplefilter("ignore")
    lines = [
        "# Early stopping and probabilities", "",
        INTRODUCTION.format(splits=SPLITS), "",
        "| table | model | error, % | log-loss | calibration error | processor seconds | epochs |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for table in TABLES:
        for name, scores in fits(table).items():
            lines.append(f"| {table} | {name} | {' | '.join(_cells(np.array(scores)))} |")
            print(lines[-1], flush=True)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cells(scores: Any) -> list[str]:
    """Means with their standard errors, the seconds and epochs without."""
    mean, error = scores.mean(0), scores.std(0, ddof=1) / len(scores) ** 0.5
    cells = [f"{mean[i]:.{digits}f} ({error[i]:.{digits}f})" for i, digits in enumerate((2, 3, 3))]
    return [*cells, "" if math.isnan(mean[3]) else f"{mean[3]:.2f}", f"{mean[4]:.0f}"]


if __name__ == "__main__":
    SPLITS = int(sys.argv[1]) if len(sys.argv) > 1 else SPLITS
    main()
