"""Models as ONNX graphs, node by node; needs ``pip install 'nmfnet[onnx]'``."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nmfnet.data.labels import check_stored
from nmfnet.data.missing import MissingValues
from nmfnet.data.scaling import Scaling
from nmfnet.export.modules import Probabilities
from nmfnet.export.onnx_graph import Graph, flat, layers, network_inputs
from nmfnet.export.onnx_images import image_layers
from nmfnet.linalg.arrays import as_tensor
from nmfnet.network import Network

Array = NDArray[Any]


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


def check_onnx() -> None:
    """Name the extra where onnx is missing."""
    if importlib.util.find_spec("onnx") is None:
        raise ImportError("ONNX files need onnx: pip install 'nmfnet[onnx]'")


def write(
    path: str | os.PathLike[str],
    name: str,
    network: Network,
    labels: Labels | None = None,
    missing: MissingValues | None = None,
) -> None:
    """Write what a network predicts to an ONNX file.

    Parameters
    ----------
    path : path-like
    name : str
        Of the graph.
    network : Network
    labels : Labels, optional
        Of a classifier; without them the graph gives real values.
    missing : MissingValues, optional
        What takes the place of NaN.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the weights take more than the 2 GiB of an ONNX file.
    OSError
        If it cannot be written.
    """
    check_onnx()
    network = network.on("cpu")
    graph, k = Graph(network.dtype), network.sizes[-1]
    A = outputs(graph, network, missing)
    if labels is None:
        graph.output("variable", A, graph.dtype, k)
    else:
        add_labels(graph, A, labels, network)
        graph.output("probabilities", probabilities(graph, A, labels.head, k), graph.dtype, k)
    shape = network.input_shape or (network.sizes[0] if missing is None else len(missing.fill),)
    graph.write(path, name, *shape)


def write_code(
    path: str | os.PathLike[str], name: str, network: Network, missing: MissingValues | None = None
) -> None:
    """Write the activations of the last hidden layer."""
    check_onnx()
    network = network.on("cpu")
    names = [f.name for f in network.activations]
    if not names:
        raise ValueError("method='transform' needs a hidden layer; hidden_layer_sizes is ().")
    if network.input_shape is None:
        write_layers(
            path, f"{name}.transform", network.weights[:-1], names, network.intercept, network.inputs, missing
        )
        return
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
    missing: MissingValues | None = None,
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
    missing : MissingValues, optional
        What takes the place of NaN in X.

    Raises
    ------
    ImportError, ValueError, OSError
        As in :func:`write`.
    """
    graph = Graph(weights[0].dtype)
    Z = layers(graph, network_inputs(graph, inputs, missing), weights, activations, intercept)
    graph.output("variable", Z, graph.dtype, weights[-1].shape[1])
    n_inputs = len(weights[0]) - intercept if inputs is None else inputs.n_in
    graph.write(path, name, n_inputs if missing is None else len(missing.fill))


def outputs(graph: Graph, network: Network, missing: MissingValues | None = None) -> str:
    """What the network predicts for X, on the scale of the targets."""
    if network.input_shape is not None:
        Z = flat(graph, image_layers(graph, network))
        Z = layers(graph, Z, network.weights[-1:], ["identity"], network.intercept)
    else:
        Z = network_inputs(graph, network.inputs, missing)
        names = [*(f.name for f in network.activations), "identity"]
        Z = layers(graph, Z, network.weights, names, network.intercept)
    if network.targets is not None:
        Z = graph.node("Div", Z, network.targets.factor.numpy())
        Z = graph.node("Add", Z, network.targets.shift.numpy())
    return Z


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
    if head.temperature is not None:
        A = graph.node("Div", A, head.temperature)
    P = graph.node("Softmax", A, axis=1) if several else graph.node("Sigmoid", A)
    if head.temperature is not None and not several:
        eps = float(np.finfo(graph.dtype).eps)
        return graph.node("Clip", P, eps, 1 - eps)
    if not head.smoothing or head.temperature is not None:
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
