"""Fashion-MNIST."""

from ..problem import Data, Task
from ._split import images


def load() -> Data:
    """Pixels in [0, 1]; 10,000 of the training rows for validation."""
    return images("fashion-mnist", 10_000)


TASKS = [Task("fashion-mnist", load, (1000, 500), 30, tags=("images",))]
