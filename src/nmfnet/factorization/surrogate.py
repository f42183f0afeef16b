"""Weights of entries, missing entries and activation functions: least squares on a surrogate of the data."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.factorization.coordinate_descent import CoordinateDescent, Coordinates, pivoting, project_gradient_
from nmfnet.factorization.data import DenseData
from nmfnet.factorization.passes import MAX_SOLVE_ROUNDS, ROUNDS_BEFORE_PIVOTING, LeastSquares, Penalties
from nmfnet.layers.activations import Activation

MAX_NEWTON_COMPONENTS = 128  # components up to which rows that are slow to solve are solved by steps of Newton's
NEWTON_CHUNK_NUMBERS = 2**22  # numbers that they take at a time
MAX_NEWTON_STEPS, MAX_STEP_HALVINGS = 30, 10  # most of them, and of one of them
RELATIVE_RIDGE = 1e-12  # share of the largest curvature that is added to all, as some may be 0


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
    unique = False  # few entries may be there, or f may be flat

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

    def _block(self, rows: slice | Tensor) -> Tensor:
        """X[rows]."""
        return self.dense.block(rows)

    def _differences(self, rows: slice | Tensor, A: Tensor) -> Tensor:
        """V o (X - f(A)), zero where an entry is missing."""
        X = self._block(rows)
        D = X - A if self.activation is None else X - self.activation(A)
        D.nan_to_num_(0.0)
        return D if self.weights is None else D.mul_(self.weights[rows])

    def _pull(self, rows: slice, kernel: CoordinateDescent, H: Tensor) -> None:
        A = kernel.F.T @ H
        torch.mm(H, A.add_(self._differences(rows, A)).T, out=kernel.P)
        if self.penalties.l1_z:
            kernel.P.sub_(self.penalties.l1_z)

    def _solve(
        self, rows: slice, kernel: CoordinateDescent, coordinates: Coordinates, H: Tensor, until: float
    ) -> None:
        for done in range(MAX_SOLVE_ROUNDS):
            self._pull(rows, kernel, H)
            unsolved = kernel.unsolved(coordinates, until)[0]
            if not len(unsolved):
                return
            if done == ROUNDS_BEFORE_PIVOTING and self.k <= MAX_NEWTON_COMPONENTS:
                break
            kernel.sweep(coordinates, self.z_sweeps)
        for some in unsolved.split(max(1, NEWTON_CHUNK_NUMBERS // H.numel())):
            kernel.F[:, some] = self._newton(some + rows.start, kernel.F[:, some], H, until)

    def _newton(self, rows: Tensor, F: Tensor, H: Tensor, until: float) -> Tensor:
        """The coefficients F (k, c) of some rows, given by their indices, after steps of Newton's to the tolerance.

        Each minimizes the quadratic model ``gt (f' - f) + (f' - f)t H V Ht (f' - f) / 2`` over f' >= 0, by pivoting in
        float64, and is halved until the loss falls: surrogates creep where most entries are missing, or H is
        ill-conditioned.
        """
        F, l1, l2 = F.clone(), self.penalties.l1_z, self.penalties.l2_z
        todo = torch.arange(len(rows), device=F.device)
        for _ in range(MAX_NEWTON_STEPS):
            f, part = F[:, todo], rows[todo]
            A = f.T @ H
            D = self._differences(part, A)
            gradient, loss = l1 + l2 * f - H @ D.T, self._row_losses(part, f, A, D)
            P = H @ A.add_(D).T - l1
            descent = project_gradient_(gradient.clone(), f)
            left = torch.linalg.vector_norm(descent, dim=0) > until * torch.linalg.vector_norm(P, dim=0)
            todo, part, f, gradient, loss = todo[left], part[left], f[:, left], gradient[:, left], loss[left]
            if not len(todo):
                break
            A = f.T @ H
            V = self._curvatures(part, A)
            G = ((V[:, None] * H) @ H.T).double()
            size = G.diagonal(dim1=1, dim2=2).amax(1).clamp_(min=1e-300)
            G.diagonal(dim1=1, dim2=2).add_(l2 + RELATIVE_RIDGE * size[:, None])
            linear = (G @ f.T.double()[:, :, None])[:, :, 0].T - gradient
            best, _ = pivoting(G, linear, f > 0)
            F[:, todo] = self._shortened(part, f, best.to(f), loss, H)
        return F

    def _shortened(self, rows: Tensor, F: Tensor, best: Tensor, loss: Tensor, H: Tensor) -> Tensor:
        """Where on the way from F (k, c) to the minimum of the model the loss (c,) is lower: at 1, 1/2, 1/4 ..."""
        step = torch.ones_like(loss)
        for _ in range(MAX_STEP_HALVINGS):
            moved = torch.lerp(F, best, step.to(F))
            A = moved.T @ H
            worse = self._row_losses(rows, moved, A, self._differences(rows, A)) > loss
            if not bool(worse.any()):
                return moved
            step = torch.where(worse, step / 2, step)
        return torch.where(worse, F, moved)

    def _row_losses(self, rows: Tensor, F: Tensor, A: Tensor, D: Tensor) -> Tensor:
        """Loss and penalties of each row, shape (c,)."""
        return self._losses(rows, A, D) + self.penalties.l1_z * F.sum(0) + self.penalties.l2_z / 2 * F.square().sum(0)

    def _curvatures(self, rows: Tensor, A: Tensor) -> Tensor:
        """Second derivatives of the losses of entries, shape (c, n)."""
        slope = None if self.activation is None else self.activation.slope
        V = torch.ones_like(A) if slope is None else slope(A)
        V.masked_fill_(self._block(rows).isnan(), 0)
        return V if self.weights is None else V.mul_(self.weights[rows])

    def _collect(self, rows: slice, kernel: CoordinateDescent, H: Tensor, Q: Tensor, S: Tensor) -> float:
        A = kernel.F.T @ H
        D = self._differences(rows, A)
        loss = self._losses(rows, A, D)
        F = self._weighted(rows, kernel)
        Q.addmm_(F, A.add_(D))
        S.addmm_(F, kernel.F.T)
        total = float((loss if self.row_weights is None else loss * self.row_weights[rows]).sum())
        return total + (self.penalties.l1_z * float(F.sum()) if self.penalties.l1_z else 0.0)

    def _losses(self, rows: slice | Tensor, A: Tensor, D: Tensor) -> Tensor:
        """Loss of each row, shape (c,)."""
        if self.activation is None or self.activation.matching_loss is None:
            X = self._block(rows)
            loss = (X - A).nan_to_num_(0.0).mul_(D) if self.weights is not None else D.square()
            return loss.sum(1, dtype=torch.float64) / 2
        loss = self.activation.matching_loss(self._block(rows), A).nan_to_num_(0.0)
        return (loss if self.weights is None else loss.mul_(self.weights[rows])).sum(1, dtype=torch.float64)

    def _finish(self, Z: Tensor, H: Tensor, G: Tensor, Q: Tensor, S: Tensor) -> float:
        return self._l2_z(S)
