"""ONNX graphs under construction, and the layers of a network in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmfnet._version import __version__
from nmfnet.data.missing import MissingValues
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.scaling import Scaling
from nmfnet.layers.activations import LEAKY_SLOPE
from nmfnet.storage.container import replace

Array = NDArray[Any]
OPSET, IR_VERSION = 17, 8  # which runtimes from 2022 on read
MOST_BYTES = 2**31 - 2**20  # of a protocol buffer


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


def network_inputs(graph: Graph, inputs: Scaling | None, missing: MissingValues | None) -> str:
    """What the first layer is given for X."""
    X = "X" if missing is None else filled(graph, "X", missing)
    return X if inputs is None else scaled(graph, X, inputs)


def filled(graph: Graph, X: str, missing: MissingValues) -> str:
    """Inputs without NaN, and where it was."""
    absent = graph.node("IsNaN", X)
    X = graph.node("Where", absent, missing.fill.numpy(), X)
    told = graph.node("Gather", absent, missing.indicated.numpy(), axis=1)
    kind = 1 if graph.dtype == np.float32 else 11  # of ONNX
    return graph.node("Concat", X, graph.node("Cast", told, to=kind), axis=1)


def scaled(graph: Graph, X: str, inputs: Scaling) -> str:
    """Inputs as the network takes them."""
    if isinstance(inputs, PiecewiseLinear):
        X = graph.node("Gather", X, inputs.column.numpy(), axis=1)
        X = graph.node("Mul", graph.node("Sub", X, inputs.shift.numpy()), inputs.factor.numpy())
        return graph.node("Min", graph.node("Max", X, inputs.low.numpy()), inputs.high.numpy())
    X = graph.node("Sub", X, inputs.shift.numpy())
    return graph.node("MatMul" if inputs.projects else "Mul", X, inputs.factor.numpy())


def layers(graph: Graph, Z: str, weights: Sequence[Tensor], activations: Sequence[str], intercept: bool) -> str:
    """One layer after the other, each with its activation."""
    for W, name in zip(weights, activations, strict=True):
        rows = W.numpy()
        Z = graph.node("Gemm", Z, rows[:-1], rows[-1]) if intercept else graph.node("MatMul", Z, rows)
        Z = activation(graph, Z, name)
    return Z


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
