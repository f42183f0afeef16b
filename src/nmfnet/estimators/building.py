"""From the parameters and the data to a network: a new one, or the fitted one that goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nmfnet.activations import Activation, activations_named
from nmfnet.network import Network, he_weights
from nmfnet.outputs import Output
from nmfnet.scaling import target_scaling
from nmfnet.training import Solver

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet


def new_network(
    estimator: BaseNMFNet,
    solver: Solver,
    hidden: list[int],
    X: Tensor,
    Y: Tensor,
    sample_weight: Tensor | None,
    generator: torch.Generator,
    partial: bool = False,
) -> Network:
    """A network with random weights, on the device of X.

    Pre-training is of the data as they are, so that there the inputs are not scaled.
    """
    kind, intercept = estimator._kind(), bool(estimator.fit_intercept)
    inputs = solver.scaling(X, kind, intercept, partial, sample_weight) if estimator.pretrain is None else None
    output = solver.output(kind)
    relaxed = solver.keeps_state
    targets = target_scaling(Y, intercept, sample_weight) if relaxed and output.name == "identity" else None
    sizes = [X.shape[1] if inputs is None else inputs.n_out, *hidden, Y.shape[1]]
    # Small outputs at the start: relative steps then find their scale.
    weights = he_weights(sizes, intercept, generator, X.dtype, last=0.1 if relaxed else 1.0)
    weights = [W.to(X.device) for W in weights]
    return Network(weights, activations_named(estimator.activation, len(hidden)), intercept, output, inputs, targets)


def fitted_network(
    estimator: BaseNMFNet, solver: Solver, hidden: list[int], X: Tensor, Y: Tensor, fitting: bool = True
) -> Network:
    """The fitted network, on the device of X, if it is the one that the parameters ask for."""
    network, sizes = estimator.network_, [X.shape[1], *hidden, Y.shape[1]]
    f, output = activations_named(estimator.activation, len(hidden)), solver.output(estimator._kind())
    names = f.name if isinstance(f, Activation) else [each.name for each in f]
    there = _described(network.sizes, network.activation_names, network.output, network.intercept)
    asked = _described(sizes, names, output, bool(estimator.fit_intercept))
    if there != asked:
        how = "warm_start=True" if fitting else "partial_fit"
        raise ValueError(
            f"{how} goes on with a network of {there}; the call asks for {asked}. "
            "Set the parameters and pass the data of the first call, or start anew with warm_start=False and fit."
        )
    return network.with_weights(network.weights).on(X.device)


def _described(sizes: list[int], f: str | list[str], output: Output, intercept: bool) -> str:
    bias = "a" if intercept else "no"
    return f"{'-'.join(map(str, sizes))} units, {f} and {output.name}, {bias} bias"
