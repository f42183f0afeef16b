"""The data that the commands are given: a set's name, or a file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from nmfnet import datasets
from nmfnet.cli import images
from nmfnet.data.files import STORES, opened
from nmfnet.data.on_disk import RowsOnDisk
from nmfnet.data.table_encoder import kind_read
from nmfnet.datasets import Dataset, Dialect, Labels, Schema
from nmfnet.errors import DataError
from nmfnet.estimators.base import BaseNMFNet

Array = NDArray[Any]
Task = Literal["classification", "regression"]

MOST_CLASS_NUMBERS = 20  # integers with more values than these, and in more than 5% of the rows, are amounts
MOST_LABELS_SHARE = 0.5  # different texts of a row, from which on they are names and no classes


class Examples(NamedTuple):
    """Rows to try a model on, and what they are."""

    what: str
    X: Array
    y: Array


class Written(NamedTuple):
    """What was asked for of how a .csv is written."""

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    def dialect(self) -> Dialect:
        """As the reader takes it; ``tab``, or a backslash and t, stands for a tab."""
        sep = "\t" if self.sep in ("tab", "\\t") else self.sep
        return Dialect(sep, self.decimal, None, self.encoding)


def run_name(data: str) -> str:
    """Name of a data set or of a file without its folder and ending."""
    return _named(data) or datasets.stem(Path(data))


def read(data: str, schema: Schema, task: str = "auto") -> Dataset:
    """Read a data set by its name or from a file.

    Parameters
    ----------
    data : str
    schema : Schema
        Of a table.
    task : {"auto", "classification", "regression"}
        What is to be learned.

    Raises
    ------
    DataError
        If there is no such set or file, or it is unfit.
    """
    name = _named(data)
    if not name and (Path(data).is_dir() or "://" in data or Path(data).suffix in STORES):
        return _shards(data, schema.target or "y")
    if name and schema.target is not None:
        raise DataError(f"--target {schema.target!r} names a column of a table; {name} has labels of its own")
    if data == "-":
        raise DataError("-: a pipe can be read only once: write it to a .csv file first")
    if name or not (Path(data).suffix or Path(data).exists()):
        return datasets.load(name or data)
    dataset = datasets.read_file(data, schema.target, schema=schema)
    if task == "regression" and dataset.y_train is not None and dataset.y_train.dtype.kind == "U":
        try:  # numbers with leading zeros; or this says what is no number
            return datasets.read_file(data, schema=replace(schema, labels="numbers"))
        except DataError as error:
            raise DataError(f"--task regression needs numeric targets: {error}") from error
    return dataset


def _shards(folder: str, target: str) -> Dataset:
    """The files of a folder, at a URL or in a store, whose inputs stay on disk."""
    X, y = opened(folder, target)
    names = None if X.names is None else tuple(X.names)
    return Dataset(Path(folder).resolve().name, X, np.asarray(y), feature_names=names, source=folder)


def taken(X: Any, rows: Array) -> Any:
    """Some rows, by their numbers in ascending order; those of files stay there."""
    if isinstance(X, RowsOnDisk):
        return X.subset(rows)
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def by_blocks(predict: Callable[[Any], Array], X: Any) -> Array:
    """What is predicted of X, of rows in files block by block."""
    if not isinstance(X, RowsOnDisk):
        return predict(X)
    return np.concatenate([predict(with_names(block.numpy(), X.names)) for block in X.blocks()])


def with_test(dataset: Dataset, test: str, seed: int, dialect: Dialect) -> Dataset:
    """The data set with rows to test on: those of a file, or a fraction of its own.

    Raises
    ------
    DataError
        If there are none, or the fraction is none.
    """
    y = targets(dataset)
    try:
        fraction = float(test)
    except ValueError:
        if re.fullmatch(r"[\d.,]+ ?%?", test):
            raise DataError(f"--test must be a file, or a fraction of the rows, as 0.2; got {test}") from None
        schema = dataset.schema or Schema()
        known = replace(schema, columns=dataset.feature_names, drop=(), categorical=(), id=None, dialect=dialect)
        other = datasets.read_file(test, schema.target, schema=known)
        return replace(dataset, X_test=other.X_train, y_test=targets(other))
    if not 0 < fraction < 1:
        raise DataError(f"--test must be a file, or a fraction of the rows between 0 and 1; got {test}") from None
    classes = y if task_of(y) == "classification" else None
    split = partial(train_test_split, np.arange(len(y)), test_size=fraction, random_state=seed)
    try:
        try:
            kept, held = split(stratify=classes)
        except ValueError:  # classes of single rows, or more classes than rows to test on
            kept, held = split()
    except ValueError as error:
        raise DataError(f"--test {test}: {error}") from None
    X = dataset.X_train.reset_index(drop=True) if hasattr(dataset.X_train, "iloc") else dataset.X_train
    if isinstance(X, RowsOnDisk):
        kept, held = np.sort(kept), np.sort(held)
    return replace(dataset, X_train=taken(X, kept), y_train=y[kept], X_test=taken(X, held), y_test=y[held])


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
    if dataset.y_train is None and dataset.source.lower().endswith(".npy"):
        raise DataError(f"{dataset.source}: has no targets: --target names a .npy file of them, or a column by number")
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
    if not numeric and values > max(MOST_CLASS_NUMBERS, MOST_LABELS_SHARE * len(y)):
        raise DataError(
            f"{values} different texts as targets in {len(y)} rows, as {str(y[0])[:30]!r}, are no classes: "
            "--target names another column; amounts must be numbers, with one unit at most and the decimal mark of "
            "the other columns"
        )
    amounts = fractions or (numeric and values > max(MOST_CLASS_NUMBERS, 0.05 * len(y)))
    return "regression" if amounts else "classification"


def held_out(n: int, fraction: float) -> int:
    """Rows of `n` that the estimators hold out for validation."""
    return math.ceil(n * fraction)


def check_split(y: Array, fraction: float) -> None:
    """Refuse classes too small for a validation part in the same proportions."""
    classes, counts = np.unique(y, return_counts=True)
    n_validation = held_out(len(y), fraction)
    if counts.min() < 2:
        amounts = "; or --task regression, if these are amounts" if y.dtype.kind in "iuf" else ""
        raise DataError(
            f"class {classes[counts.argmin()]} has a single row, none to hold out: use --validation 0{amounts}"
        )
    if min(n_validation, len(y) - n_validation) < len(classes):
        raise DataError(
            f"--validation {fraction:g} of {len(y)} rows holds out {n_validation}: both parts need a row "
            f"for each of {len(classes)} classes: use --validation 0, or another fraction"
        )


def features(dataset: Dataset) -> Any:
    """Features to train on: with their names if they have any, so that the model knows them."""
    return with_names(dataset.X_train, dataset.feature_names)


def with_names(X: Any, names: Sequence[str] | None) -> Any:
    """Features as a data frame, where they have names."""
    if names is None or hasattr(X, "columns") or isinstance(X, RowsOnDisk):
        return X
    import pandas as pd

    if X.shape[1] != len(names):
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise DataError(f"there are {X.shape[1]} columns, but the model was trained on {len(names)}: {listed}")
    return pd.DataFrame(X, columns=list(names))


def remember(model: BaseNMFNet, dataset: Dataset, asked: Schema) -> None:
    """Tell a model how its file was read, which `evaluate` and `predict` need."""
    schema, written = dataset.schema, asked.dialect
    if schema is None and _is_number(asked.target):  # a column of a .npy file
        schema = asked
    if schema is not None:
        kinds = {name: kind for name, kind in schema.kinds.items() if kind != "numbers"}
        reading = {"target": schema.target, "id": schema.id, "kinds": kinds, "dialect": written.state()}
        model.file_reading_ = reading


def _is_number(target: str | None) -> bool:
    """Whether a target is the number of a column."""
    return target is not None and target.removeprefix("-").isdigit()


def _column_of_array(data: str, model: BaseNMFNet) -> str | None:
    """Number of the column that a model learned from a .npy file, if it did and `data` is such a file."""
    target = (model.file_reading_ or {"target": None})["target"]
    return target if data.lower().endswith(".npy") and _is_number(target) else None


def schema_of(model: BaseNMFNet, target: str | None, written: Written, predicts: bool = False) -> Schema:
    """How a model wants a table to be read; what is given goes before what it remembers.

    To predict, there need be neither targets nor ids.
    """
    known = model.file_reading_ or {"target": None, "id": None, "kinds": {}, "dialect": Dialect().state()}
    columns, given = columns_of(model), written.dialect()
    dialect = Dialect(**{k: v or known["dialect"].get(k) for k, v in given.state().items()})
    kinds = dict.fromkeys(columns or (), "numbers") | _encoded_kinds(model) | known["kinds"]
    classes = getattr(model, "classes_", None)
    labels: Labels = "numbers" if classes is None else classes
    target = None if predicts else target or known["target"]
    return Schema(target, columns, labels, id=known["id"] if predicts else None, kinds=kinds, dialect=dialect)


def _encoded_kinds(model: BaseNMFNet) -> dict[str, str]:
    """Kinds of the columns of a model that was trained on a data frame; the form of dates a file says itself."""
    table = model.input_encoder_.table
    kinds = {} if table is None else {column.name: kind_read(column) for column in table.columns}
    return {name: "dates, year first" if kind == "dates" else kind for name, kind in kinds.items()}


def examples(data: str, target: str | None, model: BaseNMFNet, written: Written) -> Examples:
    """Read what a model is to be tried on: the test part, or all rows where there is none."""
    classes = getattr(model, "classes_", None)
    table = datasets.ending(Path(data)) in datasets.TABLES
    schema = schema_of(model, target, written) if table else Schema(target or _column_of_array(data, model))
    dataset = read(data, schema)
    if dataset.X_test is not None and dataset.y_test is not None:
        what, X, y = f"the test part of {dataset.name}", dataset.X_test, dataset.y_test
    else:
        what, X, y = f"all of {dataset.name}", dataset.X_train, targets(dataset)
    X = X if model.input_shape_ is None else images.rows(X, dataset.image_shape, model.input_shape_)
    return Examples(
        what,
        with_names(X, columns_of(model) if table else None),
        y if classes is None else datasets.labels_as(y, classes)[0],
    )


def blocks(
    data: str, model: BaseNMFNet, id_column: str | None, written: Written
) -> Iterator[tuple[Any, Array | None]]:
    """Read what a model is to predict, some rows at a time, with ids; columns it does not know are left out."""
    schema = schema_of(model, None, written, predicts=True)
    if id_column is not None:
        schema = replace(schema, id=id_column)
    elif schema.id is not None and datasets.ending(Path(data)) in datasets.TABLES:
        schema = replace(schema, id=schema.id if schema.id in datasets.column_names(data, schema) else None)
    names = columns_of(model) if model.input_encoder_.table is not None else None
    if model.input_shape_ is not None:
        stored = datasets.image_shape(data)
        return ((images.rows(X, stored, model.input_shape_), ids) for X, ids in datasets.read_parts(data, schema))
    return ((with_names(X, names), ids) for X, ids in datasets.read_parts(data, schema))


def columns_of(model: Any) -> list[str] | None:
    """Names of the features that a model was trained on, None if they had none."""
    return list(model.feature_names_in_) if hasattr(model, "feature_names_in_") else None
