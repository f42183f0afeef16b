"""Data in files on their way into a factorization: `fit` with a path."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from nmfnet.data.containers import learn_columns
from nmfnet.data.files import opened_inputs
from nmfnet.data.sparse_on_disk import SparseOnDisk
from nmfnet.distributed import now
from nmfnet.factorization.stored import StoredDense, StoredSparse
from nmfnet.linalg.holders import Holders
from nmfnet.transformers.input import Input, check_weights, extremes, extremes_of_all, safe_scale, weights_of
from nmfnet.transformers.ranks import refuse_other_inputs


class Outline(NamedTuple):
    """Of X, as its weights are checked against."""

    shape: tuple[int, int]
    dtype: Any


def is_path(X: Any) -> bool:
    """Whether X says where data are."""
    return isinstance(X, (str, os.PathLike))


def stored_input(estimator: BaseEstimator, X: Any, weights: ArrayLike | None, reset: bool) -> Input:
    """Open files, and look them over in one pass."""
    parameters = estimator.get_params()
    if parameters["batch_size"] is not None:
        raise ValueError("batch_size needs X in memory or a numpy.memmap: with a path as X use batch_size=None.")
    if parameters.get("beta_loss", 2) in ("kullback-leibler", 1):
        raise ValueError("beta_loss='kullback-leibler' needs X in memory: with a path as X use 'frobenius'.")
    stored = opened_inputs(os.fspath(X))
    learn_columns(estimator, stored, reset)
    sparse = isinstance(stored, SparseOnDisk)
    dtype = np.dtype(str(stored.dtype).removeprefix("torch."))
    outline = Outline(stored.shape, dtype)
    refuse_other_inputs(sparse, outline)
    device, holders = torch.device(parameters["device"]), now()
    low, high, missing = extremes_of_all(holders, *(_of_sparse(stored) if sparse else extremes(stored)))  # type: ignore[arg-type]
    if math.isinf(low) or math.isinf(high) or (sparse and missing):
        raise ValueError(f"Input X contains {'NaN' if missing and sparse else 'infinity'}.")
    if safe_scale(max(-low, high), dtype) != 1:
        raise ValueError(f"X reaches {max(-low, high):.3g}, whose square {dtype} cannot hold. Scale the files.")
    checked = check_weights(weights, outline)
    if sparse and checked is not None and checked.ndim == 2:
        raise ValueError("weights of entries need a dense X; a sparse X takes weights of samples, shape (n_samples,).")
    return Input(_data(stored, device, holders), stored, *weights_of(checked, device), missing, low, high, 1.0)


def _data(stored: Any, device: torch.device, holders: Holders) -> StoredDense | StoredSparse:
    return StoredSparse(stored, holders) if isinstance(stored, SparseOnDisk) else StoredDense(stored, device, holders)


def _of_sparse(X: SparseOnDisk) -> tuple[float, float, bool]:
    """Smallest and largest entry, 0 among them, and whether any is NaN."""
    low = high = 0.0
    missing = False
    for _, part in X.parts(slice(0, len(X))):
        if part.nnz:
            missing = missing or bool(np.isnan(part.data).any())
            low, high = min(low, float(part.data.min())), max(high, float(part.data.max()))
    return low, high, missing
