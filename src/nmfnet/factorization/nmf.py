"""Nonnegative matrix factorization, X ~ Z H with Z >= 0 and H >= 0."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import threshold

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
    Z, H = Z.clone(), H.clone()
    update_factors_(X, Z, H, Workspace(X, Z), alpha_Z=alpha_Z, alpha_H=alpha_H, l1_ratio=l1_ratio)
    return Z, H


class Workspace:
    """Room for the numerators and denominators of an update, so that a loop of them allocates nothing."""

    def __init__(self, X: Tensor, Z: Tensor) -> None:
        (m, n), r = X.shape, Z.shape[1]
        self.for_Z = X.new_empty(m, r), X.new_empty(m, r)
        self.for_H = X.new_empty(r, n), X.new_empty(r, n)


def update_factors_(
    X: Tensor,
    Z: Tensor,
    H: Tensor,
    workspace: Workspace,
    *,
    alpha_Z: float = 0.0,
    alpha_H: float = 0.0,
    l1_ratio: float = 0.0,
) -> None:
    """:func:`nmf_update`, in place."""
    up, down = workspace.for_Z
    torch.mm(X, H.T, out=up)
    torch.mm(Z, H @ H.T, out=down)
    multiply_(Z, up, down, *penalties(alpha_Z, l1_ratio))
    up, down = workspace.for_H
    torch.mm(Z.T, X, out=up)
    torch.mm(Z.T @ Z, H, out=down)
    multiply_(H, up, down, *penalties(alpha_H, l1_ratio))


def multiply_(factor: Tensor, up: Tensor, down: Tensor, l1: float, l2: float) -> None:
    """``factor <- factor o up / (down + l1 + l2 factor)``, in place; `down` is overwritten."""
    if l2:
        down.add_(factor, alpha=l2)
    tiny = torch.finfo(factor.dtype).tiny
    factor.mul_(up).div_(down.add_(l1 + tiny))  # in this order, zeros stay zeros
    # Entries on their way to zero pass through subnormal numbers, which slow products down fivefold.
    threshold(factor, tiny, 0.0, inplace=True)


@torch.no_grad()
def nmf(
    X: Tensor,
    n_components: int | None = None,
    *,
    Z: Tensor | None = None,
    H: Tensor | None = None,
    n_iter: int = 200,
    tol: float = 1e-4,
    alpha_Z: float = 0.0,
    alpha_H: float = 0.0,
    l1_ratio: float = 0.0,
    generator: torch.Generator | None = None,
) -> Factorization:
    """Factorize a nonnegative matrix into nonnegative factors, X ~ Z H.

    Parameters
    ----------
    X : Tensor of shape (m, n), nonnegative
    n_components : int, optional
        Rank r; taken from `Z` or `H` where one is given.
    Z : Tensor of shape (m, r), H : Tensor of shape (r, n), optional
        Nonnegative starting factors; uniform random, scaled to the mean of `X`, where not given.
    n_iter : int, default=200
        Most multiplicative updates.
    tol : float, default=1e-4
        Stop when ten updates reduce the objective by less than `tol` times its first value; 0: never.
    alpha_Z, alpha_H : float, default=0
        Strength of ``alpha ((1 - l1_ratio) ||.||^2 / 2 + l1_ratio ||.||_1)`` on each factor.
    l1_ratio : float, default=0
        Share of L1, which makes factors sparse.
    generator : torch.Generator, optional
        Source of the random start.

    Returns
    -------
    Factorization
        `Z` (m, r), `W` = H (r, n), the objective and the number of updates done.

    Raises
    ------
    ValueError
        If `X` is empty, not finite, or negative somewhere (the message names a column).
    DivergenceError
        If the objective overflows.
    """
    check_matrix(X, "X")
    check_settings(alpha_Z=alpha_Z, alpha_H=alpha_H, l1_ratio=l1_ratio, tol=tol)
    check_nonnegative(X, "X")
    Z, H = starting_factors(X, n_components, Z, H, generator)
    workspace = Workspace(X, Z)

    def update(Z: Tensor, H: Tensor) -> tuple[Tensor, Tensor]:
        update_factors_(X, Z, H, workspace, alpha_Z=alpha_Z, alpha_H=alpha_H, l1_ratio=l1_ratio)
        return Z, H

    def objective(Z: Tensor, H: Tensor) -> Tensor:
        fit = (X - Z @ H).square().sum() / 2
        return fit + penalty(Z, alpha_Z, l1_ratio) + penalty(H, alpha_H, l1_ratio)

    return iterate(update, objective, Z, H, n_iter, tol)


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
