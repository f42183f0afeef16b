"""What the three factorizations share: their result, their loop, their checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

CHECK_EVERY = 10  # iterations between two looks at the objective, as in scikit-learn's NMF


class Factorization(NamedTuple):
    """The result of a factorization.

    Attributes
    ----------
    Z : Tensor of shape (m, r)
        Left factor.
    W : Tensor of shape (r, n), or (r + 1, n) with a bias row
        Right factor.
    objective : float
        Half the squared residual, plus the penalties.
    n_iter : int
        Iterations done.
    """

    Z: Tensor
    W: Tensor
    objective: float
    n_iter: int


def iterate(
    update: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    objective: Callable[[Tensor, Tensor], Tensor],
    Z: Tensor,
    W: Tensor,
    n_iter: int,
    tol: float,
) -> Factorization:
    """Repeat `update` until the objective falls by less than `tol` of its first value in ten steps."""
    if n_iter < 0:
        raise ValueError(f"n_iter must be at least 0; got {n_iter}.")
    first = last = float(objective(Z, W))
    done = 0
    while done < n_iter:
        Z, W = update(Z, W)
        done += 1
        if tol > 0 and done % CHECK_EVERY == 0:
            now = float(objective(Z, W))
            if last - now < tol * first:
                return Factorization(Z, W, now, done)
            last = now
    return Factorization(Z, W, float(objective(Z, W)), done)


def penalties(alpha: float, l1_ratio: float) -> tuple[float, float]:
    """Split `alpha` into its L1 and its L2 part."""
    return alpha * l1_ratio, alpha * (1 - l1_ratio)


def uniform(rows: int, columns: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers in [0, 1), drawn on the CPU so that every device starts from the same ones."""
    drawn = torch.rand(rows, columns, generator=generator, dtype=like.dtype)
    return drawn.to(like.device)


def check_matrix(X: Tensor, name: str) -> None:
    """Refuse anything but a finite, nonempty, floating-point matrix."""
    if X.ndim != 2 or X.numel() == 0:
        raise ValueError(f"{name} must be a nonempty matrix; got shape {tuple(X.shape)}.")
    if not X.dtype.is_floating_point:
        raise ValueError(f"{name} must be of a floating-point dtype; got {X.dtype}.")
    if not X.isfinite().all():
        raise ValueError(f"{name} contains NaN or infinity.")


def check_nonnegative(X: Tensor, name: str) -> None:
    """Refuse a matrix with a negative entry, naming its column."""
    lowest = X.amin(0)
    column = int(lowest.argmin())
    if lowest[column] < 0:
        raise ValueError(f"{name} must be nonnegative; column {column} has a minimum of {float(lowest[column]):.4g}.")
