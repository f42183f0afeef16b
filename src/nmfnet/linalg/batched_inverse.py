"""Inverses of many small matrices at once."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_LEAF = 32  # rows of the matrices that LAPACK gets, one by one; larger ones are mostly products of their parts


def positive_inverse(S: Tensor) -> tuple[Tensor, Tensor]:
    """Inverses of symmetric positive definite matrices, block by block.

    LAPACK takes a matrix after the other, and for small ones mostly calls.  By blocks ``[[A, B], [Bt, D]]``, the
    inverse is that of A and of the Schur complement ``D - Bt A^-1 B``, and products of all matrices at once.

    Parameters
    ----------
    S : Tensor of shape (K, n, n)

    Returns
    -------
    inverse : Tensor of shape (K, n, n)
    failed : Tensor of shape (K,)
        Whether a matrix is not positive definite, so that it has no inverse here.
    """
    n = S.shape[1]
    if n <= LARGEST_LEAF:
        L, info = torch.linalg.cholesky_ex(S)
        one = torch.eye(n, dtype=S.dtype, device=S.device).expand_as(S)
        half = torch.linalg.solve_triangular(L, one, upper=False)
        return torch.bmm(half.mT, half), info > 0
    m = n // 2
    first, failed = positive_inverse(S[:, :m, :m])
    Q = torch.bmm(first, S[:, :m, m:])
    last, also = positive_inverse(torch.baddbmm(S[:, m:, m:], Q.mT, S[:, :m, m:], alpha=-1))
    R = torch.bmm(Q, last)
    inverse = torch.empty_like(S)
    torch.neg(R, out=inverse[:, :m, m:])
    torch.neg(torch.bmm(last, Q.mT), out=inverse[:, m:, :m])  # sooner than R is transposed
    inverse[:, :m, :m] = first.baddbmm_(R, Q.mT)
    inverse[:, m:, m:] = last
    return inverse, failed | also
