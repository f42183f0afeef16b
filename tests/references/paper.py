"""The paper's formulas in float64 NumPy, written literally, to test nmfnet against.

Paper: T. Sakurai, A. Imakura, Y. Inoue, Y. Futamura (2016), Alternating optimization method
based on nonnegative matrix factorizations for deep neural networks, ICONIP, arXiv 1605.04639.
Multiplicative updates: D. D. Lee, H. S. Seung (2001), for the NMF, and C. Ding, T. Li,
M. I. Jordan (2010), for the semi-NMF.

Samples are rows here and columns in the paper. Shapes: m samples, p inputs and q outputs of a
layer. Wherever ``bias`` is true, W has the bias as its last row and Z does not hold the ones.
Nothing modifies its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Activation = Callable[[Array], Array]


def identity(A: Array) -> Array:
    """f(a) = a."""
    return A.copy()


ACTIVATIONS: dict[str, Activation] = {
    "relu": lambda A: np.maximum(A, 0.0),
    "leaky_relu": lambda A: np.where(A > 0, A, 0.01 * A),
    "logistic": lambda A: np.exp(-np.logaddexp(0.0, -A)),  # 1 / (1 + exp(-a)), no overflow
    "tanh": lambda A: np.tanh(A),
    "softplus": lambda A: np.logaddexp(0.0, A),  # log(1 + exp(a)), no overflow
    "identity": identity,
}
# The closure of each range; None where it is unbounded.
RANGE: dict[str, tuple[float | None, float | None]] = {
    "relu": (0.0, None),
    "leaky_relu": (None, None),
    "logistic": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softplus": (0.0, None),
    "identity": (None, None),
}
# The names whose range includes negative values.
SIGNED: frozenset[str] = frozenset({"leaky_relu", "tanh", "identity"})


def project(name: str, Z: Array) -> Array:
    """Z (m, p) clipped to the closure of the range of the activation; [Z]_+ for the ReLU."""
    low, high = RANGE[name]
    if low is not None:
        Z = np.maximum(Z, low)
    if high is not None:
        Z = np.minimum(Z, high)
    return Z.copy()


def ones(Z: Array) -> Array:
    """[Z, 1]: (m, p) -> (m, p + 1)."""
    return np.hstack([Z, np.ones((len(Z), 1))])


def inputs(Z: Array, bias: bool) -> Array:
    """What multiplies W: [Z, 1] with a bias, Z without."""
    return ones(Z) if bias else Z.copy()


def split(W: Array, bias: bool) -> tuple[Array, Array]:
    """W without its bias row (p, q), and the bias row (1, q), zero without a bias."""
    return (W[:-1], W[-1:]) if bias else (W, np.zeros((1, W.shape[1])))


def truncated_svd(Z: Array, delta: float) -> tuple[Array, Array, Array]:
    """U (m, r), s (r,), V (p, r) with Z ~ U diag(s) V^T, of the s_i with s_i / s_1 > delta."""
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    keep = s > delta * s[0]
    return U[:, keep], s[keep], Vt[keep].T


def truncated_pinv(Z: Array, delta: float) -> Array:
    """The low-rank pseudo-inverse V diag(1/s) U^T: (m, p) -> (p, m)."""
    U, s, V = truncated_svd(Z, delta)
    return V @ np.diag(1 / s) @ U.T


def nmf_update(
    X: Array, Z: Array, H: Array, eps: float,
    l1_Z: float = 0.0, l2_Z: float = 0.0, l1_H: float = 0.0, l2_H: float = 0.0,
) -> tuple[Array, Array]:  # fmt: skip
    """One update of X (m, q) ~ Z (m, p) H (p, q), first Z, then H (Lee & Seung 2001)."""
    Z = Z * (X @ H.T) / (Z @ H @ H.T + l2_Z * Z + l1_Z + eps)
    H = H * (Z.T @ X) / (Z.T @ Z @ H + l2_H * H + l1_H + eps)
    return Z, H


def least_squares_step(
    T: Array, Z: Array, W: Array, f: Activation, omega: float, delta: float,
    l2: float = 0.0, fraction: float = 1.0, Z_all: Array | None = None,
) -> Array:  # fmt: skip
    """One step on T (m, q) ~ f(Z W), W (p, q); Z (m, p) holds the ones, if any.

    W + omega Z^+ (T - f(Z W)) of the paper. With Z_all (n, p), the whole data, Z^+ becomes
    (Z_all^T Z_all)^+ Z^T, and fraction becomes m / n whatever was passed. With l2 > 0, a step
    on 1/2 ||T - f(Z W)||^2 + fraction l2 / 2 ||W||^2 over all rows of W, the bias row too.
    """
    R = T - f(Z @ W)
    if Z_all is not None:
        fraction = len(Z) / len(Z_all)
    if l2 == 0 and Z_all is None:
        return W + omega * truncated_pinv(Z, delta) @ R
    _, s, V = truncated_svd(Z if Z_all is None else Z_all, delta)
    inverse = V @ np.diag(1 / (s**2 + l2)) @ V.T
    if l2 == 0:
        return W + omega * inverse @ (Z.T @ R)
    outside = np.eye(len(W)) - V @ V.T
    cut = (delta * s.max()) ** 2 if len(s) else 0.0  # bounds the squared singular values dropped
    step = inverse @ (Z.T @ R - fraction * l2 * W) - fraction * l2 / (l2 + cut) * outside @ W
    return W + omega * step


def nonlinear_least_squares(
    T: Array, Z: Array, W: Array, f: Activation, n_w: int, omega: float, delta: float,
    l2: float = 0.0, fraction: float = 1.0, Z_all: Array | None = None,
) -> Array:  # fmt: skip
    """n_w times `least_squares_step`."""
    W = W.copy()
    for _ in range(n_w):
        W = least_squares_step(T, Z, W, f, omega, delta, l2, fraction, Z_all)
    return W


def semi_nmf_z(Y: Array, Z: Array, W: Array, eps: float, l1: float = 0.0, l2: float = 0.0) -> Array:
    """Z (m, p) >= 0 of Y (m, q) ~ Z W, W (p, q) without a bias row (Ding, Li, Jordan 2010)."""
    YW, WW = Y @ W.T, W @ W.T
    up = np.maximum(YW, 0) + Z @ np.maximum(-WW, 0)
    down = np.maximum(-YW, 0) + Z @ np.maximum(WW, 0)
    return Z * np.sqrt(up / (down + l2 * Z + l1 + eps))


def semi_nmf_step(
    Y: Array, Z: Array, W: Array, delta: float, eps: float, bias: bool,
    l2: float = 0.0, l1_Z: float = 0.0, l2_Z: float = 0.0,
) -> tuple[Array, Array]:  # fmt: skip
    """The exact W step (with l2), then one Z step (with l1_Z, l2_Z) of Y ~ Z W; returns Z, W."""
    W = least_squares_step(Y, inputs(Z, bias), W, identity, 1.0, delta, l2)
    V, b = split(W, bias)
    return semi_nmf_z(Y - b, Z, V, eps, l1_Z, l2_Z), W


def z_step(
    name: str, T: Array, Z: Array, W: Array, omega: float, delta: float, bias: bool,
    l2: float = 0.0, f: Activation | None = None,
) -> Array:  # fmt: skip
    """One Z step of T (m, q) ~ f([Z, 1] W); ``name`` projects, and is f unless f is given.

    Z <- project(Z + omega (T - f([Z, 1] W)) W^+), the bias row left out of W^+. With l2 > 0,
    project(Z + omega ((T - f) W^T - l2 Z) (W W^T + l2 I)^-1) with W truncated at delta.
    """
    f = ACTIVATIONS[name] if f is None else f
    R = T - f(inputs(Z, bias) @ W)
    V, _ = split(W, bias)
    if l2 == 0:
        return project(name, Z + omega * R @ truncated_pinv(V, delta))
    P, s, Q = truncated_svd(V, delta)
    V = P @ np.diag(s) @ Q.T
    step = (R @ V.T - l2 * Z) @ np.linalg.inv(V @ V.T + l2 * np.eye(len(V)))
    return project(name, Z + omega * step)


def nonlinear_semi_nmf_step(
    name: str, T: Array, Z: Array, W: Array, n_w: int, n_z: int, omega: float, delta: float,
    bias: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """n_w W steps, then n_z Z steps, of T ~ f([Z, 1] W); returns Z, W."""
    W = nonlinear_least_squares(T, inputs(Z, bias), W, ACTIVATIONS[name], n_w, omega, delta)
    Z = Z.copy()
    for _ in range(n_z):
        Z = z_step(name, T, Z, W, omega, delta, bias)
    return Z, W


def sweep(
    name: str, weights: Sequence[Array], X_batch: Array, Y_batch: Array, X_all: Array,
    n_w: int, n_z: int, omega: float, delta_x: float, delta: float, eps: float, bias: bool,
    first_layer: str,
) -> list[Array]:  # fmt: skip
    """One sweep of the paper over a batch; the output is linear; returns the new weights.

    ``first_layer`` is "data" (pseudo-inverse from all of X_all) or "batch" (from X_batch).
    """
    W = [w.copy() for w in weights]
    last = len(W) - 1
    f = ACTIVATIONS[name]

    # Forward pass: Z[l] is the input of layer l, counted from 0.
    Z = [X_batch.copy()]
    for layer in range(last):
        Z.append(f(inputs(Z[layer], bias) @ W[layer]))

    # Output layer, semi-NMF.
    target = Y_batch
    if last > 0:
        z = Z[last]
        if name in SIGNED:
            W[last] = least_squares_step(target, inputs(z, bias), W[last], identity, 1.0, delta)
            target = z_step(name, target, z, W[last], omega, delta, bias, f=identity)
        else:
            target, W[last] = semi_nmf_step(target, z, W[last], delta, eps, bias)
            target = project(name, target)

    # Hidden layers, top-down, nonlinear semi-NMF.
    for layer in range(last - 1, 0, -1):
        target, W[layer] = nonlinear_semi_nmf_step(name, target, Z[layer], W[layer], n_w, n_z, omega, delta, bias)

    # First layer, nonlinear least squares.
    if first_layer not in ("data", "batch"):
        raise ValueError(first_layer)
    X = inputs(X_batch, bias)
    whole = inputs(X_all, bias) if first_layer == "data" else None
    f = f if last > 0 else identity
    W[0] = nonlinear_least_squares(target, X, W[0], f, n_w, omega, delta_x, Z_all=whole)
    return W


def autoencoder_layer(
    name: str, A: Array, Z: Array, H: Array, n_ae: int, n_nmf: int, n_ls: int,
    omega: float, delta: float, eps: float, bias: bool,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """One layer of the pre-training on A (m, p) >= 0, from Z (m, q), H (q, p); returns W, Z, H.

    Where f takes negative values, Z is max(f, 0), as the NMF needs.
    """
    f = ACTIVATIONS[name]
    A1 = inputs(A, bias)
    W = np.zeros((A1.shape[1], Z.shape[1]))
    Z, H = Z.copy(), H.copy()
    for _ in range(n_ae):
        for _ in range(n_nmf):
            Z, H = nmf_update(A, Z, H, eps)
        W = nonlinear_least_squares(Z, A1, W, f, n_ls, omega, delta)
        Z = np.maximum(f(A1 @ W), 0.0)
    return W, Z, H
