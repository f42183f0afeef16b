"""Early stopping, and how sure probabilities are, on the tables that come with scikit-learn.

    python benchmarks/selection.py probabilities      # docs/research.md
    python benchmarks/selection.py early_stopping

Means over splits into three quarters to train on and a quarter to test on.  MLPClassifier has scaled inputs; all else
is as by default, with one hidden layer of 100.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nmfnet import NMFNetClassifier

TABLES = {"digits": load_digits, "breast cancer": load_breast_cancer, "wine": load_wine, "iris": load_iris}
SPLITS = 10
BINS = 10


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


def mean_row(table: str, make: Any, **settings: Any) -> str:
    """Error, log-loss, calibration error and seconds."""
    found = []
    for seed, (X, X_test, y, y_test) in splits(table):
        start = time.perf_counter()
        model = make(seed, **settings).fit(X, y)
        seconds = time.perf_counter() - start
        P = model.predict_proba(X_test)
        error = 100 * (1 - model.score(X_test, y_test))
        found.append((error, log_loss(y_test, P), expected_calibration_error(P, y_test), seconds))
    error, loss, calibration, seconds = np.mean(found, axis=0)
    return f"{error:.2f} | {loss:.3f} | {calibration:.3f} | {seconds:.2f}"


def main(what: str) -> None:
    """Print a table."""
    warnings.simplefilter("ignore")
    models: dict[str, Any] = {"nmfnet": (ours, {}), "MLPClassifier": (mlp, {})}
    if what == "early_stopping":
        stopping = {"early_stopping": True}
        models |= {"nmfnet, early stopping": (ours, stopping), "MLPClassifier, early stopping": (mlp, stopping)}
    print("| table | model | error (%) | log-loss | calibration error | seconds |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for table in TABLES:
        for name, (make, settings) in models.items():
            print(f"| {table} | {name} | {mean_row(table, make, **settings)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
