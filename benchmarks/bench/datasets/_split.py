"""Validation parts, and what every image set shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

import nmfnet

from ..problem import Data, Part

Array = NDArray[Any]

FEWER = ((16, 0.1), (6, 0.3), (2, 1.0))  # rungs of the tuning at 5.4 times the cost of one training


def held_out(X: Array, y: Array, size: int) -> tuple[Part, Part]:
    """Split off a validation part of `size` rows, the same every time, with the classes in proportion."""
    X, X_val, y, y_val = train_test_split(X, y, test_size=size, random_state=0, stratify=y)
    return Part(X, y), Part(X_val, y_val)


def images(name: str, validation: int, centred: bool = False) -> Data:
    """Pixels in [0, 1]; or, `centred`, less their mean over the training rows and over one common scale."""
    stored = nmfnet.datasets.load(name)
    assert stored.X_test is not None and stored.y_train is not None and stored.y_test is not None
    train, held = held_out(stored.X_train.astype(np.float32), stored.y_train, validation)
    test = Part(stored.X_test.astype(np.float32), stored.y_test)
    if centred:
        mean = train.X.mean(0, dtype=np.float64)
        scale = np.sqrt(np.mean([np.square(block - mean).mean() for block in np.array_split(train.X, 10)]))
        train, held, test = (Part(((p.X - mean) / scale).astype(np.float32), p.y) for p in (train, held, test))
    return Data(train, held, test, n_outputs=10)
