"""Tables, .csv and .parquet: which columns are wanted, and what their values mean."""

from __future__ import annotations

import difflib
import re
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets import _csv
from nmfnet.datasets._formats import reading
from nmfnet.datasets._types import Dataset
from nmfnet.datasets._values import decided, floats, is_blank, is_missing, labels_as
from nmfnet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Labels: TypeAlias = NDArray[Any] | Literal["numbers"] | None

TABLES = (".csv", ".parquet")
_LISTED = 20  # names of columns that fit in one line of an error
_SHOWN = 30  # characters of a value in an error
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[\d.]*,\d+\s*")


@dataclass(frozen=True)
class Schema:
    """How a table is to be read, as a model remembers it; what is None is decided by the file.

    Attributes
    ----------
    target : str or None
        Column of the targets.
    columns : sequence of str or None
        Those of the features, in their order.
    labels : ndarray, "numbers" or None
        Classes that targets are read as, or that they are numbers.
    """

    target: str | None = None
    columns: Sequence[str] | None = None
    labels: Labels = None

    def wanted(self, names: Sequence[str], path: Path) -> list[str]:
        """Return the names of the features among those of a file, which must have them."""
        if self.target is not None and self.target not in names:
            raise DataError(_no_such_column(self.target, names, path))
        if self.columns is None:
            return [name for name in names if name != self.target]
        there = set(names)
        missing = [name for name in self.columns if name not in there]
        if missing:
            listed = ", ".join(map(repr, missing[:_LISTED])) + (", ..." if len(missing) > _LISTED else "")
            raise DataError(f"{path}: lacks {'columns' if len(missing) > 1 else 'column'} {listed}")
        return list(self.columns)


def read_table(path: Path, schema: Schema) -> Dataset:
    """Read a whole table; see :func:`nmfnet.datasets.read_file`."""
    _check_pandas(path)
    if path.suffix.lower() == ".csv":
        names = _csv.header(path, schema.columns)
        _check_names(names, path)
        frame = _csv.read(path, names, schema.target)
    else:
        frame = _read_parquet(path)
        names = _named_columns(frame, path)
    if frame.empty:
        raise DataError(f"{path}: has {len(frame)} rows and {len(names)} columns; nothing to read")
    columns = schema.wanted(names, path)
    if not columns:
        raise DataError(f"{path}: has no column besides the target {schema.target!r}")
    X = features(_selected(frame, columns), path, "" if schema.target else ", or name as the target")
    y = None if schema.target is None else _targets(frame[schema.target], path, schema.labels)
    return Dataset(path.stem, X, y, feature_names=tuple(columns), source=str(path))


def table_blocks(path: Path, schema: Schema, numbers: int) -> Iterator[NDArray[np.floating]]:
    """Yield the features of a table, so many rows at a time that they are about so many numbers."""
    _check_pandas(path)
    parts = _csv_parts if path.suffix.lower() == ".csv" else _parquet_parts
    start = 0
    with closing(parts(path, schema, numbers)) as frames:
        for frame in frames:
            yield features(_selected(frame, schema.wanted(list(frame.columns), path)), path, start=start)
            start += len(frame)


def _check_pandas(path: Path) -> None:
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise DataError(f"{path}: reading {path.suffix} files needs pip install 'nmfnet[tables]'") from error


def _csv_parts(path: Path, schema: Schema, numbers: int) -> Generator[pd.DataFrame, None, None]:
    names = _csv.header(path, schema.columns)
    _check_names(names, path)
    schema.wanted(names, path)
    yield from _csv.parts(path, names, max(1, numbers // len(names)))


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    with reading(path, "a .parquet file"):
        if path.is_dir():  # in parts
            return pd.read_parquet(path)
        with open(path, "rb") as file:  # Arrow opens no names that are not UTF-8
            return pd.read_parquet(file)


def _parquet_parts(path: Path, schema: Schema, numbers: int) -> Generator[pd.DataFrame, None, None]:
    with ExitStack() as opened:
        with reading(path, "a .parquet file"):
            from pyarrow.parquet import ParquetFile

            source = opened.enter_context(open(path, "rb"))
            # What is read ahead would be kept until the end: all of the file.
            file = opened.enter_context(ParquetFile(source, pre_buffer=False, buffer_size=2**20))
            wanted = schema.wanted(file.schema_arrow.names, path)
            batches = file.iter_batches(max(1, numbers // max(1, len(wanted))), columns=wanted)
        while True:
            with reading(path, "a .parquet file"):
                batch = next(batches, None)
                frame = None if batch is None else batch.to_pandas()
            if frame is None:
                return
            _named_columns(frame, path)
            yield frame


# --- names ---


def _named_columns(frame: pd.DataFrame, path: Path) -> list[str]:
    """Give columns names that are text, and return them, checked."""
    frame.columns = names = [str(column) for column in frame.columns]
    _check_names(names, path)
    return names


def _check_names(names: Sequence[str], path: Path) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1 and name]
    if repeated:
        raise DataError(f"{path}: has more than one column {repeated[0]!r}")
    # The second is pandas' name for a column without one.  It is nearly always the row index that to_csv
    # writes unasked, which as a feature would betray the order of the rows.
    for position, name in enumerate(names, start=1):
        if not name.strip() or re.fullmatch(r"Unnamed: \d+", name):
            raise DataError(
                f"{path}: column {position} has no name (a row index?): name it, or drop it, "
                "as to_csv(..., index=False) does"
            )


def _no_such_column(target: str, names: Sequence[str], path: Path) -> str:
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(target.lower(), by_lower, n=1)
    hint = f"did you mean {by_lower[close[0]]!r}? " if close else ""
    listed = ", ".join(names[:_LISTED])
    more = f", ... ({len(names)} in all)" if len(names) > _LISTED else ""
    return f"{path}: has no column {target!r}: {hint}its columns are {listed}{more}"


# --- values ---


def _selected(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return frame if list(frame.columns) == columns else frame[columns]


def features(frame: pd.DataFrame, path: Path, instead: str = "", start: int = 0) -> NDArray[np.floating]:
    """Return the columns of a table as finite numbers, or say which value is none.

    Parameters
    ----------
    frame : DataFrame of shape (n, n_features)
    path : pathlib.Path
        Of the file, for errors.
    instead : str
        What else, besides encoding and dropping it, can be done about a column of text.
    start : int
        Row of the file that the first of these is.
    """
    numeric = {dtype: _is_numeric(dtype) for dtype in set(frame.dtypes)}
    text = [i for i, dtype in enumerate(frame.dtypes) if not numeric[dtype]]
    single = all(str(dtype).lower() == "float32" for dtype in numeric)
    rest = frame.drop(columns=frame.columns[text]) if text else frame
    nullable = any(not isinstance(dtype, np.dtype) for dtype in rest.dtypes)
    options = {"na_value": np.nan} if nullable else {}
    X = np.ascontiguousarray(rest.to_numpy(np.float32 if single else np.float64, **options))
    if text:
        X, numbers = np.empty(frame.shape), X
        X[:, np.setdiff1d(np.arange(X.shape[1]), text)] = numbers
        _fill(X, frame, text, path, instead, start)
    if not np.isfinite(X).all():
        _refuse(X, frame, path, start)
    return X


def _is_numeric(dtype: Any) -> bool:
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    return is_numeric_dtype(dtype) and not is_complex_dtype(dtype)


def _texts(column: pd.Series[Any]) -> list[str]:
    missing = column.isna().to_numpy()
    return ["" if gone else str(value) for value, gone in zip(column.tolist(), missing, strict=True)]


def _fill(X: NDArray[Any], frame: pd.DataFrame, text: list[int], path: Path, instead: str, start: int) -> None:
    """Read the columns of text as numbers."""
    spoiled: list[tuple[int, int, str]] = []
    for i in text:
        texts = _texts(frame.iloc[:, i])
        X[:, i], unreadable = floats(texts)
        if unreadable.any():
            spoiled.append((i, int(unreadable.argmax()), texts[unreadable.argmax()]))
    if spoiled:
        i, row, value = spoiled[0]
        more = f" and {len(spoiled) - 1} more like it" if len(spoiled) > 1 else ""
        advice = f"encode as numbers or drop{instead}"
        if _DECIMAL_COMMA.fullmatch(value):
            advice = "write numbers with a decimal point and no other separator, as in 3.14"
        raise DataError(
            f"{place(path, start + row)}: column {frame.columns[i]!r} is not numeric (e.g. {value[:_SHOWN]!r})"
            f"{more}: {advice}"
        )


def _refuse(X: NDArray[Any], frame: pd.DataFrame, path: Path, start: int) -> None:
    """Say which value is missing, or else infinite."""
    for bad, missing in ((np.isnan(X), True), (np.isinf(X), False)):
        if bad.any():
            i = int(bad.any(axis=0).argmax())
            _refuse_values(frame.iloc[:, i], bad[:, i], path, start, missing)


def _refuse_values(
    column: pd.Series[Any], bad: NDArray[np.bool_], path: Path, start: int = 0, missing: bool = True
) -> None:
    row = int(bad.argmax())
    value = str(column.iloc[row])
    where = f"{place(path, start + row)}: column {column.name!r} has"
    if not missing:
        raise DataError(f"{where} infinite values (e.g. {value[:_SHOWN]!r})")
    # A word for it that is not in everybody's mind is shown.
    word = f" ({value!r})" if value.strip() and not column.isna().iloc[row] else ""
    raise DataError(
        f"{where} missing values ({int(bad.sum())}, the first in row {start + row + 1} of the data): "
        f"fill or drop them{word}"
    )


def _targets(column: pd.Series[Any], path: Path, labels: Labels) -> NDArray[Any]:
    """Return targets as numbers, or as a NumPy string array, which needs no pickle to save."""
    if isinstance(labels, str):
        return features(column.to_frame(), path)[:, 0]
    typed = path.suffix.lower() != ".csv"  # all targets of a .csv are text at first
    if labels is not None:
        return _known(column, _typed(column, path) if typed else _texts(column), path, labels)
    if typed:
        y = _typed(column, path)
    else:
        texts = _texts(column)
        y, missing = decided(texts)
        if missing:
            _refuse_values(column, np.array([text in missing for text in texts]), path)
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        _refuse_values(column, ~np.isfinite(y), path, missing=False)
    return y


def _typed(column: pd.Series[Any], path: Path) -> NDArray[Any]:
    """Return targets of the type that the file gives them."""
    missing = column.isna().to_numpy()
    if missing.any():
        _refuse_values(column, missing, path)
    y = np.asarray(column)
    # pandas hands out text, categories and its nullable types as Python objects.
    if y.dtype.kind == "O" and len({type(value) for value in y}) == 1:
        y = np.asarray(y.tolist())
    if y.dtype.kind not in "biufU":
        raise DataError(f"{path}: target column {column.name!r} is of type {column.dtype}, neither numbers nor text")
    return y


def _known(
    column: pd.Series[Any], values: list[str] | NDArray[Any], path: Path, classes: NDArray[Any]
) -> NDArray[Any]:
    """Return targets as classes; those that are none stay as they are in the file."""
    y, known = labels_as(values, classes)
    if known.all():
        return y
    says_missing = is_missing if classes.dtype.kind in "biuf" else is_blank
    missing = ~known & np.array([isinstance(value, str) and says_missing(value) for value in y])
    if missing.any():
        _refuse_values(column, missing, path)
    if known.any():
        row = int(known.argmin())
        others = int((~known).sum()) - 1
        warnings.warn(
            f"{place(path, row)}: column {column.name!r}: {str(y[row])[:_SHOWN]!r} is not one of the model's classes"
            + (f", and so are {others} more targets" if others else ""),
            stacklevel=2,
        )
    return y


def place(path: Path, row: int) -> str:
    """Say where a row of the data, counted from 0, is: in a .csv by the line in which it begins."""
    line = _csv.line_of(path, row) if path.suffix.lower() == ".csv" else None
    return f"{path}, row {row + 1}" if line is None else f"{path}, line {line}"
