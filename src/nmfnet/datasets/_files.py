"""Anyone's own data: `read_file` for .npz, .csv and .parquet."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._formats import PARTS, load_npz, reading
from nmfnet.datasets._types import IMAGE_SETS, Dataset
from nmfnet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_TABLES = (".csv", ".parquet")
_LISTED = 20  # names of columns that fit in one line of an error


def read_file(
    path: str | os.PathLike[str], target: str | None = None, columns: Sequence[str] | None = None
) -> Dataset:
    """Read a data set from a file.

    Parameters
    ----------
    path : path
        ``.npz``: arrays X_train, y_train, X_test, y_test, of which X_train or
        X_test is required; or X and y, of which X is required.  X has shape (n, n_features), or (n, height, width) or
        (n, height, width, channels) for images.  uint8 values, of whatever shape, are pixels and
        scaled from 0..255 to [0, 1]; all other numbers are left as they are.
        ``.csv``, whose first line names the columns, or ``.parquet``: a table of numbers, one
        example a row, besides the target column.
    target : str, optional
        Name of a table's column to learn; without it every column is a feature and `y_train` is
        None.  Not for ``.npz``.
    columns : sequence of str, optional
        Names of a table's feature columns, in the order wanted, as a model knows them; all others
        but the target are passed over.  Left out, every column but the target is a feature.

    Returns
    -------
    Dataset
        Features float32 where they are pixels or float32 in the file, float64 otherwise; `y` of
        the file's own type (text as a NumPy string array).  X_test and y_test are None without
        a test part.

    Raises
    ------
    DataError
        The file is missing, damaged or of another kind; arrays do not fit together; a column or
        the target is not there, not numeric, or has missing values.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".npz":
        if target is not None:
            raise DataError(
                f"{path}: target {target!r} names a column, but a .npz file has the arrays y_train or y instead"
            )
        return _read_arrays(path)
    if ending in _TABLES:
        return _read_table(path, target, columns)
    named = path.name.lower().replace("_", "-") in ("digits", *IMAGE_SETS)
    hint = f" (for the data set of that name: load({path.name!r}))" if named else ""
    raise DataError(f"{path}: is not a .npz, .csv or .parquet file{hint}")


# --- .npz ---


def _read_arrays(path: Path) -> Dataset:
    arrays = load_npz(path, (*PARTS, "X", "y"))
    names = ("X_train", "y_train"), ("X", "y"), ("X_test", "y_test")
    X_name, y_name = next((pair for pair in names if pair[0] in arrays), ("X", "y"))
    if X_name not in arrays:
        raise DataError(f"{path}: holds {', '.join(arrays)}, but neither X_train nor X")
    X_train, image_shape = _features(arrays[X_name], path, X_name)
    y_train = _labels(arrays, y_name, len(X_train), path)
    X_test = y_test = None
    if "X_test" in arrays and X_name != "X_test":
        _check_alike(arrays[X_name], arrays["X_test"], path, X_name)
        X_test, _ = _features(arrays["X_test"], path, "X_test")
        y_test = _labels(arrays, "y_test", len(X_test), path)
    elif "y_test" in arrays and X_name != "X_test":
        raise DataError(f"{path}: holds y_test without X_test")
    return Dataset(path.stem, X_train, y_train, X_test, y_test, image_shape=image_shape, source=str(path))


def _features(X: NDArray[Any], path: Path, name: str) -> tuple[NDArray[np.floating], tuple[int, ...] | None]:
    """Return X as checked floating-point rows, and the shape of an image if they are images."""
    if X.ndim not in (2, 3, 4) or X.size == 0:
        raise DataError(
            f"{path}: {name} has shape {X.shape}, not (n, features), (n, height, width) or "
            "(n, height, width, channels)"
        )
    if X.dtype.kind not in "biuf":
        raise DataError(f"{path}: {name} is of type {X.dtype}, not numeric")
    rows = X.reshape(len(X), -1)
    if X.dtype == np.uint8:
        rows = np.divide(rows, np.float32(255), dtype=np.float32)
    else:
        rows = _as_float(rows)
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{path}: {name} has missing or infinite values ({len(bad)}, the first in row {row}, column {column})"
        )
    return rows, (X.shape[1:] if X.ndim > 2 else None)


def _as_float(X: NDArray[Any]) -> NDArray[np.floating]:
    """Return X C-contiguous, as float32 if it is that already and as float64 otherwise."""
    single = X.dtype.newbyteorder("=") == np.float32
    return np.ascontiguousarray(X, dtype=np.float32 if single else np.float64)


def _check_alike(X_train: NDArray[Any], X_test: NDArray[Any], path: Path, name: str) -> None:
    if X_train.shape[1:] != X_test.shape[1:]:
        raise DataError(f"{path}: {name} has shape {X_train.shape}, but X_test {X_test.shape}: the features differ")
    # Only uint8 is scaled: of a mixed pair one part would be 255 times the other.
    if (X_train.dtype == np.uint8) != (X_test.dtype == np.uint8):
        raise DataError(
            f"{path}: {name} is of type {X_train.dtype}, but X_test of {X_test.dtype}: uint8 is "
            "scaled by 255 and must be both or neither"
        )


def _labels(arrays: dict[str, NDArray[Any]], name: str, n: int, path: Path) -> NDArray[Any] | None:
    if name not in arrays:
        return None
    y = arrays[name]
    if y.shape != (n,):
        raise DataError(f"{path}: {name} has shape {y.shape}, but there are {n} rows of features")
    if y.dtype.kind not in "biufU":
        raise DataError(f"{path}: {name} is of type {y.dtype}, neither numbers nor text")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise DataError(f"{path}: {name} has missing or infinite values")
    return y.astype(y.dtype.newbyteorder("="), copy=False)


# --- tables ---


def _read_table(path: Path, target: str | None, columns: Sequence[str] | None) -> Dataset:
    frame = _read_frame(path)
    names = _named_columns(frame, path)
    if frame.empty:
        raise DataError(f"{path}: has {len(frame)} rows and {len(names)} columns; nothing to read")
    if target is not None and target not in names:
        raise DataError(_no_such_column(target, names, path))
    if columns is None:
        columns = [name for name in names if name != target]
    _check_there(columns, names, path)
    if not columns:
        raise DataError(f"{path}: has no column besides the target {target!r}")
    X = _table_features(frame[list(columns)], path, target)
    y = None if target is None else _target(frame[target], path)
    return Dataset(path.stem, X, y, feature_names=tuple(columns), source=str(path))


def _named_columns(frame: pd.DataFrame, path: Path) -> list[str]:
    """Give columns names that are text, and return them, checked."""
    frame.columns = names = [str(column) for column in frame.columns]
    _check_names(names, path)
    return names


def _check_there(columns: Sequence[str], names: Sequence[str], path: Path) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        listed = ", ".join(map(repr, missing[:_LISTED])) + (", ..." if len(missing) > _LISTED else "")
        raise DataError(f"{path}: lacks {'columns' if len(missing) > 1 else 'column'} {listed}")


def _read_frame(path: Path) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        raise DataError(f"{path}: reading {path.suffix} files needs pandas") from error

    with reading(path, f"a {path.suffix.lower()} file"), warnings.catch_warnings():
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        # Rows longer than the header: pandas would take the first column for an index, or with
        # index_col=False drop the last one with only a warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # low_memory would guess types by chunk and mix numbers and text in one column.
        return pd.read_csv(path, index_col=False, low_memory=False)


def _check_names(names: Sequence[str], path: Path) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise DataError(f"{path}: has more than one column {repeated[0]!r}")
    # pandas' name for a column without one: nearly always the row index that to_csv writes
    # unasked, which as a feature would betray the order of the rows.
    for position, name in enumerate(names, start=1):
        if re.fullmatch(r"Unnamed: \d+", name):
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


def _target(column: pd.Series[Any], path: Path) -> NDArray[Any]:
    """Return the target as numbers or as a NumPy string array, which needs no pickle to save."""
    _check_present(column, path)
    y = np.asarray(column)
    # pandas hands out text, categories and its nullable types as Python objects.
    if y.dtype.kind == "O" and len({type(value) for value in y}) == 1:
        y = np.asarray(y.tolist())
    if y.dtype.kind not in "biufU":
        raise DataError(f"{path}: target column {column.name!r} is of type {column.dtype}, neither numbers nor text")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise DataError(f"{path}: target column {column.name!r} has infinite values")
    return y


def _table_features(frame: pd.DataFrame, path: Path, target: str | None, start: int = 0) -> NDArray[np.floating]:
    others = [name for name in frame.columns if not _is_numeric(frame[name])]
    if others:
        raise DataError(_not_numeric(frame, others, path, target))
    for name in frame.columns:
        _check_present(frame[name], path, start)
    single = all(str(dtype).lower() == "float32" for dtype in frame.dtypes)
    X = np.ascontiguousarray(frame.to_numpy(dtype=np.float32 if single else np.float64))
    infinite = ~np.isfinite(X).all(axis=0)
    if infinite.any():
        raise DataError(f"{path}: column {frame.columns[infinite.argmax()]!r} has infinite values")
    return X


def _is_numeric(column: pd.Series[Any]) -> bool:
    """Whether a column is of numbers; one that is empty throughout counts, as missing ones."""
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    is_real = is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype)
    return is_real or bool(column.isna().all())


def _not_numeric(frame: pd.DataFrame, others: Sequence[str], path: Path, target: str | None) -> str:
    import pandas as pd

    values = frame[others[0]].dropna()
    # The value that spoils the column, which among thousands of numbers may be a single '?'.
    spoilers = values[pd.to_numeric(values.astype(str), errors="coerce").isna()]
    example = str((spoilers if len(spoilers) else values).iloc[0])[:30]
    more = f" and {len(others) - 1} more like it" if len(others) > 1 else ""
    advice = "encode as numbers or drop" + ("" if target else ", or name as the target")
    return f"{path}: column {others[0]!r} is not numeric (e.g. {example!r}){more}: {advice}"


def _check_present(column: pd.Series[Any], path: Path, start: int = 0) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{path}: column {column.name!r} has missing values ({int(missing.sum())}, the first "
            f"in row {start + int(missing.argmax()) + 1} of the data): fill or drop them"
        )
