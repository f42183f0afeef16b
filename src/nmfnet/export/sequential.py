"""Between a network and an ``nn.Sequential`` of Linear, activations, Dropout, Flatten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from nmfnet.data.missing import MissingValues
from nmfnet.data.scaling import Scaling
from nmfnet.export.conventions import check_forward, check_is_sequential, share_memory
from nmfnet.export.modules import FillMissing, Probabilities, Standardize
from nmfnet.layers.activations import LEAKY_SLOPE, activations_named
from nmfnet.linalg import all_finite
from nmfnet.network import Network

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}
NAMES = {nn.ReLU: "relu", nn.LeakyReLU: "leaky_relu", nn.Sigmoid: "logistic", nn.Tanh: "tanh", nn.Softplus: "softplus"}
KNOWN = (nn.Linear, nn.Dropout, nn.Flatten, nn.Identity, *NAMES)


def to_sequential(network: Network, head: Probabilities | None, missing: MissingValues | None = None) -> nn.Sequential:
    """Modules that compute what the network predicts: missing values filled, scaling, layers, probabilities.

    They are copies, in evaluation mode.
    """
    layers: list[nn.Module] = []
    if missing is not None:
        layers.append(FillMissing(missing.fill.clone(), missing.indicated.clone()))
    if network.inputs is not None:
        layers.append(Standardize(network.inputs.shift.clone(), network.inputs.factor.clone()))
    pairs: list[tuple[Tensor, Tensor | None]] = [
        (W[:-1], W[-1]) if network.intercept else (W, None) for W in network.weights
    ]
    if network.targets is not None:
        last, bias = replace(network, inputs=None).folded()[-1]  # which changes no more than the last digit
        pairs[-1] = (last, bias if network.intercept or bool(bias.any()) else None)
    for number, (W, b) in enumerate(pairs):
        if number:
            layers.append(ACTIVATIONS[network.activations[number - 1].name]())
        layers.append(_linear(W, b))
    return nn.Sequential(*layers, *([] if head is None else [head])).eval()


def _linear(W: Tensor, b: Tensor | None) -> nn.Linear:
    layer = nn.Linear(W.shape[0], W.shape[1], bias=b is not None, dtype=W.dtype, device="meta").to_empty(
        device=W.device
    )
    with torch.no_grad():
        layer.weight.copy_(W.T)
        if b is not None:
            layer.bias.copy_(b)
    return layer


@dataclass
class Layers:
    """What a Sequential is made of.

    Attributes
    ----------
    linear : list of nn.Linear
    activations : list of str
        Of the hidden layers.
    dropout : list of float
        Probabilities of dropout of the input of each Linear; 0 where there is none.
    flatten : bool
        Whether inputs are flattened first.
    inputs : Standardize or None
        Of the inputs, before the first Linear.
    head : Probabilities or None
        After the last Linear.
    """

    linear: list[nn.Linear] = field(default_factory=list)
    activations: list[str] = field(default_factory=list)
    dropout: list[float] = field(default_factory=list)
    flatten: bool = False
    inputs: Standardize | None = None
    head: Probabilities | None = None

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
                    f"{layer.bias.requires_grad} for the bias of its Linear number {number}: freeze a layer as a "
                    "whole, layer.requires_grad_(False), or not at all."
                )
        if not any(map(any, flags)):
            raise ValueError(
                "module has nothing to train: all layers have requires_grad=False. Free some, "
                "module.requires_grad_(True)."
            )
        return frozenset(number for number, flag in enumerate(flags) if not any(flag))

    def network(self) -> Network:
        """Network with copies of the weights, on the CPU."""
        intercept = self.linear[0].bias is not None
        weights = [weight_of(layer).cpu() for layer in self.linear]
        inputs = None
        if self.inputs is not None:
            inputs = Scaling(self.inputs.shift.detach().cpu().clone(), self.inputs.factor.detach().cpu().clone())
        names = self.activations[0] if len(set(self.activations)) == 1 else self.activations or "relu"
        return Network(weights, activations_named(names, len(weights) - 1), intercept, inputs=inputs)


def tensors_of(layer: nn.Linear) -> list[Tensor]:
    """Weight and, if there is one, bias."""
    return [layer.weight] if layer.bias is None else [layer.weight, layer.bias]


def weight_of(layer: nn.Linear) -> Tensor:
    """W of shape (n + 1, k) with the bias in the last row, or (n, k): a copy."""
    rows = [layer.weight.detach().T] if layer.bias is None else [layer.weight.detach().T, layer.bias.detach()[None]]
    return torch.cat(rows).contiguous()


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
    found, activation, pending = Layers(), None, 0.0
    for name, layer in _flat(module):
        first, at = not found.linear, f"module[{name}], a {type(layer).__name__},"
        if found.head is not None:
            raise ValueError(f"{at} comes after the probabilities, which must be the last.")
        if type(layer) is nn.Linear:
            if not first:
                found.activations.append(activation or "identity")
            found.linear.append(layer)
            found.dropout.append(pending)
            activation, pending = None, 0.0
        elif type(layer) in NAMES and not first and activation is None and not pending:
            activation = _activation(layer, at)
        elif type(layer) is nn.Dropout and not pending:
            pending = float(layer.p)
        elif type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1):
            found.flatten = found.flatten or first  # behind a Linear it changes nothing
        elif isinstance(layer, Standardize) and first and found.inputs is None and not pending:
            found.inputs = layer
        elif isinstance(layer, (nn.Softmax, nn.LogSoftmax)) and not first and layer.dim in (1, -1, None):
            found.head = Probabilities("softmax")
        elif isinstance(layer, Probabilities):
            found.head = layer
        elif type(layer) is not nn.Identity:
            known = ", ".join(each.__name__ for each in KNOWN)
            raise ValueError(
                f"{at} cannot be taken over there: a module is made of {known}, with one activation between two "
                "Linear layers, Dropout behind it, Flatten in front, and Softmax(dim=1) or Sigmoid at the end."
            )
    if activation == "logistic":
        found.head = Probabilities("sigmoid")
    elif activation is not None or pending:
        raise ValueError("module must end with a Linear, or with Softmax, LogSoftmax or Sigmoid behind it.")
    _check_weights(found)
    return found


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
    if len(set(map(id, found.linear))) < len(found.linear):
        raise ValueError("module has a Linear layer twice; shared weights cannot be trained.")
    if len({layer.bias is None for layer in found.linear}) > 1:
        raise ValueError("module must have biases in all of its Linear layers, or in none.")
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
        if above.in_features != below.out_features:
            raise ValueError(
                f"module has a Linear of {above.in_features} inputs on one of {below.out_features} outputs."
            )
