"""What a layer is to the network and to the solvers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from nmfnet.linalg.draws import normal
from nmfnet.linalg.patches import Patches
from nmfnet.linalg.sparse import SparseRows


class Linearization(Protocol):
    """A layer at its inputs Z: the least-squares problem that its weights solve, and the way down to Z."""

    @property
    def rows(self) -> Tensor | SparseRows | Patches:
        """Rows (r, n_in) of the least-squares problem ``rows D ~ columns(E)`` of a step D on the weights."""

    @property
    def inputs(self) -> Any:
        """What the rows are made of, behind the maps in front of the layer: what a skip connection adds elsewhere."""

    def columns(self, E: Tensor) -> Tensor:
        """A difference E of targets and outputs by the same rows: of shape (m, ..., n_out) with r entries a column."""

    def carry(self, E: Tensor, W: Tensor, onto: Tensor | None = None, skip: Tensor | None = None) -> Tensor:
        """Carry :meth:`columns` of a difference down to the inputs: ``E Wt``, shaped like Z; added to `onto`.

        `skip` is the difference that a skip connection carries to :attr:`inputs`.
        """

    def moved(self, rows: Tensor) -> Tensor:
        """Difference of inputs, shaped like Z, by which its own rows come near to these (r, n_in)."""


class Layer(Protocol):
    """A linear map from inputs Z to pre-activations A, and the least-squares problem that its weights solve.

    A layer holds no weights: they are passed, so that the same layer serves the working weights, their average and
    those of a file.  Weights are a matrix W with a column for each output unit and a row for each input of a unit,
    with the biases in the last row where there are any.

    Inputs of the first layer, and of fully-connected ones, are matrices (m, n); images between layers are (m, h, w,
    c), so that a position is a row and a channel a column.

    A new kind of layer is a class like :class:`nmfnet.layers.Dense` in a file of its own.
    """

    @property
    def n_in(self) -> int:
        """Inputs of a unit, the bias not among them."""

    @property
    def n_out(self) -> int:
        """Output units that have weights of their own: channels of a convolution."""

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Of the outputs of a sample: (n_out,) or (h, w, n_out)."""

    @property
    def most_numbers(self) -> int:
        """Of a sample that a forward pass makes at once: pooling comes after all positions."""

    @property
    def bias(self) -> bool:
        """Whether the last row of W are the biases."""

    @property
    def skip(self) -> int:
        """Layers, itself among them, whose first inputs a skip connection adds to the outputs; 0: there is none."""

    @property
    def shares_weights(self) -> bool:
        """Whether the same weights are used at many positions."""

    def mask_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of a sample's dropout mask for inputs of such a shape: by number, or (1, 1, c) by channel."""

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Weights to start from, drawn on the CPU."""

    def forward(self, Z: Any, W: Tensor) -> Tensor:
        """Pre-activations A of inputs Z (m, ...), a Tensor; of a fully-connected layer SparseRows, too."""

    def linearize(self, Z: Any, W: Tensor, skipped: Tensor | None = None) -> tuple[Tensor, Linearization]:
        """Pre-activations, and the layer at these inputs; `skipped` are those that a skip connection adds."""


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


def biases(W: Tensor, bias: bool) -> Tensor:
    """The row of biases (k,); zeros where there is none."""
    return W[-1] if bias else W.new_zeros(W.shape[1])


def he_weights(n_in: int, n_out: int, bias: bool, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Random weights of variance 2 / n_in (He et al., 2015), biases zero."""
    W = torch.zeros(n_in + bias, n_out, dtype=dtype)
    W[:n_in] = normal(n_in, n_out, W, generator).mul_((2 / n_in) ** 0.5)
    return W
