"""Weights of entries, missing entries and activation functions: least squares on a surrogate of the data."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.factorization.coordinate_descent import CoordinateDescent
from nmfnet.factorization.data import DenseData
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.layers.activations import Activation


class Surrogate(LeastSquares):
    """``D(X, f(Z H))`` with weights for each entry, by least squares on a surrogate of X.

    With A = Z H the surrogate ``A + V o (X - f(A))`` makes ``||A' - X^||^2 / 2`` an upper bound of the
    loss, up to a constant, that touches it at A' = A: for entries that are missing or count less
    (V <= 1; Srebro and Jaakkola, 2003) as for activation functions of slope at most 1, whose loss is then
    the matching loss ``F(a) - x a`` with F' = f, shifted to be 0 where f(a) = x.  So no step increases it.

    Parameters
    ----------
    X : DenseData
        NaN stands for a missing entry.
    weights : Tensor of shape (m, n), optional
        V, in [0, 1].
    activation : Activation, optional
        The function f, the identity where not given.
    """

    settled = False

    def __init__(
        self,
        data: DenseData,
        k: int,
        penalties: Penalties,
        *,
        signed: bool = False,
        row_weights: Tensor | None = None,
        weights: Tensor | None = None,
        activation: Activation | None = None,
    ) -> None:
        super().__init__(data, k, penalties, signed=signed, row_weights=row_weights)
        self.weights, self.activation, self.dense = weights, activation, data

    def _differences(self, rows: slice, A: Tensor) -> Tensor:
        """V o (X - f(A)), zero where an entry is missing."""
        X = self.dense.block(rows)
        D = X - A if self.activation is None else X - self.activation(A)
        D.nan_to_num_(0.0)
        return D if self.weights is None else D.mul_(self.weights[rows])

    def _pull(self, rows: slice, kernel: CoordinateDescent, H: Tensor) -> None:
        A = kernel.F.T @ H
        torch.mm(H, A.add_(self._differences(rows, A)).T, out=kernel.P)
        if self.penalties.l1_z:
            kernel.P.sub_(self.penalties.l1_z)

    def _collect(self, rows: slice, kernel: CoordinateDescent, H: Tensor, Q: Tensor, S: Tensor) -> float:
        A = kernel.F.T @ H
        D = self._differences(rows, A)
        loss = self._losses(rows, A, D)
        F = self._weighted(rows, kernel)
        Q.addmm_(F, A.add_(D))
        S.addmm_(F, kernel.F.T)
        total = float((loss if self.row_weights is None else loss * self.row_weights[rows]).sum())
        return total + (self.penalties.l1_z * float(F.sum()) if self.penalties.l1_z else 0.0)

    def _losses(self, rows: slice, A: Tensor, D: Tensor) -> Tensor:
        """Loss of each row, shape (c,)."""
        if self.activation is None or self.activation.matching_loss is None:
            X = self.dense.block(rows)
            loss = (X - A).nan_to_num_(0.0).mul_(D) if self.weights is not None else D.square()
            return loss.sum(1, dtype=torch.float64) / 2
        loss = self.activation.matching_loss(self.dense.block(rows), A).nan_to_num_(0.0)
        return (loss if self.weights is None else loss.mul_(self.weights[rows])).sum(1, dtype=torch.float64)

    def _finish(self, Z: Tensor, H: Tensor, Q: Tensor, S: Tensor) -> float:
        return self._l2_z(S)
