"""`torchrun -m nmfnet train`: several processes that train together, of which one reports."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch.distributed as dist
from rich.console import Console

from nmfnet.cli.data import Array, taken
from nmfnet.distributed import join, launched, leave, now, together


@contextmanager
def all_ranks(console: Console) -> Iterator[Console]:
    """Join the other processes that torchrun has started, if it has; only rank 0 writes to the console."""
    begun = launched() and not dist.is_initialized()
    join()
    try:
        with together() as ranks:
            yield console if ranks.rank == 0 else Console(file=io.StringIO())
    finally:
        if begun:
            leave()


def own_rows(X: Any, y: Array) -> tuple[Any, Array]:
    """The rows that this rank holds of all: as many as the others, or one more or less."""
    ranks, n = now(), len(y)
    if ranks.size == 1:
        return X, y
    if n < ranks.size:
        raise ValueError(f"{ranks.size} ranks cannot share {n} rows: start fewer with torchrun --nproc-per-node.")
    rows = slice(n * ranks.rank // ranks.size, n * (ranks.rank + 1) // ranks.size)
    return taken(X, np.arange(n)[rows]), y[rows].copy()
