"""NMF by the generalized Kullback-Leibler divergence, the loss of counts."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.factorization.coordinate_descent import squared_norm
from nmfnet.factorization.data import Data, DenseData, SparseData, csr, some_rows
from nmfnet.factorization.multiplicative import multiply_
from nmfnet.factorization.passes import Penalties
from nmfnet.factorization.steps import Pass, SweepThenStep

TILE = 2**18  # entries of X whose quotients are held at a time


class KullbackLeibler(SweepThenStep):
    """``sum x log(x / a) - x + a`` with A = Z H plus penalties, by multiplicative steps (Lee and Seung, 2001).

    ``Z <- Z o ((X / A) Ht) / (1 Ht + penalties)`` and alike for H.  Of a sparse X only the stored entries are
    ever looked at: the sum over A is the product of the sums of its factors.

    Parameters
    ----------
    data : Data
        X (m, n), nonnegative.
    k : int
        Components.
    penalties : Penalties
    row_weights : Tensor of shape (m,), optional
    """

    signed = False
    multiplicative = True

    def __init__(self, data: Data, k: int, penalties: Penalties, *, row_weights: Tensor | None = None) -> None:
        self.data, self.k, self.penalties, self.row_weights = data, k, penalties, row_weights
        m, n = data.shape
        if isinstance(data, SparseData):
            self.counts = data.rows.crow_indices().diff()
            width = max(1, TILE * m // max(1, k * data.rows.values().numel()))
        else:
            width = max(1, TILE // n)
        self.slices = [slice(i, min(i + width, m)) for i in range(0, m, width)]

    def sweep(self, Z: Tensor, H: Tensor, out: Tensor, until: float = 0.0, measure: bool = False) -> Pass:
        """As :meth:`LeastSquares.sweep`; with `until` the steps on a tile go on until they change less than that."""
        Q, totals = torch.zeros_like(H), H.new_zeros(len(H), 1)
        sums, objective = H.sum(1, keepdim=True), 0.0
        l1, l2 = self.penalties.l1_z, self.penalties.l2_z
        for rows in self.slices:
            F = Z[:, rows].clone()
            for _ in range(1000 if until else 1):
                up = self._quotient_product(rows, F, H)
                before = F.clone() if until else F
                multiply_(F, up, sums.expand_as(F).clone(), l1, l2)
                if until and float((F - before).abs().max()) <= until / 100 * float(before.max()):
                    break
            out[:, rows] = F
            weights = None if self.row_weights is None else self.row_weights[rows]
            weighted = F if weights is None else F * weights
            objective += self._collect(rows, F, weighted, H, Q, weights)
            totals += weighted.sum(1, keepdim=True)
            objective += l1 * float(weighted.sum()) + l2 / 2 * float((weighted * F).sum())
        objective += float((totals.double() * sums.double()).sum())
        l1, l2 = self.penalties.l1_h, self.penalties.l2_h
        return Pass(Q, totals, objective + l1 * float(H.sum()) + l2 / 2 * squared_norm(H), 0.0)

    def _quotient_product(self, rows: slice, F: Tensor, H: Tensor) -> Tensor:
        """H (X / A)t, shape (k, c)."""
        if isinstance(self.data, SparseData):
            block, A = self._stored(self.data, rows, F, H)
            return (with_values(block, block.values() / A) @ H.T).T
        assert isinstance(self.data, DenseData)
        A = floor(F.T @ H)
        return H @ torch.div(self.data.block(rows), A, out=A).T

    def _collect(self, rows: slice, F: Tensor, weighted: Tensor, H: Tensor, Q: Tensor, w: Tensor | None) -> float:
        """Add F (X / A) to Q; return the sum of x log(x / a) - x."""
        if isinstance(self.data, SparseData):
            block, A = self._stored(self.data, rows, F, H)
            X = block.values()
            quotient = X / A
            entry_weights = None if w is None else w.repeat_interleave(self.counts[rows])
            Q += (transposed(with_values(block, quotient)) @ weighted.T).T
        else:
            assert isinstance(self.data, DenseData)
            X, A = self.data.block(rows), floor(F.T @ H)
            quotient = X / A
            entry_weights = None if w is None else w[:, None]
            Q.addmm_(weighted, quotient)
        loss = torch.special.xlogy(X, quotient).sub_(X)
        return float((loss if entry_weights is None else loss * entry_weights).sum(dtype=torch.float64))

    def _stored(self, data: SparseData, rows: slice, F: Tensor, H: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of X and the entries of A = Z H at their stored entries."""
        block = some_rows(data.rows, rows)
        row = torch.arange(F.shape[1], device=F.device).repeat_interleave(self.counts[rows])
        return block, floor((F[:, row] * H[:, block.col_indices().long()]).sum(0))

    def h_step(self, H: Tensor, done: Pass) -> Tensor:
        """The multiplicative step on H (k, n)."""
        H = H.clone()
        multiply_(H, done.Q, done.S.expand_as(H).clone(), self.penalties.l1_h, self.penalties.l2_h)
        return H

    def h_residual(self, H: Tensor, done: Pass) -> float:
        """Not used: multiplicative steps stop by the objective."""
        return 0.0


def floor(A: Tensor) -> Tensor:
    """Keep divisors above zero, in place."""
    return A.clamp_(min=torch.finfo(A.dtype).eps)


def with_values(block: Tensor, values: Tensor) -> Tensor:
    """The sparse matrix with other values."""
    return csr(block.crow_indices(), block.col_indices(), values, block.shape[1])


def transposed(block: Tensor) -> Tensor:
    """The transpose, by rows."""
    return block.transpose(0, 1).to_sparse_csr()
