"""Nonnegative matrix factorization, X ~ Z H with Z >= 0 and H >= 0."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nmfnet._parameters import check_settings
from nmfnet.factorization._common import Factorization, check_matrix, check_nonnegative, rank_of, widened
from nmfnet.factorization.data import DenseData
from nmfnet.factorization.factorize import factorize
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.linalg.draws import uniform
from nmfnet.linalg.penalties import penalties


def nmf_update(
    X: Tensor, Z: Tensor, H: Tensor, *, alpha_Z: float = 0.0, alpha_H: float = 0.0, l1_ratio: float = 0.0
) -> tuple[Tensor, Tensor]:
    """One multiplicative update of Z, then of H (Lee and Seung, 2001; penalties as in Hoyer, 2002).

    ``Z <- Z o X Ht / (Z H Ht)``, ``H <- H o Zt X / (Zt Z H)``.  Neither increases
    ``||X - Z H||^2 / 2`` plus the penalties; zeros stay zeros.

    Parameters
    ----------
    X : Tensor of shape (m, n), nonnegative
    Z : Tensor of shape (m, r), nonnegative
    H : Tensor of shape (r, n), nonnegative
    alpha_Z, alpha_H, l1_ratio : float
        Penalties, see :func:`nmf`.

    Returns
    -------
    Z, H : Tensor
        New tensors of the same shapes.
    """
    strengths = Penalties(*penalties(alpha_Z, l1_ratio), *penalties(alpha_H, l1_ratio))
    problem = LeastSquares(DenseData(X), len(H), strengths, multiplicative=True)
    Z = Z.T.clone(memory_format=torch.contiguous_format)
    H = problem.h_step(H, problem.sweep(Z, H, Z))
    return Z.T, H


@torch.no_grad()
def nmf(
    X: Tensor,
    n_components: int | None = None,
    *,
    Z: Tensor | None = None,
    H: Tensor | None = None,
    solver: Literal["cd", "mu"] = "cd",
    n_iter: int = 200,
    tol: float = 1e-4,
    alpha_Z: float = 0.0,
    alpha_H: float = 0.0,
    l1_ratio: float = 0.0,
    generator: torch.Generator | None = None,
) -> Factorization:
    """Factorize a nonnegative matrix into nonnegative factors, X ~ Z H.

    :class:`nmfnet.NMF` is the same for arrays, with more: sparse and missing data, weights, other starts.

    Parameters
    ----------
    X : Tensor of shape (m, n), nonnegative
        Half precision is computed in float32.
    n_components : int, optional
        Rank r; taken from `Z` or `H` where one is given.
    Z : Tensor of shape (m, r), H : Tensor of shape (r, n), optional
        Nonnegative starting factors; uniform random, scaled to the mean of `X`, where not given.
    solver : {"cd", "mu"}, default="cd"
        Coordinate descent, extrapolated, or multiplicative updates (Lee and Seung, 2001), as in the pre-training.
    n_iter : int, default=200
        Maximum number of iterations, each a step on Z and one on H.
    tol : float, default=1e-4
        With "cd": stop where the relative projected gradient is at most `tol`; with "mu": where ten updates reduce the
        objective by less than `tol` times its first value; 0: never.
    alpha_Z, alpha_H : float, default=0
        Strength of ``alpha ((1 - l1_ratio) ||.||^2 / 2 + l1_ratio ||.||_1)`` on each factor.
    l1_ratio : float, default=0
        Share of L1, which makes factors sparse.
    generator : torch.Generator, optional
        Source of the random start.

    Returns
    -------
    Factorization
        `Z` (m, r), `W` = H (r, n), the objective and the iterations done.

    Raises
    ------
    ValueError
        If `X` is empty, not finite, or negative somewhere (the message names a column).
    DivergenceError
        If the objective overflows.
    """
    X, Z, H = widened(X, Z, H)
    check_matrix(X, "X")
    check_settings(alpha_Z=alpha_Z, alpha_H=alpha_H, l1_ratio=l1_ratio, tol=tol)
    check_nonnegative(X, "X")
    Z, H = starting_factors(X, n_components, Z, H, generator)
    strengths = Penalties(*penalties(alpha_Z, l1_ratio), *penalties(alpha_H, l1_ratio))
    return factorize(X, Z, H, strengths, solver, n_iter, tol)


def starting_factors(
    X: Tensor,
    n_components: int | None,
    Z: Tensor | None,
    H: Tensor | None,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Copies of the factors given, else uniform random ones of the size that makes Z H as large as `X` on average."""
    rank = rank_of(n_components, Z, H, X)
    for name, factor in (("Z", Z), ("H", H)):
        if factor is not None:
            check_nonnegative(factor, name)
    size = 2 * (X.mean() / rank).sqrt()  # the mean of a uniform variable is a half
    Z = uniform(len(X), rank, X, generator) * size if Z is None else Z.clone()
    H = uniform(rank, X.shape[1], X, generator) * size if H is None else H.clone()
    return Z, H
