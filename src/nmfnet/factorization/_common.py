"""What the three factorizations share: their result, their penalties, their checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nmfnet._parameters import at_least
from nmfnet.errors import DivergenceError


class Factorization(NamedTuple):
    """The result of a factorization.

    Attributes
    ----------
    Z : Tensor of shape (m, r)
        Left factor.
    W : Tensor of shape (r, n), or (r + 1, n) with a bias row
        Right factor; the H of :class:`nmfnet.NMF`.
    objective : float
        Half the squared residual, plus the penalties.
    n_iter : int
        Iterations done.
    """

    Z: Tensor
    W: Tensor
    objective: float
    n_iter: int


def finite(objective: Tensor | float) -> float:
    """Refuse an objective that overflowed."""
    value = float(objective)
    if not math.isfinite(value):
        raise DivergenceError("The objective is not finite: numbers overflowed. Scale the data.")
    return value


def widened(*matrices: Tensor | None) -> list[Any]:
    """Matrices of half precision in float32: products in less are neither exact enough nor everywhere implemented."""
    half = torch.float16, torch.bfloat16
    return [A.float() if isinstance(A, Tensor) and A.dtype in half else A for A in matrices]


def check_matrix(X: Tensor, name: str) -> None:
    """Refuse anything but a nonempty floating-point matrix of finite numbers whose squares its dtype can hold."""
    if not isinstance(X, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor; got {type(X).__name__}: use torch.as_tensor({name}).")
    if X.ndim != 2 or X.numel() == 0:
        raise ValueError(f"{name} must be a nonempty matrix; got shape {tuple(X.shape)}.")
    if X.is_complex():
        raise ValueError(f"Complex data not supported: {name} is of {X.dtype}.")
    if not X.dtype.is_floating_point:
        raise ValueError(f"{name} must be of a floating-point dtype; got {X.dtype}: use {name}.double().")
    low, high = (float(bound) for bound in torch.aminmax(X))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} contains NaN or infinity.")
    largest, limits = max(-low, high), torch.finfo(X.dtype)
    if largest and not limits.tiny < largest * largest < limits.max / X.numel():
        raise DivergenceError(f"{name} reaches {largest:.3g}, whose square {X.dtype} cannot hold. Scale the data.")


def rank_of(n_components: int | None, Z: Tensor | None, W: Tensor | None, X: Tensor, intercept: bool = False) -> int:
    """Rank asked for by number, or by starting factors, which must fit to X; else the smaller side of X."""
    shape = X.shape
    if n_components is not None:
        at_least("n_components", n_components, 1, Integral)
        rank = n_components
    elif Z is not None:
        rank = Z.shape[1]
    else:
        rank = min(shape) if W is None else len(W) - intercept
    for name, factor, expected in (("left", Z, (shape[0], rank)), ("right", W, (rank + intercept, shape[1]))):
        if factor is not None and tuple(factor.shape) != expected:
            raise ValueError(f"The {name} starting factor must have shape {expected}; got {tuple(factor.shape)}.")
        if factor is not None and factor.dtype != X.dtype:
            raise ValueError(f"The {name} starting factor is of dtype {factor.dtype}, the matrix of {X.dtype}.")
        if factor is not None and not factor.isfinite().all():
            raise ValueError(f"The {name} starting factor contains NaN or infinity.")
    return rank


def check_nonnegative(X: Tensor, name: str, columns: Sequence[str] | None = None) -> None:
    """Refuse a matrix with a negative entry, naming its column."""
    lowest = X.amin(0)
    column = int(lowest.argmin())
    if lowest[column] < 0:
        which = column if columns is None else repr(columns[column])
        raise ValueError(f"{name} must be nonnegative; column {which} has a minimum of {float(lowest[column]):.4g}.")
