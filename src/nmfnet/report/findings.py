"""What a model gets right and wrong on some rows, as numbers and text that a JSON file can hold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from nmfnet._text import printable

Array = NDArray[Any]
MOST_CLASSES = 30  # with more, there is no confusion matrix but a list of the most frequent confusions
MOST_CONFUSIONS = 10
MOST_EXAMPLES, EXAMPLES_OF_A_CLASS = 24, 4
MOST_COLUMNS = 12  # of an example that are shown
MOST_POINTS = 400  # of a scatter plot
BINS = 10  # of the probability of the predicted class
LONGEST = 60  # characters of a label, a column's name or a value


def findings(
    model: Any,
    X: Any,
    y: Array,
    part: str = "test",
    *,
    image_shape: tuple[int, ...] | None = None,
    feature_names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compute what a report says of a fitted classifier or regressor, from rows that it was not fitted to.

    Parameters
    ----------
    model : NMFNetClassifier or NMFNetRegressor
        Fitted to one label or one target a row.
    X : array-like of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    part : str, default="test"
        Name of the rows in the report.
    image_shape : (height, width) or (height, width, channels), optional
        Shape of an image, if rows are images; the worst examples are then pictures.
    feature_names : sequence of str, optional
        Names of the columns, if X has no names of its own.

    Returns
    -------
    dict
        Numbers, text, lists and dicts of these.

    Raises
    ------
    ValueError
        If there are no rows, or several targets a row.
    """
    if len(y) == 0 or np.ndim(y) != 1:
        raise ValueError(f"y must have one target for each of at least one row; its shape is {np.shape(y)}.")
    names: list[Any] = list(X.columns if hasattr(X, "columns") else feature_names or [])
    shown = _Rows(X, image_shape, names)
    classifies = hasattr(model, "classes_")
    found = _of_classes(model, X, y, shown) if classifies else _of_amounts(model, X, y, shown)
    return {"part": part, "rows": len(y), "image_shape": None if image_shape is None else list(image_shape), **found}


class _Rows:
    """Rows of X as the examples of a report show them."""

    def __init__(self, X: Any, image_shape: tuple[int, ...] | None, names: Sequence[Any]) -> None:
        self.X, self.image_shape = X, image_shape
        self.names = [printable(name, LONGEST) for name in names[:MOST_COLUMNS]]

    def __call__(self, i: int) -> dict[str, Any]:
        row = np.asarray(self.X.iloc[i] if hasattr(self.X, "iloc") else self.X[i]).ravel()
        if self.image_shape is not None:
            return {"pixels": [round(float(value), 3) for value in row]}
        names = self.names or [f"column {j + 1}" for j in range(min(len(row), MOST_COLUMNS))]
        values = [_written(value) for value in row[:MOST_COLUMNS].tolist()]
        return {"columns": dict(zip(names, values, strict=False)), "more": max(0, len(row) - MOST_COLUMNS)}


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return str(value).removesuffix(" 00:00:00")  # a date without a time of the day
    return f"{value:.4g}" if isinstance(value, float) else printable(value, LONGEST)


def _of_classes(model: Any, X: Any, y: Array, shown: _Rows) -> dict[str, Any]:
    place = {label: i for i, label in enumerate(model.classes_.tolist())}
    true = np.array([place.get(label, -1) for label in y.tolist()])  # -1: the model does not know it
    P = np.asarray(model.predict_proba(X), np.float64)
    P /= P.sum(1, keepdims=True)  # of float32, rounded
    predicted, sure = P.argmax(1), P.max(1)
    right = predicted == true
    names = [printable(label, LONGEST) for label in place]
    counts = Counter(zip(true.tolist(), predicted.tolist(), strict=True))
    n, known = len(names), true >= 0
    rows_of = np.bincount(true[known], minlength=n)
    wrong_of = np.bincount(true[known & ~right], minlength=n)
    confused = sorted(((c, i, j) for (i, j), c in counts.items() if i != j and i >= 0), reverse=True)
    small = n <= MOST_CLASSES
    return {
        "kind": "classification",
        "error": float(1 - right.mean()),
        "log_loss": float(log_loss(true[known], P[known], labels=range(n))) if known.any() and n > 1 else None,
        "unknown": int((~known).sum()),
        "classes": names,
        "confusion": [[counts[i, j] for j in range(n)] for i in range(n)] if small else None,
        "confused": [[names[i], names[j], c] for c, i, j in confused[:MOST_CONFUSIONS]],
        "per_class": [[names[i], int(rows_of[i]), int(wrong_of[i])] for i in range(n)],
        "calibration": _calibration(sure, right),
        "worst": [
            {
                "row": int(i) + 1,
                "true": names[true[i]],
                "predicted": names[predicted[i]],
                "probability": round(float(sure[i]), 4),
                **shown(int(i)),
            }
            for i in _most_wrong(true, sure, known & ~right)
        ],
    }


def _most_wrong(true: Array, sure: Array, wrong: Array) -> list[int]:
    """Rows of the surest errors, some of each class; those of the class with the most errors first."""
    rows = np.flatnonzero(wrong)
    rows = rows[np.argsort(-sure[rows], kind="stable")]
    of_class = Counter(true[rows].tolist())
    taken: list[int] = []
    for label, _ in of_class.most_common():
        taken += rows[true[rows] == label][:EXAMPLES_OF_A_CLASS].tolist()
    return taken[:MOST_EXAMPLES]


def _calibration(sure: Array, right: Array) -> list[list[float]]:
    """Of each bin that has rows: their mean probability, the share that is right, how many they are."""
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    members = [bins == b for b in range(BINS)]
    return [[float(sure[each].mean()), float(right[each].mean()), int(each.sum())] for each in members if each.any()]


def _of_amounts(model: Any, X: Any, y: Array, shown: _Rows) -> dict[str, Any]:
    true, predicted = np.asarray(y, np.float64), np.asarray(model.predict(X), np.float64)
    off = predicted - true
    points = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST_POINTS)).round().astype(int))
    variance = float(true.var())
    worst = np.argsort(-np.abs(off), kind="stable")[: MOST_EXAMPLES // 2]
    return {
        "kind": "regression",
        "rmse": math.sqrt(float(np.mean(off**2))),
        "r2": 1 - float(np.mean(off**2)) / variance if variance else None,
        "points": [[float(true[i]), float(predicted[i])] for i in points],
        "worst": [
            {"row": int(i) + 1, "true": f"{true[i]:.6g}", "predicted": f"{predicted[i]:.6g}", **shown(int(i))}
            for i in worst
        ],
    }
