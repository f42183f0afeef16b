"""From what users pass to arrays and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data
from torch import Tensor

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet

Array = NDArray[Any]
DTYPES = (np.float64, np.float32)


def checked_inputs(estimator: BaseNMFNet, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
    """Inputs and targets as arrays; without `reset`, against the fitted estimator."""
    numeric = estimator._numeric_y
    X, y = validate_data(
        estimator, to_array(X), to_array(y), dtype=DTYPES, multi_output=True, y_numeric=numeric, reset=reset
    )
    return X, y.toarray() if hasattr(y, "toarray") else y


def to_array(data: Any) -> Any:
    """Return a tensor as an array of its dtype; anything else stays."""
    return data.detach().cpu().numpy() if isinstance(data, Tensor) else data


class _Writable:
    """A read-only array under a promise not to write: PyTorch would warn of each."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def to_tensor(array: Array) -> Tensor:
    """Share the memory of a NumPy array with a tensor that is only ever read."""
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Writable(array)))
