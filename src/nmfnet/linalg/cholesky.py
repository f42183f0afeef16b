"""Cholesky factors of damped Gram matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.linalg.products import check_finite


def damping_term(damping: float, mean_diagonal: Tensor, size: Tensor, curvature: float) -> Tensor:
    """What is added to the diagonal of a Gram matrix.

    Parameters
    ----------
    damping : float
        Relative to the mean diagonal.
    mean_diagonal : Tensor, a scalar
        Of the matrix.
    size : Tensor, a scalar
        Mean diagonal of the matrix before it was centred: the term is never below its rounding error, and never 0.
    curvature : float
        Of a penalty.
    """
    limits = torch.finfo(size.dtype)
    return damping * mean_diagonal.clamp(min=0) + limits.eps * size + limits.tiny**0.5 + curvature


def damped_cholesky(G: Tensor, ridge: Tensor, looks: bool = True) -> tuple[Tensor, Tensor, int]:
    """Lower Cholesky factor L of G + ridge I, with the ridge that it took and the number of retries.

    The ridge grows tenfold until there is a factor.  Where one does not look at what a device has computed, L is so
    large a multiple of I instead that the inverse of L Lt is 0.

    Raises
    ------
    DivergenceError
        If G is not finite.
    """
    failed = torch.empty((), dtype=torch.int32, device=G.device)
    L = torch.empty_like(G).mT  # the order of LAPACK, which then writes into it
    retries = 0
    while True:
        L.copy_(G)
        L.diagonal().add_(ridge)
        torch.linalg.cholesky_ex(L, out=(L, failed))
        fails = (failed != 0) | ~L.diagonal().isfinite().all()
        if not looks:
            L.masked_fill_(fails, 0).diagonal().masked_fill_(fails, torch.finfo(L.dtype).max ** 0.9)
            return L, ridge, 0
        if not bool(fails):
            return L, ridge, retries
        check_finite(G.diagonal())  # which bounds all entries, as Cauchy and Schwarz say
        retries += 1
        ridge = check_finite(10 * ridge)


def cholesky_inverse(L: Tensor, looks: bool = True) -> Tensor:
    """Inverse of L Lt, in the memory of L."""
    if looks:
        return torch.cholesky_inverse(L, out=L)  # the fastest, but it looks at whether it has succeeded
    root = torch.linalg.solve_triangular(L, torch.eye(len(L), dtype=L.dtype, device=L.device), upper=False)
    return torch.mm(root.T, root, out=L)
