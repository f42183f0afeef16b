"""Semi-nonnegative matrix factorization, Y ~ Z W with Z >= 0 and W of any sign: the output layer."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nmfnet._parameters import check_settings
from nmfnet.factorization._common import Factorization, check_matrix, check_nonnegative, rank_of, widened
from nmfnet.factorization.factorize import factorize
from nmfnet.factorization.least_squares import nonlinear_least_squares
from nmfnet.factorization.multiplicative import multiply_root_, signs
from nmfnet.factorization.passes import Penalties
from nmfnet.linalg.draws import uniform
from nmfnet.linalg.penalties import penalties


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
    if intercept:
        Y, W = Y - W[-1], W[:-1]
    (up, down), (positive, negative) = signs(Y @ W.T), signs(W @ W.T)
    Z_new = Z.clone()
    multiply_root_(Z_new, up.addmm_(Z, negative), down.addmm_(Z, positive), *penalties(alpha, l1_ratio))
    return Z_new


@torch.no_grad()
def semi_nmf(
    Y: Tensor,
    n_components: int | None = None,
    *,
    Z: Tensor | None = None,
    W: Tensor | None = None,
    solver: Literal["cd", "mu"] = "cd",
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
    (with ``delta=0``, or without a penalty on W).  :class:`nmfnet.SemiNMF` is the same for arrays.

    Parameters
    ----------
    Y : Tensor of shape (m, k)
        Half precision is computed in float32.
    n_components : int, optional
        Rank r; taken from `Z` where it is given.
    Z : Tensor of shape (m, r), optional
        Nonnegative starting factor; uniform random where not given.
    W : Tensor of shape (r, k), or (r + 1, k) with `intercept`, optional
        Starting factor; the least-squares fit to `Z` where not given.
    solver : {"cd", "mu"}, default="cd"
        The step on Z: coordinate descent, extrapolated, or the multiplicative step of Ding, Li and
        Jordan (2010), which the network's output layer takes.
    n_iter : int, default=200
        Maximum number of iterations, each a step on Z and one on W; 0: only W is fitted, where it is not given.
    tol : float, default=1e-4
        With "cd": stop where the relative projected gradient is at most `tol`; with "mu": where ten iterations reduce
        the objective by less than `tol` times its first value; 0: never.
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
    Y, Z, W = widened(Y, Z, W)
    check_matrix(Y, "Y")
    check_settings(alpha_Z=alpha_Z, alpha_W=alpha_W, l1_ratio=l1_ratio, tol=tol, delta=delta)
    rank = rank_of(n_components, Z, W, Y, intercept)
    if Z is None:
        Z = uniform(len(Y), rank, Y, generator)
    check_nonnegative(Z, "Z")
    if W is None:
        start = Y.new_zeros(rank + intercept, Y.shape[1])
        W = nonlinear_least_squares(
            Y, Z, start, delta=delta, alpha=alpha_W, l1_ratio=l1_ratio, intercept=intercept
        ).W  # fmt: skip
    strengths = Penalties(*penalties(alpha_Z, l1_ratio), *penalties(alpha_W, l1_ratio))
    return factorize(Y, Z, W, strengths, solver, n_iter, tol, signed=True, intercept=intercept, delta=delta)
