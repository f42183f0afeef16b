"""The network: its weights, its forward pass, its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nmfnet.activations import Activation
from nmfnet.factorization import penalty
from nmfnet.linalg import affine


@dataclass
class Network:
    """A fully-connected network with a linear output layer.

    Attributes
    ----------
    weights : list of Tensor
        W[l] of shape (n_{l-1} + 1, n_l) with the bias in the last row, or (n_{l-1}, n_l) without.
    activation : Activation
        Of the hidden layers.
    intercept : bool
        Whether layers have a bias.
    """

    weights: list[Tensor]
    activation: Activation
    intercept: bool = True

    @property
    def sizes(self) -> list[int]:
        """Widths n_0, ..., n_L."""
        return [len(self.weights[0]) - self.intercept, *(W.shape[1] for W in self.weights)]

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.weights[0].dtype

    def forward(self, X: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Forward pass.

        Returns
        -------
        Z : list of Tensor
            The inputs of every layer: X, Z[1], ..., Z[L-1].
        A : list of Tensor
            The pre-activations A[1], ..., A[L] of every layer; the last are the network's outputs.
        """
        Z, A = [X], []
        for W in self.weights[:-1]:
            A.append(affine(Z[-1], W, self.intercept))
            Z.append(self.activation(A[-1]))
        A.append(affine(Z[-1], self.weights[-1], self.intercept))
        return Z, A

    def predict(self, X: Tensor, rows: int = 8192) -> Tensor:
        """Outputs (m, n_L) for inputs (m, n_0), computed `rows` rows at a time."""
        outputs = []
        for Z in X.split(rows):
            Z = Z.to(self.weights[0].device)
            for W in self.weights[:-1]:
                Z = self.activation(affine(Z, W, self.intercept))
            outputs.append(affine(Z, self.weights[-1], self.intercept))
        return torch.cat(outputs)

    def is_finite(self) -> bool:
        """Whether every weight is finite."""
        return all(bool(W.isfinite().all()) for W in self.weights)

    def penalty(self, alpha: float, l1_ratio: float) -> float:
        """``alpha ((1 - l1_ratio) ||W||^2 / 2 + l1_ratio ||W||_1)`` over all layers."""
        return sum(float(penalty(W, alpha, l1_ratio, self.intercept)) for W in self.weights) if alpha else 0.0

    def on(self, device: torch.device | str) -> Network:
        """Return a network with these weights on a device."""
        return Network([W.to(device) for W in self.weights], self.activation, self.intercept)


def he_weights(sizes: Sequence[int], intercept: bool, generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
    """Random weights of variance 2 / n_{l-1} (He et al., 2015), biases zero.

    Parameters
    ----------
    sizes : sequence of int
        Widths n_0, ..., n_L.
    intercept : bool
        Whether to append a bias row.
    generator : torch.Generator
        On the CPU, so that a seed means the same on every device.
    dtype : torch.dtype

    Returns
    -------
    list of Tensor
    """
    weights = []
    for rows, columns in pairwise(sizes):
        W = torch.zeros(rows + intercept, columns, dtype=dtype)
        W[:rows] = torch.randn(rows, columns, generator=generator, dtype=dtype) * (2 / rows) ** 0.5
        weights.append(W)
    return weights
