"""Layers of images and sequences in ONNX graphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nmfnet.export.onnx_graph import Graph, activation, flat, layers
from nmfnet.layers import AvgPool1d, AvgPool2d, Conv1d, Conv2d, Flatten, GlobalAvgPool, MaxPool1d, MaxPool2d, Residual
from nmfnet.linalg.patches import Window
from nmfnet.network import Network

Weighted = Iterator[tuple[Tensor, str]]  # weights of a layer and the name of its activation
Shape = tuple[int, ...]


def image_layers(graph: Graph, network: Network) -> str:
    """The hidden layers of a network on images or sequences (n_samples, channels, ...)."""
    assert network.input_shape is not None
    Z = "X"
    if network.inputs is not None:
        shift, factor = network.inputs.shift.numpy(), network.inputs.factor.numpy()
        Z = graph.node("Sub", Z, shift.reshape(network.input_shape))
        Z = graph.node("Mul", Z, factor.reshape(network.input_shape))
    weighted: Weighted = iter(zip(network.weights, [f.name for f in network.activations], strict=False))
    images, are_images = Images(graph, Z, network.input_shape, network.intercept), True
    for spec in network.hidden:
        if isinstance(spec, (int, Flatten)):
            images.value, are_images = flat(graph, images.value) if are_images else images.value, False
        if isinstance(spec, int):
            W, name = next(weighted)
            images.value = layers(graph, images.value, [W], [name], network.intercept)
        elif isinstance(spec, (Conv1d, Conv2d)):
            images.convolve(spec, *next(weighted))
        elif isinstance(spec, Residual):
            images.add_residual(spec, weighted)
        elif isinstance(spec, GlobalAvgPool):
            images.average()
        elif isinstance(spec, (MaxPool1d, MaxPool2d, AvgPool1d, AvgPool2d)):
            images.pool(spec.window, largest=isinstance(spec, (MaxPool1d, MaxPool2d)))
    return images.value


class Images:
    """Images on their way through a graph.

    Runtimes have convolutions and pooling for float32 alone.  In float64 the numbers of each window are gathered, and
    multiplied or reduced.

    Parameters
    ----------
    graph : Graph
    value : str
        Name of the images (n_samples, *shape).
    shape : tuple of int
        Channels and size.
    bias : bool
        Whether layers have biases.
    """

    def __init__(self, graph: Graph, value: str, shape: Shape, bias: bool) -> None:
        self.graph, self.value, self.shape, self.bias = graph, value, shape, bias
        self.gathers = graph.dtype != np.float32

    def convolve(self, spec: Conv1d | Conv2d, W: Tensor, name: str, skipped: str | None = None) -> None:
        """A convolution and its activation; `skipped` is added in front of that."""
        graph, axes = self.graph, Axes(spec.window, len(self.shape) - 1)
        kernel, biases = (W[:-1], [W[-1].numpy()]) if self.bias else (W, [])
        if self.gathers:
            windows = self._gathered(axes, 0.0)  # (n, c, places, numbers)
            rows = graph.node("Transpose", windows, perm=[0, 2, 1, 3])
            rows = graph.node("Reshape", rows, np.array([0, 0, len(kernel)]))
            A = graph.node("MatMul", rows, kernel.numpy())
            A = graph.node("Add", A, *biases) if biases else A
            self._shaped(graph.node("Transpose", A, perm=[0, 2, 1]), spec.channels, axes)
        else:
            filters = kernel.T.reshape(spec.channels, -1, *axes.kernel).contiguous().numpy()
            attributes = axes.attributes() | {"dilations": axes.dilation}
            self.value = graph.node("Conv", self.value, filters, *biases, **attributes)
            self.shape = (spec.channels, *axes.places(self.shape[1:]))
        A = self.value if skipped is None else graph.node("Add", self.value, skipped)
        self.value = activation(graph, A, name)

    def add_residual(self, spec: Residual, weighted: Weighted) -> None:
        """Convolutions to whose last the inputs of the first are added."""
        skipped = self.value
        *before, last = spec.layers
        for each in before:
            self.convolve(each, *next(weighted))  # type: ignore[arg-type]
        self.convolve(last, *next(weighted), skipped)  # type: ignore[arg-type]

    def average(self) -> None:
        """Mean of each channel."""
        axes = list(range(2, len(self.shape) + 1))
        self.value = (
            self.graph.node("ReduceMean", self.value, axes=axes, keepdims=1)
            if self.gathers
            else self.graph.node("GlobalAveragePool", self.value)
        )
        self.shape = (self.shape[0], *[1] * len(axes))

    def pool(self, window: Window, largest: bool) -> None:
        """The largest number of each window, or the mean."""
        axes = Axes(window, len(self.shape) - 1)
        if self.gathers:
            windows = self._gathered(axes, float(np.finfo(self.graph.dtype).min) if largest else 0.0)
            found = self.graph.node("ReduceMax" if largest else "ReduceMean", windows, axes=[3], keepdims=0)
            self._shaped(found, self.shape[0], axes)
            return
        more = {} if largest else {"count_include_pad": 1}
        self.value = self.graph.node("MaxPool" if largest else "AveragePool", self.value, **axes.attributes(), **more)
        self.shape = (self.shape[0], *axes.places(self.shape[1:]))

    def _gathered(self, axes: Axes, padding: float) -> str:
        """The numbers of each window, (n_samples, channels, places, numbers)."""
        graph, (channels, *size), Z = self.graph, self.shape, self.value
        if any(axes.padding):
            around = [0, 0, *axes.padding]
            Z = graph.node("Pad", Z, np.array([*around, *around]), padding)
        padded = [n + 2 * p for n, p in zip(size, axes.padding, strict=True)]
        Z = graph.node("Reshape", Z, np.array([0, channels, int(np.prod(padded))]))
        return graph.node("Gather", Z, axes.numbers(tuple(padded), self.shape[1:]), axis=2)

    def _shaped(self, value: str, channels: int, axes: Axes) -> None:
        self.shape = (channels, *axes.places(self.shape[1:]))
        self.value = self.graph.node("Reshape", value, np.array([0, *self.shape]))


class Axes:
    """A window by the axes of an image, or of a sequence, whose rows it has alone."""

    def __init__(self, window: Window, ndim: int) -> None:
        names = ("kernel", "stride", "padding", "dilation")
        self.window, self.ndim = window, ndim
        self.kernel, self.stride, self.padding, self.dilation = (getattr(window, name)[-ndim:] for name in names)

    def attributes(self) -> dict[str, Any]:
        """As ONNX has them."""
        return {"kernel_shape": self.kernel, "strides": self.stride, "pads": self.padding * 2}

    def places(self, size: Shape) -> Shape:
        """Number of windows along each axis of images."""
        return self.window.places((1, size[0]) if self.ndim == 1 else (size[0], size[1]))[-self.ndim :]

    def numbers(self, padded: Shape, size: Shape) -> NDArray[Any]:
        """Where the numbers of each window are in a padded channel, (places, numbers)."""
        each = np.arange(np.prod(padded)).reshape(padded)
        grids = [
            np.arange(n)[:, None] * s + np.arange(k) * d
            for n, s, k, d in zip(self.places(size), self.stride, self.kernel, self.dilation, strict=True)
        ]
        if self.ndim == 1:
            return each[grids[0]]
        rows, columns = grids
        return each[rows[:, None, :, None], columns[None, :, None, :]].reshape(-1, rows.shape[1] * columns.shape[1])
