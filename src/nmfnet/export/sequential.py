"""From an ``nn.Sequential`` of linear layers, activations, pooling, Dropout and Flatten to a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nmfnet.export import modules
from nmfnet.export.conventions import check_forward, check_is_sequential, share_memory
from nmfnet.export.modules import PiecewiseLinearEncoding, Probabilities, Standardize
from nmfnet.layers import (
    SPECS,
    Conv1d,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    MaxPool1d,
    MaxPool2d,
    Residual,
    Spec,
    takes_images,
)
from nmfnet.layers.activations import LEAKY_SLOPE, activations_named
from nmfnet.linalg import all_finite
from nmfnet.network import Network

NAMES = {nn.ReLU: "relu", nn.LeakyReLU: "leaky_relu", nn.Sigmoid: "logistic", nn.Tanh: "tanh", nn.Softplus: "softplus"}
Weighted = nn.Linear | nn.Conv1d | nn.Conv2d
CONVOLUTIONS, DROPOUTS = (nn.Conv1d, nn.Conv2d), (nn.Dropout, nn.Dropout1d, nn.Dropout2d)
POOLINGS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
KNOWN = (nn.Linear, *CONVOLUTIONS, modules.Residual, *POOLINGS, *DROPOUTS, nn.Flatten, nn.Identity, *NAMES)


@dataclass
class Layers:
    """What a Sequential is made of.

    Attributes
    ----------
    linear : list of nn.Linear, nn.Conv1d or nn.Conv2d
    hidden : list of int and Spec
        The hidden layers, pooling and flattening with them; those of skip connections one by one.
    residuals : list of slice
        Numbers of the layers with weights, from 0, that are inside of a skip connection together.
    activations : list of str
        Of the hidden layers.
    dropout : list of float
        Probabilities of dropout of the input of each of these; 0 where there is none.
    flatten : bool
        Whether inputs are flattened first.
    input_shape : tuple of int or None
        That inputs are given, before the first of these.
    inputs : Standardize, PiecewiseLinearEncoding or None
        Of the inputs, before the first Linear.
    head : Probabilities or None
        After the last Linear.
    """

    linear: list[Weighted] = field(default_factory=list)
    hidden: list[int | Spec] = field(default_factory=list)
    residuals: list[slice] = field(default_factory=list)
    activations: list[str] = field(default_factory=list)
    dropout: list[float] = field(default_factory=list)
    flatten: bool = False
    input_shape: tuple[int, ...] | None = None
    inputs: Standardize | PiecewiseLinearEncoding | None = None
    head: Probabilities | None = None

    @property
    def layers(self) -> list[int | Spec]:
        """The hidden layers, with those of skip connections together."""
        found, n = list[int | Spec](), 0
        inside = {part.start: part.stop for part in self.residuals}
        place, end = 0, -1  # in `found`, where a skip connection begins; number of the layer behind it
        for each in self.hidden:
            if isinstance(each, (int, Conv1d, Conv2d)):
                if n in inside:
                    place, end = len(found), inside[n]
                n += 1
            found.append(each)
            if n == end:
                found[place:], end = [Residual(*found[place:])], -1  # type: ignore[arg-type]
        return found

    @property
    def tensors(self) -> list[Tensor]:
        """Weights and biases of all layers."""
        return [tensor for layer in self.linear for tensor in tensors_of(layer)]

    @property
    def trained(self) -> list[Tensor]:
        """Those of the layers that are not frozen."""
        frozen = self.frozen
        return [tensor for n, layer in enumerate(self.linear) if n not in frozen for tensor in tensors_of(layer)]

    @property
    def frozen(self) -> frozenset[int]:
        """Numbers of the layers, from 0, whose weights are to stay: those with requires_grad=False.

        Raises
        ------
        ValueError
            If all layers are, or a part of one.
        """
        flags = [{tensor.requires_grad for tensor in tensors_of(layer)} for layer in self.linear]
        for number, (layer, flag) in enumerate(zip(self.linear, flags, strict=True), 1):
            if len(flag) > 1:
                raise ValueError(
                    f"module has requires_grad={layer.weight.requires_grad} for the weight and "
                    f"{tensors_of(layer)[-1].requires_grad} for the bias of its {type(layer).__name__} number "
                    f"{number}: freeze a layer as a whole, layer.requires_grad_(False), or not at all."
                )
        if not any(map(any, flags)):
            raise ValueError(
                "module has nothing to train: all layers have requires_grad=False. Free some, "
                "module.requires_grad_(True)."
            )
        return frozenset(number for number, flag in enumerate(flags) if not any(flag))

    @property
    def has_images(self) -> bool:
        """Whether there have been convolutions."""
        return any(isinstance(layer, CONVOLUTIONS) for layer in self.linear)

    @property
    def ndim(self) -> int | None:
        """Axes of a sample besides the channels; None of rows of numbers."""
        return next((each.ndim for each in self.hidden if hasattr(each, "ndim")), None)

    def network(self, input_shape: tuple[int, ...] | None = None) -> Network:
        """Network with copies of the weights, on the CPU; with layers of images, for samples of such a shape."""
        images = takes_images(self.hidden)
        intercept = self.linear[0].bias is not None
        weights = [weight_of(layer).cpu() for layer in self.linear]
        inputs = None if self.inputs is None else self.inputs.scaling()
        names = self.activations[0] if len(set(self.activations)) == 1 else self.activations or "relu"
        found = Network(
            weights, activations_named(names, len(weights) - 1), intercept, inputs=inputs,
            hidden=self.layers if images else (), input_shape=input_shape if images else None,
        )  # fmt: skip
        for layer, mine in zip(self.linear, found.layers, strict=True):
            if mine.n_in != weight_of(layer).shape[0] - intercept:
                raise ValueError(
                    f"module has a {layer} on {mine.n_in} inputs a unit, for samples of {input_shape}: change the "
                    "layer, or input_shape."
                )
        return found


def tensors_of(layer: Weighted) -> list[Tensor]:
    """Weight and, if there is one, bias."""
    return [layer.weight] if layer.bias is None else [layer.weight, layer.bias]


def weight_of(layer: Weighted) -> Tensor:
    """W of shape (n + 1, k) with the bias in the last row, or (n, k): a copy."""
    W = layer.weight.detach().flatten(1).T
    return torch.cat([W] if layer.bias is None else [W, layer.bias.detach()[None]]).contiguous()


def layers_of(module: nn.Module) -> Layers:
    """Take a Sequential apart.

    Raises
    ------
    TypeError
        If it is no ``nn.Sequential``.
    ValueError
        If it has a layer that we do not know or cannot train, which is named.
    """
    check_is_sequential(module)
    assert isinstance(module, nn.Sequential)
    check_forward(module)
    found, reader = Layers(), _Reader()
    for name, layer in _flat(module):
        at = f"module[{name}], a {type(layer).__name__},"
        if type(layer) is modules.Residual:
            reader.read_residual(layer, found, at)
        else:
            reader.read(layer, found, at)
    if reader.activation == "logistic":
        found.head = Probabilities("sigmoid")
    elif found.linear and (reader.activation is not None or reader.pending):
        raise ValueError("module must end with a Linear, or with Softmax, LogSoftmax or Sigmoid behind it.")
    _check_weights(found)
    return found


class _Reader:
    """What stands between the last layer with weights and the next one."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.activation: str | None = None
        self.pending = 0.0  # dropout
        self.between: list[Spec] = []

    def read(self, layer: nn.Module, found: Layers, at: str) -> None:
        """Note one more module."""
        first = not found.linear
        if found.head is not None:
            raise ValueError(f"{at} comes after the probabilities, which must be the last.")
        if type(layer) in (nn.Linear, *CONVOLUTIONS):
            self._close(layer, found)  # type: ignore[arg-type]
        elif type(layer) in NAMES and not first and self._may_be_activated:
            self.activation = _activation(layer, at)
        elif type(layer) in POOLINGS:
            self.between.append(spec_of_pooling(layer, at))
        elif type(layer) in DROPOUTS and not self.pending:
            self.pending = float(layer.p)  # type: ignore[arg-type]
        elif type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1):
            found.flatten = found.flatten or (first and not self.between)  # behind a Linear it changes nothing
            self.between += [Flatten()] if self.between or found.has_images else []
        elif type(layer) is nn.Unflatten and first and layer.dim == 1 and min(layer.unflattened_size) > 0:
            found.input_shape = tuple(map(int, layer.unflattened_size))
        elif (
            isinstance(layer, (Standardize, PiecewiseLinearEncoding))
            and first
            and found.inputs is None
            and not self.pending
        ):
            found.inputs = layer
        elif isinstance(layer, (nn.Softmax, nn.LogSoftmax)) and not first and layer.dim in (1, -1, None):
            found.head = Probabilities("softmax")
        elif isinstance(layer, Probabilities):
            found.head = layer
        elif type(layer) is not nn.Identity:
            known = ", ".join(each.__name__ for each in KNOWN)
            raise ValueError(
                f"{at} cannot be taken over there: a module is made of {known}, with one activation between two "
                "layers with weights, Dropout and pooling behind it, Flatten in front of a Linear, and Softmax(dim=1) "
                "or Sigmoid at the end."
            )

    def read_residual(self, module: modules.Residual, found: Layers, at: str) -> None:
        """Note convolutions with activations between them, whose inputs are added to their outputs."""
        inner = [layer for _, layer in _flat(module.body)]
        kinds = (*CONVOLUTIONS, nn.Identity, *NAMES)
        ends = inner and all(isinstance(each, CONVOLUTIONS) for each in (inner[0], inner[-1]))
        if not ends or not all(type(each) in kinds for each in inner) or not found.linear:
            raise ValueError(
                f"{at} must come behind a layer with weights, begin and end with a convolution, and have nothing but "
                "activations between: put pooling, Dropout and the last activation outside."
            )
        start = len(found.linear)
        for layer in inner:
            self.read(layer, found, at)
        found.residuals.append(slice(start, len(found.linear)))

    @property
    def _may_be_activated(self) -> bool:
        """Behind max-pooling and flattening activations make no difference, behind means they would."""
        linear = all(type(each) in (MaxPool1d, MaxPool2d, Flatten) for each in self.between)
        return self.activation is None and not self.pending and linear

    def _close(self, layer: Weighted, found: Layers) -> None:
        if found.linear:
            found.activations.append(self.activation or "identity")
            found.hidden.append(spec_of_weights(found.linear[-1]))
        found.hidden += self.between
        found.linear.append(layer)
        found.dropout.append(self.pending)
        self._begin()


def spec_of_weights(layer: Weighted) -> int | Spec:
    """What a layer is in `hidden_layer_sizes`."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    if layer.groups != 1 or layer.padding_mode != "zeros":
        raise ValueError(f"module has a {layer}: convolutions must have groups=1 and padding_mode='zeros'.")
    cls = Conv1d if isinstance(layer, nn.Conv1d) else Conv2d
    padding: Any = 0 if layer.padding == "valid" else layer.padding
    return cls(layer.out_channels, layer.kernel_size, layer.stride, padding, layer.dilation)


def spec_of_pooling(layer: Any, at: str) -> Spec:
    """What pooling is in `hidden_layer_sizes`."""
    if isinstance(layer, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)):
        if layer.output_size not in (1, (1,), (1, 1)):
            raise ValueError(f"{at} must have output_size=1, the mean of a channel; got {layer.output_size}.")
        return GlobalAvgPool()
    plain = {"dilation": 1, "ceil_mode": False, "count_include_pad": True, "divisor_override": None,
             "return_indices": False}  # fmt: skip
    for name, value in plain.items():
        given = getattr(layer, name, value)
        if given not in (value, (value,), (value, value)):
            raise ValueError(f"{at} must have {name}={value}; got {given}.")
    return SPECS[type(layer).__name__](layer.kernel_size, layer.stride, layer.padding)  # type: ignore[call-arg]


def _flat(module: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, layer in module._modules.items():  # named_children leaves out what is there twice
        if isinstance(layer, nn.Sequential):
            yield from _flat(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer


def _activation(layer: nn.Module, at: str) -> str:
    if isinstance(layer, nn.LeakyReLU) and layer.negative_slope != LEAKY_SLOPE:
        raise ValueError(f"{at} must have negative_slope={LEAKY_SLOPE}; got {layer.negative_slope}.")
    if isinstance(layer, nn.Softplus) and (layer.beta, layer.threshold) != (1, 20):
        raise ValueError(f"{at} must have beta=1 and threshold=20; got {layer.beta} and {layer.threshold}.")
    return NAMES[type(layer)]


def _check_weights(found: Layers) -> None:
    if not found.linear:
        raise ValueError("module has no Linear layer.")
    if not isinstance(found.linear[-1], nn.Linear):
        raise ValueError(f"module must end with a Linear; its last layer with weights is a {found.linear[-1]}.")

    if len(set(map(id, found.linear))) < len(found.linear):
        raise ValueError("module has a Linear layer twice, or a convolution; shared weights cannot be trained.")
    if len({layer.bias is None for layer in found.linear}) > 1:
        raise ValueError("module must have biases in all of its layers, or in none.")
    tensors = found.tensors
    dtypes = {tensor.dtype for tensor in tensors}
    if dtypes not in ({torch.float32}, {torch.float64}):
        names = ", ".join(sorted(map(str, dtypes)))
        raise ValueError(f"module must be float32 or float64 throughout; it has {names}: use module.float().")
    if len({tensor.device for tensor in tensors}) > 1:
        raise ValueError("module must be on one device; use module.to(device).")
    if share_memory(tensors):
        raise ValueError(
            "module has weights that share memory, as tied or expanded ones do: they cannot be trained one by one. "
            "Give each layer weights of its own, layer.weight = nn.Parameter(layer.weight.detach().clone())."
        )
    if not all(map(all_finite, tensors)):
        raise ValueError("module has weights that are not finite.")
    for below, above in zip(found.linear, found.linear[1:], strict=False):
        if isinstance(below, nn.Linear) and isinstance(above, nn.Linear) and above.in_features != below.out_features:
            raise ValueError(
                f"module has a Linear of {above.in_features} inputs on one of {below.out_features} outputs."
            )
