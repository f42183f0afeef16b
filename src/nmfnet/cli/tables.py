"""Tables and numbers that the commands print."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sklearn.metrics import roc_auc_score

from nmfnet._text import printable
from nmfnet.cli.data import Array, Task
from nmfnet.cli.progress import shown_error
from nmfnet.datasets import Available

MAX_MATRIX_CLASSES = 20  # with more, a confusion matrix is a list of its largest entries
CONFUSIONS_LISTED = 10
LONGEST_NAME = 60  # characters of a class
BINS = 15  # of a calibration error


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


def score(predicted: Array, y: Array, task: Task) -> Score:
    """Error of predictions of y."""
    if task == "classification":
        return Score(len(y), float(np.mean(predicted != y)))
    residual = np.subtract(predicted, y, dtype=np.float64)
    return Score(len(y), float(np.mean(residual**2)), float(np.var(y.astype(np.float64))))


def probability_scores(y: Array, P: Array, classes: Array) -> dict[str, float]:
    """Log-loss, area under the ROC curve and calibration error of probabilities P (n, k), as far as they are defined.

    The area is the mean over the classes, each against the rest.  The calibration error is that of Guo et al. (2017):
    the mean distance between confidence and accuracy in 15 bins of the confidence.
    """
    place = {label: i for i, label in enumerate(classes.tolist())}
    index = np.array([place.get(label, -1) for label in y.tolist()])
    known = index >= 0
    P, index = P[known].astype(np.float64), index[known]
    if not len(index):
        return {}
    floor = np.finfo(np.float64).tiny
    found = {"Log-loss": float(-np.log(np.maximum(P[np.arange(len(P)), index], floor)).mean())}
    areas = [roc_auc_score(index == i, P[:, i]) for i in range(len(classes)) if 0 < (index == i).sum() < len(index)]
    if areas:
        found["AUC"] = float(np.mean(areas))
    confidence, right = P.max(1), P.argmax(1) == index
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float((right[bins == b] - confidence[bins == b]).sum())) for b in range(BINS)]
    return found | {"Calibration error": sum(gaps) / len(P)}


def in_words(found: Score, task: Task) -> str:
    """Error of some rows for people to read."""
    if task == "classification":
        return f"{shown_error(found.error, task)} ({round(found.error * found.rows)} of {found.rows} rows)"
    r2 = "undefined" if found.r2 is None else f"{found.r2:.4f}"
    return f"{shown_error(found.error, task)}, R² {r2} ({found.rows} rows)"


def error_name(task: Task) -> str:
    """Return what an error is called."""
    return "error" if task == "classification" else "RMSE"


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and values, a pair a line."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, Text(printable(value)))
    return table


def confusion(console: Console, y: Array, predicted: Array, classes: Array) -> Table:
    """Confusion matrix, or a list of the most frequent confusions where it would be too large.

    Parameters
    ----------
    console : rich.console.Console
        Whose width the matrix must fit into.
    y, predicted : ndarray of shape (n,)
    classes : ndarray of shape (n_classes,)
        Of the model; `y` may have others.
    """
    name = {value: printable(value, LONGEST_NAME) for value in classes.tolist()}
    others = sorted(set(y.tolist()) - set(name), key=lambda value: (isinstance(value, str), value))
    name |= {value: printable(value, LONGEST_NAME) for value in others}
    counts = Counter(zip(y.tolist(), predicted.tolist(), strict=True))  # 1 and 1.0 are one class
    if len(name) <= MAX_MATRIX_CLASSES:
        table = _confusion_matrix(counts, name)
        if console.measure(table, options=console.options.update(width=10_000)).maximum <= console.width:
            return table
    return _confusion_list(counts, name)


def _confusion_matrix(counts: Counter[tuple[Any, Any]], name: Mapping[Any, str]) -> Table:
    table = Table(box=SIMPLE_HEAD, title="Rows by class (down) and prediction (across)", title_justify="left")
    table.add_column("", style="bold", no_wrap=True)
    for header in name.values():
        table.add_column(Text(header), justify="right", no_wrap=True)
    for true in name:
        cells = [
            Text(
                str(counts[true, guess] or "·"),
                style="bold" if guess == true else "" if counts[true, guess] else "dim",
            )
            for guess in name
        ]
        table.add_row(Text(name[true]), *cells)
    return table


def _confusion_list(counts: Counter[tuple[Any, Any]], name: Mapping[Any, str]) -> Table:
    table = Table(box=SIMPLE_HEAD, title="Most frequent confusions", title_justify="left")
    table.add_column("Class")
    table.add_column("Predicted")
    table.add_column("Rows", justify="right")
    table.add_column("Of the class", justify="right")
    rows = Counter[Any]()
    for (true, _), count in counts.items():
        rows[true] += count
    wrong = Counter({pair: count for pair, count in counts.items() if pair[0] != pair[1]})
    for (true, guess), count in wrong.most_common(CONFUSIONS_LISTED):
        table.add_row(Text(name[true]), Text(name[guess]), str(count), f"{100 * count / rows[true]:.1f}%")
    return table


def named_sets(available: Sequence[Available]) -> Table:
    """Name of each data set, what it is, and whether it is here."""
    table = Table(box=SIMPLE_HEAD)
    for header in ("Name", "What", "Training", "Test", "Here"):
        table.add_column(header, justify="right" if header in ("Training", "Test") else "left")
    for known in available:
        here = f"yes ({known.format})" if known.here else "to be fetched"
        table.add_row(known.name, known.description, f"{known.n_train:,}", f"{known.n_test:,}", here)
    return table
