"""Networks of wide inputs against scikit-learn's, both with their defaults: processor seconds and errors on new rows.

python benchmarks/wide.py            # five seeds, a few minutes; a part of the cases by their names
python benchmarks/wide.py text-2000 noise-2000

Text: TF-IDF of documents of Poisson(60) words, 35 % of them of the topic, Zipf's law for the others.  Noise: normal
columns of different units, of which 5 % differ by class, or make up a real target.  The fits of a seed take turns; the
ratio is the median over seeds.  An error is the share misclassified, or 1 - R2, in per cent.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import time
import warnings
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor

from nmfnet import NMFNetClassifier, NMFNetRegressor

HIDDEN, TEST, SEEDS, CLASSES, TOPIC = (50,), 1000, 5, 10, 0.35
# name -> (kind, rows, columns)
CASES = {
    "text-2000": ("text", 2000, 2000),
    "noise-2000": ("noise", 2000, 2000),
    "real-2000": ("real", 2000, 2000),
    "text-500": ("text", 500, 4000),
    "noise-500": ("noise", 500, 4000),
    "text-5000": ("text", 5000, 3000),
    "noise-5000": ("noise", 5000, 3000),
    "real-5000": ("real", 5000, 3000),
}


def data(kind: str, n: int, columns: int, seed: int) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, CLASSES, n)
    if kind == "text":
        common, topics = 1 / np.arange(1, columns + 1), rng.dirichlet(np.full(columns, 0.02), CLASSES)
        words = (1 - TOPIC) * common / common.sum() + TOPIC * topics
        words /= words.sum(1, keepdims=True)
        counts = [rng.multinomial(1 + rng.poisson(60), words[each]) for each in classes]
        return TfidfTransformer().fit_transform(csr_matrix(np.array(counts, dtype=float))), classes
    X, units = rng.standard_normal((n, columns)), np.exp(rng.standard_normal(columns))
    if kind == "noise":
        means = rng.standard_normal((CLASSES, columns)) * (rng.random(columns) < 0.05) / 2
        return (X + means[classes]) * units, classes
    signal = X[:, : columns // 20].sum(1)
    return X * units, signal / signal.std() + 0.1 * rng.standard_normal(n)


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")  # scikit-learn's ConvergenceWarning
    print("| case | data | seconds | scikit-learn | ratio | error, % | scikit-learn |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in names or CASES:
        kind, n, columns = CASES[name]
        models = (NMFNetRegressor, MLPRegressor) if kind == "real" else (NMFNetClassifier, MLPClassifier)
        seconds: list[list[float]] = [[], []]
        errors: list[list[float]] = [[], []]
        for seed in range(SEEDS):
            X, X_test, y, y_test = train_test_split(
                *data(kind, n + TEST, columns, seed), test_size=TEST, random_state=0
            )
            for which, model in enumerate(models):
                start = time.process_time()
                fitted = model(hidden_layer_sizes=HIDDEN, random_state=seed).fit(X, y)
                seconds[which].append(time.process_time() - start)
                errors[which].append(100 * (1 - fitted.score(X_test, y_test)))
        ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
        ours, theirs = (statistics.median(each) for each in seconds)
        error, other = (statistics.mean(each) for each in errors)
        print(
            f"| {name} | {n} × {columns} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} | {error:.2f} | {other:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
