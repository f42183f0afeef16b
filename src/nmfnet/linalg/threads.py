"""How many threads the products of the factorizations run on.

A pass consists of thousands of products and updates of some microseconds.  Two threads for each gain a third where the
machine has nothing else to do.  Where one of two cores is busy they take three to ten times as long, as each waits,
spinning, until the other has had its turn.  So one thread does all but products that take longer than such a turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

MIN_PARALLEL_FLOPS = 1e9  # operations of a product from which on it gets all threads: some ten milliseconds of one

_allowed = ContextVar("allowed", default=1)  # threads outside of `one_thread`


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, but for :func:`threads_for`; afterwards on as many as before."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    token = _allowed.set(before)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _allowed.reset(token)


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """Within :func:`one_thread`, compute on all threads if it is as much as this many operations."""
    many = _allowed.get()
    if many == 1 or operations < MIN_PARALLEL_FLOPS:
        yield
        return
    torch.set_num_threads(many)
    try:
        yield
    finally:
        torch.set_num_threads(1)
