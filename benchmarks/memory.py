"""Peak memory of a fit, in a process of its own: docs/results/memory.md.

python -m benchmarks.memory dense    # 60,000 x 784 float32: how much comes on top of X
python -m benchmarks.memory sparse   # 100,000 x 50,000 at 0.1 % density: all of the process
python -m benchmarks.memory working  # against weights, a batch and Gram matrices: docs/results/working_memory.md

The cases of `working` are processes of their own.  Three note their memory when data and libraries are there, and the
peak after a fit of a few batches: tensors, work space of the BLAS beyond what it keeps, and the gaps that the C
library leaves between what it gives out, which are not the same each time; the median counts.  Another one sums up the
tensors alone, by PyTorch's profiler.  Target: 4 times weights + activations of a batch + Gram matrices held.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import random_array
from torch.profiler import ProfilerActivity, profile

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed

MIB = 2**20
OUT = Path(__file__).resolve().parent.parent / "docs" / "results" / "working_memory.md"
TIMES = 3
# (samples, inputs, hidden widths, outputs, what the targets are)
CASES = [
    (20_000, 784, (1000, 500), 10, "classes"),
    (20_000, 784, (2048, 2048), 10, "classes"),
    (10_000, 3072, (2000, 1000, 500), 10, "classes"),
    (4_000, 20_000, (512,), 10, "classes"),
    (4_000, 784, (8192,), 10, "classes"),
    (20_000, 784, (1000, 500), 1, "real"),
    (4_000, 20_000, (512,), 1, "real"),
    (4_000, 784, (8192,), 1, "real"),
    (20_000, 784, (1000, 500, 250, 30, 250, 500, 1000), 784, "real"),
]

WORKING = """# Memory that a fit adds

How much memory does a fit take at its peak, beside the data? It is compared with what it cannot do without: its
weights, the activations of a batch, and Gram matrices. The aim is at most 4 times these.

- **Fits** have `solver="relaxed"` with its defaults, and one epoch of random float32 numbers. No principal components
  can replace such numbers.
- **Needed** are weights, a batch, and the Gram matrices of layers with at most 4096 inputs.
- **Tensors** are all tensors that are alive at once, by PyTorch's profiler.
- **Process** is what the process grows by: tensors, work space of the BLAS, and gaps of the C library. It is the
  median of three fits.

Made by `python -m benchmarks.memory working`.
"""


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


def needed(widths: list[int], batch: int) -> int:
    """Bytes of float32 weights, of a batch's activations, and of a Gram matrix for each layer's input.

    Also where the layer takes steps by the samples of an earlier batch, and holds none.
    """
    weights = sum((a + 1) * b for a, b in pairwise(widths))
    grams = sum(a * a for a in widths[:-1] if a <= max(batch, 4096))  # wider ones take the dual form
    return 4 * (weights + batch * sum(widths) + grams)


def tensors(fit: Callable[[], object]) -> float:
    """The most MiB that tensors take at once in a fit, those that were there before not counted."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        fit()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        profiled.export_chrome_trace(file.name)
        events = json.loads(Path(file.name).read_text())["traceEvents"]
    events = sorted((each for each in events if each.get("name") == "[memory]"), key=lambda each: each["ts"])
    return max(accumulate(each["args"]["Bytes"] for each in events)) / MIB


def case(number: str, what: str) -> None:
    """Print the MiB that a fit adds to the process, or to what its tensors take."""
    n, n_features, hidden, k, targets = CASES[int(number)]
    rng = np.random.default_rng(0)
    estimator = NMFNetClassifier if targets == "classes" else NMFNetRegressor
    y = np.arange(n) % k if targets == "classes" else np.squeeze(rng.random((n, k), dtype=np.float32))
    X = rng.random((n, n_features), dtype=np.float32)
    estimator((8,), max_iter=1).fit(X[:50, :5], y[:50])  # what libraries take once
    for dtype in (torch.float32, torch.float64):  # the work space of products and decompositions, which they keep
        torch.linalg.eigh(torch.eye(784, dtype=dtype) @ torch.eye(784, dtype=dtype))
    ctypes.CDLL(None).malloc_trim(0)  # what is free is not to count as taken before
    before, fit = now(), partial(estimator(hidden, max_iter=1, random_state=0).fit, X, y)
    if what == "tensors":
        print(tensors(fit))
    else:
        fit()
        print(peak() - before)


def added(number: int, what: str) -> float:
    """The MiB that a fit adds, in a new process."""
    command = [sys.executable, "-m", "benchmarks.memory", "case", str(number), what]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def working() -> None:
    lines = [
        WORKING,
        "| samples | inputs | hidden layers | targets | needed, MiB | tensors, MiB | process, MiB | tensors / needed "
        "| process / needed |",
        "| ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for number, (n, n_features, hidden, k, targets) in enumerate(CASES):
        batch = Relaxed.default_batch_size(n, k if targets == "real" else 0)
        least = needed([n_features, *hidden, k], batch) / MIB
        width = "-".join(map(str, hidden))
        alive, process = added(number, "tensors"), statistics.median(added(number, "process") for _ in range(TIMES))
        lines.append(
            f"| {n} | {n_features} | {width} | {k} {targets} | {least:.0f} | {alive:.0f} "
            f"| {process:.0f} | {alive / least:.2f} | {process / least:.2f} |"
        )
        print(lines[-1], flush=True)
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    {"dense": dense, "sparse": sparse, "working": working, "case": case}[sys.argv[1]](*sys.argv[2:])
