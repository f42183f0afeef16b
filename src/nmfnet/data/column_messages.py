"""What users are told of the columns of a table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LISTED = 10  # names in a message
DATE = re.compile(r"\s*\d{4}-\d{1,2}-\d{1,2}(?!\d).*", re.ASCII)
NUMBER = re.compile(r"\s*[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)


def listed(names: Sequence[str | int]) -> str:
    """Names in quotes, or numbers, the first ones of many."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(repr, names[:LISTED])) + more


def warn_of_text(columns: Mapping[str, Collection[Any]], alone: Collection[str]) -> None:
    """Warn of columns of text of which nothing is learned, or less than of the dates or numbers that it stands for.

    Parameters
    ----------
    columns : mapping of str to collection
        Those that are taken for categories, with their different values.
    alone : collection of str
        Those in which nearly every row has a value of its own.
    """

    def all_like(pattern: re.Pattern[str], values: Collection[Any]) -> bool:
        return bool(values) and all(isinstance(value, str) and pattern.fullmatch(value) for value in values)

    dates = [name for name, values in columns.items() if all_like(DATE, values)]
    numbers = [name for name in alone if all_like(NUMBER, columns[name])]
    texts = [name for name in alone if columns[name] and name not in (*dates, *numbers)]
    for names, what in (
        (
            texts,
            "nearly every row has a text of its own in {}, as ids and remarks are: nothing can be learned from such "
            "columns but whether there is a value.",
        ),
        (dates, "{} has dates as text, taken for categories: make dates of it, as with pandas.to_datetime."),
        (
            numbers,
            "{} has numbers as text, another one in nearly every row, so that nothing can be learned: make numbers "
            "of it, as with pandas.to_numeric.",
        ),
    ):
        if names:
            warnings.warn(f"X: {what.format(listed(names))}", UserWarning, stacklevel=4)


def refuse_infinite(X: NDArray[Any], names: Sequence[str]) -> None:
    """Name the columns of X (n, k) with infinite values, and how many there are in each."""
    counts = np.isinf(X).sum(0)
    columns = np.flatnonzero(counts)
    if len(columns):
        said = [f"{names[i]!r} ({counts[i]})" for i in columns[:LISTED]]
        more = f" and {len(columns) - LISTED} more columns" if len(columns) > LISTED else ""
        raise ValueError(
            f"X has infinite values in {', '.join(said)}{more}: correct them, or replace them by NaN, which counts as "
            "missing."
        )
