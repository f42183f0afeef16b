"""CIFAR-10 without augmentation: hard for fully-connected nets, which overfit."""

from ..problem import Data, Task
from ._split import FEWER, images


def load() -> Data:
    """Pixels centred, with one scale; 10,000 of the training rows for validation."""
    return images("cifar10", 10_000, centred=True)


TASKS = [Task("cifar10", load, (2000, 1000, 500), 30, tags=("images",), rungs=FEWER)]
