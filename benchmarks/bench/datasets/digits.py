"""scikit-learn's 8x8 digits: the quick check."""

from ..problem import Data, Task
from ._split import images


def load() -> Data:
    """Split of nmfnet's own loader, with 270 of the training rows for validation."""
    return images("digits", 270)


TASKS = [Task("digits", load, (200, 100), 60, tags=("images", "small"))]
