"""What a layer is to the network and to the solvers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from nmfnet.linalg.blocks import Blocks
from nmfnet.linalg.draws import normal
from nmfnet.linalg.patches import Patches
from nmfnet.linalg.sparse import SparseRows


class Linearization(Protocol):
    """A layer at given inputs Z: the least-squares problem for its weights, and how differences go down to Z."""

    @property
    def rows(self) -> Tensor | SparseRows | Patches:
        """Rows (r, n_in) of the least-squares problem ``rows D ~ columns(E)`` for a step D on the weights."""

    @property
    def inputs(self) -> Any:
        """Inputs of the layer, after any pooling in front of it: what a skip connection adds to a later layer."""

    def columns(self, E: Tensor) -> Tensor | Blocks:
        """The difference E of targets and outputs, arranged as :attr:`rows`: (m, ..., n_out), r entries a column.

        A large one may be made block by block.
        """

    def carry(self, E: Any, W: Tensor, onto: Tensor | None = None, skip: Tensor | None = None) -> Tensor:
        """Carry a difference down to the inputs: ``E Wt``, of the shape of Z.

        Parameters
        ----------
        E : Tensor or Blocks
            From :meth:`columns`.
        W : Tensor of shape (n_in, n_out), or (n_in + 1, n_out) with biases
        onto : Tensor, optional
            The result is added to it, in place.
        skip : Tensor, optional
            Difference that a skip connection adds at :attr:`inputs`.
        """

    def moved(self, rows: Tensor) -> Tensor:
        """Change of the inputs, of the shape of Z, that changes its :attr:`rows` by about `rows` (r, n_in)."""


class Layer(Protocol):
    """A linear map from inputs Z to pre-activations A, and the least-squares problem that its weights solve.

    A layer holds no weights; they are passed to its methods.  So the same layer serves the working weights, their
    average and those of a file.  Weights are a matrix W with a column for each output unit and a row for each input of
    a unit.  Biases are in the last row.

    Inputs of the first layer, and of fully-connected layers, are matrices (m, n).  Images between layers have the
    shape (m, h, w, c), so that a position is a row and a channel a column.

    A new kind of layer is a class like :class:`nmfnet.layers.Dense` in a file of its own.
    """

    @property
    def n_in(self) -> int:
        """Number of inputs of a unit, without the bias."""

    @property
    def n_out(self) -> int:
        """Number of output units with weights of their own; for a convolution, its channels."""

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the outputs of a sample: (n_out,) or (h, w, n_out)."""

    @property
    def most_numbers(self) -> int:
        """Largest count of numbers that a forward pass makes of a sample; before pooling there are more."""

    @property
    def bias(self) -> bool:
        """Whether the last row of W holds biases."""

    @property
    def skip(self) -> int:
        """Number of layers that a skip connection to this one bridges, this one included; 0: there is none."""

    @property
    def shares_weights(self) -> bool:
        """Whether the same weights are used at many positions."""

    @property
    def positions(self) -> int:
        """Rows that a sample has in the least-squares problem: the positions that share weights, else 1."""

    def mask_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of a sample's dropout mask, for inputs of a shape: the same, or (1, 1, c) to mask whole channels."""

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Random weights to start from, drawn on the CPU."""

    def forward(self, Z: Any, W: Tensor) -> Tensor:
        """Pre-activations A (m, ...) of inputs Z (m, ...); a fully-connected layer also takes `SparseRows`."""

    def linearize(self, Z: Any, W: Tensor, skipped: Tensor | None = None) -> tuple[Tensor, Linearization]:
        """Pre-activations, and the layer at these inputs; `skipped` are inputs that a skip connection adds."""


def skipped_inputs(layer: Layer, at: Sequence[Linearization | None]) -> Tensor | None:
    """What a skip connection of the next layer adds, from the layers below; None of one that adds its own inputs."""
    if layer.skip < 2:
        return None
    first = at[1 - layer.skip]
    assert first is not None
    return first.inputs


def kernel(W: Tensor, bias: bool) -> Tensor:
    """Weights without the row of biases."""
    return W[:-1] if bias else W


def he_weights(n_in: int, n_out: int, bias: bool, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Random weights of variance 2 / n_in (He et al., 2015), biases zero."""
    W = torch.zeros(n_in + bias, n_out, dtype=dtype)
    W[:n_in] = normal(n_in, n_out, W, generator).mul_((2 / n_in) ** 0.5)
    return W
