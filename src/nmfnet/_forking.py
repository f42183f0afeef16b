"""Processes that are forked, as by multiprocessing on Linux before Python 3.14."""

from __future__ import annotations

import os
import sys


def compute_alone_after_fork() -> None:
    """Let each child that is forked from now on compute with one thread, if its parent has PyTorch.

    A child has only the thread that forked it.  OpenMP's others are gone, but GNU's OpenMP, which PyTorch comes with,
    does not know and waits for them for ever.  With one thread it asks for none: what PyTorch does in the processes of
    its DataLoader.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(after_in_child=_compute_alone)


def _compute_alone() -> None:
    torch = sys.modules.get("torch")
    if hasattr(torch, "set_num_threads"):  # and has not only begun to be imported
        torch.set_num_threads(1)  # type: ignore[union-attr]
