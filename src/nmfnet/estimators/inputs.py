"""From what users pass to arrays, sparse rows and tensors, and back to what they passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import validate_data
from torch import Tensor

from nmfnet.linalg import all_finite
from nmfnet.network import Network
from nmfnet.sparse import SparseRows

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet

Array = NDArray[Any]
DTYPES = (np.float64, np.float32)
NUMERIC = ("int", "uint", "float", "double", "bool", "decimal", "sparse", "halffloat")  # how names of dtypes begin


def checked_inputs(
    estimator: BaseNMFNet, X: Any, y: Any, reset: bool, dtype: torch.dtype | None = None
) -> tuple[Any, Array]:
    """Inputs and targets; without `reset`, against the fitted estimator.

    The inputs become of `dtype`; if that is None, they stay float32 or float64, and all others become float64.

    Returns
    -------
    X : ndarray, CSR matrix or Tensor of shape (n, n_0)
        Of float32 or float64; tensors stay where they are.
    y : ndarray of shape (n,) or (n, k)
    """
    settings: dict[str, Any] = {"multi_output": True, "y_numeric": estimator._numeric_y, "reset": reset}
    if isinstance(X, Tensor):
        y = validate_data(estimator, y=y, **settings)
        X = _checked_tensor(estimator, X, reset, dtype)
        check_consistent_length(X, y)
    else:
        X, y = _validated(estimator, X, y, dtype=_numpy_dtypes(X, dtype), accept_sparse="csr", **settings)
    return X, y.toarray() if hasattr(y, "toarray") else y


def checked_rows(estimator: BaseNMFNet, X: Any) -> Tensor | SparseRows:
    """Inputs to predict from, of the fitted network's dtype."""
    wanted = estimator.network_.dtype
    if isinstance(X, Tensor):
        return _checked_tensor(estimator, X, reset=False, dtype=wanted)
    return to_tensor(_validated(estimator, X, dtype=_numpy_dtypes(X, wanted), accept_sparse="csr", reset=False))


def _numpy_dtypes(X: Any, wanted: torch.dtype | None) -> Any:
    """What X is to become, or may stay."""
    if wanted is not None:
        return np.float32 if wanted == torch.float32 else np.float64
    own = getattr(X, "dtype", None)
    return np.float32 if own in (">f4", "<f4") else DTYPES  # of either byte order


def _validated(estimator: BaseNMFNet, X: Any, *y: Any, **settings: Any) -> Any:
    """Do what scikit-learn does, and say which columns of a data frame are no numbers."""
    try:
        return validate_data(estimator, X, *y, **settings)
    except (ValueError, TypeError) as error:
        names = _columns_without_numbers(X)
        if not names:
            raise
        raise ValueError(
            f"X has columns that are not numbers: {', '.join(names)}. Encode them, as with sklearn.compose."
            f"ColumnTransformer and sklearn.preprocessing.OneHotEncoder. ({error})"
        ) from error


def _columns_without_numbers(X: Any) -> list[str]:
    """Names of such columns of a pandas or polars data frame."""
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return []
    return [
        repr(name)
        for name, dtype in zip(X.columns, X.dtypes, strict=True)
        if not str(dtype).lower().startswith(NUMERIC)
    ]


def _checked_tensor(estimator: BaseNMFNet, X: Tensor, reset: bool, dtype: torch.dtype | None) -> Tensor:
    """A tensor of a dtype, refused as scikit-learn would refuse the array; None: float32 and float64 stay."""
    X = X.detach()
    if X.is_complex():
        raise ValueError("Complex data not supported.")
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead. Reshape your data.")
    for axis, what in enumerate(("sample", "feature")):
        if not X.shape[axis]:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={tuple(X.shape)}) while a minimum of 1 is required "
                f"by {type(estimator).__name__}."
            )
    if X.layout != torch.strided:
        raise ValueError("X is a sparse tensor; pass a dense one or a scipy.sparse matrix.")
    if dtype is None and X.dtype not in (torch.float32, torch.float64):
        dtype = torch.float32 if X.is_floating_point() else torch.float64
    X = X if dtype is None else X.to(dtype)
    if not all_finite(X):
        what = "NaN" if bool(X.isnan().any()) else f"infinity or a value too large for {X.dtype}"
        raise ValueError(f"Input X contains {what}.")
    # Number and names of features, by scikit-learn's own words: from a view of one row without its numbers.
    validate_data(estimator, np.broadcast_to(np.float32(0), (1, X.shape[1])), reset=reset, skip_check_array=True)
    return X


def to_array(data: Any) -> Any:
    """Return an array, with every digit, of what NumPy or scikit-learn would read with fewer, or not; all else stays.

    That are tensors; pandas' nullable and Arrow's numbers without missing entries, where scikit-learn makes floats of
    whole numbers; and the small floats that NumPy does not have.
    """
    if isinstance(data, Tensor):
        small = data.is_floating_point() and data.dtype not in (torch.float16, torch.float32, torch.float64)
        return (data.float() if small else data).numpy(force=True)
    if hasattr(data, "dtypes") and hasattr(data, "iloc") and hasattr(data, "columns"):  # a data frame of pandas
        columns = [to_array(data.iloc[:, column]) for column in range(data.shape[1])]
        return np.stack(columns, axis=1) if columns and all(isinstance(c, np.ndarray) for c in columns) else data
    dtype = getattr(data, "dtype", None)
    numpy_dtype = getattr(dtype, "numpy_dtype", None)  # of pandas' own dtypes
    if numpy_dtype is not None and numpy_dtype.kind in "biuf" and not data.isna().any():
        return data.to_numpy(dtype=numpy_dtype)
    if isinstance(data, np.ndarray) and data.dtype.kind == "V" and np.can_cast(data.dtype, np.float32):
        return data.astype(np.float32)  # as the bfloat16 of ml_dtypes
    return data


class _Writable:
    """A read-only array under a promise not to write: PyTorch would warn of each."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def to_tensor(data: Any) -> Any:
    """Share memory with a tensor that is only ever read; tensors stay, and a CSR matrix becomes SparseRows."""
    if isinstance(data, Tensor):
        return data
    if issparse(data):
        matrix: Any = data
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
        return SparseRows(matrix)
    native = np.dtype(data.dtype.str).newbyteorder("=")  # PyTorch has no other byte order, and each type once
    if data.dtype.kind == "f" and data.dtype.itemsize > 8:  # nor more digits
        native = np.dtype(np.float64)
    if data.dtype.num != native.num or not data.dtype.isnative:
        data = data.astype(native)
    if min(data.strides, default=0) < 0:
        data = np.ascontiguousarray(data)
    return torch.from_numpy(data if data.flags.writeable else np.asarray(_Writable(data)))


def network_for(network: Network, X: Any) -> Network:
    """The network where a tensor X is; for anything else it stays."""
    return network.on(X.device) if isinstance(X, Tensor) else network


def like_input(result: Tensor, X: Any) -> Any:
    """A result as a tensor, if the input X was one, or as an array."""
    return result if isinstance(X, Tensor) else result.cpu().numpy()
