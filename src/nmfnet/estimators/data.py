"""Training and validation data, checked: inputs, targets as numbers, weights."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from torch import Tensor

from nmfnet.data.column_messages import listed
from nmfnet.data.columns import Table, ids_among, is_frame, sentinel_of, sentinels_among
from nmfnet.data.containers import Array, refuse_missing, refuse_path, to_array
from nmfnet.data.labels import label_array
from nmfnet.data.on_disk import OnDisk, RowsOnDisk
from nmfnet.data.source import InMemory
from nmfnet.distributed import now
from nmfnet.estimators.input_encoder import InputEncoder
from nmfnet.estimators.inputs import checked_inputs, to_tensor
from nmfnet.estimators.ranks import refuse_other_inputs, shared_random_state
from nmfnet.linalg.holders import local

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet


class Data(NamedTuple):
    """Inputs X (n, n_0), targets Y (n, n_L) and positive weights (n,) in float64, or None where all are 1.

    Where several processes hold samples, `keys` (n,) may say in what order these are; None: as they come.
    """

    X: Any
    Y: Array
    weight: Array | None = None
    keys: Array | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of inputs, targets and weights."""
        return torch.float32 if self.Y.dtype == np.float32 else torch.float64

    def rows(self, rows: Array) -> Data:
        """Return some of the samples."""
        weight, keys = (None if part is None else part[rows] for part in (self.weight, self.keys))
        return Data(rows_of(self.X, rows), self.Y[rows], weight, keys)

    def source(self, where: torch.device, sparse: bool) -> InMemory:
        """The samples on a device, to train on; sparse inputs stay so if they may."""
        samples = (self if sparse or not issparse(self.X) else self._replace(X=self.X.toarray())).on(where)
        return OnDisk(*samples) if isinstance(self.X, RowsOnDisk) else InMemory(*samples)

    def on(self, where: torch.device) -> tuple[Any, Tensor, Tensor | None]:
        """Tensors on a device, which share memory with the arrays where they can."""
        X = to_tensor(self.X).to(where)
        weight = None if self.weight is None else to_tensor(self.weight).to(where)
        return X, to_tensor(self.Y).to(where), weight


def row_weights(data: Data, each: Array | None) -> Array | None:
    """Weights (n,) of samples, times those of their classes (k,), if there are any; None where all are 1."""
    if each is None:
        return data.weight
    return each[data.Y.argmax(1)] * (1 if data.weight is None else data.weight)


def rows_of(X: Any, rows: Array) -> Any:
    """Some rows of an array, a sparse matrix, a tensor or a table."""
    if isinstance(X, Table):
        return X.rows(rows)
    if isinstance(X, RowsOnDisk):
        return X.subset(rows)
    return X[torch.from_numpy(rows).to(X.device)] if isinstance(X, Tensor) else X[rows]


def checked_data(
    estimator: BaseNMFNet, X: Any, y: Any, sample_weight: Any, reset: bool = True, suffix: str = "",
    dtype: torch.dtype | None = None, complete: bool = True, **encoding: Any,
) -> Data:  # fmt: skip
    """Check inputs, targets and weights; leave out the samples of weight 0, and encode the targets.

    Parameters
    ----------
    estimator : BaseNMFNet
    X, y, sample_weight
        As passed by the user.
    reset : bool, default=True
        Whether to learn names, classes and the like, or to compare with those of the fit.
    suffix : str, default=""
        Of the names in messages: "_val" for the validation set.
    dtype : torch.dtype, optional
        Of the network that there is already; by default that of X, and everything is learned anew.
    complete : bool, default=True
        Whether these rows are all that there will be.
    **encoding
        For the estimator's `_encode`.
    """
    refuse_path(X)
    if reset:
        estimator._sparse_targets = issparse(y)
    y = refuse_missing(y, "y")
    y = numbers_of(y) if estimator._numeric_y else label_array(y)
    first = reset and dtype is None
    if first and complete:
        warn_of_ids(X)
        warn_of_sentinels(X, y if estimator._numeric_y else None)
    X, y = checked_inputs(estimator, X, y, reset, dtype)
    refuse_other_inputs(X)
    dtype = dtype or (torch.float32 if getattr(X, "dtype", None) in (np.float32, torch.float32) else torch.float64)
    numbers = np.float32 if dtype == torch.float32 else np.float64
    weight = checked_weights(sample_weight, len(y), f"sample_weight{suffix}")
    if weight is not None:
        kept = np.flatnonzero(weight)
        if not len(kept):
            raise ValueError(f"sample_weight{suffix} must have a weight that is not zero.")
        if len(kept) < len(weight):
            X, y, weight = rows_of(X, kept), y[kept], weight[kept]
    with np.errstate(over="ignore"):
        Y = estimator._encode(y, numbers, reset, **encoding)
    if estimator._numeric_y and not np.isfinite([Y.min(), Y.max()]).all():
        raise ValueError(f"y{suffix} has values too large for {numbers.__name__}: scale it, or pass X in float64.")
    data = Data(X, Y, weight)
    of_rows = row_weights(data, estimator._class_weights(data)) if reset else weight
    if first:
        estimator.input_encoder_, X = InputEncoder.of(X, dtype, of_rows, complete, Y)
    else:
        X = estimator.input_encoder_(X, dtype, Y if reset and complete else None, of_rows)
    return data._replace(X=X)


def numbers_of(y: Any) -> Any:
    """Real targets as an array; ValueError names the first that is text and no number."""
    y = to_array(y)
    try:
        array = np.asarray(y)
    except ValueError:  # ragged, which scikit-learn refuses by name
        return y
    if array.dtype.kind in "UO":
        for row, value in enumerate(array.ravel().tolist()):
            if isinstance(value, str) and not _is_number(value):
                raise ValueError(
                    f"y has targets that are text, as {value!r:.50} in row {row}: make numbers of them, or use "
                    "NMFNetClassifier, to which they are classes."
                )
    return y


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def warn_of_ids(X: Any) -> None:
    """Name the columns of a data frame that look like ids: a network would learn the order of the rows from them."""
    names = ids_among(X) if is_frame(X) else []
    if names:
        warnings.warn(
            f"X: {listed(names)} {'numbers' if len(names) == 1 else 'number'} the rows, as an id does: leave "
            f"{'it out, unless it says' if len(names) == 1 else 'them out, unless they say'} something.",
            UserWarning, stacklevel=5,
        )  # fmt: skip


def warn_of_sentinels(X: Any, y: Any) -> None:
    """Name columns of a data frame, and real targets, in which a number as -999 seems to stand for a missing one."""
    found = sentinels_among(X) if is_frame(X) else {}
    for value in dict.fromkeys(found.values()):
        names = listed([name for name in found if found[name] == value])
        _warn_of_sentinel(f"X: {names}: {value}", "put NaN in its place, or leave the cells of the file empty")
    if value := sentinel_of(y) if isinstance(y, np.ndarray) and y.dtype.kind in "iuf" and y.ndim == 1 else "":
        _warn_of_sentinel(f"y: {value}", "leave these rows out")


def _warn_of_sentinel(what: str, advice: str) -> None:
    warnings.warn(
        f"{what} is far from all other values. If it stands for a missing value, {advice}: as a number it hides how "
        "the others differ.",
        UserWarning, stacklevel=6,
    )  # fmt: skip


def checked_weights(sample_weight: Any, n: int, name: str) -> Array | None:
    """Weights (n,) in float64, finite and nonnegative; None stays."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n, sample_weight)
    weight = check_array(refuse_missing(sample_weight, name), ensure_2d=False, dtype=np.float64, input_name=name)
    if weight.shape != (n,):
        raise ValueError(f"{name}.shape is {weight.shape}, but there are {n} samples: it must be ({n},).")
    if weight.min() < 0:
        raise ValueError(f"{name} must not be negative; its minimum is {weight.min():.4g}.")
    return weight


def split(estimator: BaseNMFNet, data: Data) -> tuple[Data, Data]:
    """Hold out the validation set of early stopping."""
    fraction, labels = estimator.validation_fraction, estimator._stratify(data.Y)
    counts = now().objects(len(data.Y))
    if labels is not None and now() is not local:
        labels = np.concatenate(now().objects(labels))
    train, held_out = split_rows(sum(counts), fraction, labels, shared_random_state(estimator.random_state))
    if isinstance(data.X, RowsOnDisk):  # which are read in their own order
        train, held_out = np.sort(train), np.sort(held_out)
    if now() is local:
        return data.rows(train), data.rows(held_out)
    first = sum(counts[: now().rank])
    return _at_hand(data, train - first), _at_hand(data, held_out - first)


def split_rows(n: int, fraction: float, labels: Array | None, random_state: Any) -> tuple[Array, Array]:
    """Numbers of the rows to train on, and of those that are held out; of classes (n,) alike."""
    try:
        return tuple(
            train_test_split(
                np.arange(n), test_size=fraction, stratify=labels, random_state=check_random_state(random_state)
            )
        )
    except ValueError as error:
        raise ValueError(f"early_stopping=True with validation_fraction={fraction}: {error}") from None


def _at_hand(data: Data, rows: Array) -> Data:
    """Those of some rows that are at hand, in the order of all of them; the numbers of the others are out of range."""
    keys = np.flatnonzero((rows >= 0) & (rows < len(data.Y)))
    return data.rows(rows[keys])._replace(keys=keys)
