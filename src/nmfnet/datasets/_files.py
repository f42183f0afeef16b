"""Anyone's own data: `read_file` for .npz, .csv and .parquet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._formats import PARTS, load_npz, reading
from nmfnet.datasets._schema import TABLES, Labels, Schema, ending
from nmfnet.datasets._tables import read_table, refuse_pipe
from nmfnet.datasets._types import IMAGE_SETS, Dataset
from nmfnet.errors import DataError

ADVICE = (  # what to do with files of other kinds
    ((".txt", ".dat", ".data", ".asc", ".tab", ".psv", ".ssv", ""), "if it is a table, name it .csv"),
    ((".zst", ".lz4", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zip", ".z", ".br"),
     "unpack it, or name it as a.csv.gz if it is one table alone and of gzip, bzip2, xz or zip"),
    ((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), "save the sheet as .csv"),
    ((".json", ".jsonl", ".feather", ".arrow", ".orc", ".dta", ".sav", ".sas7bdat", ".xml", ".pkl"),
     "make a .parquet of it, as with pandas"),
)  # fmt: skip


def read_file(
    path: str | os.PathLike[str],
    target: str | None = None,
    columns: Sequence[str] | None = None,
    labels: Labels = None,
    *,
    schema: Schema | None = None,
) -> Dataset:
    """Read a data set from a file.

    Parameters
    ----------
    path : path
        ``.npz``: arrays X_train, y_train, X_test, y_test, of which X_train or
        X_test is required; or X and y, of which X is required.  X has shape (n, n_features), or (n, height, width) or
        (n, height, width, channels) for images.  uint8 values, of whatever shape, are pixels and
        scaled from 0..255 to [0, 1]; all other numbers are left as they are.
        ``.npy``: X.  ``.csv`` or ``.tsv``, whose first line names the columns, or ``.parquet``: a table, one example
        a row.  How a .csv is compressed (gzip, bzip2, xz, zip), encoded and separated, and how it writes numbers, is
        found in the file.
    target : str, optional
        Name of a table's column to learn; without it every column is a feature and `y_train` is
        None.  With ``.npy``, the file of the targets, or the number of a column of X.  Not for ``.npz``.
    columns : sequence of str, optional
        Names of a table's feature columns, in the order wanted, as a model knows them; all others
        but the target are passed over.  Left out, every column but the target is a feature.
    labels : ndarray or "numbers", optional
        How a table's target is read: as these classes of a model, whatever type the file gives them (a target that
        is none of them stays as it is, and is warned of), or as numbers.  Left out, the whole column decides.
    schema : Schema, optional
        How to read the table, in place of the three arguments above.  It also has the columns to drop, those that are
        categories or name the rows, the kinds of columns, and how a .csv is written.  `Dataset.schema` is one.

    Returns
    -------
    Dataset
        Features float32 where they are pixels or float32 in the file, float64 otherwise; `y` of
        the file's own type (text as a NumPy string array).  X_test and y_test are None without
        a test part.

    Notes
    -----
    A .csv has no types, so all values of a column together decide its kind (docs/reading-tables.md has all rules):

    - numbers: every value is a number, true or false, or missing (empty, NA, ?, ...);
    - dates: every value is a date, year first or with years of four digits;
    - categories: everything else.

    Columns that are mostly numbers, and dates of which nothing tells day from month, are refused.  Rows without a
    target are left out, and a warning counts them.  A target is of truth values, integers or floats if all of its
    values are, and otherwise text.  So ``NA`` and ``inf`` are labels among other text, but missing and infinite among
    numbers.  An empty value is always missing.  Whole numbers with leading zeros, such as postal codes, are text.

    Raises
    ------
    DataError
        The file is missing, damaged or of another kind; arrays do not fit together; a column or
        the target is not there, or unfit.
    """
    path = Path(path)
    refuse_pipe(path)
    if path.suffix.lower() == ".npy":
        return _read_array(path, target if schema is None else schema.target)
    if path.suffix.lower() == ".npz":
        if target is not None:
            raise DataError(
                f"{path}: target {target!r} names a column, but a .npz file has the arrays y_train or y instead"
            )
        return _read_arrays(path)
    if ending(path) in TABLES:
        return read_table(path, schema or Schema(target, columns, labels))
    named = path.name.lower().replace("_", "-") in ("digits", *IMAGE_SETS)
    hint = f" (for the data set of that name: load({path.name!r}))" if named else ""
    hint = hint or next((f": {advice}" for endings, advice in ADVICE if path.suffix.lower() in endings), "")
    if path.is_dir():
        hint = ": it is a folder, of which files can be named"
    raise DataError(f"{path}: is not a .csv, .tsv, .parquet, .npz or .npy file{hint}")


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


def load_npy(path: Path) -> NDArray[Any]:
    """Read an array, whose numbers stay on the disk until they are used."""
    with reading(path, "a .npy file"):
        return np.load(path, mmap_mode="r", allow_pickle=False)


def _read_array(path: Path, target: str | None) -> Dataset:
    """X from a .npy file, and the targets from another one, or from a column."""
    X, y = load_npy(path), None
    if target is not None and target.lower().endswith(".npy"):
        y = _labels({target: load_npy(Path(target))}, target, len(X), Path(target))
    elif target is not None:
        try:
            y = np.asarray(X[:, int(target)])
            X = np.delete(X, int(target), axis=1)
        except (ValueError, IndexError):
            raise DataError(
                f"{path}: target {target!r} is neither a .npy file nor the number of one of its columns, from 0"
            ) from None
    rows, image_shape = _features(X, path, "the array")
    return Dataset(path.stem, rows, y, image_shape=image_shape, source=str(path))


def image_shape(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """Shape of the images of a file, (height, width) or (height, width, channels), or channels first; None of rows."""
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return load_npy(path).shape[1:] if load_npy(path).ndim > 2 else None
    return None if ending(path) in TABLES else read_file(path).image_shape


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
    bad = np.argwhere(np.isinf(rows))
    if len(bad):
        row, column = bad[0]
        raise DataError(f"{path}: {name} has infinite values ({len(bad)}, the first in row {row}, column {column})")
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
