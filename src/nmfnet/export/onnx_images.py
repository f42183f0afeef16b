"""Layers of images and sequences in ONNX graphs."""

from __future__ import annotations

from typing import Any

import torch

from nmfnet.export.onnx_graph import Graph, activation, flat, layers
from nmfnet.layers import AvgPool1d, AvgPool2d, Conv1d, Conv2d, Flatten, GlobalAvgPool, MaxPool1d, MaxPool2d
from nmfnet.linalg.patches import Window
from nmfnet.network import Network


def check_images(network: Network) -> None:
    """Refuse what runtimes do not compute."""
    if network.input_shape is not None and network.dtype != torch.float32:
        raise ValueError(
            "ONNX runtimes have convolutions for float32 alone: fit on X in float32, as with X.astype(np.float32)."
        )


def image_layers(graph: Graph, network: Network) -> str:
    """The hidden layers of a network on images or sequences (n_samples, channels, ...)."""
    assert network.input_shape is not None
    Z, ndim = "X", len(network.input_shape) - 1
    if network.inputs is not None:
        shift, factor = network.inputs.shift.numpy(), network.inputs.factor.numpy()
        Z = graph.node("Sub", Z, shift.reshape(network.input_shape))
        Z = graph.node("Mul", Z, factor.reshape(network.input_shape))
    weighted, images = iter(zip(network.weights, [f.name for f in network.activations], strict=False)), True
    for spec in network.hidden:
        if isinstance(spec, (int, Flatten)):
            Z, images = flat(graph, Z) if images else Z, False
        if isinstance(spec, int):
            W, name = next(weighted)
            Z = layers(graph, Z, [W], [name], network.intercept)
        elif isinstance(spec, (Conv1d, Conv2d)):
            W, name = next(weighted)
            kernel, biases = (W[:-1], [W[-1].numpy()]) if network.intercept else (W, [])
            window = Axes(spec.window, ndim)
            filters = kernel.T.reshape(spec.channels, -1, *window.kernel).contiguous().numpy()
            Z = graph.node("Conv", Z, filters, *biases, **window.attributes(), dilations=window.dilation)
            Z = activation(graph, Z, name)
        elif isinstance(spec, GlobalAvgPool):
            Z = graph.node("GlobalAveragePool", Z)
        elif isinstance(spec, (MaxPool1d, MaxPool2d)):
            Z = graph.node("MaxPool", Z, **Axes(spec.window, ndim).attributes())
        elif isinstance(spec, (AvgPool1d, AvgPool2d)):
            Z = graph.node("AveragePool", Z, **Axes(spec.window, ndim).attributes(), count_include_pad=1)
    return Z


class Axes:
    """A window by the axes of an image, or of a sequence, whose rows it has alone."""

    def __init__(self, window: Window, ndim: int) -> None:
        names = ("kernel", "stride", "padding", "dilation")
        self.kernel, self.stride, self.padding, self.dilation = (getattr(window, name)[-ndim:] for name in names)

    def attributes(self) -> dict[str, Any]:
        """As ONNX has them."""
        return {"kernel_shape": self.kernel, "strides": self.stride, "pads": self.padding * 2}
