"""MNIST with three networks: the usual one, a wide one, a deep one."""

from ..problem import Data, Task
from ._split import FEWER, images


def load() -> Data:
    """Pixels in [0, 1]; 10,000 of the training rows for validation."""
    return images("mnist", 10_000)


TASKS = [
    Task("mnist", load, (1000, 500), 15, tags=("images",)),
    Task("mnist-wide", load, (2048, 2048), 20, tags=("images",), rungs=FEWER),
    Task("mnist-deep", load, (500,) * 10, 15, tags=("images",), rungs=FEWER),
]
