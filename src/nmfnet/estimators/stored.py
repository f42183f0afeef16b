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
from nmfnet.data.first_reading import check_finite, first_reading
from nmfnet.data.labels import label_array
from nmfnet.data.missing import MissingValues
from nmfnet.data.on_disk import RowsOnDisk
from nmfnet.distributed import now
from nmfnet.estimators.data import Data, checked_weights, numbers_of
from nmfnet.estimators.images import rows_of_images
from nmfnet.estimators.input_encoder import InputEncoder
from nmfnet.linalg.holders import local

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet


def in_files(X: Any) -> bool:
    """Whether X says where data are, or reads them from there."""
    return isinstance(X, (str, os.PathLike, RowsOnDisk))


def stored_data(estimator: BaseNMFNet, X: Any, y: Any, sample_weight: Any) -> Data:
    """Open files of inputs, and encode their targets; the inputs are checked by :func:`looked_over`.

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


def looked_over(estimator: BaseNMFNet, data: Data, held_out: Data | None) -> Data:
    """Read training data once, for all that must be known before the first epoch, and check those that are held out.

    Returns the training data with what was found.

    Means of the columns later stand for what is missing; of the files all must be there.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    X, names = data.X.to(data.X.device), getattr(estimator, "feature_names_in_", None)
    components = estimator._kind() != "real" and estimator.input_shape_ is None and now() is local
    weight = None if data.weight is None else torch.from_numpy(data.weight)
    X.first = first_reading(X, weight, components, names)
    if held_out is not None:
        check_finite(held_out.X, names)
    of_all = X.first.columns
    total, n = now()([of_all.mean * of_all.weight, torch.tensor(of_all.weight, dtype=torch.float64)])
    missing = MissingValues((total / n).to(X.dtype), torch.empty(0, dtype=torch.int64))
    estimator.input_encoder_ = InputEncoder(missing=missing)
    return data._replace(X=X)
