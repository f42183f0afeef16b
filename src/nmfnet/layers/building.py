"""From what users write in `hidden_layer_sizes` to layers, and what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from nmfnet.layers.base import Layer
from nmfnet.layers.convolution import Convolution, Shape
from nmfnet.layers.dense import Dense
from nmfnet.layers.maps import AveragePooling, Map, MaxPooling, ToImages, ToRows
from nmfnet.layers.specs import (
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    MaxPool1d,
    MaxPool2d,
    Residual,
    Spec,
    unfolded,
)
from nmfnet.layers.stage import Stage
from nmfnet.linalg.patches import Window

Hidden = Sequence[int | Spec]
CONVOLUTIONS, MAX_POOLS, AVG_POOLS = (Conv1d, Conv2d), (MaxPool1d, MaxPool2d), (AvgPool1d, AvgPool2d)


def takes_images(hidden: Hidden) -> bool:
    """Whether hidden layers are of images or sequences."""
    return any(isinstance(each, Spec) for each in hidden)


def n_weighted(hidden: Hidden) -> int:
    """Hidden layers that have weights, and so an activation."""
    return sum(isinstance(each, (int, *CONVOLUTIONS)) for each in unfolded(hidden))


def build_layers(
    hidden: Hidden, n_in: int, n_out: int, bias: bool, input_shape: tuple[int, ...] | None = None
) -> list[Layer]:
    """Layers of a network.

    Parameters
    ----------
    hidden : sequence of int and Spec
    n_in, n_out : int
        Inputs and outputs of the network; inputs of images are all their numbers.
    bias : bool
        Whether layers have biases.
    input_shape : (channels, height, width) or (channels, length), optional
        Needed where `hidden` has specs.

    Raises
    ------
    ValueError
        If a layer does not fit onto those before it; names it, and says what to change.
    """
    if input_shape is None:
        widths = [n_in, *(each for each in hidden if isinstance(each, int)), n_out]
        return [Dense(a, b, bias) for a, b in pairwise(widths)]
    builder = _Builder(input_shape, bias)
    for number, each in enumerate(hidden):
        builder.add(each, f"hidden_layer_sizes[{number}], {each!r},")
    builder.add(n_out, "the output layer")
    return list(builder.layers)


class _Builder:
    """Layers so far, with the maps that wait for the next one."""

    def __init__(self, input_shape: tuple[int, ...], bias: bool) -> None:
        self.ndim, self.bias = len(input_shape) - 1, bias
        channels, *size = input_shape
        first = ToImages((size[0] if self.ndim == 2 else 1, size[-1], channels))
        self.layers: list[Stage | Dense | Convolution] = []
        self.before: list[Map] = [first]
        last = self.ndim == 2 and size[-1] in (1, 3, 4) and channels > 4
        self._advice = " X has channels and then rows and columns: channels come first." if last else ""
        self.shape: tuple[int, ...] = first.out_shape

    def add(self, spec: int | Spec, where: str) -> None:
        """Put a layer onto those before it."""
        if isinstance(spec, int):
            self._wait_for_rows()
            self._close(Dense(self.shape[0], spec, self.bias))
        elif isinstance(spec, Flatten):
            self._wait_for_rows()
        elif isinstance(spec, Residual):
            self._add_residual(spec, where)
        else:
            image = self._image(spec, where)
            if isinstance(spec, GlobalAvgPool):
                self._wait(AveragePooling(image, Window(image[:2], image[:2])))
            elif isinstance(spec, CONVOLUTIONS):
                self._close(Convolution(image, spec.channels, spec.window, self.bias))
            elif isinstance(spec, AVG_POOLS):
                self._wait(AveragePooling(image, spec.window))
            elif isinstance(spec, MAX_POOLS):
                self._pool(MaxPooling(image, spec.window))

    def _add_residual(self, spec: Residual, where: str) -> None:
        """Put convolutions with a skip connection onto the layers before them."""
        if not self.layers:
            raise ValueError(f"{where} must come behind another layer with weights, whose outputs it adds to its own.")
        before = self._image(spec, where)
        for each in spec.layers:
            self.add(each, where)
        if self.shape != before:
            raise ValueError(
                f"{where} makes {self._size(self._as_image())} of its inputs of {self._size(before)}: to be added, "
                "they must be alike. Let its last layer have as many channels as its inputs, and use padding='same'."
            )
        last = self.layers[-1]
        stage = last if isinstance(last, Stage) else Stage(last)
        self.layers[-1] = replace(stage, skip=len(spec.layers))

    def _size(self, image: Shape) -> str:
        h, w, c = image
        return f"{c} x {h} x {w}" if self.ndim == 2 else f"{c} x {w}"

    def _wait(self, each: Map) -> None:
        self.before.append(each)
        self.shape = each.out_shape

    def _wait_for_rows(self) -> None:
        if len(self.shape) == 3:
            self._wait(ToRows(self._as_image()))

    def _pool(self, pooling: MaxPooling) -> None:
        """Behind the layer before it where nothing lies between, else in front of the next one."""
        if self.before or not self.layers:
            self._wait(pooling)
            return
        last = self.layers[-1]
        stage = last if isinstance(last, Stage) else Stage(last)
        self.layers[-1] = replace(stage, behind=(*stage.behind, pooling))
        self.shape = pooling.out_shape

    def _close(self, layer: Dense | Convolution) -> None:
        self.layers.append(Stage(layer, tuple(self.before)) if self.before else layer)
        self.before, self.shape = [], layer.out_shape

    def _as_image(self) -> Shape:
        h, w, c = self.shape
        return h, w, c

    def _image(self, spec: Spec, where: str) -> Shape:
        """The shape of the images that a layer gets, if it can take them."""
        if len(self.shape) != 3:
            raise ValueError(f"{where} comes after the images have become rows of numbers: put it before them.")
        h, w, c = self._as_image()
        ndim = getattr(spec, "ndim", self.ndim)
        if ndim != self.ndim:
            name = type(spec).__name__
            other = f"{name[:-2]}{self.ndim}d"
            what = "images" if self.ndim == 2 else "sequences"
            raise ValueError(f"{where} does not take {what}: use {other}, or pass X of another shape.")
        window = getattr(spec, "window", None)
        if window is not None and min(window.places((h, w))) < 1:
            raise ValueError(
                f"{where} has a kernel larger than its inputs of {self._size((h, w, c))}: make it smaller, add "
                f"padding, or leave out pooling before it.{self._advice}"
            )
        return h, w, c
