"""Semi-nonnegative matrix factorization, Y ~ Z W with Z >= 0 and W of any sign: the output layer."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nmfnet._parameters import check_settings
from nmfnet.factorization._common import (
    Factorization,
    check_matrix,
    check_nonnegative,
    iterate,
    penalties,
    penalty,
    rank_of,
    uniform,
)
from nmfnet.factorization.least_squares import nonlinear_least_squares
from nmfnet.linalg import affine


def semi_nmf_z_step(
    Y: Tensor, Z: Tensor, W: Tensor, *, alpha: float = 0.0, l1_ratio: float = 0.0, intercept: bool = False
) -> Tensor:
    """One multiplicative step on the nonnegative factor (Ding, Li and Jordan, 2010, equation 11).

    ``Z <- Z o sqrt( ([Y Wt]+ + Z [W Wt]-) / ([Y Wt]- + Z [W Wt]+) )``, with the gradient of the
    penalty in the denominator.  It never increases ``||Y - Z W||^2 / 2`` plus the penalty;
    zeros stay zeros.

    Parameters
    ----------
    Y : Tensor of shape (m, k)
    Z : Tensor of shape (m, r), nonnegative
    W : Tensor of shape (r, k), or (r + 1, k) with `intercept`
    alpha, l1_ratio : float
        Penalty on Z, see :func:`semi_nmf`.
    intercept : bool, default=False
        Whether the last row of `W` is a bias, which is taken off Y.

    Returns
    -------
    Tensor of shape (m, r), nonnegative
    """
    YW, WW = _products(Y, W, intercept)
    l1, l2 = penalties(alpha, l1_ratio)
    up = torch.addmm(YW.clamp(min=0), Z, (-WW).clamp_(min=0))
    down = torch.addmm(YW.neg_().clamp_(min=0), Z, WW.clamp_(min=0))
    if alpha:
        down.add_(Z, alpha=l2).add_(l1)
    # Zeros stay zeros, and no quotient overflows: down >= Z diag(W Wt).
    return up.sqrt_().mul_(Z).div_(down.add_(torch.finfo(Z.dtype).tiny).sqrt_())


def semi_nmf_hals_step(
    Y: Tensor, Z: Tensor, W: Tensor, *, alpha: float = 0.0, l1_ratio: float = 0.0, intercept: bool = False
) -> Tensor:
    """One pass of exact minimization over the columns of the nonnegative factor (HALS).

    ``z_j <- [(Y w_jt - sum over i != j of z_i w_i w_jt) / (w_j w_jt)]+``, Cichocki and Phan (2009).
    It never increases the objective, costs little more than the multiplicative step, lets zeros
    become positive, and converges far faster.  Parameters as in :func:`semi_nmf_z_step`.
    """
    l1, l2 = penalties(alpha, l1_ratio)
    YW, WW = _products(Y, W, intercept)
    Z = Z.clone()
    for j, h in enumerate(WW.diagonal().tolist()):
        if h + l2 > 0:  # otherwise the objective does not depend on z_j, or only through L1
            pull = YW[:, j] - Z @ WW[:, j] + h * Z[:, j]
            Z[:, j] = ((pull - l1) / (h + l2)).clamp_(min=0)
        elif l1 > 0:
            Z[:, j] = 0
    return Z


def _products(Y: Tensor, W: Tensor, intercept: bool) -> tuple[Tensor, Tensor]:
    """Y Wt (m, r) and W Wt (r, r), after the bias has been taken off both."""
    if intercept:
        Y, W = Y - W[-1], W[:-1]
    return Y @ W.T, W @ W.T


Z_STEPS = {"hals": semi_nmf_hals_step, "mu": semi_nmf_z_step}


@torch.no_grad()
def semi_nmf(
    Y: Tensor,
    n_components: int | None = None,
    *,
    Z: Tensor | None = None,
    W: Tensor | None = None,
    solver: Literal["hals", "mu"] = "hals",
    n_iter: int = 200,
    tol: float = 1e-4,
    delta: float = 0.0,
    alpha_Z: float = 0.0,
    alpha_W: float = 0.0,
    l1_ratio: float = 0.0,
    intercept: bool = False,
    generator: torch.Generator | None = None,
) -> Factorization:
    """Factorize a matrix of any sign, Y ~ Z W, with a nonnegative left factor.

    Alternates a step on Z with the exact least-squares step on W; neither increases the objective
    (with ``delta=0``, or without a penalty on W).

    Parameters
    ----------
    Y : Tensor of shape (m, k)
    n_components : int, optional
        Rank r; taken from `Z` where it is given.
    Z : Tensor of shape (m, r), optional
        Nonnegative starting factor; uniform random where not given.
    W : Tensor of shape (r, k), or (r + 1, k) with `intercept`, optional
        Starting factor; the least-squares fit to `Z` where not given.
    solver : {"hals", "mu"}, default="hals"
        The step on Z: exact minimization column by column, or the multiplicative step of Ding, Li and
        Jordan (2010), which the network's output layer takes.
    n_iter : int, default=200
        Most iterations, a step on each factor.
    tol : float, default=1e-4
        Stop when ten iterations reduce the objective by less than `tol` times its first value.
    delta : float, default=0
        Relative threshold of the singular values of Z kept in its pseudo-inverse.
    alpha_Z, alpha_W : float, default=0
        Strength of ``alpha ((1 - l1_ratio) ||.||^2 / 2 + l1_ratio ||.||_1)`` on each factor.
    l1_ratio : float, default=0
        Share of L1, which makes factors sparse.
    intercept : bool, default=False
        Whether to fit a bias row, the last of W: Y ~ [Z, 1] W.
    generator : torch.Generator, optional
        Source of the random start.

    Returns
    -------
    Factorization

    Raises
    ------
    ValueError
        If `Y` is empty or not finite, the starting `Z` negative somewhere, or `solver` unknown.
    """
    check_matrix(Y, "Y")
    check_settings(alpha_Z=alpha_Z, alpha_W=alpha_W, l1_ratio=l1_ratio, tol=tol, delta=delta)
    rank = rank_of(n_components, Z, W, Y, intercept)
    if Z is None:
        Z = uniform(len(Y), rank, Y, generator)
    check_nonnegative(Z, "Z")
    if solver not in Z_STEPS:
        raise ValueError(f"solver must be 'hals' or 'mu'; got {solver!r}.")
    z_step = Z_STEPS[solver]

    def fit(Z: Tensor, W: Tensor) -> Tensor:
        return nonlinear_least_squares(Y, Z, W, delta=delta, alpha=alpha_W, l1_ratio=l1_ratio, intercept=intercept).W

    def update(Z: Tensor, W: Tensor) -> tuple[Tensor, Tensor]:
        Z = z_step(Y, Z, W, alpha=alpha_Z, l1_ratio=l1_ratio, intercept=intercept)
        return Z, fit(Z, W)

    def objective(Z: Tensor, W: Tensor) -> Tensor:
        fit = (Y - affine(Z, W, intercept)).square().sum() / 2
        return fit + penalty(Z, alpha_Z, l1_ratio) + penalty(W, alpha_W, l1_ratio, intercept)

    if W is None:
        W = fit(Z, Y.new_zeros(Z.shape[1] + intercept, Y.shape[1]))
    return iterate(update, objective, Z, W, n_iter, tol)
