"""One pass over sparse data with steps on both nonnegative factors, a tile at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nmfnet.factorization.coordinate_descent import squared_norm
from nmfnet.factorization.data import SparseData
from nmfnet.factorization.passes import LeastSquares, Penalties, ratio
from nmfnet.factorization.steps import Step

# Of a tile, at least so many columns, and more of few components, up to so many numbers: calls are fewer.  The memory
# of wider tiles would be a large part of what a fit of sparse data takes.
SPARSE_TILE_COLUMNS, SPARSE_TILE_NUMBERS = 1024, 20 * 1024


class SparseLeastSquares(LeastSquares):
    """``||X - Z H||^2 / 2`` plus penalties, Z >= 0, H >= 0, of a large sparse X in one process, by coordinate descent.

    Given Zt Z, the columns of H are problems of their own.  So the products Zt X of a few columns are made, used for
    the objective, the criterion and the step, and left: all of Zt X, which is as large as H, is never held.

    Parameters
    ----------
    data : SparseData
        X (m, n).
    k, penalties, row_weights
        As in :class:`LeastSquares`.
    """

    def __init__(self, data: SparseData, k: int, penalties: Penalties, *, row_weights: Tensor | None = None) -> None:
        super().__init__(data, k, penalties, row_weights=row_weights)
        self.sparse, self.tile_columns = data, max(SPARSE_TILE_COLUMNS, SPARSE_TILE_NUMBERS // k)

    def step(
        self,
        Z: Tensor,
        H: Tensor,
        out: Tensor,
        most: float = math.inf,
        measure_z: bool = False,
        measure_h: bool = False,
    ) -> Step:
        """A step on Z (k, m), written to `out`, and one on H (k, n) with that, in place; all three laid out.

        That the objective is above `most` is known too late to leave anything out.
        """
        G, penalty = H @ H.T, self._h_penalty(H)
        nothing = H.new_empty(0)  # sparse data add nothing to Zt X while Z is not complete
        S, total, *of_z = self._z_step(Z, H, G, out, nothing, measure=measure_z)
        F = out if self.row_weights is None else out * self.row_weights
        l1, coordinates = self.penalties.l1_h, self.h_tiles.coordinates.fill(S, self.penalties.l2_h)
        products, squares, size = 0.0, 0.0, 0.0
        for columns, kernel in self.h_tiles:
            self.sparse.project_columns(columns, F, kernel.P)
            kernel.F.copy_(H[:, columns])
            products += float(torch.mul(kernel.P, kernel.F, out=kernel.scratch).sum(1).sum(dtype=torch.float64))
            size += squared_norm(kernel.P) if measure_h else 0.0
            if l1:
                kernel.P.sub_(l1)
            squares += squared_norm(kernel.gradient(coordinates)) if measure_h else 0.0
            kernel.sweep(coordinates, self.h_sweeps)
            H[:, columns] = kernel.F
        objective = total + self._gram_loss(products, S, G) + self._l2_z(S) + penalty
        return Step(objective, ratio(*of_z), ratio(squares, size))
