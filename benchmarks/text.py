"""Documents of seven classes by TF-IDF, against scikit-learn's logistic regression and MLP.

    python benchmarks/text.py                    # many minutes; a part of the cases by their names
    python benchmarks/text.py 500x5000 docstrings-2000 > part.md

Cases such as 500x5000 are drawn: about 60 words a document, a share of them of the topic, by a Dirichlet distribution
over words, the others by Zipf's law.  The others are real texts of at most 40 words (benchmarks/corpora.py).  All
models have their defaults and one hidden layer of 100; logistic regression also has its C chosen among 1, 10, 100 and
1000 by three folds.  Settings of nmfnet were chosen on drawn documents of seeds from 100 on, and on `packages` and
`code`; drawn seeds from 0 on, `docstrings` and `manuals` were not looked at.  Error in per cent, log-loss, seconds of
a processor.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
import warnings
from typing import Any

import numpy as np
from corpora import tfidf
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
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
# name -> (corpus, rows, seeds)
CORPORA = ("packages", "code", "docstrings", "manuals")
REAL = {f"{corpus}-{n}": (corpus, n, 2) for corpus in CORPORA for n in (500, 2000, 5000)}
MODELS: dict[str, Any] = {
    "nmfnet": lambda seed: NMFNetClassifier((100,), random_state=seed),
    "logistic regression, C=1": lambda seed: LogisticRegression(max_iter=1000),
    "logistic regression, C chosen": lambda seed: LogisticRegressionCV(
        Cs=[1, 10, 100, 1000], cv=3, scoring="neg_log_loss", max_iter=1000, use_legacy_attributes=False
    ),
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


def split(case: str, seed: int) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Training rows and classes, and those of the test."""
    if case in REAL:
        corpus, n, _ = REAL[case]
        return tfidf(corpus, n, TEST, seed)
    n, columns, topic, _ = CASES[case]
    X, y = documents(n + TEST, columns, topic, seed)
    return X[:n], y[:n], X[n:], y[n:]


def main(names: list[str]) -> None:
    """Print a table."""
    warnings.simplefilter("ignore")  # ConvergenceWarning of the MLP
    print("| case | rows × words | model | error, % | log-loss | seconds |\n| --- | --- | --- | ---: | ---: | ---: |")
    for case in names or [*CASES, *REAL]:
        seeds = (REAL[case] if case in REAL else CASES[case])[-1]
        splits = [split(case, seed) for seed in range(seeds)]
        size = " × ".join(map(str, splits[0][0].shape))
        for name, make in MODELS.items():
            found = []
            for seed, (X, y, X_test, y_test) in enumerate(splits):
                start = time.process_time()
                model = make(seed).fit(X, y)
                seconds = time.process_time() - start
                loss = log_loss(y_test, model.predict_proba(X_test), labels=model.classes_)
                found.append((100 * np.mean(model.predict(X_test) != y_test), loss, seconds))
            error, loss, seconds = np.mean(found, axis=0)
            print(f"| {case} | {size} | {name} | {error:.2f} | {loss:.3f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
