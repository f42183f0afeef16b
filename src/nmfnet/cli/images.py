"""Layers and shapes of images and sequences, as the command line writes them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np

from nmfnet.datasets import Dataset
from nmfnet.errors import DataError
from nmfnet.layers import AvgPool1d, AvgPool2d, Conv1d, Conv2d, GlobalAvgPool, MaxPool1d, MaxPool2d, Spec

Shape = tuple[int, ...]
NUMBER = "[1-9][0-9]*"
COLOURS = (1, 3, 4)  # numbers of channels that tell them from rows of pixels
PARTS = (
    "--hidden must be widths such as 1000-500, none for a linear model, or layers of images such as "
    "conv32-pool-conv64-pool-128: convC, convCkKsS, pool, poolK, avgpool, avgpoolK, globalpool"
)


def hidden_layer_sizes(text: str, ndim: int = 2) -> tuple[int | Spec, ...]:
    """From ``"1000-500"`` to the widths, and from ``"conv32-pool-128"`` to layers; ``"none"`` has none.

    Parameters
    ----------
    text : str
        ``conv32k5s2`` is a convolution of 32 channels, with a kernel of 5 (3 if left out) and a stride of 2 (1).  It
        has half a kernel of zeros around the images, so that a stride of 1 keeps their size.  ``pool`` is max-pooling
        by 2, ``pool3`` by 3.
    ndim : {1, 2}, default=2
        Whether samples are sequences or images.
    """
    if text.strip().lower() in ("", "none"):
        return ()
    parts = re.sub(r"\s*,\s*", "-", text.strip()).split("-")
    return tuple(_layer(part, text, ndim) for part in parts)


def _layer(part: str, text: str, ndim: int) -> int | Spec:
    if re.fullmatch(NUMBER, part):
        return int(part)
    if part == "globalpool":
        return GlobalAvgPool()
    if found := re.fullmatch(f"conv({NUMBER})(?:k({NUMBER}))?(?:s({NUMBER}))?", part):
        channels, kernel, stride = (
            int(each or default) for each, default in zip(found.groups(), (1, 3, 1), strict=True)
        )
        if kernel % 2 == 0:
            raise ValueError(f"--hidden: {part} has an even kernel; use an odd one, as in conv{channels}k{kernel + 1}")
        return (Conv1d, Conv2d)[ndim - 1](channels, kernel, stride, padding=kernel // 2)
    if found := re.fullmatch(f"(avg)?pool({NUMBER})?", part):
        cls = ((MaxPool1d, MaxPool2d), (AvgPool1d, AvgPool2d))[found[1] is not None][ndim - 1]
        return cls(int(found[2] or 2))
    raise ValueError(f"{PARTS}; got {text!r}" + (f", of which {part!r} is none" if "-" in text else ""))


def input_shape(text: str | None) -> Shape | None:
    """From ``"3x32x32"`` to the numbers."""
    if text is None:
        return None
    if not re.fullmatch(f"{NUMBER}(x{NUMBER}){{1,2}}", text):
        raise ValueError(
            f"--input-shape must be CHANNELSxHEIGHTxWIDTH, as 3x32x32, or CHANNELSxLENGTH of sequences; got {text!r}"
        )
    return tuple(map(int, text.split("x")))


def shape_of(dataset: Dataset, asked: Shape | None) -> Shape:
    """Channels, height and width of the samples of a data set: what was asked for, or what its file says."""
    if asked is None and dataset.image_shape is None:
        raise DataError(
            f"{dataset.name} has rows of {dataset.n_features} numbers, and --hidden has layers of images: say what a "
            "row is by --input-shape CHANNELSxHEIGHTxWIDTH, or CHANNELSxLENGTH"
        )
    shape = asked if asked is not None else _channels_first(dataset.image_shape or ())
    if math.prod(shape) != dataset.n_features:
        raise DataError(
            f"--input-shape {'x'.join(map(str, shape))} has {math.prod(shape)} numbers, but the rows of "
            f"{dataset.name} have {dataset.n_features}"
        )
    return shape


def arranged(dataset: Dataset, shape: Shape | None) -> Dataset:
    """The data set with its images channel by channel, as networks take them; `shape` is None where they take rows."""
    if shape is None:
        return dataset
    X, T = (rows(part, dataset.image_shape, shape) for part in (dataset.X_train, dataset.X_test))
    return replace(dataset, X_train=X, X_test=T)


def rows(X: Any, stored: Shape | None, wanted: Shape) -> Any:
    """Rows of images of shape `stored` as rows of images of shape `wanted`, (channels, height, width).

    Files have the channels last, or first; rows without a shape have them first.
    """
    if X is None or stored is None or stored == wanted or len(stored) == 2:
        return X
    if _channels_first(stored) != wanted:
        raise DataError(
            f"the images have shape {'x'.join(map(str, stored))}, but the network takes {'x'.join(map(str, wanted))}, "
            "channels first"
        )
    images = np.asarray(X).reshape(-1, *stored)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


def _channels_first(shape: Shape) -> Shape:
    if len(shape) == 2:
        return (1, *shape)
    first = shape[0] in COLOURS and shape[2] not in COLOURS
    return shape if first else (shape[2], *shape[:2])
