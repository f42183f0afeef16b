"""What the factorizing transformers are given: data with missing entries and weights, checked and scaled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_array
from torch import Tensor

from nmfnet._parameters import at_least, between
from nmfnet.data.containers import refuse_missing, validated
from nmfnet.data.on_disk import RowsOnDisk
from nmfnet.data.sparse_on_disk import SparseOnDisk
from nmfnet.distributed import now
from nmfnet.factorization.data import Data, DenseData, SparseData
from nmfnet.factorization.initialization import INITS
from nmfnet.factorization.passes import Penalties
from nmfnet.linalg.arrays import as_tensor
from nmfnet.linalg.holders import Holders, local
from nmfnet.transformers.ranks import refuse_other_inputs

ROWS_PER_BLOCK = 4096  # looked at together
SAFE_RANGE_FLOAT32, SAFE_RANGE_FLOAT64 = (
    1e12,
    1e120,
)  # squares and sums of what is no larger, and its inverse, are safe


@dataclass
class Input:
    """Data on its way into a factorization.

    Attributes
    ----------
    data : Data
        X times `scale`.
    X : array or sparse matrix of shape (m, n)
        The same, for slices of it.
    row_weights : Tensor of shape (m,), optional
    weights : Tensor of shape (m, n), optional
        Weights of entries over the largest of their row.
    missing : bool
        Whether there are NaNs.
    low, high : float
        Smallest and largest entry, before scaling.
    scale : float
        A power of 2 that keeps squares away from overflow and underflow; 1 for ordinary data.
    """

    data: Data
    X: Any
    row_weights: Tensor | None
    weights: Tensor | None
    missing: bool
    low: float
    high: float
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (m, n) of X, with the rows of all processes."""
        return self.data.rows.total, self.data.shape[1]

    @property
    def dense(self) -> DenseData:
        """The data, where it is known to be dense."""
        assert isinstance(self.data, DenseData)
        return self.data

    @property
    def in_memory(self) -> bool:
        """Whether X is in memory, and not mapped from a file."""
        part = self.X
        while part is not None and not isinstance(part, np.memmap):
            part = getattr(part, "base", None)
        on_disk = part is not None or isinstance(self.X, (RowsOnDisk, SparseOnDisk))
        return not self.data.rows.holders.any(on_disk)

    @property
    def single(self) -> Input:
        """The same in single precision, unless its range is too small for it; held until it is forgotten."""
        return self if self._single_dtype == self.X.dtype else self._converted

    @cached_property
    def _converted(self) -> Input:
        return self.rows(slice(None), single=True)

    def forget_single(self) -> None:
        """Hold the data in single precision no longer."""
        vars(self).pop("_converted", None)

    @property
    def _single_dtype(self) -> np.dtype[Any]:
        fits = 1 / SAFE_RANGE_FLOAT32 < max(-self.low, self.high) < SAFE_RANGE_FLOAT32
        return np.dtype(np.float32) if fits else self.X.dtype

    def rows(self, rows: slice | NDArray[np.intp], single: bool = False) -> Input:
        """The same of some of the rows; `single`: in single precision, unless its range is too small for them."""
        device, dtype = self.data.like.device, self._single_dtype if single else self.X.dtype
        whole = isinstance(rows, slice) and rows == slice(None)
        X = in_dtype(self.X if whole else self.X[rows], dtype)
        holders = self.data.rows.holders if whole else local
        data = SparseData(X, device, holders) if is_sparse(X) else DenseData(X, device, holders)
        row_weights, weights = (
            None if part is None else part[rows].to(data.like.dtype) for part in (self.row_weights, self.weights)
        )
        return replace(self, data=data, X=X, row_weights=row_weights, weights=weights)


def array_input(estimator: Any, X: ArrayLike, weights: ArrayLike | None, reset: bool) -> Input:
    """Check arrays or sparse matrices; without `reset` as a fitted estimator wants them."""
    if weights is None and not reset and as_before(estimator, X):
        return prepare_input(X, None, torch.device(estimator.device), estimator._scale)
    dtypes = [np.float64, np.float32] if reset else [estimator.components_.dtype]
    accepted = ("csr",) if estimator.__sklearn_tags__().input_tags.sparse else False
    checked = validated(estimator, X, accept_sparse=accepted, dtype=dtypes, reset=reset, ensure_all_finite="allow-nan")
    if is_sparse(checked) and np.isnan(checked.data).any():
        raise ValueError(
            "Input X contains NaN in a sparse matrix. Missing entries need a dense X: X.toarray(), with NaN also "
            "where nothing is known."
        )
    refuse_other_inputs(is_sparse(checked), checked)
    most = None if reset else estimator._scale
    return prepare_input(checked, check_weights(weights, checked), torch.device(estimator.device), most, now())


def as_before(estimator: Any, X: Any) -> bool:
    """Whether scikit-learn's checks, which take as long as a step on ten rows, are sure to leave X as it is."""
    if type(X) is not np.ndarray or X.dtype != estimator.components_.dtype or X.ndim != 2 or not len(X):
        return False
    if X.shape[1] != estimator.n_features_in_ or hasattr(estimator, "feature_names_in_") or now() is not local:
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(X.sum()))


def prepare_input(
    X: Any, weights: NDArray[Any] | None, device: torch.device, most: float | None, holders: Holders = local
) -> Input:
    """Look X over, and scale it where its squares would leave the range of its dtype.

    Parameters
    ----------
    X : array or CSR matrix of shape (m, n)
        Checked but for NaN.
    weights : array of shape (m,) or (m, n), optional
    device : torch.device
    most : float, optional
        Scale of earlier data, which this one's must not exceed: what is tiny there need not be tiny here.
    holders : Holders
        Who holds rows of X.
    """
    low, high, missing = extremes(X.data[None] if is_sparse(X) else X)
    if is_sparse(X) and X.nnz < X.shape[0] * X.shape[1]:
        low, high = min(low, 0.0), max(high, 0.0)
    low, high, missing = extremes_of_all(holders, low, high, missing)
    scale = safe_scale(max(-low, high), X.dtype)
    scale = scale if most is None else min(scale, most)
    X = scaled(X, scale)
    data = SparseData(X, device, holders) if is_sparse(X) else DenseData(X, device, holders)
    return Input(data, X, *weights_of(weights, device), missing, low, high, scale)


def weights_of(weights: NDArray[Any] | None, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
    """Weights of rows, and of entries over the largest of their row."""
    if weights is None or weights.ndim == 1:
        return None if weights is None else as_tensor(weights).to(device), None
    largest = weights.max(1)
    shares = weights / np.where(largest > 0, largest, 1)[:, None]
    return as_tensor(largest).to(device), as_tensor(shares).to(device)


def extremes(X: NDArray[Any]) -> tuple[float, float, bool]:
    """Smallest and largest entry (0 where there is none), and whether any is NaN."""
    low, high, missing = math.inf, -math.inf, False
    for start in range(0, len(X), ROWS_PER_BLOCK):
        block = np.asarray(X[start : start + ROWS_PER_BLOCK])
        if not block.size:
            continue
        smallest, largest = float(block.min()), float(block.max())
        if math.isnan(smallest):
            missing = True
            smallest = float(np.fmin.reduce(block, axis=None))
            largest = float(np.fmax.reduce(block, axis=None))
        low, high = min(low, smallest), max(high, largest)
    return (low, high, missing) if low <= high else (0.0, 0.0, missing)


def extremes_of_all(holders: Holders, low: float, high: float, missing: bool) -> tuple[float, float, bool]:
    """The same of the rows of all, from those at hand."""
    if holders is local:
        return low, high, missing
    found = holders.largest(torch.tensor([-low, high, float(missing)], dtype=torch.float64)).tolist()
    return -found[0], found[1], found[2] > 0


def in_dtype(X: Any, dtype: Any) -> Any:
    """X in another dtype; a sparse one keeps its indices, and shares them."""
    if not is_sparse(X):
        return X.astype(dtype, copy=False)
    return type(X)((X.data.astype(dtype, copy=False), X.indices, X.indptr), shape=X.shape)


def scaled(X: Any, scale: float) -> Any:
    """X times a power of 2 that the dtype of X itself may not hold; X itself where that is 1."""
    if scale == 1:
        return X
    if is_sparse(X):
        X = X.copy()
        X.data = scaled(X.data, scale)
        return X
    return np.ldexp(X, round(math.log2(scale)))


def safe_scale(largest: float, dtype: Any) -> float:
    """1, or the power of 2 that brings the largest entry near 1 where squares would overflow or be subnormal."""
    limit = SAFE_RANGE_FLOAT32 if dtype == np.float32 else SAFE_RANGE_FLOAT64
    if largest == 0 or 1 / limit < largest < limit:
        return 1.0
    return 2.0 ** -min(max(math.floor(math.log2(largest)), -1022), 1000)  # its inverse is a number, too


def scaled_penalties(data: Input, penalties: Penalties, degree: int) -> Penalties:
    """The penalties for scaled data, whose H is scaled alike, and whose loss is times ``scale ** degree``.

    They may be beyond all numbers where the data were next to nothing.  A penalty that the dtype holds then does the
    same as a larger one: the factor is 0.
    """
    scale = data.scale
    if scale == 1:
        return penalties
    largest = math.log2(SAFE_RANGE_FLOAT32 if data.X.dtype == np.float32 else SAFE_RANGE_FLOAT64)

    def scaled_one(penalty: float, power: int) -> float:
        return 2.0 ** min(math.log2(penalty) + power * math.log2(scale), largest) if penalty else 0.0

    return Penalties(*map(scaled_one, penalties, (degree, degree, degree - 1, degree - 2)))


def check_parameters(p: Mapping[str, Any]) -> None:
    """Refuse unfit values of the parameters that the transformers share, naming them."""
    if p["n_components"] is not None and p["n_components"] != "auto":
        at_least("n_components", p["n_components"], 1, Integral, otherwise="'auto'")
    if p["init"] is not None and p["init"] not in (*INITS, "custom"):
        raise ValueError(f"init must be None, 'custom' or one of {', '.join(map(repr, INITS))}; got {p['init']!r}.")
    if p.get("solver", "cd") not in ("cd", "mu"):
        raise ValueError(f"solver must be 'cd' or 'mu'; got {p['solver']!r}.")
    for name, lowest, kind in (("tol", 0, Real), ("max_iter", 1, Integral), ("alpha_W", 0, Real)):
        at_least(name, p[name], lowest, kind)
    if p["alpha_H"] != "same":
        at_least("alpha_H", p["alpha_H"], 0, Real, otherwise="'same'")
    for name in ("l1_ratio", "forget_factor"):
        between(name, p[name], 0, 1)
    if p["batch_size"] is not None:
        at_least("batch_size", p["batch_size"], 1, Integral, otherwise="None")


def check_weights(weights: ArrayLike | None, X: Any) -> NDArray[Any] | None:
    """Weights in the dtype of X, or None; refuse unfit ones."""
    if weights is None:
        return None
    given = refuse_missing(weights, "weights")
    checked = check_array(given, dtype=X.dtype, ensure_2d=False, ensure_min_samples=0, input_name="weights")
    if checked.shape not in ((X.shape[0],), X.shape):
        raise ValueError(
            f"weights must have shape {(X.shape[0],)}, one a sample, or {X.shape}, one an entry; got {checked.shape}."
        )
    if checked.min() < 0:
        raise ValueError(f"weights must be finite and nonnegative; their minimum is {checked.min():.4g}.")
    if checked.ndim == 2 and is_sparse(X):
        raise ValueError("weights of entries need a dense X; a sparse X takes weights of samples, shape (n_samples,).")
    return checked


def check_start(F: ArrayLike | None, name: str, shape: tuple[int, int], nonnegative: bool) -> NDArray[Any]:
    """A starting factor, checked."""
    if F is None:
        raise ValueError(
            f"init='custom' needs both starting factors; {name} is missing: pass it to fit or fit_transform."
        )
    checked = check_array(refuse_missing(F, name), dtype=np.float64, input_name=name)
    if checked.shape != shape:
        raise ValueError(f"The starting factor {name} must have shape {shape}; got {checked.shape}.")
    if nonnegative and (checked < 0).any():
        raise ValueError(f"Negative values in data passed to NMF (input {name}): the factor must be nonnegative.")
    if not checked.any():
        raise ValueError(f"The starting factor {name} is full of zeros, and would stay so.")
    return checked


def is_sparse(X: Any) -> bool:
    """Whether X is one of SciPy's sparse matrices."""
    return bool(sparse.issparse(X))


def to_numpy(A: Tensor) -> NDArray[Any]:
    """An array of its own, by rows."""
    return np.ascontiguousarray(A.cpu().numpy())
