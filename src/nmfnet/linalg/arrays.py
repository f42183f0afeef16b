"""Arrays and sparse matrices as tensors that share their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


class _Writable:
    """A read-only array under a promise not to write: PyTorch would warn of each."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def as_tensor(array: Array) -> Tensor:
    """Share the memory of an array, read-only ones too, with a tensor that is only ever read.

    PyTorch has neither other byte orders nor long doubles, and each type once: those are converted.
    """
    native = np.dtype(array.dtype.str).newbyteorder("=")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        native = np.dtype(np.float64)
    if array.dtype.num != native.num or not array.dtype.isnative:
        array = array.astype(native)
    if min(array.strides, default=0) < 0:
        array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Writable(array)))


def canonical(matrix: Any) -> Any:
    """A CSR matrix of its own with the columns of each row sorted and met once, which shares memory if it can.

    Whether they are is found from the indices, as what a matrix believes of itself may be out of date.
    """
    own = type(matrix)((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
    if not own.has_canonical_format:
        own = own.copy()
        own.sum_duplicates()
    return own
