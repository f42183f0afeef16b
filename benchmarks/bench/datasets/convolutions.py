"""Convolutional networks: MNIST, Fashion-MNIST and CIFAR-10, whole and by a part of the rows, and MNIST-1D.

Whole data take hours for every solver on a few cores; the tasks of 10,000 or 20,000 rows are what is affordable.
"""

from __future__ import annotations

from functools import partial

import numpy as np

import nmfnet
from nmfnet.layers import Conv1d, Conv2d, GlobalAvgPool, MaxPool1d, MaxPool2d

from ..problem import Data, Part, Task
from . import _mnist1d
from ._split import FEWER, held_out

SHAPES = {"mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
VALIDATION = 5000


def load(name: str, rows: int | None = None) -> Data:
    """Pixels channel by channel, centred, with one scale a channel; of all rows or the first, 5000 for validation."""
    stored, (channels, height, width) = nmfnet.datasets.load(name), SHAPES[name]
    assert stored.X_test is not None and stored.y_train is not None and stored.y_test is not None
    train, held = held_out(stored.X_train[:rows], stored.y_train[:rows], VALIDATION)
    pixels = train.X.reshape(-1, channels)
    mean, scale = pixels.mean(0, dtype=np.float64), pixels.std(0, dtype=np.float64)

    def first(X: np.ndarray) -> np.ndarray:
        images = ((X.reshape(-1, channels) - mean) / scale).astype(np.float32).reshape(-1, height, width, channels)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(X), -1)

    return Data(
        *(Part(first(part.X), part.y) for part in (train, held, Part(stored.X_test, stored.y_test))), n_outputs=10
    )


def mnist1d() -> Data:
    """4000 curves to train on, 800 of these for validation, and 1000 to test on."""
    X, y = _mnist1d.generate(5000)
    train, held = held_out(X[:4000], y[:4000], 800)
    return Data(train, held, Part(X[4000:], y[4000:]), n_outputs=10)


def block(channels: int) -> tuple[Conv2d, MaxPool2d]:
    """A convolution and pooling."""
    return Conv2d(channels, 3, padding="same"), MaxPool2d(2)


TWO = (*block(32), *block(64), 128)
FOUR = (*block(32), *block(64), *block(128), Conv2d(128, 3, padding="same"), GlobalAvgPool(), 128)
CURVES = (
    Conv1d(32, 5, padding="same"), MaxPool1d(2), Conv1d(64, 3, padding="same"), MaxPool1d(2),
    Conv1d(64, 3, padding="same"), 64,
)  # fmt: skip
TAGS = ("convolutions",)


def task(name: str, data: str, hidden: tuple, epochs: int, rows: int | None = None, **more: object) -> Task:
    """A task on images."""
    return Task(
        name, partial(load, data, rows), hidden, epochs, tags=TAGS, rungs=FEWER, input_shape=SHAPES[data], **more
    )  # type: ignore[arg-type]


TASKS = [
    task("mnist-conv", "mnist", TWO, 15, goals=(1.0,)),
    task("mnist-conv-20k", "mnist", TWO, 5, 20_000, goals=(1.0,)),
    task("fashion-conv", "fashion-mnist", TWO, 15),
    task("fashion-conv-20k", "fashion-mnist", TWO, 5, 20_000),
    task("cifar10-conv", "cifar10", FOUR, 30),
    task("cifar10-conv-10k", "cifar10", FOUR, 6, 10_000),
    Task("mnist1d-conv", mnist1d, CURVES, 60, tags=TAGS, rungs=((8, 0.3), (2, 1.0)), input_shape=(1, 40)),
]
