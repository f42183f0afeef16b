"""The paper's sweep on convolutions in float64 NumPy, position by position, to test nmfnet against.

The steps are those of paper.py, on patches as rows.  Images are (m, channels, height, width), as in PyTorch, and
weights (n, k) for patches of n numbers, by channel, then row, then column, with the bias as the last row.  All layers
are convolutions, each with max-pooling of windows of `pool` x `pool` behind it (1: none), but for the last, which is
linear on all numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from references import paper
from references.paper import Array


class Conv(NamedTuple):
    """A convolution of `size` x `size` patches, and the max-pooling behind it."""

    size: int
    stride: int
    padding: int
    pool: int


def positions(Z: Array, conv: Conv) -> list[tuple[int, int]]:
    """Upper left corners of the patches in the padded images."""
    side = [Z.shape[axis] + 2 * conv.padding - conv.size for axis in (2, 3)]
    return [(i, j) for i in range(0, side[0] + 1, conv.stride) for j in range(0, side[1] + 1, conv.stride)]


def padded(Z: Array, conv: Conv) -> Array:
    """With zeros around."""
    p = conv.padding
    return np.pad(Z, ((0, 0), (0, 0), (p, p), (p, p)))


def patches(Z: Array, conv: Conv) -> Array:
    """Rows (m p, n), image by image."""
    wide = padded(Z, conv)
    rows = [wide[:, :, i : i + conv.size, j : j + conv.size].reshape(len(Z), -1) for i, j in positions(Z, conv)]
    return np.stack(rows, 1).reshape(len(Z) * len(rows), -1)


def put_back(rows: Array, Z: Array, conv: Conv) -> Array:
    """Images of the means of overlapping patches; what no patch has stays."""
    wide = padded(Z, conv)
    sums, counts = np.zeros_like(wide), np.zeros_like(wide)
    where = positions(Z, conv)
    each = rows.reshape(len(Z), len(where), Z.shape[1], conv.size, conv.size)
    for number, (i, j) in enumerate(where):
        sums[:, :, i : i + conv.size, j : j + conv.size] += each[:, number]
        counts[:, :, i : i + conv.size, j : j + conv.size] += 1
    found = np.where(counts > 0, sums / np.maximum(counts, 1), wide)
    p = conv.padding
    return found[:, :, p : p + Z.shape[2], p : p + Z.shape[3]]


def images(rows: Array, Z: Array, conv: Conv) -> Array:
    """Outputs (m p, k) as images (m, k, h, w)."""
    height = len({i for i, _ in positions(Z, conv)})
    return rows.reshape(len(Z), height, -1, rows.shape[1]).transpose(0, 3, 1, 2)


def as_rows(A: Array) -> Array:
    """Images (m, k, h, w) as (m p, k)."""
    return A.transpose(0, 2, 3, 1).reshape(-1, A.shape[1])


def pooled(A: Array, pool: int) -> Array:
    """Largest number of each window."""
    h, w = A.shape[2] // pool, A.shape[3] // pool
    return A[:, :, : h * pool, : w * pool].reshape(*A.shape[:2], h, pool, w, pool).max((3, 5))


def unpooled_target(T: Array, F: Array, A: Array, pool: int) -> Array:
    """f(A) with T in place of the largest number of each window."""
    T_all = F.copy()
    for m, k, i, j in np.ndindex(T.shape):
        window = A[m, k, i * pool : (i + 1) * pool, j * pool : (j + 1) * pool]
        y, x = np.unravel_index(window.argmax(), window.shape)
        T_all[m, k, i * pool + y, j * pool + x] = T[m, k, i, j]
    return T_all


def sweep(
    name: str, weights: Sequence[Array], convs: Sequence[Conv], X_batch: Array, Y_batch: Array, X_all: Array,
    n_w: int, n_z: int, omega: float, delta_x: float, delta: float, eps: float, bias: bool, first_layer: str,
) -> list[Array]:  # fmt: skip
    """One sweep over a batch of images; returns the new weights."""
    W, f = [w.copy() for w in weights], paper.ACTIVATIONS[name]

    Z, A = [X_batch.copy()], []
    for w, conv in zip(weights[:-1], convs, strict=True):
        A.append(images(paper.inputs(patches(Z[-1], conv), bias) @ w, Z[-1], conv))
        Z.append(pooled(f(A[-1]), conv.pool))

    # Output layer, semi-NMF on all numbers of an image, or the projected step where f has negative values.
    z = Z[-1].reshape(len(X_batch), -1)
    if name in paper.SIGNED:
        W[-1] = paper.least_squares_step(Y_batch, paper.inputs(z, bias), W[-1], paper.identity, 1.0, delta)
        rows = paper.z_step(name, Y_batch, z, W[-1], omega, delta, bias, f=paper.identity)
    else:
        rows, W[-1] = paper.semi_nmf_step(Y_batch, z, W[-1], delta, eps, bias)
    target = paper.project(name, rows.reshape(Z[-1].shape))

    # Convolutions, top-down, nonlinear semi-NMF on patches.
    for layer in range(len(convs) - 1, 0, -1):
        conv = convs[layer]
        T = as_rows(unpooled_target(target, f(A[layer]), A[layer], conv.pool))
        rows, W[layer] = paper.nonlinear_semi_nmf_step(
            name, T, patches(Z[layer], conv), W[layer], n_w, n_z, omega, delta, bias
        )
        target = paper.project(name, put_back(rows, Z[layer], conv))

    # First layer, nonlinear least squares.
    T = as_rows(unpooled_target(target, f(A[0]), A[0], convs[0].pool))
    X = paper.inputs(patches(X_batch, convs[0]), bias)
    whole = paper.inputs(patches(X_all, convs[0]), bias) if first_layer == "data" else None
    W[0] = paper.nonlinear_least_squares(T, X, W[0], f, n_w, omega, delta_x, Z_all=whole)
    return W
