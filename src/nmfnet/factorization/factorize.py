"""The factorizations of tensors: from starting factors to a result."""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor

from nmfnet._parameters import at_least
from nmfnet.factorization._common import Factorization, finite
from nmfnet.factorization.acceleration import Alternation, alternate
from nmfnet.factorization.data import DenseData
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.factorization.restart import alternate_alive, revived
from nmfnet.linalg import affine, with_ones
from nmfnet.linalg.penalties import cost
from nmfnet.linalg.threads import one_thread


@one_thread()
def factorize(
    X: Tensor,
    Z: Tensor,
    W: Tensor,
    strengths: Penalties,
    solver: str,
    n_iter: int,
    tol: float,
    *,
    signed: bool = False,
    intercept: bool = False,
    delta: float = 0.0,
) -> Factorization:
    """Alternate from the factors Z (m, r) and W (r, n), or (r + 1, n) with `intercept`; see :func:`semi_nmf`."""
    if solver not in ("cd", "mu"):
        raise ValueError(f"solver must be 'cd' or 'mu'; got {solver!r}.")
    at_least("n_iter", n_iter, 0, Integral)
    done, W = 0, W.clone()
    F = with_ones(Z, intercept).T.clone(memory_format=torch.contiguous_format)  # steps write into it
    if n_iter:
        data = DenseData(X)
        problem = LeastSquares(
            data, len(W), strengths, signed=signed, multiplicative=solver == "mu", intercept=intercept, delta=delta
        )

        def run(Z: Tensor, H: Tensor, _: int, most: int) -> Alternation:
            return alternate(problem, Z, H, most, tol)

        def revive(Z: Tensor, H: Tensor) -> tuple[Tensor, Tensor] | None:
            return None if intercept else revived(data, lambda A: A, Z, H, strengths, signed)

        found = alternate_alive(run, revive, (F, W), n_iter, strengths.l1_z > 0 and strengths.l1_h > 0)
        F, W, done = found.Z, found.H, found.n_iter
    Z = F[: len(F) - intercept].T.contiguous()
    l1_z, l2_z, l1_w, l2_w = strengths
    loss = (X - affine(Z, W, intercept)).square().sum() / 2
    return Factorization(Z, W, finite(loss + cost(Z, l1_z, l2_z) + cost(W, l1_w, l2_w, intercept)), done)
