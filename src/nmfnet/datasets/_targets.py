"""The target column of a table: which rows have one, and what it is."""

from __future__ import annotations

import unicodedata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._columns import is_numeric, texts_of
from nmfnet.datasets._kinds import NUMBERS, Unfit, as_kind
from nmfnet.datasets._schema import SHOWN, Schema, ending, place
from nmfnet.datasets._units import plain_numbers, units_of
from nmfnet.datasets._values import MOST_NUMBERED_CLASSES, UNKNOWN, decided, is_blank, is_missing, labels_as
from nmfnet.errors import DataError

MOST_COMPARED = 1000  # labels
NO_CLASSES = UNKNOWN - {"-", "."}  # what is hardly ever meant as a class; - is one beside +

if TYPE_CHECKING:
    import pandas as pd


def targets_there(column: pd.Series[Any], path: Path, schema: Schema) -> NDArray[np.bool_]:
    """Which rows have a target; says how many have none.

    Raises
    ------
    DataError
        If none has.
    """
    labels = schema.labels
    there = ~column.isna().to_numpy()
    texts = texts_of(column)
    if isinstance(labels, str):
        absent = {text for text in set(texts) if is_missing(text) or text.strip() in UNKNOWN}
    elif labels is not None and labels.dtype.kind in "biuf":
        absent = {text for text in set(texts) if is_missing(text)}
    elif labels is None and ending(path) != ".parquet":
        plain = _plain(texts, schema)
        nothing = decided(plain)[1]
        absent = {text for text, value in zip(texts, plain, strict=True) if value in nothing}
    else:
        absent = {text for text in set(texts) if is_blank(text)}
    there &= np.array([text not in absent for text in texts])
    if not there.any():
        raise DataError(f"{path}: no row has a target in column {column.name!r}")
    if labels is None:
        _say_which_words_are_labels(column.name, texts, absent, path)
    if not there.all():
        n = int((~there).sum())
        warnings.warn(
            f"{path}: {n} of {len(there)} rows have no target in column {column.name!r} and are left out", stacklevel=2
        )
    return there


def _say_which_words_are_labels(name: Any, texts: list[str], absent: set[str], path: Path) -> None:
    """Warn of labels such as NA: whoever means missing ones leaves the cells empty."""
    words = sorted({
        text.strip() for text in set(texts) - absent
        if (is_missing(text) or text.strip() in NO_CLASSES) and not is_blank(text)
    })  # fmt: skip
    if words:
        n = sum(text.strip() in words for text in texts)
        warnings.warn(
            f"{path}: {n} rows have {' or '.join(map(repr, words))} in the target column {name!r}, which counts as a "
            "class: if it means that there is none, leave it empty",
            stacklevel=3,
        )


def read_targets(column: pd.Series[Any], path: Path, schema: Schema) -> NDArray[Any]:
    """Return targets as numbers, or as a NumPy string array, which needs no pickle to save."""
    labels = schema.labels
    written = texts_of(column)
    texts = _plain(written, schema)
    if isinstance(labels, str):
        values = column.to_numpy(np.float64) if is_numeric(column.dtype) else as_kind(texts, NUMBERS)
        if isinstance(values, Unfit):
            row = int(column.index[values.row])
            raise DataError(
                f"{place(path, row, schema)}: the target, column {column.name!r}, {values.why}: correct that"
            )
        y = values
    elif labels is not None:
        return _known(column, texts if ending(path) != ".parquet" else _typed(column, path), path, labels, schema)
    else:
        y = _typed(column, path) if ending(path) == ".parquet" else decided(texts)[0]
    if y.dtype.kind == "f" and np.isinf(y).any():
        row = int(np.isinf(y).argmax())
        raise DataError(
            f"{place(path, int(column.index[row]), schema)}: column {column.name!r} has infinite values (e.g. "
            f"{str(column.iloc[row])[:SHOWN]!r}): correct them, or leave them empty, and the rows are left out"
        )
    if labels is None and y.dtype.kind == "U":
        _say_which_labels_are_alike(column.name, y, path)
    elif labels is None and (unit := _word_of(written, schema)):
        warnings.warn(f"{path}: the target, column {column.name!r}, is read as numbers of {unit}", stacklevel=2)
    return y


def _plain(texts: list[str], schema: Schema) -> list[str]:
    """Targets as numbers are written plainly; words behind numbers are units where these are amounts."""
    words = isinstance(schema.labels, str) or bool(_word_of(texts, schema))
    return plain_numbers(texts, schema.dialect.plain, words=words)


def _word_of(texts: list[str], schema: Schema) -> str:
    """The word behind all numbers of a target, as kg in 4 kg; none where these are few enough for labels."""
    if schema.labels is not None or len(set(texts)) <= MOST_NUMBERED_CLASSES:
        return ""
    plain = schema.dialect.plain
    units = units_of(texts, plain)
    return next(iter(units)) if len(units) == 1 and not units_of(texts, plain, words=False) else ""


def _say_which_labels_are_alike(name: Any, y: NDArray[Any], path: Path) -> None:
    """Warn of classes that differ by capitals, or by how Unicode writes their letters, alone."""
    alike: dict[str, list[str]] = {}
    for label in np.unique(y).tolist()[:MOST_COMPARED]:
        alike.setdefault(unicodedata.normalize("NFKC", label).casefold(), []).append(label)
    pairs = [" and ".join(map(_shown, labels)) for labels in alike.values() if len(labels) > 1]
    if pairs:
        warnings.warn(
            f"{path}: classes in the target column {name!r} differ by capitals or the like alone ({pairs[0]}): if "
            "they are the same, write them alike",
            stacklevel=3,
        )


def _shown(label: str) -> str:
    """A label in quotes, with escapes where its letters are put together of several characters."""
    return repr(label) if unicodedata.is_normalized("NFC", label) else ascii(label)


def _typed(column: pd.Series[Any], path: Path) -> NDArray[Any]:
    """Return targets of the type that the file gives them."""
    y = np.asarray(column)
    # pandas hands out text, categories and its nullable types as Python objects.
    if y.dtype.kind == "O" and len({type(value) for value in y}) == 1:
        y = np.asarray(y.tolist())
    if y.dtype.kind not in "biufU":
        raise DataError(f"{path}: target column {column.name!r} is of type {column.dtype}, neither numbers nor text")
    return y


def _known(
    column: pd.Series[Any], values: list[str] | NDArray[Any], path: Path, classes: NDArray[Any], schema: Schema
) -> NDArray[Any]:
    """Return targets as classes; those that are none stay as they are in the file."""
    y, known = labels_as(values, classes)
    if known.any() and not known.all():
        row = int(known.argmin())
        others = int((~known).sum()) - 1
        warnings.warn(
            f"{place(path, int(column.index[row]), schema)}: column {column.name!r}: {str(y[row])[:SHOWN]!r} is not "
            "one of the model's classes" + (f", and so are {others} more targets" if others else ""),
            stacklevel=2,
        )
    return y
