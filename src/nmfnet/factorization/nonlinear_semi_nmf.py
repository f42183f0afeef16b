"""Nonlinear semi-nonnegative matrix factorization, T ~ f(Z W), by the steps of the hidden layers.

These are the paper's, with pseudo-inverses and a bias.  :class:`nmfnet.NonlinearSemiNMF` takes the same step on W; its
step on Z descends for sure, and so it is the better tool outside of a network.
"""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor

from nmfnet._parameters import at_least, check_settings
from nmfnet.factorization._common import Factorization, check_matrix, finite, rank_of, widened
from nmfnet.factorization.least_squares import nonlinear_least_squares
from nmfnet.layers.activations import Activation, get_activation
from nmfnet.linalg import affine, pseudo_inverse
from nmfnet.linalg.draws import uniform
from nmfnet.linalg.penalties import penalty

ITERATIONS_BETWEEN_CHECKS = 10  # iterations between two looks at the objective, as in scikit-learn's NMF


def nonlinear_z_step(
    T: Tensor,
    Z: Tensor,
    W: Tensor,
    activation: str | Activation,
    *,
    n_iter: int = 1,
    omega: float = 1.0,
    delta: float = 0.0,
    alpha: float = 0.0,
    intercept: bool = False,
    output: str | Activation | None = None,
    A: Tensor | None = None,
) -> Tensor:
    """Repeat ``Z <- P(Z + omega (T - f(Z W)) W+)``, the paper's step on the factor (section 3.2).

    P projects onto the range of `activation`: for ReLU it is the ReLU itself, the paper's form,
    and Z stays nonnegative.  For tanh, leaky ReLU and the identity the range has negative values,
    and so has Z.

    Parameters
    ----------
    T : Tensor of shape (m, k)
    Z : Tensor of shape (m, r)
    W : Tensor of shape (r, k), or (r + 1, k) with `intercept`
    activation : str or Activation
        Its range holds Z.
    n_iter : int, default=1
    omega : float, default=1
        Relaxation of the step.
    delta : float, default=0
        Relative threshold of the singular values kept in W+.
    alpha : float, default=0
        Tikhonov term ``alpha ||Z||^2 / 2``.
    intercept : bool, default=False
        Whether the last row of `W` is a bias.
    output : str or Activation, optional
        The function f of the product, `activation` where not given.
    A : Tensor of shape (m, k), optional
        [Z, 1] W, where the caller has it already.

    Returns
    -------
    Tensor of shape (m, r)
    """
    P = get_activation(activation)
    f = P if output is None else get_activation(output)
    slopes = W[:-1] if intercept else W
    inverse = pseudo_inverse(slopes, delta, alpha)  # Wt (W Wt + alpha I)^-1
    if A is None:
        A = affine(Z, W, intercept)
    for step in range(n_iter):
        if step:
            A = affine(Z, W, intercept)
        move = (T - f(A)) @ inverse
        if alpha:
            # (W Wt + alpha I)^-1 alpha Z, whose part outside the range of W is Z itself.
            move -= Z - (Z @ slopes) @ inverse
        Z = P.project(Z.add(move, alpha=omega))
    return Z


@torch.no_grad()
def nonlinear_semi_nmf(
    T: Tensor,
    n_components: int | None = None,
    activation: str | Activation = "relu",
    *,
    Z: Tensor | None = None,
    W: Tensor | None = None,
    n_iter: int = 100,
    n_w: int = 10,
    n_z: int = 1,
    omega: float = 1.0,
    tol: float = 1e-4,
    delta: float = 0.0,
    alpha_Z: float = 0.0,
    alpha_W: float = 0.0,
    l1_ratio: float = 0.0,
    intercept: bool = False,
    generator: torch.Generator | None = None,
) -> Factorization:
    """Factorize through an activation function, T ~ f(Z W), with Z in the range of f.

    For ReLU, logistic and softplus the range is nonnegative and so is Z, exactly.  For tanh,
    leaky ReLU and the identity Z may be negative.  Unlike in NMF and semi-NMF, nothing is proved
    of the objective ``||T - f(Z W)||^2``: steps on W never increase their matching loss, but steps
    on Z are a heuristic.  The iteration stops when the objective no longer falls.

    Parameters
    ----------
    T : Tensor of shape (m, k)
        Half precision is computed in float32.
    n_components : int, optional
        Rank r; taken from `Z` where it is given.
    activation : str or Activation, default="relu"
        The function f.
    Z : Tensor of shape (m, r), optional
        Starting factor, projected onto the range of f; uniform random where not given.
    W : Tensor of shape (r, k), or (r + 1, k) with `intercept`, optional
        Starting factor; zero where not given.
    n_iter : int, default=100
        Maximum number of iterations, each of `n_w` steps on W and `n_z` steps on Z.
    n_w, n_z : int
        Inner steps.
    omega : float, default=1
        Relaxation of every step.
    tol : float, default=1e-4
        Stop when ten iterations reduce the objective by less than `tol` times its first value.
    delta : float, default=0
        Relative threshold of the singular values kept in the pseudo-inverses.
    alpha_Z : float, default=0
        Strength of ``alpha_Z ||Z||^2 / 2``.
    alpha_W : float, default=0
        Strength of ``alpha_W ((1 - l1_ratio) ||W||^2 / 2 + l1_ratio ||W||_1)``.
    l1_ratio : float, default=0
        Share of L1 in the penalty on W.
    intercept : bool, default=False
        Whether to fit a bias row, the last of W: T ~ f([Z, 1] W).
    generator : torch.Generator, optional
        Source of the random start.

    Returns
    -------
    Factorization
    """
    f = get_activation(activation)
    T, Z, W = widened(T, Z, W)
    check_matrix(T, "T")
    check_settings(
        alpha_Z=alpha_Z, alpha_W=alpha_W, l1_ratio=l1_ratio, tol=tol, delta=delta, omega=omega, n_w=n_w, n_z=n_z
    )
    rank = rank_of(n_components, Z, W, T, intercept)
    Z = f.project(uniform(len(T), rank, T, generator) if Z is None else Z.clone())
    W = T.new_zeros(rank + intercept, T.shape[1]) if W is None else W.clone()

    at_least("n_iter", n_iter, 0, Integral)

    def objective(Z: Tensor, W: Tensor) -> float:
        fit = (T - f(affine(Z, W, intercept))).square().sum() / 2
        return finite(fit + penalty(Z, alpha_Z, 0.0) + penalty(W, alpha_W, l1_ratio, intercept))

    first = last = objective(Z, W)
    done = 0
    for done in range(1, n_iter + 1):
        W, A = nonlinear_least_squares(
            T, Z, W, f, n_iter=n_w, omega=omega, delta=delta,
            alpha=alpha_W, l1_ratio=l1_ratio, intercept=intercept,
        )  # fmt: skip
        Z = nonlinear_z_step(T, Z, W, f, n_iter=n_z, omega=omega, delta=delta, alpha=alpha_Z, intercept=intercept, A=A)
        if tol > 0 and done % ITERATIONS_BETWEEN_CHECKS == 0:
            now = objective(Z, W)
            if last - now < tol * first:
                break
            last = now
    return Factorization(Z, W, objective(Z, W), done)
