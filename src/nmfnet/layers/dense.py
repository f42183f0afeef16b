"""Fully-connected layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nmfnet.layers.base import kernel
from nmfnet.linalg.draws import normal
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

    @classmethod
    def like(cls, W: Tensor, bias: bool) -> Dense:
        """The layer that weights W (n_in + bias, n_out) belong to."""
        return cls(len(W) - bias, W.shape[1], bias)

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Random weights of variance 2 / n_in (He et al., 2015), biases zero."""
        W = torch.zeros(self.n_in + self.bias, self.n_out, dtype=dtype)
        W[: self.n_in] = normal(self.n_in, self.n_out, W, generator).mul_((2 / self.n_in) ** 0.5)
        return W

    def forward(self, Z: Tensor | SparseRows, W: Tensor) -> Tensor:
        """``[Z, 1] W``, of shape (m, n_out), for Z (m, n_in)."""
        return affine(Z, W, self.bias)

    def rows(self, Z: Tensor | SparseRows) -> Tensor | SparseRows:
        """Z itself."""
        return Z

    def columns(self, E: Tensor) -> Tensor:
        """E itself."""
        return E

    def carry(self, E: Tensor, W: Tensor, onto: Tensor | None = None) -> Tensor:
        """``E Wt``, of shape (m, n_in), without the biases, for E (m, n_out); added to `onto`, in place."""
        V = kernel(W, self.bias).T
        return E @ V if onto is None else onto.addmm_(E, V)
