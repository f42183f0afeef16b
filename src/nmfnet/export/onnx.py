"""Models as ONNX graphs, node by node; needs ``pip install 'nmfnet[onnx]'``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmfnet._version import __version__
from nmfnet.data.labels import check_stored
from nmfnet.data.scaling import Scaling
from nmfnet.export.modules import Probabilities
from nmfnet.layers import AvgPool1d, AvgPool2d, Conv1d, Conv2d, Flatten, GlobalAvgPool, MaxPool1d, MaxPool2d
from nmfnet.layers.activations import LEAKY_SLOPE
from nmfnet.linalg.arrays import as_tensor
from nmfnet.linalg.patches import Window
from nmfnet.network import Network
from nmfnet.storage.container import replace

Array = NDArray[Any]
OPSET, IR_VERSION = 17, 8  # which runtimes from 2022 on read
MOST_BYTES = 2**31 - 2**20  # of a protocol buffer


@dataclass(frozen=True)
class Labels:
    """What a classifier's graph has besides the network.

    Attributes
    ----------
    head : Probabilities
        Of the outputs.
    classes : array of shape (n_classes,)
    multilabel : bool
        Whether each output is a label of its own.
    """

    head: Probabilities
    classes: Array
    multilabel: bool


def write(path: str | os.PathLike[str], name: str, network: Network, labels: Labels | None = None) -> None:
    """Write what a network predicts to an ONNX file.

    Parameters
    ----------
    path : path-like
    name : str
        Of the graph.
    network : Network
    labels : Labels, optional
        Of a classifier; without them the graph gives real values.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the weights take more than the 2 GiB of an ONNX file.
    OSError
        If it cannot be written.
    """
    network = network.on("cpu")
    check_images(network)
    graph, k = Graph(network.dtype), network.sizes[-1]
    A = outputs(graph, network)
    if labels is None:
        graph.output("variable", A, graph.dtype, k)
    else:
        add_labels(graph, A, labels, network)
        graph.output("probabilities", probabilities(graph, A, labels.head, k), graph.dtype, k)
    graph.write(path, name, *(network.input_shape or network.sizes[:1]))


def write_code(path: str | os.PathLike[str], name: str, network: Network) -> None:
    """Write the activations of the last hidden layer."""
    network = network.on("cpu")
    names = [f.name for f in network.activations]
    if not names:
        raise ValueError("method='transform' needs a hidden layer; hidden_layer_sizes is ().")
    if network.input_shape is None:
        write_layers(path, f"{name}.transform", network.weights[:-1], names, network.intercept, network.inputs)
        return
    check_images(network)
    graph = Graph(network.dtype)
    graph.output("variable", flat(graph, image_layers(graph, network)), graph.dtype, network.sizes[-2])
    graph.write(path, f"{name}.transform", *network.input_shape)


def write_layers(
    path: str | os.PathLike[str],
    name: str,
    weights: Sequence[Tensor],
    activations: Sequence[str],
    intercept: bool = False,
    inputs: Scaling | None = None,
) -> None:
    """Write layers, each a matrix and an activation, as a graph from `X` to `variable`.

    Parameters
    ----------
    path : path-like
    name : str
        Of the graph.
    weights : sequence of Tensor
        On the CPU; with biases in the last rows if `intercept`.
    activations : sequence of str
        A name for each layer.
    intercept : bool, default=False
    inputs : Scaling, optional
        Of X.

    Raises
    ------
    ImportError, ValueError, OSError
        As in :func:`write`.
    """
    graph = Graph(weights[0].dtype)
    Z = layers(graph, "X" if inputs is None else scaled(graph, "X", inputs), weights, activations, intercept)
    graph.output("variable", Z, graph.dtype, weights[-1].shape[1])
    graph.write(path, name, len(weights[0]) - intercept if inputs is None else len(inputs.shift))


class Graph:
    """An ONNX graph under construction; values go by their names."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype: np.dtype[Any] = np.dtype(str(dtype).removeprefix("torch."))
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.outputs: list[Any] = []

    def node(self, operator: str, *inputs: str | float | Array, **attributes: Any) -> str:
        """Add an operation, and return the name of its result; numbers and arrays become constants."""
        from onnx import helper

        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [name], name=name, **attributes))
        return name

    def constant(self, value: float | Array) -> str:
        """Add a constant; a Python number has the dtype of the model."""
        from onnx import numpy_helper

        array = value if isinstance(value, np.ndarray) else np.array(value, self.dtype)
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def output(self, name: str, value: str, dtype: np.dtype[Any], *columns: int) -> None:
        """Name a value as an output, with a row for each sample."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        self.outputs.append(helper.make_tensor_value_info(name, kind, [None, *columns]))

    def write(self, path: str | os.PathLike[str], name: str, *shape: int) -> None:
        """Write the graph, with the input X of samples of such a shape, to a file."""
        from onnx import checker, helper

        if sum(len(each.raw_data) for each in self.constants) > MOST_BYTES:
            raise ValueError("The weights take more than the 2 GiB that an ONNX file holds.")
        X = helper.make_tensor_value_info("X", helper.np_dtype_to_tensor_dtype(self.dtype), [None, *shape])
        proto = helper.make_model(
            helper.make_graph(self.nodes, name, [X], self.outputs, self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="nmfnet",
            producer_version=__version__,
        )
        checker.check_model(proto, full_check=True)
        replace(Path(path), proto.SerializeToString())


def outputs(graph: Graph, network: Network) -> str:
    """What the network predicts for X, on the scale of the targets."""
    if network.input_shape is not None:
        Z = flat(graph, image_layers(graph, network))
        Z = layers(graph, Z, network.weights[-1:], ["identity"], network.intercept)
    else:
        Z = "X" if network.inputs is None else scaled(graph, "X", network.inputs)
        names = [*(f.name for f in network.activations), "identity"]
        Z = layers(graph, Z, network.weights, names, network.intercept)
    if network.targets is not None:
        Z = graph.node("Div", Z, network.targets.factor.numpy())
        Z = graph.node("Add", Z, network.targets.shift.numpy())
    return Z


def scaled(graph: Graph, X: str, inputs: Scaling) -> str:
    """Inputs as the network takes them."""
    X = graph.node("Sub", X, inputs.shift.numpy())
    return graph.node("MatMul" if inputs.projects else "Mul", X, inputs.factor.numpy())


def layers(graph: Graph, Z: str, weights: Sequence[Tensor], activations: Sequence[str], intercept: bool) -> str:
    """One layer after the other, each with its activation."""
    for W, name in zip(weights, activations, strict=True):
        rows = W.numpy()
        Z = graph.node("Gemm", Z, rows[:-1], rows[-1]) if intercept else graph.node("MatMul", Z, rows)
        Z = activation(graph, Z, name)
    return Z


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


def flat(graph: Graph, Z: str) -> str:
    """Images as rows of numbers; rows stay."""
    return graph.node("Flatten", Z, axis=1)


def activation(graph: Graph, A: str, name: str) -> str:
    """f(A) by operations that runtimes have for float64, too."""
    match name:
        case "relu":
            return graph.node("Relu", A)
        case "leaky_relu":
            return graph.node("Max", A, graph.node("Mul", A, LEAKY_SLOPE))
        case "logistic":
            # Runtimes' own Sigmoid is off by 1e-8 where it should be almost 0, which large weights may enlarge.
            return graph.node("Reciprocal", graph.node("Add", graph.node("Exp", graph.node("Neg", A)), 1.0))
        case "tanh":
            return graph.node("Tanh", A)
        case "softplus":  # max(A, 0) + log(1 + exp(-|A|)), which cannot overflow
            power = graph.node("Exp", graph.node("Neg", graph.node("Abs", A)))
            return graph.node("Add", graph.node("Relu", A), graph.node("Log", graph.node("Add", power, 1.0)))
        case "identity":
            return A
        case _:
            raise ValueError(f"There is no graph for the activation {name!r}.")


def add_labels(graph: Graph, A: str, labels: Labels, network: Network) -> None:
    """Add the output `label`: numbers of their own dtype (booleans become int64), or text."""
    if labels.multilabel:
        threshold = 0.5 if network.output.name == "identity" else 0.0
        found = graph.node("Cast", graph.node("Greater", A, threshold), to=7)  # int64
        graph.output("label", found, np.dtype(np.int64), network.sizes[-1])
        return
    classes = labels.classes
    check_stored(classes)
    if classes.dtype.kind in "UO":
        values = classes.astype(object)
    else:
        values = np.asarray(as_tensor(classes.astype(np.int64) if classes.dtype.kind == "b" else classes))
    index = graph.node("ArgMax", A, axis=1, keepdims=0)
    graph.output("label", graph.node("Gather", values, index), values.dtype)


def probabilities(graph: Graph, A: str, head: Probabilities, k: int) -> str:
    """What :class:`nmfnet.export.Probabilities` computes."""
    match head.kind:
        case "simplex":
            return simplex(graph, A, k)
        case "clip":
            eps = float(np.finfo(graph.dtype).eps)
            return graph.node("Clip", A, eps, 1 - eps)
    several = head.kind == "softmax"
    P = graph.node("Softmax", A, axis=1) if several else graph.node("Sigmoid", A)
    if not head.smoothing:
        return P
    floor = head.smoothing / (k if several else 2)
    P = graph.node("Div", graph.node("Sub", P, floor), 1 - head.smoothing)
    if not several:
        return graph.node("Clip", P, floor / 100, 1 - floor / 100)
    P = graph.node("Clip", P, floor / 100, 1.0)
    return graph.node("Div", P, graph.node("ReduceSum", P, np.array([1]), keepdims=1))


def simplex(graph: Graph, A: str, k: int) -> str:
    """Nearest points of the probability simplex."""
    A = graph.node("Sub", A, graph.node("ReduceMax", A, axes=[1], keepdims=1))
    # The results of TopK are two; its values are named as the node.
    ordered = graph.node("TopK", A, np.array([k]), axis=1)
    graph.nodes[-1].output.append(f"{ordered}_order")
    total = graph.node("Sub", graph.node("CumSum", ordered, np.array(1)), 1.0)
    excess = graph.node("Div", total, np.arange(1, k + 1, dtype=graph.dtype))
    kept = graph.node("Cast", graph.node("Greater", ordered, excess), to=7)
    last = graph.node("Sub", graph.node("ReduceSum", kept, np.array([1]), keepdims=1), np.array(1))
    return graph.node("Relu", graph.node("Sub", A, graph.node("GatherElements", excess, last, axis=1)))
