"""The W step of every factorization: (nonlinear) least squares, T ~ f([Z, 1] W) in W."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet._parameters import check_settings
from nmfnet.layers.activations import Activation, get_activation
from nmfnet.linalg import TruncatedSVD, affine, truncated_svd, weighted, with_ones
from nmfnet.linalg.holders import Holders, local
from nmfnet.linalg.penalties import penalties


class Fit(NamedTuple):
    """Weights `W` (n, k), or (n + 1, k) with a bias row, and pre-activations `A` = [Z, 1] W (m, k)."""

    W: Tensor
    A: Tensor


@torch.no_grad()
def nonlinear_least_squares(
    T: Tensor,
    Z: Tensor,
    W: Tensor,
    activation: str | Activation = "identity",
    *,
    n_iter: int = 1,
    omega: float = 1.0,
    delta: float = 0.0,
    alpha: float = 0.0,
    l1_ratio: float = 0.0,
    intercept: bool = False,
    basis: TruncatedSVD | None = None,
    fraction: float = 1.0,
    A: Tensor | None = None,
    sample_weight: Tensor | None = None,
    holders: Holders = local,
) -> Fit:
    """Repeat ``W <- W + omega Z+ (T - f(Z W))``, the paper's step for T ~ f(Z W) (section 3.2).

    With the identity, ``n_iter=1`` and ``omega=1`` this is the exact (ridge) least-squares fit.
    For a monotone f with slope in [0, 1], omega <= 1 and the pseudo-inverse of `Z` itself, no step
    increases the matching loss, the sum of F(a) - t a with F' = f, plus the penalty.  With an L2
    penalty this needs ``delta=0``, as the penalty also acts in directions that a threshold keeps the
    fit from.  Nothing is guaranteed of the squared error, unless f is the identity.

    Parameters
    ----------
    T : Tensor of shape (m, k)
        Targets.
    Z : Tensor of shape (m, n)
        Inputs.
    W : Tensor of shape (n, k), or (n + 1, k) with `intercept`
        Weights to start from; not modified.
    activation : str or Activation, default="identity"
        The function f.
    n_iter : int, default=1
        Number of steps.
    omega : float, default=1
        Relaxation of the step.
    delta : float, default=0
        Relative threshold of the singular values kept in Z+.
    alpha : float, default=0
        Strength of the penalty ``alpha ((1 - l1_ratio) ||W||^2 / 2 + l1_ratio ||W||_1)`` on the sum
        ``||T - f(Z W)||^2 / 2`` over samples.  The L2 part includes the bias row, the L1 part does not.
    l1_ratio : float, default=0
        Share of L1 (sparse weights) in the penalty.
    intercept : bool, default=False
        Whether the last row of `W` is a bias.
    basis : TruncatedSVD, optional
        Decomposition of [Z, 1] to use instead of computing it, or the rows that belong to `Z` of the
        decomposition of a larger matrix: the step is then shorter, by about `fraction`.  With weights, of
        the rows times the square roots of theirs.
    fraction : float, default=1
        Rows of `Z` over rows of the matrix that `basis` decomposes.
    A : Tensor of shape (m, k), optional
        [Z, 1] W, where the caller has it already.
    sample_weight : Tensor of shape (m,), optional
        Positive weights of the samples in the sum; a weight of 2 is the row twice.
    holders : Holders, default=local
        Those who hold samples, each some of them: T, Z, A and the rows of `basis` are those at hand.

    Returns
    -------
    Fit
        The new weights and their pre-activations.
    """
    check_settings(omega=omega, delta=delta, alpha=alpha, l1_ratio=l1_ratio)
    f = get_activation(activation)
    if basis is None:
        basis = truncated_svd(weighted(with_ones(Z, intercept), sample_weight, 0.5), delta, holders)
    A = affine(Z, W, intercept) if A is None else A.clone()
    l1, l2 = penalties(alpha, l1_ratio)
    if l1 > 0:
        majorizer = _gram_majorizer(basis, delta) / omega
        l1, l2 = fraction * l1, fraction * l2
        return _sparse_steps(T, Z, W, A, f, majorizer, n_iter, l1, l2, intercept, sample_weight, holders)
    left = weighted(basis.U, sample_weight, 0.5)  # so that left.T R is Ut times the weighted residual
    if l2 > 0:
        cut = _cut(basis, delta)
        return _ridge_steps(T, Z, W, A, f, basis, left, n_iter, omega, l2, fraction, cut, intercept, holders)
    return _steps(T, W, A, f, basis, left, weighted(basis.U, sample_weight, -0.5), n_iter, omega, holders)


def _steps(
    T: Tensor, W: Tensor, A: Tensor, f: Activation, basis: TruncatedSVD, left: Tensor, U: Tensor,
    n_iter: int, omega: float, holders: Holders,
) -> Fit:  # fmt: skip
    """The steps without a penalty.

    With Z = U diag(s) Vt the step is ``A <- A + omega U Ut (T - f(A))``, and W is only needed at the end.
    """
    _, s, V = basis
    R = torch.empty_like(A)
    move = W.new_zeros(len(s), W.shape[1])
    for _ in range(n_iter):
        step = omega * holders([left.T @ f.residual(T, A, out=R)])[0]
        move += step
        A.addmm_(U, step)
    return Fit(torch.addmm(W, V, move / s[:, None]), A)


def _ridge_steps(
    T: Tensor, Z: Tensor, W: Tensor, A: Tensor, f: Activation, basis: TruncatedSVD, left: Tensor,
    n_iter: int, omega: float, alpha: float, fraction: float, cut: float, intercept: bool, holders: Holders,
) -> Fit:  # fmt: skip
    """The steps with Tikhonov's term, whose fixed point for linear f is the ridge solution."""
    _, s, V = basis
    s = s[:, None]
    gain = 1 / (s + alpha / s)  # s / (s^2 + alpha), safe for singular values of any size
    R = torch.empty_like(A)
    for _ in range(n_iter):
        # What Tikhonov's filter leaves out of W is taken off: all of it where Z sees nothing, and where
        # singular values were dropped as much as the largest of them would allow.
        inside = V.T @ W
        kept = V @ (s * gain * inside)
        if cut > 0:
            kept += cut / (cut + alpha) * (W - V @ inside)
        (projected,) = holders([left.T @ f.residual(T, A, out=R)])
        W = W + omega * (V @ (gain * projected) - fraction * (W - kept))
        A = affine(Z, W, intercept)
    return Fit(W, A)


def _sparse_steps(
    T: Tensor, Z: Tensor, W: Tensor, A: Tensor, f: Activation, majorizer: Tensor,
    n_iter: int, l1: float, l2: float, intercept: bool, sample_weight: Tensor | None, holders: Holders,
) -> Fit:  # fmt: skip
    """The steps with an L1 term: the same quadratic model, lowered by one pass of coordinate descent."""
    R = torch.empty_like(A)
    for _ in range(n_iter):
        (slope,) = holders([with_ones(Z, intercept).T @ weighted(f.residual(T, A, out=R), sample_weight)])
        W = coordinate_descent(W, slope, majorizer, l1, l2, intercept)
        A = affine(Z, W, intercept)
    return Fit(W, A)


def _gram_majorizer(basis: TruncatedSVD, delta: float) -> Tensor:
    """A matrix (n, n) not below the Gram matrix, although `basis` was truncated at `delta`."""
    _, s, V = basis
    cut = _cut(basis, delta)
    G = (V * (s.square() - cut)) @ V.T
    G.diagonal().add_(cut)
    return G


def _cut(basis: TruncatedSVD, delta: float) -> float:
    """Largest squared singular value that `basis` may lack after truncation at `delta`."""
    return float((delta * basis.s.max()).square()) if len(basis.s) else 0.0


def coordinate_descent(W: Tensor, slope: Tensor, G: Tensor, l1: float, l2: float, intercept: bool) -> Tensor:
    """One pass over the rows of W, each minimized exactly, starting from W, of the model.

    ``tr(Dt G D) / 2 - tr(slopet D) + l2 ||W + D||^2 / 2 + l1 ||W + D||_1`` in D, which majorizes the
    matching loss: this is glmnet's update on Gram products, so a pass costs no look at the data.
    """
    new = W.clone()
    tiny = torch.finfo(W.dtype).tiny
    curvature = G.diagonal().tolist()
    for i, h in enumerate(curvature):
        pull = h * new[i] + slope[i] - G[i] @ (new - W) if i else h * new[i] + slope[i]
        threshold = 0.0 if intercept and i == len(W) - 1 else l1
        new[i] = torch.nn.functional.softshrink(pull, threshold) / (h + l2 + tiny)
    return new
