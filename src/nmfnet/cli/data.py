"""The data that the commands are given: a set's name, or a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmfnet import datasets
from nmfnet.datasets import Dataset, Labels
from nmfnet.errors import DataError
from nmfnet.estimators.base import BaseNMFNet

Array = NDArray[Any]
Task = Literal["classification", "regression"]

MANY_VALUES = 20  # integers with more values than these, and in more than 5% of the rows, are amounts


class Examples(NamedTuple):
    """Rows to try a model on, and what they are."""

    what: str
    X: Array
    y: Array


def run_name(data: str) -> str:
    """Name of a data set or of a file without its folder and ending."""
    return _named(data) or Path(data).stem


def read(data: str, target: str | None, task: str = "auto") -> Dataset:
    """Read a data set by its name or from a file.

    Parameters
    ----------
    data : str
    target : str or None
        Column of a table that is to be learned.
    task : {"auto", "classification", "regression"}
        What is to be learned.

    Raises
    ------
    DataError
        If there is no such set or file, or it is unfit.
    """
    name = _named(data)
    if name and target is not None:
        raise DataError(f"--target {target!r} names a column of a table; {name} has labels of its own")
    if name or not (Path(data).suffix or Path(data).exists()):
        return datasets.load(name or data)
    dataset = datasets.read_file(data, target)
    if task == "regression" and dataset.y_train is not None and dataset.y_train.dtype.kind == "U":
        try:  # numbers with leading zeros; or this says what is no number
            return datasets.read_file(data, target, labels="numbers")
        except DataError as error:
            raise DataError(f"--task regression needs numeric targets: {error}") from error
    return dataset


def is_here(data: str) -> bool:
    """Whether a data set need not be fetched first."""
    return all(known.here for known in datasets.available() if known.name == _named(data))


def _named(data: str) -> str | None:
    """Name of the set as `datasets.NAMES` spells it, None if it is none of them."""
    name = data.lower().replace("_", "-")
    return name if name in datasets.NAMES else None


def targets(dataset: Dataset) -> Array:
    """Targets of the training part, which must be there."""
    if dataset.y_train is None and dataset.feature_names is not None:
        columns = ", ".join(dataset.feature_names[:20]) + (", ..." if len(dataset.feature_names) > 20 else "")
        raise DataError(f"{dataset.source}: which column is to be learned? --target COLUMN, one of {columns}")
    if dataset.y_train is None:
        raise DataError(f"{dataset.source}: has no targets y_train or y")
    return dataset.y_train


def task_of(y: Array, asked: str = "auto") -> Task:
    """Whether targets are classes or amounts.

    Text, and whole numbers of few values, are classes; fractions, and whole numbers of many
    values, are amounts.

    Parameters
    ----------
    y : ndarray of shape (n,)
    asked : {"auto", "classification", "regression"}

    Raises
    ------
    DataError
        If `y` is unfit for the task that was asked for, or all the same.
    """
    if (y == y[0]).all():
        raise DataError(f"every row has the target {y[0]}: there is nothing to learn")
    numeric = y.dtype.kind in "iuf"
    fractions = y.dtype.kind == "f" and bool((y != np.floor(y)).any())
    if asked == "regression":
        if not numeric:
            raise DataError(f"--task regression needs numeric targets; these are like {str(y[0])!r}")
        return "regression"
    if asked == "classification":
        if fractions:
            raise DataError("--task classification needs whole numbers or text as targets; these have fractions")
        return "classification"
    values = len(np.unique(y))
    amounts = fractions or (numeric and values > max(MANY_VALUES, 0.05 * len(y)))
    return "regression" if amounts else "classification"


def held_out(n: int, fraction: float) -> int:
    """Rows of `n` that the estimators hold out for validation."""
    return math.ceil(n * fraction)


def check_split(y: Array, fraction: float) -> None:
    """Refuse classes too small for a validation part in the same proportions."""
    classes, counts = np.unique(y, return_counts=True)
    n_validation = held_out(len(y), fraction)
    if counts.min() < 2:
        raise DataError(f"class {classes[counts.argmin()]} has a single row, none to hold out: use --validation 0")
    if min(n_validation, len(y) - n_validation) < len(classes):
        raise DataError(
            f"--validation {fraction:g} of {len(y)} rows holds out {n_validation}: both parts need a row "
            f"for each of {len(classes)} classes"
        )


def features(dataset: Dataset) -> Any:
    """Features to train on: with their names if they have any, so that the model knows them."""
    if dataset.feature_names is None:
        return dataset.X_train
    import pandas as pd

    return pd.DataFrame(dataset.X_train, columns=list(dataset.feature_names))


def examples(data: str, target: str | None, model: BaseNMFNet) -> Examples:
    """Read what a model is to be tried on: the test part, or all rows where there is none."""
    classes = getattr(model, "classes_", None)
    labels: Labels = "numbers" if classes is None else classes
    if Path(data).suffix.lower() in datasets.TABLES:
        dataset = datasets.read_file(data, target, columns_of(model), labels)
    else:
        dataset = read(data, target)
    if dataset.X_test is not None and dataset.y_test is not None:
        what, X, y = f"the test part of {dataset.name}", dataset.X_test, dataset.y_test
    else:
        what, X, y = f"all of {dataset.name}", dataset.X_train, targets(dataset)
    return Examples(what, X, y if classes is None else datasets.labels_as(y, classes)[0])


def blocks(data: str, model: BaseNMFNet) -> Iterator[Array]:
    """Read what a model is to predict, some rows at a time; columns it does not know are left out."""
    return datasets.read_blocks(data, columns_of(model))


def columns_of(model: Any) -> list[str] | None:
    """Names of the features that a model was trained on, None if they had none."""
    return list(model.feature_names_in_) if hasattr(model, "feature_names_in_") else None
