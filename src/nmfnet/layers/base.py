"""What a layer is to the network and to the solvers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from nmfnet.linalg.sparse import SparseRows


class Layer(Protocol):
    """A linear map from inputs Z to pre-activations A, and the least-squares problem that its weights solve.

    A layer holds no weights: they are passed, so that the same layer serves the working weights, their average and
    those of a file.  Weights are a matrix W with a column for each output unit and a row for each input of a unit,
    with the biases in the last row where there are any.

    A new kind of layer is a class like :class:`nmfnet.layers.Dense` in a file of its own.  Exports and model files
    tell layers apart by their type.
    """

    @property
    def n_in(self) -> int:
        """Inputs of a unit, the bias not among them."""

    @property
    def n_out(self) -> int:
        """Output units."""

    @property
    def bias(self) -> bool:
        """Whether the last row of W are the biases."""

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Weights to start from, drawn on the CPU."""

    def forward(self, Z: Tensor | SparseRows, W: Tensor) -> Tensor:
        """Pre-activations A of inputs Z (m, ...)."""

    def rows(self, Z: Tensor | SparseRows) -> Tensor | SparseRows:
        """Rows (r, n_in) of the least-squares problem ``rows(Z) D ~ columns(E)`` of a step D on the weights."""

    def columns(self, E: Tensor) -> Tensor:
        """A difference E of targets and outputs, (m, ...), by the same rows: (r, n_out)."""

    def carry(self, E: Tensor, W: Tensor, onto: Tensor | None = None) -> Tensor:
        """Carry a difference of targets E down to the inputs: ``E Wt``, shaped like Z; added to `onto`, in place."""


def kernel(W: Tensor, bias: bool) -> Tensor:
    """Weights without the row of biases."""
    return W[:-1] if bias else W


def biases(W: Tensor, bias: bool) -> Tensor:
    """The row of biases (k,); zeros where there is none."""
    return W[-1] if bias else W.new_zeros(W.shape[1])
