"""Tables: split 60/20/20, then prepared for every solver alike with statistics of the training rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ..problem import Data, Part, Task
from ._split import FEWER

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
Read = Callable[[], tuple["pd.DataFrame", "pd.Series[Any]"]]


def split(n: int, labels: Array | None) -> tuple[Array, Array, Array]:
    """Row numbers of the training, validation and test parts, by seed 0, the classes in proportion."""
    fitted, test = train_test_split(np.arange(n), test_size=0.2, random_state=0, stratify=labels)
    kept = None if labels is None else labels[fitted]
    train, validation = train_test_split(fitted, test_size=0.25, random_state=0, stratify=kept)
    return train, validation, test


def preparation() -> Any:
    """Numbers standardized, the median for what is missing; categories one-hot, the rare ones together.

    Columns that are constant in the training rows come out as zeros.
    """
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    categories = OneHotEncoder(min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False)
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
    )


def load(read: Read, classification: bool) -> Data:
    """Labels numbered from 0; targets of regression standardized, so that an RMSE of 1 is the mean's."""
    frame, target = read()
    numbers = frame.select_dtypes("number").columns
    frame = frame.astype({name: "float64" if name in numbers else str for name in frame.columns})
    if classification:
        classes, y = np.unique(target.to_numpy().astype(str), return_inverse=True)
        n_outputs, labels = len(classes), y
    else:
        y, n_outputs, labels = target.to_numpy(np.float64)[:, None], 1, None
    rows = split(len(frame), labels)
    prepared = preparation().fit(frame.iloc[rows[0]])
    if not classification:
        y = ((y - y[rows[0]].mean()) / y[rows[0]].std()).astype(np.float32)
    train, validation, test = (Part(prepared.transform(frame.iloc[part]).astype(np.float32), y[part]) for part in rows)
    return Data(train, validation, test, n_outputs)


def table(name: str, read: Read, classification: bool, small: bool = False) -> Task:
    """Return the task: two hidden layers of 256, 60 epochs."""
    tags = ("tables", "small") if small else ("tables",)
    metric = "error %" if classification else "RMSE"
    return Task(name, partial(load, read, classification), (256, 256), 60, metric, tags=tags, rungs=FEWER)
