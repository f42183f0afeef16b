"""From a network to an ``nn.Sequential``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from nmfnet.data.missing import MissingValues
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.scaling import Scaling
from nmfnet.export import modules as modules_of
from nmfnet.export.modules import FillMissing, PiecewiseLinearEncoding, Probabilities, Standardize
from nmfnet.layers import Conv1d, Conv2d, Flatten, GlobalAvgPool, Residual, Spec
from nmfnet.layers.activations import LEAKY_SLOPE
from nmfnet.network import Network

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}


def to_sequential(network: Network, head: Probabilities | None, missing: MissingValues | None = None) -> nn.Sequential:
    """Modules that compute what the network predicts: missing values filled, scaling, layers, probabilities.

    They are copies, in evaluation mode.
    """
    modules: list[nn.Module] = []
    if missing is not None:
        modules.append(FillMissing(missing.fill.clone(), missing.indicated.clone()))
    if network.inputs is not None:
        scaling = _scaling(network.inputs)
        modules += [scaling] if network.input_shape is None else [nn.Flatten(), scaling]
    if network.input_shape is not None:  # which rows of numbers have as well, after they are flattened
        modules += [*([] if modules else [nn.Flatten()]), nn.Unflatten(1, network.input_shape)]
    weights, activations = iter(_weights(network)), iter(network.activations)
    is_image = network.input_shape is not None
    for spec in network.hidden:
        if isinstance(spec, (int, Flatten)):
            modules += [nn.Flatten()] if is_image else []
            is_image = False
        if isinstance(spec, (int, Conv1d, Conv2d)):
            modules += [_filled(spec, *next(weights)), ACTIVATIONS[next(activations).name]()]
        elif isinstance(spec, Residual):
            inner = [(_filled(each, *next(weights)), ACTIVATIONS[next(activations).name]()) for each in spec.layers]
            *body, last = [module for pair in inner for module in pair]
            modules += [modules_of.Residual(*body), last]
        elif not isinstance(spec, Flatten):
            modules.append(_pooling(spec, len(network.input_shape or ()) - 1))
    modules += [nn.Flatten()] if is_image else []
    W, b = next(weights)
    modules.append(_filled(W.shape[1], W, b))
    return nn.Sequential(*modules, *([] if head is None else [head])).eval()


def _scaling(inputs: Scaling) -> nn.Module:
    """What happens to inputs, as a module with copies."""
    found = inputs.changed(Tensor.clone)
    if isinstance(found, PiecewiseLinear):
        return PiecewiseLinearEncoding(found.column, found.shift, found.factor, found.low, found.high)
    return Standardize(found.shift, found.factor)


def _weights(network: Network) -> list[tuple[Tensor, Tensor | None]]:
    """Weights and biases of every layer, with the scaling of the targets in the last."""
    pairs: list[tuple[Tensor, Tensor | None]] = [
        (W[:-1], W[-1]) if network.intercept else (W, None) for W in network.weights
    ]
    if network.targets is not None:
        last, bias = replace(network, inputs=None).folded()[-1]  # which changes no more than the last digit
        pairs[-1] = (last, bias if network.intercept or bool(bias.any()) else None)
    return pairs


def _filled(spec: int | Spec, W: Tensor, b: Tensor | None) -> nn.Module:
    """A Linear or a convolution with copies of such weights (n, k) and biases (k,)."""
    settings: dict[str, Any] = {"bias": b is not None, "dtype": W.dtype, "device": "meta"}
    if isinstance(spec, (Conv1d, Conv2d)):
        options = {name: getattr(spec, name) for name in ("stride", "padding", "dilation")}
        channels = len(W) // (spec.window.kernel[0] * spec.window.kernel[1])
        module: Any = getattr(nn, type(spec).__name__)(
            channels, spec.channels, spec.kernel_size, **options, **settings
        )
    else:
        module = nn.Linear(W.shape[0], W.shape[1], **settings)
    module = module.to_empty(device=W.device)
    with torch.no_grad():
        module.weight.copy_(W.T.reshape(module.weight.shape))
        if b is not None:
            module.bias.copy_(b)
    return module


def _pooling(spec: Spec, ndim: int) -> nn.Module:
    """The module of the same name."""
    if isinstance(spec, GlobalAvgPool):
        return nn.AdaptiveAvgPool2d(1) if ndim == 2 else nn.AdaptiveAvgPool1d(1)
    return getattr(nn, type(spec).__name__)(**{field.name: getattr(spec, field.name) for field in fields(spec)})
