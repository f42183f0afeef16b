"""Networks on one thread and on two, with the machine to themselves and beside busy processes.

    NMFNET_DATA=FOLDER python benchmarks/threads.py       some minutes; needs an idle machine of two cores

FOLDER has mnist.npz.  Wall time of the faster of two fits in turn, and the ratio of two threads over one.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sklearn.datasets import make_classification

from nmfnet import NMFNetClassifier, datasets

BUSY = "while True: pass"
TABLES = [((100,), 284), ((100,), 1000), ((100,), 4000), ((256, 256), 284), ((256, 256), 4000)]
IMAGES = [((200, 100), 6000), ((500, 250), 8000), ((1000, 500), 8000)]


@contextmanager
def company(n: int) -> Iterator[None]:
    """With n processes that keep a core busy."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def cases() -> Iterator[tuple[str, NMFNetClassifier, Any, Any]]:
    """Name, model, inputs and classes."""
    for hidden, n in TABLES:
        X, y = make_classification(n, 30, n_informative=10, random_state=0)
        yield f"table, {hidden}, {n} rows", NMFNetClassifier(hidden, random_state=0), X, y
    images = datasets.load("mnist")
    for hidden, n in IMAGES:
        model = NMFNetClassifier(hidden, max_iter=4, random_state=0)
        yield f"images, {hidden}, {n} rows", model, images.X_train[:n], images.y_train[:n]


def seconds(model: NMFNetClassifier, X: Any, y: Any, threads: int) -> float:
    """Wall time of a fit."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each case."""
    warnings.simplefilter("ignore")
    for n in (0, 1, 2):
        with company(n):
            for name, model, X, y in cases():
                turns = [(seconds(model, X, y, 1), seconds(model, X, y, 2)) for _ in range(2)]
                one, two = (min(each) for each in zip(*turns, strict=True))
                print(f"{n} busy, {name}: {one:.2f} s, {two:.2f} s, {two / one:.2f}", flush=True)


if __name__ == "__main__":
    main()
