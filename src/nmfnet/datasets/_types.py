"""The data set every loader returns, and the named image sets it can come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, ready to train or predict on.

    Attributes
    ----------
    name : str
        Name of the set, or the file's name without its ending.
    X_train : ndarray of shape (n_train, n_features), float32 or float64; or pandas.DataFrame
        Features, one example a row, C-contiguous.  Images are flattened row by row with the
        channel last, and scaled from 0..255 (`digits`: 0..16) to [0, 1].
        A table with categories or dates is a data frame; NaN, None and NaT are missing values.
    y_train : ndarray of shape (n_train,) or None
        Labels or targets; int64 for the named sets, the file's own type otherwise.
    X_test : ndarray of shape (n_test, n_features) or None
        As `X_train`; None where there is no test part.
    y_test : ndarray of shape (n_test,) or None
        As `y_train`.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) that a row reshapes to; None for tables.
    feature_names : tuple of str or None
        Column names of a table; None where the features have no names.
    ids : ndarray of shape (n_train,) or None
        Names of the rows of a table.
    schema : object
        How a table was read: a :class:`Schema`.
    source : str
        Where the values came from, in words.
    """

    name: str
    X_train: Any = field(repr=False)
    y_train: NDArray[Any] | None = field(repr=False)
    X_test: Any = field(default=None, repr=False)
    y_test: NDArray[Any] | None = field(default=None, repr=False)
    image_shape: tuple[int, ...] | None = None
    feature_names: tuple[str, ...] | None = field(default=None, repr=False)
    source: str = ""
    ids: NDArray[Any] | None = field(default=None, repr=False)
    schema: Any = field(default=None, repr=False)

    @property
    def n_features(self) -> int:
        """Number of features, the columns of `X_train`."""
        return int(self.X_train.shape[1])


class Images(NamedTuple):
    """The four arrays of a named image set as stored: pixels uint8, labels int64."""

    X_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    X_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """What is known beforehand of a named image set.

    Attributes
    ----------
    name, description : str
        Name to load it by, and what it shows.
    n_train, n_test : int
        Examples in the standard split.
    image_shape : tuple of int
        Shape of one image, channel last.
    test_class_counts : tuple of int
        Examples of each class 0, 1, ... in the standard test part.
    openml : mapping
        Arguments by which `sklearn.datasets.fetch_openml` finds it.
    """

    name: str
    description: str
    n_train: int
    n_test: int
    image_shape: tuple[int, ...]
    test_class_counts: tuple[int, ...]
    openml: Mapping[str, Any]

    @property
    def n_features(self) -> int:
        """Number of values in one image."""
        return math.prod(self.image_shape)

    @property
    def n_classes(self) -> int:
        """Number of classes; the labels are 0 ... n_classes - 1."""
        return len(self.test_class_counts)

    @property
    def in_colour(self) -> bool:
        """Whether the images have channels (CIFAR-10) or are grey (MNIST and its like)."""
        return len(self.image_shape) == 3


IMAGE_SETS = {
    image_set.name: image_set
    for image_set in (
        ImageSet(
            "mnist",
            "handwritten digits, 28 x 28 grey",
            60_000,
            10_000,
            (28, 28),
            (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
            {"name": "mnist_784", "version": 1},
        ),
        ImageSet(
            "fashion-mnist",
            "articles of clothing, 28 x 28 grey",
            60_000,
            10_000,
            (28, 28),
            (1000,) * 10,
            {"name": "Fashion-MNIST", "version": 1},
        ),
        ImageSet(
            "cifar10",
            "photographs of ten kinds of object, 32 x 32 colour",
            50_000,
            10_000,
            (32, 32, 3),
            (1000,) * 10,
            {"data_id": 40927},
        ),
    )
}
