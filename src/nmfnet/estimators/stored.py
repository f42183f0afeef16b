"""Training data that stay in files: `fit` with a path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import validate_data

from nmfnet.data.containers import learn_columns
from nmfnet.data.files import Stored, opened
from nmfnet.data.labels import label_array
from nmfnet.data.missing import MissingValues
from nmfnet.data.on_disk import RowsOnDisk
from nmfnet.distributed import now
from nmfnet.estimators.data import Data, checked_weights, numbers_of
from nmfnet.estimators.images import rows_of_images
from nmfnet.estimators.input_encoder import InputEncoder

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet


def in_files(X: Any) -> bool:
    """Whether X says where data are, or reads them from there."""
    return isinstance(X, (str, os.PathLike, RowsOnDisk))


def stored_data(estimator: BaseNMFNet, X: Any, y: Any, sample_weight: Any) -> Data:
    """Open files of inputs, check them in one pass, and encode their targets.

    Raises
    ------
    ValueError
        If the files or a parameter of the estimator are unfit; names them.
    """
    _refuse(estimator)
    stored = Stored(X, y) if isinstance(X, RowsOnDisk) else opened(os.fspath(X), y)
    rows_of_images(estimator, stored.X, True)
    y = numbers_of(stored.y) if estimator._numeric_y else label_array(stored.y)
    y = validate_data(estimator, y=y, multi_output=True, y_numeric=estimator._numeric_y, reset=True)
    learn_columns(estimator, stored.X)
    check_consistent_length(stored.X, y)
    weight, rows = checked_weights(sample_weight, len(y), "sample_weight"), stored.X
    estimator._sparse_targets = False
    estimator.input_encoder_ = InputEncoder(missing=_looked_over(stored.X))
    if weight is not None and not weight.all():
        kept = np.flatnonzero(weight)
        rows, y, weight = rows.subset(kept), y[kept], weight[kept]
    dtype = np.float32 if rows.dtype == torch.float32 else np.float64
    return Data(rows, estimator._encode(y, dtype, True), weight)


def _refuse(estimator: BaseNMFNet) -> None:
    """Refuse parameters that need all inputs in memory."""
    if estimator.warm_start and hasattr(estimator, "network_"):
        raise ValueError("warm_start=True cannot go on with files: use a Checkpoint to resume, or partial_fit.")
    for name, value in (("pretrain", None), ("augmentation", None)):
        if getattr(estimator, name) is not value:
            raise ValueError(f"{name} needs all inputs in memory: with files as X use {name}=None.")
    if estimator.solver == "pinv" or type(estimator.solver).__name__ == "Pinv":
        raise ValueError("solver='pinv' decomposes all inputs in memory: with files as X use solver='relaxed'.")


def _looked_over(X: RowsOnDisk) -> MissingValues:
    """Means of the columns, which later stand for what is missing; of the files all must be there."""
    total, start = torch.zeros(X.shape[1], dtype=torch.float64), 0
    for block in X.blocks():
        sums = block.sum(0, dtype=torch.float64)  # not finite if any number is not, and seldom otherwise
        if not bool(sums.isfinite().all()) and not bool(block.isfinite().all()):
            raise ValueError(
                f"Input X contains NaN or infinity, in rows {start} to {start + len(block) - 1}: fill it in before; "
                "only inputs in memory may have missing values."
            )
        total += sums
        start += len(block)
    total, n = now()([total, torch.tensor(float(len(X)), dtype=torch.float64)])
    return MissingValues((total / n).to(X.dtype), torch.empty(0, dtype=torch.int64))
