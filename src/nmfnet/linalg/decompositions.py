"""Truncated decompositions and pseudo-inverses: the linear algebra under every factorization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.errors import DivergenceError
from nmfnet.linalg.holders import Holders, local, summed
from nmfnet.linalg.products import check_finite
from nmfnet.linalg.statistics import reduced_symmetric

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


@contextmanager
def naming_overflow() -> Iterator[None]:
    """Say of a decomposition that fails why it does: of finite matrices LAPACK's all succeed."""
    try:
        yield
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise DivergenceError("A matrix cannot be decomposed: numbers overflowed. Scale the data.") from error


@naming_overflow()
def truncated_svd(Z: Tensor, delta: float = 0.0, holders: Holders = local) -> TruncatedSVD:
    """Singular value decomposition without the singular values at most `delta` times the largest.

    float64 input goes through LAPACK's SVD.  float32 input goes through the eigenvalues of the
    smaller Gram matrix formed in float64, which is several times faster: squaring the singular
    values in float64 leaves of them what float32 holds.

    Parameters
    ----------
    Z : Tensor of shape (m, n)
    delta : float, default=0
        Relative threshold; never below what rounding leaves meaningful in the dtype of `Z`.
    holders : Holders, default=local
        Those who hold rows of the matrix, each some of them: `Z`, and rows of U, are those at hand.

    Returns
    -------
    TruncatedSVD
        Of rank 0 if `Z` is zero or empty.
    """
    if holders is not local:
        return _svd_of_all(Z, delta, holders)
    if len(Z) < Z.shape[1]:
        U, s, V = truncated_svd(Z.T, delta)
        return TruncatedSVD(V, s, U)
    if Z.dtype == torch.float64:
        check_finite(Z)
        U, s, Vh = torch.linalg.svd(Z, full_matrices=False)
        kept = _significant(s, delta, max(Z.shape) * torch.finfo(Z.dtype).eps)
        return TruncatedSVD(U[:, kept], s[kept], Vh[kept].T)
    return _by_basis(Z, *singular_basis([Z], delta))


def _svd_of_all(Z: Tensor, delta: float, holders: Holders) -> TruncatedSVD:
    """The decomposition of a matrix of whose rows `Z` are at hand, with as many digits as that of one process."""
    if Z.dtype != torch.float64:
        return _by_basis(Z, *singular_basis([Z], delta, holders))
    Q, R = torch.linalg.qr(check_finite(Z))
    counts = holders.gathered(torch.tensor([[len(R), len(Z)]]), [1] * holders.size)
    Q_all, R = torch.linalg.qr(holders.gathered(R, counts[:, 0].tolist()))
    U, s, Vh = torch.linalg.svd(check_finite(R), full_matrices=False)
    kept = _significant(s, delta, max(int(counts[:, 1].sum()), Z.shape[1]) * torch.finfo(Z.dtype).eps)
    own = Q_all.split(counts[:, 0].tolist())[holders.rank]
    return TruncatedSVD(Q @ (own @ U[:, kept]), s[kept], Vh[kept].T)


def _by_basis(Z: Tensor, s: Tensor, V: Tensor) -> TruncatedSVD:
    """The decomposition of which s and V, in float64, are known."""
    inverse = V / s
    U = Z.new_empty(len(Z), len(s))
    for block, wide in zip(U.split(_rows(Z)), float64_blocks(Z), strict=True):
        block.copy_(wide @ inverse)
    return TruncatedSVD(U, s.to(Z.dtype), V.to(Z.dtype))


@naming_overflow()
def singular_basis(blocks: Sequence[Tensor], delta: float = 0.0, holders: Holders = local) -> tuple[Tensor, Tensor]:
    """Singular values (r,) and right singular vectors (n, r) of a matrix (m, n), truncated at `delta`.

    In float64, whatever the dtype of the matrix.  For a tall float32 matrix it needs no memory of the size
    of the matrix: the first layer takes it of the whole data set.

    Parameters
    ----------
    blocks : sequence of Tensor
        The matrix by blocks of its rows.
    delta : float, default=0
        Singular values at most `delta` times the largest count as zero.
    holders : Holders, default=local
        Those who hold rows of the matrix, each some of them; the blocks are those at hand.
    """
    m, n, dtype = int(summed(holders, sum(map(len, blocks)))[0]), blocks[0].shape[1], blocks[0].dtype
    if dtype == torch.float64:
        R = blocks[0].new_empty(0, n)
        for block in blocks:  # the triangular factor of some rows and that of more of them: Gram matrix alike
            R = torch.linalg.qr(torch.cat([R, check_finite(block)]) if len(R) else check_finite(block), mode="r").R
        R = holders.gathered(R)
        _, s, Vh = torch.linalg.svd(check_finite(R), full_matrices=False)
        kept = _significant(s, delta, max(m, n) * torch.finfo(dtype).eps)
        return s[kept], Vh[kept].T
    if m < n and holders is local:
        _, s, V = truncated_svd(torch.cat(list(blocks)), delta)
        return s.double(), V.double()
    G = torch.stack([gram(block) for block in blocks]).sum(0) if len(blocks) > 1 else gram(blocks[0])
    G = check_finite(reduced_symmetric(G, [], holders)[0])
    eigenvalues, V = torch.linalg.eigh(G)
    s = eigenvalues.clamp(min=0).sqrt()
    # Eigenvalues carry an error of n eps times the largest, singular values its square root; and what rounding has
    # left in the entries of a matrix is no direction of it: a code of rank one in float32 would get weights of 1e7.
    rounding = max((len(s) * torch.finfo(s.dtype).eps) ** 0.5, torch.finfo(dtype).eps)
    kept = _significant(s, delta, rounding)
    return s[kept], V[:, kept]


def _significant(s: Tensor, delta: float, rounding: float) -> Tensor:
    """Mask of the singular values (n,) above the larger of the two relative thresholds."""
    return s > max(delta, rounding) * s.max() if len(s) else s > 0


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
