"""From the containers that users pass to arrays and tensors, with nothing lost on the way: all doors convert here."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import validate_data
from torch import Tensor

Array = NDArray[Any]
NUMERIC = ("int", "uint", "float", "double", "bool", "decimal", "sparse", "halffloat")  # how names of dtypes begin
SHOWN = 5  # rows or columns that a message names


def plain(data: Any) -> Any:
    """What NumPy and scikit-learn would misread, as what they read right; anything else stays as it is.

    Tensors become arrays, or SciPy matrices where they are sparse, and numbers of the other byte order those of this
    machine, without which float32 would not be known as such.  What is missing in masked arrays, among objects
    and in pandas' sparse frames becomes NaN, which is the caller's to take or to refuse.
    """
    if isinstance(data, Tensor):
        return _from_tensor(data.float() if data.dtype == torch.float16 else data)
    if isinstance(data, (list, tuple)):
        data = _from_sequence(data)
    if isinstance(data, np.ma.MaskedArray):
        data = _from_masked(data)
    if isinstance(data, np.ndarray):
        return _from_objects(data) if data.dtype == object else _in_known_dtype(data)
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        return _from_frame(data)
    return data


def to_array(data: Any) -> Any:
    """Return an array, with every digit, of what NumPy or scikit-learn would read with fewer, or not; all else stays.

    That are tensors; pandas' nullable and Arrow's numbers without missing entries, where scikit-learn makes floats of
    whole numbers; and the small floats that NumPy does not have.
    """
    if isinstance(data, Tensor):
        return _from_tensor(data)
    if hasattr(data, "dtypes") and hasattr(data, "iloc") and hasattr(data, "columns"):  # a data frame of pandas
        columns = [to_array(data.iloc[:, column]) for column in range(data.shape[1])]
        return np.stack(columns, axis=1) if columns and all(isinstance(c, np.ndarray) for c in columns) else data
    dtype = getattr(data, "dtype", None)
    numpy_dtype = getattr(dtype, "numpy_dtype", None)  # of pandas' own dtypes
    if numpy_dtype is not None and numpy_dtype.kind in "biuf" and not data.isna().any():
        return data.to_numpy(dtype=numpy_dtype)
    return _in_known_dtype(data) if isinstance(data, np.ndarray) and data.dtype.kind == "V" else data


def refuse_path(X: object) -> None:
    """Say, where only samples will do, that a path is none of them."""
    if isinstance(X, (str, os.PathLike)):
        raise ValueError(
            f"X is the path {os.fspath(X)!r}, which only fit takes: pass samples, "
            "as numpy.load(path, mmap_mode='r')[:1000] of a .npy file."
        )


def _from_tensor(data: Tensor) -> Any:
    """An array that shares memory where it can; of float32 for the small floats that NumPy does not have."""
    data = data.detach().cpu().resolve_conj().resolve_neg()
    if data.is_floating_point() and data.dtype not in (torch.float16, torch.float32, torch.float64):
        data = data.float()
    if data.layout == torch.strided:
        return data.numpy()
    if data.layout == torch.sparse_csr:
        parts = data.values(), data.col_indices(), data.crow_indices()
        return sparse.csr_array(tuple(part.numpy() for part in parts), shape=tuple(data.shape))
    data = data.to_sparse_coo().coalesce()
    return sparse.coo_array((data.values().numpy(), tuple(data.indices().numpy())), shape=tuple(data.shape))


def _from_sequence(data: list[Any] | tuple[Any, ...]) -> Any:
    """The array that NumPy makes of it, with the masks of masked rows; ragged ones stay, for others to refuse."""
    if any(isinstance(row, np.ma.MaskedArray) for row in data):
        return np.ma.array(data)
    try:
        return np.asarray(data)
    except ValueError:
        return data


def _from_masked(data: np.ma.MaskedArray[Any, Any]) -> Array:
    """NaN where the mask is, in float64 if the dtype has none; without a mask, the data themselves."""
    if not np.any(np.ma.getmask(data)):
        return np.ma.getdata(data)
    dtype = data.dtype if data.dtype.kind in "fcO" else np.float64
    return np.asarray(np.ma.filled(data.astype(dtype), np.nan))


def _in_known_dtype(data: Array) -> Array:
    """Numbers in this machine's byte order; small floats that NumPy lends from others, as ml_dtypes', in float32."""
    if data.dtype.kind == "V" and np.can_cast(data.dtype, np.float32):
        return data.astype(np.float32)
    return data.astype(data.dtype.newbyteorder("="), copy=False)


def _from_objects(data: Array) -> Array:
    """NaN in place of None and of pandas' NA, which is no number."""
    mask = missing(data)
    return np.where(mask, np.nan, data) if mask.any() else data


def _from_frame(frame: Any) -> Any:
    """A frame of the same names that scikit-learn converts without an error.

    Sparse columns stay sparse only where what they do not store is 0, and nothing that they store is missing.
    """
    if hasattr(frame, "sparse") and not all(_stores_all_but_zeros(column.array) for _, column in frame.items()):
        frame = frame.sparse.to_dense()
    if object in frame.dtypes.tolist():
        objects = frame.to_numpy(dtype=object)
        found = _from_objects(objects)
        frame = frame if found is objects else type(frame)(found, index=frame.index, columns=frame.columns)
    return frame


def _stores_all_but_zeros(column: Any) -> bool:
    """Whether a sparse column of pandas' is one of numbers, of which it leaves out zeros alone."""
    return bool(column.fill_value == 0) and not missing(np.asarray(column.sp_values)).any()


def validated(estimator: Any, X: Any, *y: Any, **settings: Any) -> Any:
    """What scikit-learn's `validate_data` makes of :func:`plain` X; says which columns of a frame are no numbers."""
    try:
        return validate_data(estimator, plain(X), *y, **settings)
    except (ValueError, TypeError) as error:
        if _is_text(X):
            raise ValueError(
                "X is a list of texts: make numbers of their words, as with a pipeline of "
                "sklearn.feature_extraction.text.TfidfVectorizer and the estimator."
            ) from None
        if advice := _what_to_pass(X):
            raise TypeError(f"X is a {type(X).__name__}: pass {advice}.") from None
        names = _columns_without_numbers(X)
        if not names:
            where = infinite_columns(X) if "contains infinity" in str(error) else ""
            if where:
                raise ValueError(f"{error} {where}") from None
            if not isinstance(X, torch.Tensor) and _holds_text(X):
                raise ValueError(
                    "X is an array or a list of text: pass a data frame, of which numbers and text are read for "
                    "what they are, or numbers, as with astype."
                ) from error
            raise
        raise ValueError(
            f"X has columns that are not numbers: {', '.join(names)}. Encode them, as with sklearn.compose."
            f"ColumnTransformer and sklearn.preprocessing.OneHotEncoder. ({str(error).partition(chr(10))[0]})"
        ) from error


def _is_text(X: Any) -> bool:
    """Whether X is one text after the other, and no table."""
    return np.ndim(X) == 1 and all(isinstance(text, str) for text in X)


def _what_to_pass(X: Any) -> str | None:
    """What to pass in place of containers that are close to a data frame and are none."""
    if hasattr(X, "collect_schema") and hasattr(X, "collect"):  # polars' lazy ones
        return "X.collect()"
    if type(X).__name__ == "RecordBatch":
        return "pyarrow.Table.from_batches([X])"
    records = isinstance(X, (list, tuple)) and len(X) and isinstance(X[0], dict)
    mapping = isinstance(X, dict) and not sparse.issparse(X)  # SciPy's dok arrays are dicts
    if records or mapping or (isinstance(X, np.ndarray) and X.dtype.names):
        return "a data frame, as pandas.DataFrame(X) makes of it"
    return None


def _holds_text(X: Any) -> bool:
    """Whether there is text in an array, or in lists of rows."""
    array = np.asarray(X)
    return array.dtype.kind in "US" or (array.dtype == object and any(isinstance(v, str) for v in array.ravel()))


def infinite_columns(X: Any) -> str:
    """Say in which columns of dense inputs infinite values are, and how many; nothing where that cannot be told."""
    try:
        rows = X if isinstance(X, Tensor) else np.asarray(plain(X), dtype=np.float64)
        infinite = rows.isinf().cpu().numpy() if isinstance(rows, Tensor) else np.isinf(rows)
    except (ValueError, TypeError):
        return ""
    if infinite.ndim != 2 or not infinite.any():
        return ""
    counts, names = infinite.sum(0), list(getattr(X, "columns", ()))
    columns = np.flatnonzero(counts).tolist()
    said = ", ".join(f"{names[i] if names else i!r} ({counts[i]})" for i in columns[:SHOWN])
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return f"Infinite values are in columns {said}{more}: correct them, or replace them by NaN if that is taken."


def _columns_without_numbers(X: Any) -> list[str]:
    """Names of such columns of a pandas or polars data frame."""
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return []
    return [
        repr(name)
        for name, dtype in zip(X.columns, X.dtypes, strict=True)
        if not str(dtype).lower().startswith(NUMERIC)
    ]


def missing(array: Array) -> NDArray[np.bool_]:
    """Where an array holds NaN, NaT, None or pandas' NA."""
    if array.dtype.kind in "fc":
        return np.isnan(array)
    if array.dtype.kind in "mM":
        return np.isnat(array)
    if array.dtype.kind in "OT":
        return np.asarray(np.frompyfunc(_is_missing, 1, 1)(array.astype(object)), dtype=bool)
    return np.zeros(array.shape, dtype=bool)


def _is_missing(value: Any) -> bool:
    """None, or what is not equal to itself, as NaN and NaT are not; and NA, whose comparisons have no truth value."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True
    except ValueError:  # an array in place of a number
        return False


def refuse_missing(data: Any, name: str) -> Any:
    """Labels, targets or weights, of which none may be missing: as they are, or as the array that NumPy would misread.

    Raises
    ------
    ValueError
        With the rows, and what to do about them.
    """
    if isinstance(data, Tensor):
        data = _from_tensor(data)
    if data is None or sparse.issparse(data):
        return data
    if isinstance(data, (list, tuple)) and any(isinstance(row, np.ma.MaskedArray) for row in data):
        data = np.ma.array(data)
    # The objects of a list themselves: NumPy makes text of a NaN among text.
    try:
        array = np.asarray(data, dtype=object if isinstance(data, (list, tuple)) else None)
    except Exception:  # a container's own, which those that convert it will report
        return data
    if isinstance(data, np.ma.MaskedArray):
        mask, data = np.ma.getmaskarray(data) | missing(array), array
    elif array.dtype.kind == "f" and not (array.size and np.isnan(array.min())):
        return data  # without memory of its size
    else:
        mask = missing(array)
    if mask.any():
        mask = np.atleast_1d(mask)
        rows = np.flatnonzero(mask.reshape(len(mask), -1).any(1))
        shown = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
        raise ValueError(
            f"Input {name} contains NaN, None or masked values, in {len(rows)} of {len(mask)} rows: {shown}. "
            "Drop these rows, or fill in what is missing."
        )
    return data


def learn_columns(estimator: Any, X: Any, reset: bool = True) -> None:
    """Number and names of the columns of X, which is in files, from a row of zeros in its place."""
    row: Any = np.zeros((1, X.shape[1]))
    if X.names is not None:
        import pandas as pd

        row = pd.DataFrame(row, columns=X.names)
    validate_data(estimator, row, reset=reset, skip_check_array=True)
