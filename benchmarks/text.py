"""Seven classes of documents by TF-IDF, against scikit-learn's logistic regression and MLP.

    python benchmarks/text.py                    # minutes; a part of the cases by their names
    python benchmarks/text.py 500x5000 2000x2000

Documents of about 60 words, a share of them of the topic, by a Dirichlet distribution over words, the others
by Zipf's law.  All with their defaults and one hidden layer of 100, logistic regression also with less
regularization. Defaults of nmfnet were chosen on seeds from 100 on; those from 0 on are reported.  Error in
per cent, log-loss, seconds of a processor.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
import warnings
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from nmfnet import NMFNetClassifier

TEST, CLASSES, WORDS, SPREAD = 1000, 7, 60, 0.02
# name -> (rows, columns, share of the topic, seeds)
CASES = {
    "500x5000": (500, 5000, 0.2, 3),
    "1000x8000": (1000, 8000, 0.15, 3),
    "2000x2000": (2000, 2000, 0.1, 3),
    "3000x12000": (3000, 12_000, 0.1, 2),
    "6000x5000": (6000, 5000, 0.08, 2),
    "12000x50000": (12_000, 50_000, 0.08, 1),
}
MODELS: dict[str, Any] = {
    "nmfnet": lambda seed: NMFNetClassifier((100,), random_state=seed),
    "logistic regression, C=1": lambda seed: LogisticRegression(max_iter=1000),
    "logistic regression, C=100": lambda seed: LogisticRegression(max_iter=1000, C=100),
    "MLPClassifier": lambda seed: MLPClassifier((100,), random_state=seed),
}


def documents(n: int, columns: int, topic: float, seed: int) -> tuple[Any, np.ndarray]:
    """TF-IDF (n, columns) and the classes (n,)."""
    rng = np.random.default_rng(seed)
    common = 1 / np.arange(1, columns + 1)
    common /= common.sum()
    y = rng.integers(0, CLASSES, n)
    rows = np.repeat(np.arange(n), 1 + rng.poisson(WORDS * rng.gamma(4, 0.25, n)))
    words = drawn(rng, common, len(rows))
    of_topic = rng.random(len(rows)) < topic
    for label in range(CLASSES):
        mine = of_topic & (y[rows] == label)
        words[mine] = drawn(rng, rng.gamma(SPREAD, 1, columns) * common**0.5, int(mine.sum()))
    counts = csr_matrix((np.ones(len(rows)), (rows, words)), shape=(n, columns))
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts), y


def drawn(rng: np.random.Generator, weights: np.ndarray, n: int) -> np.ndarray:
    """Numbers of n words, with such weights."""
    return np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(n) * (1 - 1e-6))


def main(names: list[str]) -> None:
    """Print a table."""
    warnings.simplefilter("ignore")  # ConvergenceWarning of the MLP
    print("| rows × words | model | error, % | log-loss | seconds |\n| --- | --- | ---: | ---: | ---: |")
    for case in names or CASES:
        n, columns, topic, seeds = CASES[case]
        for name, make in MODELS.items():
            found = []
            for seed in range(seeds):
                X, y = documents(n + TEST, columns, topic, seed)
                start = time.process_time()
                model = make(seed).fit(X[:n], y[:n])
                seconds = time.process_time() - start
                error = 100 * (1 - model.score(X[n:], y[n:]))
                found.append((error, log_loss(y[n:], model.predict_proba(X[n:])), seconds))
            error, loss, seconds = np.mean(found, axis=0)
            print(f"| {n} × {columns} | {name} | {error:.2f} | {loss:.3f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
