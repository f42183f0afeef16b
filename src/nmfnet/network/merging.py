"""Several networks as one: their outputs averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nmfnet.network.network import Network


def merged(networks: Sequence[Network]) -> Network:
    """One network whose outputs are the mean of those of M networks of fully-connected layers.

    The members' hidden layers stand side by side, and none reads another's.  So whatever can be done with a network
    can be done with several.

    Parameters
    ----------
    networks : sequence of Network
        With as many layers, and the same scalings and functions.

    Returns
    -------
    Network
        With the first one's scalings and functions.
    """
    first = networks[0]
    if len(networks) == 1:
        return first
    last = len(first.weights) - 1
    weights = [
        _side_by_side([network.weights[layer] for network in networks], layer == 0, layer == last, first.intercept)
        for layer in range(last + 1)
    ]
    return replace(first, weights=weights, hidden=[W.shape[1] for W in weights[:-1]], layers=())


def _side_by_side(members: list[Tensor], shared_inputs: bool, shared_outputs: bool, intercept: bool) -> Tensor:
    """Weights of a layer: inputs are those of all, or each member's own, and outputs are averaged, or its own."""
    if shared_outputs and shared_inputs:
        return torch.stack(members).mean(0)
    if shared_inputs:
        return torch.cat(members, 1)
    kernels = [W[:-1] if intercept else W for W in members]
    if shared_outputs:
        rows = [torch.cat(kernels) / len(members)]
        biases = torch.stack([W[-1] for W in members]).mean(0)
    else:
        rows = [torch.block_diag(*kernels)]
        biases = torch.cat([W[-1] for W in members])
    return torch.cat([*rows, biases[None]]) if intercept else rows[0]
