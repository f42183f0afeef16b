"""Products and means over samples, of dense or sparse rows."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.errors import DivergenceError
from nmfnet.linalg.sparse import SparseRows


def affine(Z: Tensor | SparseRows, W: Tensor, intercept: bool = True) -> Tensor:
    """[Z, 1] W, shape (m, k), without forming [Z, 1]; Z W where there is no bias row."""
    if isinstance(Z, SparseRows):
        return (Z @ W[:-1]).add_(W[-1]) if intercept else Z @ W
    return torch.addmm(W[-1], Z, W[:-1]) if intercept else Z @ W


def with_ones(Z: Tensor, intercept: bool = True) -> Tensor:
    """Append the column of ones that the bias row multiplies: [Z, 1], shape (m, n + 1)."""
    return torch.cat([Z, Z.new_ones(len(Z), 1)], 1) if intercept else Z


def inner_product(A: Tensor, B: Tensor, spare: Tensor | None = None) -> Tensor:
    """Sum of the products of the entries of two matrices; `spare`, which may be one of them, may be overwritten."""
    if A.is_contiguous() and B.is_contiguous():
        return torch.dot(A.view(-1), B.view(-1))  # in one pass
    return torch.mul(A, B, out=spare).sum()


def column_parts(k: int, most: int) -> list[slice]:
    """Columns 0..k-1 in as few parts of at most `most` as possible, of about equal size."""
    n = -(-k // most)
    return [slice(k * i // n, k * (i + 1) // n) for i in range(n)]


def weighted_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over samples of `values` (m,) or (m, k), by positive weights (m,) if there are any."""
    return values.mean(0) if weight is None else weight @ values / weight.sum()


def weighted(A: Tensor, weight: Tensor | None, power: float = 1.0) -> Tensor:
    """Rows of `A` (m, k) times a power of their weights (m,)."""
    return A if weight is None else weight[:, None] ** power * A


def all_finite(X: Tensor) -> bool:
    """Whether all numbers of X are finite, in one pass and no memory: NaN is its own minimum and maximum."""
    return not X.numel() or bool(torch.stack(torch.aminmax(X)).isfinite().all())


def check_finite(Z: Tensor) -> Tensor:
    """Return `Z`, or raise DivergenceError if it is not finite, on which LAPACK's answers differ."""
    if not all_finite(Z):
        raise DivergenceError("A matrix to decompose is not finite: numbers overflowed. Scale the data.")
    return Z
