"""MNIST-1D: ten short curves, each padded, stretched, shifted, bent and buried in noise (Greydanus, 2020).

The templates and the distributions are the published ones (Scaling down deep learning, arXiv 2011.14439); the random
numbers are of NumPy's generator, so that the samples are others.  Published errors of a convolutional network of 5210
weights are about 6 %, of a fully-connected one about 32 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Array = NDArray[np.float64]

TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
PADDING = (36, 60)  # zeros behind a template
MOST_SHIFT, SCALE_RANGE, SHEAR_RANGE = 48, 0.4, 0.75
SMOOTH_NOISE, SMOOTH_WIDTH, NOISE = 0.25, 2.0, 0.02
LONG, SHORT = 72, 40  # numbers of a curve, before and after it is thinned out


def generate(n: int, seed: int = 42) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Curves (n, 40) and their classes (n,), as many of each, in random order."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % len(TEMPLATES))
    templates = TEMPLATES - TEMPLATES.mean(1, keepdims=True)
    templates /= templates.std(1, keepdims=True)
    templates = (templates - templates[:, :1]) / 6
    return np.stack([sample(templates[each], rng) for each in y]).astype(np.float32), y


def sample(template: Array, rng: np.random.Generator) -> Array:
    """One curve (40,) of a template (12,)."""
    zeros = np.zeros(rng.integers(PADDING[0], PADDING[1] + 1))
    curve = resampled(np.concatenate([template + 1e-8, zeros]), LONG)
    curve *= 1 + SCALE_RANGE * (rng.random() - 0.5)
    curve = np.roll(curve, rng.integers(MOST_SHIFT))
    background = gaussian_filter1d(SMOOTH_NOISE * rng.standard_normal(LONG), SMOOTH_WIDTH, mode="reflect")
    curve = np.where(curve != 0, curve, background) + NOISE * rng.standard_normal(LONG)
    curve -= SHEAR_RANGE * (rng.random() - 0.5) * np.linspace(-0.5, 0.5, LONG)
    return resampled(curve, SHORT)


def resampled(curve: Array, n: int) -> Array:
    """A curve by n numbers, linear between those there are."""
    return np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(curve)), curve)
