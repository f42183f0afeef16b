"""How much memory a fit adds: against the weights, one batch of activations and the Gram matrices.

    python benchmarks/working_memory.py     writes docs/results/working_memory.md

Each case is a process of its own, which notes its resident memory when data and libraries are there, and the peak
after a fit of a few batches.  Target: 3 times weights + activations of a batch + Gram matrices held.
"""

import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent.parent / "docs" / "results" / "working_memory.md"
# (samples, inputs, hidden widths, classes)
CASES = [
    (20_000, 784, (1000, 500), 10),
    (20_000, 784, (2048, 2048), 10),
    (10_000, 3072, (2000, 1000, 500), 10),
    (4_000, 20_000, (512,), 10),
    (4_000, 784, (8192,), 10),
]


def needed(n: int, widths: list[int], batch: int) -> int:
    """Bytes of float32 weights, of a batch's activations, and of one Gram matrix for each layer's input."""
    weights = sum((a + 1) * b for a, b in pairwise(widths))
    grams = sum(a * a for a in widths[:-1] if a <= max(batch, 4096))  # wider ones take the dual form
    return 4 * (weights + batch * sum(widths) + grams)


def one(case: int) -> None:
    """Print the bytes that a fit adds, and those of `needed`."""
    from nmfnet import NMFNetClassifier, Relaxed

    n, n_features, hidden, k = CASES[case]
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    X = rng.random((n, n_features), dtype=np.float32)
    NMFNetClassifier((8,), max_iter=1).fit(X[:50, :5], y[:50])  # what libraries take once
    before = resident()
    NMFNetClassifier(hidden, max_iter=1, random_state=0).fit(X, y)
    added = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    widths = [n_features, *hidden, k]
    print(added, needed(n, widths, Relaxed.default_batch_size(n)))


def resident() -> int:
    """Bytes of memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    lines = [
        "# Memory that a fit adds",
        "",
        '`solver="relaxed"`, defaults, float32 random numbers (incompressible: nothing is projected).  Made by',
        "`python benchmarks/working_memory.py`, which says how it is measured.",
        "",
        "| samples | inputs | hidden layers | MiB added | weights + batch + Gram matrices, MiB | ratio |",
        "| ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for case, (n, n_features, hidden, _) in enumerate(CASES):
        done = subprocess.run([sys.executable, __file__, str(case)], capture_output=True, text=True, check=True)
        added, least = map(int, done.stdout.split())
        width = "-".join(map(str, hidden))
        lines.append(
            f"| {n} | {n_features} | {width} | {added / 2**20:.0f} | {least / 2**20:.0f} | {added / least:.1f} |"
        )
        print(lines[-1], flush=True)
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(int(sys.argv[1]))
    else:
        main()
