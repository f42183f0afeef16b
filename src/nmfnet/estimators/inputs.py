"""From what users pass to tensors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


def to_array(data: Any) -> Any:
    """Return a tensor as an array of its dtype; anything else stays."""
    return data.detach().cpu().numpy() if isinstance(data, Tensor) else data


def to_tensor(array: Array) -> Tensor:
    """Share the memory of a NumPy array with a tensor that is only ever read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))
