"""Images and sequences as the rows of numbers that everything else works on, and the shape that they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import Tensor

from nmfnet.data.scaling import Scaling
from nmfnet.data.source import InMemory
from nmfnet.layers import takes_images

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet

Shape = tuple[int, ...]
AXES = {2: ("channels", "length"), 3: ("channels", "height", "width")}
SCALING_PIXELS = 2**22  # that a scaling is made of, about


def hidden_layers(sizes: Any) -> list[Any]:
    """`hidden_layer_sizes` as a list."""
    return list(sizes) if isinstance(sizes, Iterable) else [sizes]


def rows_of_images(estimator: BaseNMFNet, X: Any, reset: bool) -> Any:
    """X (n, channels, ...) as rows of numbers (n, n_features); rows, and whatever has no layers of images, stay.

    With `reset` the shape is learned as `input_shape_`, else X must have it.

    Raises
    ------
    ValueError
        If X has no shape that the layers take; says what to change.
    """
    hidden = hidden_layers(estimator.hidden_layer_sizes)
    images = takes_images(hidden) if reset else estimator.input_shape_ is not None
    if images and isinstance(X, (list, tuple)) and len(X) and not hasattr(X[0], "columns"):
        X = np.asarray(X)
    ndim, shape = getattr(X, "ndim", 2), tuple(getattr(X, "shape", ()))
    if reset:
        estimator.input_shape_ = _input_shape(estimator.input_shape, hidden, shape) if images else None
    wanted = estimator.input_shape_
    if wanted is None:
        return X
    if ndim < 3 or not isinstance(X, (np.ndarray, Tensor)):
        n_features = shape[1] if len(shape) == 2 else math.prod(wanted)
        if reset and n_features != math.prod(wanted):
            raise ValueError(f"input_shape={wanted} has {math.prod(wanted)} numbers, but X {n_features} features.")
        return X
    if shape[1:] != wanted:
        raise ValueError(f"X has shape {shape}, but the network takes images of {wanted}: {_expected(wanted)}.")
    return X.reshape(len(X), math.prod(wanted))


def _input_shape(asked: Any, hidden: Sequence[Any], shape: Shape) -> Shape:
    """The shape of a sample: what X has, or what the parameter says."""
    ndim = next((each.ndim for each in hidden if hasattr(each, "ndim")), len(shape) - 2)
    axes = AXES.get(ndim + 1, AXES[3])
    if asked is not None:
        given = tuple(asked) if isinstance(asked, Iterable) else (asked,)
        if len(given) not in AXES or not all(isinstance(each, Integral) and int(each) > 0 for each in given):
            raise ValueError(
                f"input_shape must be (channels, height, width), or (channels, length) of sequences; got {asked!r}."
            )
        given = tuple(map(int, given))
        if len(shape) > 2 and shape[1:] != given:
            raise ValueError(f"X has shape {shape}, but input_shape={given}: leave it out, or reshape X.")
        return given
    if len(shape) == len(axes) and len(shape) > 2:
        raise ValueError(
            f"X has shape {shape}, without an axis of channels: the layers take (n_samples, {', '.join(axes)}). "
            "X[:, None] adds one channel."
        )
    if len(shape) != len(axes) + 1:
        raise ValueError(
            f"X has shape {shape}, but the layers take (n_samples, {', '.join(axes)}): reshape X, or say what each "
            f"row is by input_shape=({', '.join(axes)})."
        )
    return shape[1:]


def _expected(wanted: Shape) -> str:
    return f"pass (n_samples, {', '.join(map(str, wanted))}), or rows of {math.prod(wanted)} numbers"


def image_scaling(
    data: InMemory, input_shape: Shape, scaling_of: Callable[[InMemory], Scaling | None]
) -> Scaling | None:
    """Scaling of images by channel, which a convolution needs: all positions of a channel are scaled alike.

    `scaling_of` is that of a table whose columns are the channels and whose rows are the positions: channels that
    share a unit get one factor, others one each.
    """
    step = max(1, data.X.shape[0] * data.X.shape[1] // SCALING_PIXELS)
    X, weight = cast(Tensor, data.X[::step]), None if data.weight is None else data.weight[::step]
    places = math.prod(input_shape[1:])
    pixels = X.reshape(len(X), input_shape[0], places).transpose(1, 2).reshape(-1, input_shape[0])
    weight = None if weight is None else weight.repeat_interleave(places)
    scaling = scaling_of(InMemory(pixels, pixels[:, :1], weight))
    if scaling is None:
        return None
    return Scaling(scaling.shift.repeat_interleave(places), scaling.factor.repeat_interleave(places))
