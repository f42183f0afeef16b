"""Fully-connected layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from nmfnet.layers.base import he_weights, kernel
from nmfnet.linalg.products import affine
from nmfnet.linalg.sparse import SparseRows


@dataclass(frozen=True)
class Dense:
    """A fully-connected layer, ``A = [Z, 1] W``.

    Parameters
    ----------
    n_in, n_out : int
        Inputs and outputs.
    bias : bool, default=True
        Whether the last row of W are the biases.
    """

    n_in: int
    n_out: int
    bias: bool = True

    skip: ClassVar[int] = 0

    @property
    def out_shape(self) -> tuple[int, ...]:
        """``(n_out,)``."""
        return (self.n_out,)

    @property
    def most_numbers(self) -> int:
        """The outputs."""
        return self.n_out

    @property
    def shares_weights(self) -> bool:
        """False: every input has weights of its own."""
        return False

    @property
    def positions(self) -> int:
        """1: a sample is a row."""
        return 1

    def mask_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Every input has a value of its own."""
        return in_shape

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Random weights of variance 2 / n_in (He et al., 2015), biases zero."""
        return he_weights(self.n_in, self.n_out, self.bias, generator, dtype)

    def forward(self, Z: Tensor | SparseRows, W: Tensor) -> Tensor:
        """``[Z, 1] W``, of shape (m, n_out), for Z (m, n_in)."""
        return affine(Z, W, self.bias)

    def linearize(self, Z: Tensor | SparseRows, W: Tensor, skipped: Tensor | None = None) -> tuple[Tensor, DenseAt]:
        """Pre-activations, and the layer at these inputs."""
        return self.forward(Z, W), self.at(Z)

    def at(self, Z: Tensor | SparseRows) -> DenseAt:
        """The layer at these inputs."""
        return DenseAt(Z, self.bias)


@dataclass(frozen=True)
class DenseAt:
    """A fully-connected layer at inputs Z (m, n_in): these are the rows of its least-squares problem."""

    rows: Tensor | SparseRows
    bias: bool

    @property
    def inputs(self) -> Any:
        """The rows."""
        return self.rows

    def columns(self, E: Tensor) -> Tensor:
        """E itself."""
        return E

    def moved(self, rows: Tensor) -> Tensor:
        """``rows - Z``."""
        assert isinstance(self.rows, Tensor)
        return rows - self.rows

    def carry(self, E: Tensor, W: Tensor, onto: Tensor | None = None, skip: Tensor | None = None) -> Tensor:
        """``E Wt``, of shape (m, n_in), without the biases, for E (m, n_out); added to `onto`, in place."""
        V = kernel(W, self.bias).T
        found = E @ V if onto is None else onto.addmm_(E, V)
        return found if skip is None else found.add_(skip)
