"""Deep autoencoders after Hinton and Salakhutdinov (2006): ReLU units, a linear code, linear outputs.

The error is the squared error of an image, summed over its pixels.
"""

from __future__ import annotations

import numpy as np

from ..problem import Array, Data, Part, Task
from . import mnist
from ._split import FEWER

SIDE = 28
N_POINTS = 80  # on a curve, to draw it
THICKNESS = 0.7  # pixels


def reconstruct(train: Array, validation: Array, test: Array) -> Data:
    """The images are their own targets."""
    return Data(Part(train, train), Part(validation, validation), Part(test, test), n_outputs=SIDE * SIDE)


def digits_in_30() -> Data:
    """MNIST, to be described by 30 numbers."""
    data = mnist.load()
    return reconstruct(data.train.X, data.validation.X, data.test.X)


def curves(n: int, rng: np.random.Generator) -> Array:
    """Parabolas through three random points each, drawn smoothly: (n, 784) in [0, 1], from six numbers an image."""
    points = rng.uniform(3, SIDE - 3, (n, 3, 2))
    t = np.linspace(0, 1, N_POINTS)
    # Lagrange's polynomials for a curve that is at the three points when t = 0, 1/2, 1.
    basis = np.stack([(2 * t - 1) * (t - 1), 4 * t * (1 - t), t * (2 * t - 1)])
    path = np.einsum("nkd,kt->ntd", points, basis)
    length = np.linalg.norm(np.gradient(path, axis=1), axis=2)  # of each piece, so that ink is even along the curve
    pen = np.exp(-np.square(path[..., None] - np.arange(SIDE)) / (2 * THICKNESS**2))  # (n, t, 2, SIDE)
    ink = np.einsum("nti,ntj->nij", pen[:, :, 0] * length[..., None], pen[:, :, 1], optimize=True)
    return (1 - np.exp(-2 * ink)).reshape(n, -1).astype(np.float32)


def curves_in_6() -> Data:
    """Draw 20,000 curves for training, the last 4,000 of them for validation, and 10,000 for the test."""
    rng = np.random.default_rng(0)
    X = np.concatenate([curves(500, rng) for _ in range(60)])
    return reconstruct(X[:16_000], X[16_000:20_000], X[20_000:])


def there_and_back(*encoder: int) -> tuple[int, ...]:
    """Widths of the hidden layers, the last of `encoder` being the code's."""
    return (*encoder, *encoder[-2::-1])


TASKS = [
    Task(
        "mnist-autoencoder", digits_in_30, there_and_back(1000, 500, 250, 30), 20, "squared error",
        linear=(3,), tags=("autoencoders",), rungs=FEWER,
    ),
    Task(
        "curves-autoencoder", curves_in_6, there_and_back(400, 200, 100, 50, 25, 6), 20, "squared error",
        linear=(5,), tags=("autoencoders",),
    ),
]  # fmt: skip
