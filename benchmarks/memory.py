"""Peak memory of a fit, in a process of its own: docs/results/memory.md.

python -m benchmarks.memory dense    # 60,000 x 784 float32: how much comes on top of X
python -m benchmarks.memory sparse   # 100,000 x 50,000 at 0.1 % density: all of the process
python -m benchmarks.memory working  # against weights, a batch and Gram matrices: docs/results/working_memory.md

The cases of `working` are processes of their own, which note their memory when data and libraries are there, and the
peak after a fit of a few batches.  Target: 3 times weights + activations of a batch + Gram matrices held.
"""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import random_array

from nmfnet import NMFNetClassifier, Relaxed

MIB = 2**20
OUT = Path(__file__).resolve().parent.parent / "docs" / "results" / "working_memory.md"
# (samples, inputs, hidden widths, classes)
CASES = [
    (20_000, 784, (1000, 500), 10),
    (20_000, 784, (2048, 2048), 10),
    (10_000, 3072, (2000, 1000, 500), 10),
    (4_000, 20_000, (512,), 10),
    (4_000, 784, (8192,), 10),
]


def status(name: str) -> float:
    """A number of this process, in MiB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024


def now() -> float:
    """Resident memory, in MiB."""
    return status("VmRSS")


def peak() -> float:
    """The most there was; not ru_maxrss, which begins with that of the process that started this one."""
    return status("VmHWM")


def dense() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((60_000, 784), dtype=np.float32), rng.integers(0, 10, 60_000)
    NMFNetClassifier((100,), max_iter=1).fit(X[:2000], y[:2000])  # libraries load what they need
    before = now()
    for name, data in (("fit", X), ("one of the same data as a tensor", torch.from_numpy(X))):
        NMFNetClassifier((100,), max_iter=2, random_state=0).fit(data, y)
        print(f"X is {X.nbytes / MIB:.0f} MiB; {name} adds at most {peak() - before:.0f} MiB")


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


def needed(n: int, widths: list[int], batch: int) -> int:
    """Bytes of float32 weights, of a batch's activations, and of one Gram matrix for each layer's input."""
    weights = sum((a + 1) * b for a, b in pairwise(widths))
    grams = sum(a * a for a in widths[:-1] if a <= max(batch, 4096))  # wider ones take the dual form
    return 4 * (weights + batch * sum(widths) + grams)


def case(number: int) -> None:
    """Print the MiB that a fit adds, and those of `needed`."""
    n, n_features, hidden, k = CASES[number]
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    X = rng.random((n, n_features), dtype=np.float32)
    NMFNetClassifier((8,), max_iter=1).fit(X[:50, :5], y[:50])  # what libraries take once
    before = now()
    NMFNetClassifier(hidden, max_iter=1, random_state=0).fit(X, y)
    widths = [n_features, *hidden, k]
    print(peak() - before, needed(n, widths, Relaxed.default_batch_size(n)) / MIB)


def working() -> None:
    lines = [
        "# Memory that a fit adds",
        "",
        '`solver="relaxed"`, defaults, float32 random numbers (incompressible: nothing is projected).  Made by',
        "`python -m benchmarks.memory working`, which says how it is measured.",
        "",
        "| samples | inputs | hidden layers | MiB added | weights + batch + Gram matrices, MiB | ratio |",
        "| ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for number, (n, n_features, hidden, _) in enumerate(CASES):
        command = [sys.executable, "-m", "benchmarks.memory", "case", str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        added, least = map(float, done.stdout.split())
        width = "-".join(map(str, hidden))
        lines.append(f"| {n} | {n_features} | {width} | {added:.0f} | {least:.0f} | {added / least:.1f} |")
        print(lines[-1], flush=True)
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    {"dense": dense, "sparse": sparse, "working": working, "case": case}[sys.argv[1]](*map(int, sys.argv[2:]))
