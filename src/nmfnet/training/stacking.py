"""Weighted sums of networks, by the weights of the least loss on held-out rows (stacking, Wolpert, 1992)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from nmfnet.network import Network
from nmfnet.network.calibration import output_rms
from nmfnet.network.merging import merged
from nmfnet.network.outputs import Output
from nmfnet.training.scoring import Predicted

MOST_STACKED = 4  # networks with a weight; measured: three are a little worse, five no better
FEWEST_UNITS = 32  # of a hidden layer that is divided, and of each of more than two networks


def most_stacked(hidden: Sequence[int]) -> int:
    """Networks that the units of the narrowest hidden layer are enough for."""
    each = (max(2, width // FEWEST_UNITS) if width >= FEWEST_UNITS else 1 for width in hidden)
    return min([MOST_STACKED, *each])


def stacking_weights(
    output: Output, A: Tensor, Y: Tensor, weight: Tensor | None = None, most: int = MOST_STACKED
) -> Tensor:
    """Nonnegative weights of the least loss, at most so many of them positive.

    As for a temperature, a row is added that nothing is known of.

    Parameters
    ----------
    output : Output
    A : Tensor of shape (C, n, k)
        Outputs of C networks for rows that they have not seen; of classes, in their root mean square.
    Y : Tensor of shape (n, k)
        Targets.
    weight : Tensor of shape (n,), optional
        Of mean 1.
    most : int, default=MOST_STACKED

    Returns
    -------
    Tensor of shape (C,)
        The weighted sum of the outputs is of temperature 1.
    """
    A, Y = A.double(), Y.double()
    if output.has_classes:
        unknown = 1 / Y.shape[1] if output.name == "softmax" else 0.5
        Y = (Y + unknown / len(Y)) / (1 + 1 / len(Y))
    w = A.new_ones(len(Y)) if weight is None else weight.double()
    found = _least_loss(output, A, Y, w)
    size = found * A.square().mean((1, 2)).sqrt()
    best = size.topk(min(most, len(A))).indices
    found = torch.zeros_like(found)
    found[best] = _least_loss(output, A[best], Y, w)
    return found


def _least_loss(output: Output, A: Tensor, Y: Tensor, w: Tensor) -> Tensor:
    output = replace(output, temperature=1.0) if output.has_classes else output
    factor = {"softmax": 1.0, "sigmoid": 1 / Y.shape[1], "identity": 2 / Y.shape[1]}[output.name]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        outputs = torch.einsum("c,cnk->nk", torch.from_numpy(weights).to(A.device), A)
        residual = (output(outputs) - Y) * w[:, None]
        slopes = torch.einsum("cnk,nk->c", A, residual) * factor / len(Y)
        return float(output.prediction_loss(outputs, Y) @ w / len(Y)), slopes.cpu().numpy()

    start = np.full(len(A), 1 / len(A))
    return torch.from_numpy(minimize(loss, start, jac=True, bounds=[(0, None)] * len(A)).x).to(A.device)


def stacked(network: Network, members: Sequence[Tensor], share: float, training: Predicted) -> Network:
    """One network with the sum of a share of the outputs of this one, and of those of the members.

    Parameters
    ----------
    network : Network
    members : sequence of Tensor of shape (M, n_{l-1} + 1, n_l)
        Weights of each layer.
    share : float
        Of the network's outputs for classes, in their root mean square in training.
    training : Predicted
        Of the network, for rows that it was trained on.
    """
    unit = output_rms(network.output, training.outputs, training.weight) if network.output.has_classes else 1.0
    factor = share / unit if unit > 0 else 0.0
    each = [network.with_weights([*network.weights[:-1], network.weights[-1] * factor])]
    each += [replace(network, weights=list(W), hidden=(), layers=()) for W in zip(*members, strict=True)]
    mean = merged(each)
    weights = [*mean.weights[:-1], mean.weights[-1] * len(each)]
    output = replace(network.output, temperature=1.0) if network.output.has_classes else network.output
    return replace(mean, weights=weights, output=output)
