"""From what users pass to arrays, sparse rows and tensors, and back to what they passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import validate_data
from torch import Tensor

from nmfnet.data.columns import has_numbers_alone, table_of
from nmfnet.data.containers import Array, infinite_columns, validated
from nmfnet.estimators.images import rows_of_images
from nmfnet.estimators.input_encoder import categorical_positions
from nmfnet.linalg import all_finite
from nmfnet.linalg.arrays import as_tensor, canonical
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network import Network

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet

DTYPES = (np.float64, np.float32)
ACCEPTED = {"accept_sparse": "csr", "ensure_all_finite": "allow-nan"}


def checked_inputs(
    estimator: BaseNMFNet, X: Any, y: Any, reset: bool, dtype: torch.dtype | None = None
) -> tuple[Any, Array]:
    """Inputs and targets; without `reset`, against the fitted estimator.

    The inputs become of `dtype`; if that is None, they stay float32 or float64, and all others become float64.

    Returns
    -------
    X : Table, or ndarray, CSR matrix or Tensor of shape (n, n_0)
        A table where columns are not all numbers; all else of float32 or float64, dense ones with NaN where something
        is missing.  Tensors stay where they are.
    y : ndarray of shape (n,) or (n, k)
    """
    settings: dict[str, Any] = {"multi_output": True, "y_numeric": estimator._numeric_y, "reset": reset}
    X = rows_of_images(estimator, X, reset)
    if isinstance(X, Tensor):
        y = validate_data(estimator, y=y, **settings)
        X = _checked_tensor(estimator, X, reset, dtype)
        check_consistent_length(X, y)
        refuse_missing_pixels(estimator, X)
    elif is_table(estimator, X, first=reset and dtype is None):
        y = validate_data(estimator, y=y, **settings)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        X = table_of(X, categorical_positions(estimator, X))
        check_consistent_length(X, y)
    else:
        X, y = validated(estimator, X, y, dtype=_numpy_dtypes(dtype), **ACCEPTED, **settings)
        refuse_missing_pixels(estimator, X)
    return X, y.toarray() if hasattr(y, "toarray") else y


def checked_rows(estimator: BaseNMFNet, X: Any) -> Tensor | SparseRows:
    """Inputs to predict from, of the fitted network's dtype."""
    wanted, X = estimator.network_.dtype, rows_of_images(estimator, X, reset=False)
    if isinstance(X, Tensor):
        rows: Any = _checked_tensor(estimator, X, reset=False, dtype=wanted)
    elif is_table(estimator, X):
        validate_data(estimator, X, reset=False, skip_check_array=True)
        rows = estimator.input_encoder_.read(X)
    else:
        rows = validated(estimator, X, dtype=_numpy_dtypes(wanted), reset=False, **ACCEPTED)
    refuse_missing_pixels(estimator, rows)
    return to_tensor(estimator.input_encoder_(rows, wanted))


def refuse_missing_pixels(estimator: BaseNMFNet, X: Any) -> None:
    """Refuse NaN in images and sequences: means of columns would not fit around it, and their layers take no more."""
    if estimator.input_shape_ is None or issparse(X):
        return
    if bool((X if isinstance(X, Tensor) else as_tensor(X)).isnan().any()):
        raise ValueError("Input X contains NaN, which layers of images and sequences cannot take: fill it in before.")


def is_table(estimator: BaseNMFNet, X: Any, first: bool = False) -> bool:
    """Whether columns are to be encoded: where the first inputs are not all numbers, or those of the fit were not."""
    if issparse(X) or isinstance(X, Tensor) or estimator.input_shape_ is not None:
        return False
    if not first:
        return estimator.input_encoder_.table is not None
    return bool(categorical_positions(estimator, X)) or not has_numbers_alone(X)


def _numpy_dtypes(wanted: torch.dtype | None) -> Any:
    """What inputs are to become, or may stay."""
    if wanted is None:
        return DTYPES
    return np.float32 if wanted == torch.float32 else np.float64


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
    if not all_finite(X) and bool(X.isinf().any()):
        raise ValueError(f"Input X contains infinity or a value too large for {X.dtype}. {infinite_columns(X)}")
    # Number and names of features, by scikit-learn's own words: from a view of one row without its numbers.
    validate_data(estimator, np.broadcast_to(np.float32(0), (1, X.shape[1])), reset=reset, skip_check_array=True)
    return X


def to_tensor(data: Any) -> Any:
    """Share memory with a tensor that is only ever read; tensors stay, and a CSR matrix becomes SparseRows."""
    if isinstance(data, Tensor):
        return data
    return SparseRows(canonical(data)) if issparse(data) else as_tensor(data)


def network_for(network: Network, X: Any) -> Network:
    """The network where a tensor X is; for anything else it stays."""
    return network.on(X.device) if isinstance(X, Tensor) else network


def like_input(result: Tensor, X: Any) -> Any:
    """A result as a tensor, if the input X was one, or as an array."""
    return result if isinstance(X, Tensor) else result.cpu().numpy()
