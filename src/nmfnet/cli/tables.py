"""Tables and numbers that the commands print."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nmfnet.cli.data import Array, Task
from nmfnet.cli.progress import shown_error
from nmfnet.datasets import Available
from nmfnet.estimators.base import BaseNMFNet

MOST_CLASSES = 20  # with more, a confusion matrix is a list of its largest entries
CONFUSIONS_LISTED = 10


@dataclass(frozen=True)
class Score:
    """How good a model is on some rows.

    Attributes
    ----------
    rows : int
    error : float
        Fraction misclassified or mean squared error, as in a history.
    variance : float
        Of the targets, what R² compares the mean squared error with; 0 for classes.
    """

    rows: int
    error: float
    variance: float = 0.0

    @property
    def r2(self) -> float | None:
        """Share of the variance explained; None where there is no variance."""
        return 1 - self.error / self.variance if self.variance else None

    def as_dict(self, task: Task) -> dict[str, float | None]:
        """Return what goes into a file."""
        if task == "classification":
            return {"error": self.error}
        return {"mean_squared_error": self.error, "rmse": math.sqrt(self.error), "r2": self.r2}


def score(model: BaseNMFNet, X: Array, y: Array, task: Task) -> Score:
    """Error of a model's predictions of y."""
    predicted = model.predict(X)  # type: ignore[attr-defined]
    if task == "classification":
        return Score(len(y), float(np.mean(predicted != y)))
    residual = np.subtract(predicted, y, dtype=np.float64)
    return Score(len(y), float(np.mean(residual**2)), float(np.var(y.astype(np.float64))))


def summary(facts: Mapping[str, str], scores: Mapping[str, Score], task: Task) -> Table:
    """Facts about a training, and its errors above the last two."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = list(facts.items())
    for name, value in rows[:-2]:
        table.add_row(name, value)
    for part, found in scores.items():
        what = "error" if task == "classification" else "RMSE"
        table.add_row(f"{part.capitalize()} {what}", in_words(found, task))
    for name, value in rows[-2:]:
        table.add_row(name, value)
    return table
