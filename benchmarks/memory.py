"""Peak memory of a fit, in a process of its own: docs/results/memory.md.

python -m benchmarks.memory dense    # 60,000 x 784 float32: how much comes on top of X
python -m benchmarks.memory sparse   # 100,000 x 50,000 at 0.1 % density: all of the process
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from scipy.sparse import random_array

from nmfnet import NMFNetClassifier

MIB = 2**20


def now() -> float:
    """Resident memory, in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / MIB


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def dense() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((60_000, 784), dtype=np.float32), rng.integers(0, 10, 60_000)
    NMFNetClassifier((100,), max_iter=1).fit(X[:2000], y[:2000])  # libraries load what they need
    before = now()
    NMFNetClassifier((100,), max_iter=2, random_state=0).fit(X, y)
    print(f"X is {X.nbytes / MIB:.0f} MiB; fit adds at most {peak() - before:.0f} MiB")


def sparse() -> None:
    rng = np.random.default_rng(0)
    X = random_array((100_000, 50_000), density=1e-3, format="csr", dtype=np.float32, rng=rng)
    score = X @ rng.standard_normal(50_000)
    y, train, test = score > np.median(score), slice(0, 90_000), slice(90_000, None)
    start = time.perf_counter()
    model = NMFNetClassifier((100,), max_iter=3, random_state=0).fit(X[train], y[train])
    seconds = time.perf_counter() - start
    print(f"3 epochs in {seconds:.0f} s, peak of the process {peak():.0f} MiB, X of it {X.data.nbytes * 2 / MIB:.0f}")
    print(f"training error {model.history_[-1]['train_error']:.3f}, test accuracy {model.score(X[test], y[test]):.3f}")


if __name__ == "__main__":
    {"dense": dense, "sparse": sparse}[sys.argv[1]]()
