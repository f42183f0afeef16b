"""Truncated decompositions and pseudo-inverses: the linear algebra under every factorization."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.errors import DivergenceError
from nmfnet.sparse import SparseRows

BLOCK, MOST_NUMBERS = 1024, 2**21  # rows that are converted to float64 at a time, and numbers


class TruncatedSVD(NamedTuple):
    """Z ~ U diag(s) Vt with the r singular values above the threshold.

    Attributes
    ----------
    U : Tensor of shape (m, r)
        Orthonormal columns.
    s : Tensor of shape (r,)
        Singular values, positive.
    V : Tensor of shape (n, r)
        Orthonormal columns.
    """

    U: Tensor
    s: Tensor
    V: Tensor


def affine(Z: Tensor | SparseRows, W: Tensor, intercept: bool = True) -> Tensor:
    """[Z, 1] W, shape (m, k), without forming [Z, 1]; Z W where there is no bias row."""
    if isinstance(Z, SparseRows):
        return (Z @ W[:-1]).add_(W[-1]) if intercept else Z @ W
    return torch.addmm(W[-1], Z, W[:-1]) if intercept else Z @ W


def with_ones(Z: Tensor, intercept: bool = True) -> Tensor:
    """Append the column of ones that the bias row multiplies: [Z, 1], shape (m, n + 1)."""
    return torch.cat([Z, Z.new_ones(len(Z), 1)], 1) if intercept else Z


@contextmanager
def naming_overflow() -> Iterator[None]:
    """Say of a decomposition that fails why it does: of finite matrices LAPACK's all succeed."""
    try:
        yield
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise DivergenceError("A matrix cannot be decomposed: numbers overflowed. Scale the data.") from error


@naming_overflow()
def truncated_svd(Z: Tensor, delta: float = 0.0) -> TruncatedSVD:
    """Singular value decomposition without the singular values at most `delta` times the largest.

    float64 input goes through LAPACK's SVD.  float32 input goes through the eigenvalues of the
    smaller Gram matrix formed in float64, which is several times faster: squaring the singular
    values in float64 leaves of them what float32 holds.

    Parameters
    ----------
    Z : Tensor of shape (m, n)
    delta : float, default=0
        Relative threshold; never below what rounding leaves meaningful in the dtype of `Z`.

    Returns
    -------
    TruncatedSVD
        Of rank 0 if `Z` is zero or empty.
    """
    if len(Z) < Z.shape[1]:
        U, s, V = truncated_svd(Z.T, delta)
        return TruncatedSVD(V, s, U)
    if Z.dtype == torch.float64:
        check_finite(Z)
        U, s, Vh = torch.linalg.svd(Z, full_matrices=False)
        kept = _significant(s, delta, max(Z.shape) * torch.finfo(Z.dtype).eps)
        return TruncatedSVD(U[:, kept], s[kept], Vh[kept].T)
    s, V = singular_basis(Z, delta)
    inverse = V / s
    U = Z.new_empty(len(Z), len(s))
    for block, wide in zip(U.split(_rows(Z)), float64_blocks(Z), strict=True):
        block.copy_(wide @ inverse)
    return TruncatedSVD(U, s.to(Z.dtype), V.to(Z.dtype))


@naming_overflow()
def singular_basis(Z: Tensor, delta: float = 0.0) -> tuple[Tensor, Tensor]:
    """Singular values (r,) and right singular vectors (n, r) of `Z` (m, n), truncated at `delta`.

    In float64, whatever the dtype of `Z`.  For a tall float32 matrix it needs no memory of the size
    of `Z`: the first layer takes it of the whole data set.
    """
    if Z.dtype == torch.float64:
        check_finite(Z)
        _, s, Vh = torch.linalg.svd(check_finite(torch.linalg.qr(Z, mode="r").R), full_matrices=False)
        kept = _significant(s, delta, max(Z.shape) * torch.finfo(Z.dtype).eps)
        return s[kept], Vh[kept].T
    if len(Z) < Z.shape[1]:
        _, s, V = truncated_svd(Z, delta)
        return s.double(), V.double()
    eigenvalues, V = torch.linalg.eigh(check_finite(gram(Z)))
    s = eigenvalues.clamp(min=0).sqrt()
    # Eigenvalues carry an error of n eps times the largest, singular values its square root; and what rounding has
    # left in the entries of Z is no direction of it: a code of rank one in float32 would get weights of 1e7.
    rounding = max((len(s) * torch.finfo(s.dtype).eps) ** 0.5, torch.finfo(Z.dtype).eps)
    kept = _significant(s, delta, rounding)
    return s[kept], V[:, kept]


def _significant(s: Tensor, delta: float, rounding: float) -> Tensor:
    """Mask of the singular values (n,) above the larger of the two relative thresholds."""
    return s > max(delta, rounding) * s.max() if len(s) else s > 0


def all_finite(X: Tensor) -> bool:
    """Whether all numbers of X are finite, in one pass and no memory: NaN is its own minimum and maximum."""
    return not X.numel() or bool(torch.stack(torch.aminmax(X)).isfinite().all())


def check_finite(Z: Tensor) -> Tensor:
    """Return `Z`, or raise DivergenceError if it is not finite, on which LAPACK's answers differ."""
    if not all_finite(Z):
        raise DivergenceError("A matrix to decompose is not finite: numbers overflowed. Scale the data.")
    return Z


def gram(Z: Tensor) -> Tensor:
    """Gram matrix Zt Z, shape (n, n), accumulated in float64."""
    G = torch.zeros(Z.shape[1], Z.shape[1], dtype=torch.float64, device=Z.device)
    for wide in float64_blocks(Z):
        G.addmm_(wide.T, wide)
    return G


def float64_blocks(Z: Tensor) -> Iterator[Tensor]:
    """Blocks of rows of `Z` in float64, all in one buffer to write into: fresh memory costs as much as a product."""
    rows = _rows(Z)
    buffer = torch.empty(min(len(Z), rows), Z.shape[1], dtype=torch.float64, device=Z.device)
    for block in Z.split(rows):
        yield buffer[: len(block)].copy_(block)


def _rows(Z: Tensor) -> int:
    """Rows of `Z` that are converted at a time."""
    return max(1, min(BLOCK, MOST_NUMBERS // max(1, Z.shape[1])))


def pseudo_inverse(Z: Tensor, delta: float = 0.0, alpha: float = 0.0) -> Tensor:
    """Moore-Penrose inverse of `Z` (m, n), shape (n, m), truncated and damped.

    Parameters
    ----------
    Z : Tensor of shape (m, n)
    delta : float, default=0
        Singular values at most `delta` times the largest are taken as zero.
    alpha : float, default=0
        Tikhonov term: 1/s becomes s / (s^2 + alpha).
    """
    U, s, V = truncated_svd(Z, delta)
    return (V / (s + alpha / s)) @ U.T


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


def mean_length(A: Tensor, weight: Tensor | None = None) -> Tensor:
    """Root mean square of the lengths of the rows of `A` (m, k)."""
    if weight is None:
        return inner_product(A, A).sqrt() / len(A) ** 0.5  # mostly in a third of the time of vector_norm
    return weighted_mean(torch.linalg.vector_norm(A, dim=1).square(), weight).sqrt()


def weighted(A: Tensor, weight: Tensor | None, power: float = 1.0) -> Tensor:
    """Rows of `A` (m, k) times a power of their weights (m,)."""
    return A if weight is None else weight[:, None] ** power * A
