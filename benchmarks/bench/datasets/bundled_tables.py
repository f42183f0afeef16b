"""Tables that need no package beyond scikit-learn."""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_breast_cancer

from ._tables import table


def breast_cancer() -> Any:
    """569 rows, 30 numeric columns, two classes."""
    return load_breast_cancer(as_frame=True, return_X_y=True)


TASKS = [table("breast-cancer", breast_cancer, True, small=True)]
