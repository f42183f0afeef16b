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


def damped_cholesky(G: Tensor, ridge: Tensor) -> tuple[Tensor, Tensor, int]:
    """Lower Cholesky factor L of G + ridge I, with the ridge that it took and the number of retries.

    The ridge grows tenfold until there is a factor.

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
        # One look at what a device has computed.
        if not bool((failed != 0) | ~L.diagonal().isfinite().all()):
            return L, ridge, retries
        check_finite(G.diagonal())  # which bounds all entries, as Cauchy and Schwarz say
        retries += 1
        ridge = check_finite(10 * ridge)
