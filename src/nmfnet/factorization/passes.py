"""One pass over the data: a step on Z, and all that the step on H needs, each row read once.

The factor Z is held transposed, (k, m), so that a component's entries lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.factorization.coordinate_descent import (
    TILE_ENTRIES,
    CoordinateDescent,
    Coordinates,
    Tiles,
    Workspace,
    project_gradient_,
    squared_norm,
)
from nmfnet.factorization.data import Data, DenseData, row_norms
from nmfnet.factorization.least_squares import coordinate_descent
from nmfnet.factorization.multiplicative import multiply_, multiply_root_, signs
from nmfnet.factorization.steps import Pass, SweepThenStep, online_rows
from nmfnet.linalg import naming_overflow

MIN_STEP_ROWS = 64  # of an online step
ONLINE_TOLERANCE = 0.01  # relative projected gradient to which the Z of a mini-batch is found
MAX_SOLVE_ROUNDS = 50  # most rounds of sweeps where Z is solved for to a tolerance
ROUNDS_BEFORE_PIVOTING = 20  # rounds before pivoting takes over
NARROW = 64  # columns of a tile that take no longer than one,
NARROW_SWEEPS = 4  # and sweeps of it between two checks for mini-batches; others end nearer to the solution by more
EXTRA_PRECISION = 10  # by which columns are solved better than asked for while others are not yet
MAX_SOLVE_TOLERANCE = 1e-4  # relative projected gradient to which new data are solved for at least
LEAST_CONDITION = 1e-9  # smallest over largest eigenvalue of H Ht: below, rows of H are taken for dependent
MIN_FLOAT32_OPERATIONS = 2**19  # of a product, from which on float32 gains more than the two switches take
MAX_PIVOTING_COMPONENTS = 32  # above, a system for every sample costs more than sweeps


class Penalties(NamedTuple):
    """``l1 ||.||_1 + l2 ||.||^2 / 2`` on each factor."""

    l1_z: float = 0.0
    l2_z: float = 0.0
    l1_h: float = 0.0
    l2_h: float = 0.0


class LeastSquares(SweepThenStep):
    """``||X - Z H||^2 / 2`` plus penalties, Z >= 0, rows with weights.

    Parameters
    ----------
    data : Data
        X (m, n).
    k : int
        Components.
    penalties : Penalties
    signed : bool
        Whether H may have any sign.
    multiplicative : bool
        Whether nonnegative factors take multiplicative steps (Lee and Seung, 2001; Ding, Li and Jordan, 2010, where H
        may have any sign) instead of coordinate descent.
    intercept : bool
        Whether the last component's Z is 1 for ever, so that its row of H is a bias, free of the L1 penalty.
    delta : float
        Relative threshold of the singular values of Z in the exact minimum in H.
    row_weights : Tensor of shape (m,), optional
        A row of weight 2 counts as two rows, its penalty included.
    """

    kept = 0.0
    unique = True
    settled = True
    tile_columns = 2**62  # of a factor in a tile at most; the workspace has its own limit

    def __init__(
        self,
        data: Data,
        k: int,
        penalties: Penalties,
        *,
        signed: bool = False,
        multiplicative: bool = False,
        intercept: bool = False,
        delta: float = 0.0,
        row_weights: Tensor | None = None,
    ) -> None:
        self.data, self.k, self.penalties = data, k, penalties
        self.signed, self.multiplicative, self.row_weights = signed, multiplicative, row_weights
        self.by_objective = multiplicative
        self.intercept, self.delta = intercept, delta
        n = data.shape[1]
        self.size = data.squares(row_weights) if self.settled else 0.0
        self.exact = False
        # Sweeps on products that are at hand are cheap as long as they cost less than the products.
        # Factors of sparse data may be larger than the data: theirs in both precisions would take too much memory.
        many = k * data.entries >= MIN_FLOAT32_OPERATIONS
        self.single_first = isinstance(data, DenseData) and many and self.settled and not signed
        sides = data.rows.total, n
        self.z_sweeps, self.h_sweeps = (max(2, min(8, data.entries // (4 * k * side))) for side in sides)

    @property
    def step_rows(self) -> float:
        """Rows of a whole online step, unless a batch size is given."""
        return online_rows(self.data, self.k, MIN_STEP_ROWS)

    @cached_property
    def workspace(self) -> Workspace:
        """Memory of both factors' tiles, taken when a step first needs it, and not while a start is searched for."""
        return Workspace(self.k, min(self.tile_columns, max(self.data.shape)), self.data.like)

    @cached_property
    def tiles(self) -> Tiles:
        """Those of Z."""
        return Tiles(self.data.shape[0], self.workspace)

    @cached_property
    def h_tiles(self) -> Tiles:
        """Those of H."""
        return Tiles(self.data.shape[1], self.workspace)

    def sweep(
        self, Z: Tensor, H: Tensor, out: Tensor, until: float = 0.0, measure: bool = False, value: bool = True
    ) -> Pass:
        """Lower the objective in Z (k, m) for H (k, n), starting at Z; the result goes to `out`, which may be Z.

        Parameters
        ----------
        until : float, default=0
            Go on until the relative projected gradient of every tile is at most this.
        measure : bool, default=False
            Whether to measure the relative projected gradient in Z.
        value : bool, default=True
            Whether to find the objective, which is NaN otherwise.
        """
        H = self.data.laid_out(H)
        Q = torch.zeros_like(H)
        G = H @ H.T
        S, *sums = self._z_step(Z, H, G, out, Q, until, measure)
        F = out if self.row_weights is None else out * self.row_weights
        self.data.finish_products(self.data.laid_out(F), Q)
        Q, S = self.data.rows.holders([Q, S])
        Q, (total, squares, size) = self.data.laid_out(Q), self.data.rows.summed(*sums)
        total = total + self._finish(out, H, G, Q, S) + self._h_penalty(H) if value else float("nan")
        return Pass(Q, S, total, ratio(squares, size))

    def online_step(self, Z: Tensor, H: Tensor, with_earlier: Callable[[Pass], Pass]) -> tuple[Pass, Tensor]:
        """The Z (k, b) of a mini-batch, to a tolerance and in place, and a step on H with earlier products, too."""
        batch = self.sweep(Z, H, Z, until=ONLINE_TOLERANCE)
        return batch, self.h_step(H, with_earlier(batch))

    def _z_step(
        self, Z: Tensor, H: Tensor, G: Tensor, out: Tensor, Q: Tensor, until: float = 0.0, measure: bool = False
    ) -> tuple[Tensor, float, float, float]:
        """The step on Z, with G = H Ht, and what can be added to Q meanwhile.

        Returns
        -------
        S : Tensor of shape (k, k)
        objective : float
            As far as it is no Gram product.
        squares, size : float
            Of the projected gradient in Z, and of what it is relative to.
        """
        S = torch.zeros_like(G)
        coordinates = self.tiles.coordinates.fill(G, self.penalties.l2_z, self.intercept)
        total, squares, size = 0.0, 0.0, 0.0
        for rows, kernel in self.tiles:
            kernel.F.copy_(Z[:, rows])
            self._pull(rows, kernel, H)
            self._step_on_tile(kernel, coordinates)
            if until:
                self._solve(rows, kernel, coordinates, H, until)
            if measure:
                if not self.settled:
                    self._pull(rows, kernel, H)
                now = kernel.residual(coordinates)
                squares, size = squares + now[0], size + now[1]
            out[:, rows] = kernel.F
            total += self._collect(rows, kernel, H, Q, S)
        return S, total, squares, size

    def _step_on_tile(self, kernel: CoordinateDescent, coordinates: Coordinates) -> None:
        if not self.multiplicative:
            kernel.sweep(coordinates, self.z_sweeps)
            return
        free = self.k - self.intercept
        F, P, G, bias = kernel.F[:free], kernel.P[:free], coordinates.G[:free, :free], coordinates.G[:free, free:]
        if self.signed:
            (up, down), (positive, negative) = signs(P - bias if self.intercept else P), signs(G)
            multiply_root_(F, up.addmm_(negative, F), down.addmm_(positive, F), self.penalties.l1_z, 0.0)
        else:
            multiply_(F, P.clamp_(min=0), torch.mm(G, F, out=kernel.scratch[:free]), self.penalties.l1_z)

    def _solve(
        self, rows: slice, kernel: CoordinateDescent, coordinates: Coordinates, H: Tensor, until: float
    ) -> None:
        for done in range(MAX_SOLVE_ROUNDS):
            unsolved, inexact = kernel.unsolved(coordinates, until, until / EXTRA_PRECISION)
            if not len(unsolved):
                return
            if done == ROUNDS_BEFORE_PIVOTING and self.k <= MAX_PIVOTING_COMPONENTS and not self.intercept:
                return kernel.pivot(coordinates, unsolved)
            if until >= ONLINE_TOLERANCE and kernel.F.shape[1] <= NARROW:
                kernel.sweep(coordinates, NARROW_SWEEPS)
            else:  # most columns are soon solved, and a few take many rounds
                kernel.sweep_some(coordinates, inexact, 10)

    def _pull(self, rows: slice, kernel: CoordinateDescent, H: Tensor) -> None:
        """Fill the linear term of the step on Z: H Xt - l1, shape (k, c)."""
        self.data.project(rows, H, kernel.P)
        if self.penalties.l1_z and not self.multiplicative:
            kernel.P.sub_(self.penalties.l1_z)

    def _collect(self, rows: slice, kernel: CoordinateDescent, H: Tensor, Q: Tensor, S: Tensor) -> float:
        """Add the tile's part of Q and S; return its part of the objective, as far as it is no Gram product."""
        F = self._weighted(rows, kernel)
        self.data.add_products(rows, F, Q)
        S.addmm_(F, kernel.F.T)
        return self.penalties.l1_z * float(F.sum()) if self.penalties.l1_z else 0.0

    def _weighted(self, rows: slice, kernel: CoordinateDescent) -> Tensor:
        return kernel.F if self.row_weights is None else kernel.F * self.row_weights[rows]

    def _finish(self, Z: Tensor, H: Tensor, G: Tensor, Q: Tensor, S: Tensor) -> float:
        """``||X - Z H||^2 / 2`` from Gram products, and the L2 penalty on Z."""
        loss = self._gram_loss(dot(Q, H), S, G)
        # What cancels to nothing is known to rounding errors of the terms: then from the residual itself.
        rounding = 1e4 * torch.finfo(H.dtype).eps
        if isinstance(self.data, DenseData) and (self.exact or loss < rounding * self.size):
            self.exact, loss = True, self._residual_loss(self.data, Z, H)
        return loss + self._l2_z(S)

    def _gram_loss(self, products: float, S: Tensor, G: Tensor) -> float:
        """``||X - Z H||^2 / 2`` from <Zt X, H>, Zt Z and H Ht."""
        return self.size / 2 - products + float((S * G.double()).sum()) / 2

    def _l2_z(self, S: Tensor) -> float:
        """The L2 penalty on Z, and what that of the ones of a bias has to be freed of."""
        l1, l2 = self.penalties.l1_z, self.penalties.l2_z
        squares = float(S.diagonal()[: self.k - self.intercept].sum()) if l2 else 0.0
        return l2 / 2 * squares - (l1 * float(S[-1, -1]) if self.intercept else 0.0)

    def _residual_loss(self, data: DenseData, Z: Tensor, H: Tensor) -> float:
        total = 0.0
        for rows, _ in self.tiles:
            parts = (A.split(max(1, TILE_ENTRIES // data.shape[1])) for A in (data.block(rows), Z[:, rows].T))
            norms = [row_norms(torch.addmm(X, F, H, alpha=-1)) for X, F in zip(*parts, strict=True)]
            squares = torch.cat(norms).square_()
            total += float((squares if self.row_weights is None else squares * self.row_weights[rows]).sum())
        return data.rows.summed(total)[0] / 2

    def _h_penalty(self, H: Tensor) -> float:
        l1, l2 = self.penalties.l1_h, self.penalties.l2_h
        slopes = H[: self.k - self.intercept]
        return (l1 * float(slopes.abs().sum()) if l1 else 0.0) + (l2 / 2 * squared_norm(H) if l2 else 0.0)

    def tolerance(self, H: Tensor) -> float:
        """Relative projected gradient to solve to: for few components H (k, n) such that Z is known to a thousandth.

        For many an ill-conditioned H would ask for more than it is worth, and than float32 has.
        """
        if len(H) > MAX_PIVOTING_COMPONENTS or H.dtype == torch.float32:
            return MAX_SOLVE_TOLERANCE
        eigenvalues = torch.linalg.eigvalsh(H @ H.T)
        return min(max(1e-3 * float(eigenvalues[0] / eigenvalues[-1].clamp(min=1e-300)), 1e-10), MAX_SOLVE_TOLERANCE)

    def h_step(self, H: Tensor, done: Pass) -> Tensor:
        """A step on H (k, n) from the products of a pass; the objective does not increase.

        Coordinate descent where H >= 0, the exact minimum where H may have any sign.
        """
        l1, l2 = self.penalties.l1_h, self.penalties.l2_h
        S = ridge(done.S, l2)
        if self.multiplicative and not self.signed:
            H = H.clone()
            multiply_(H, done.Q, laid_out_product(S, H), l1)
            return H
        if not self.signed:
            return self.h_tiles.minimize_(H.clone(), S, done.Q, self.h_sweeps, l1)
        if l1:
            for _ in range(self.h_sweeps):
                H = coordinate_descent(H, done.Q - done.S @ H, done.S, l1, l2, self.intercept)
            return H
        return solve_symmetric(S, done.Q - laid_out_product(S, H), self.delta).add_(H)

    def h_residual(self, H: Tensor, done: Pass) -> float:
        """Projected gradient in H over the norm of Q: 0 at a stationary point."""
        gradient = laid_out_product(ridge(done.S, self.penalties.l2_h), H).sub_(done.Q)
        l1 = self.penalties.l1_h
        if not self.signed:
            project_gradient_(gradient.add_(l1), H)
        elif l1:  # the subgradient of least norm
            slopes = gradient[: self.k - self.intercept]
            at_zero = torch.nn.functional.softshrink(slopes, l1)
            slopes.copy_(torch.where(H[: len(slopes)] == 0, at_zero, slopes + l1 * H[: len(slopes)].sign()))
        fixed = done.Q - done.S[:, -1:] @ H[-1:] if self.intercept else done.Q
        return ratio(squared_norm(gradient), squared_norm(fixed))


def dependent(H: Tensor) -> bool:
    """Whether rows of H (k, n) are linearly dependent, so that many Z >= 0 are solutions."""
    if len(H) > H.shape[1]:
        return True
    eigenvalues = torch.linalg.eigvalsh((H @ H.T).double())
    return float(eigenvalues[0]) < LEAST_CONDITION * float(eigenvalues[-1])


def ridge(G: Tensor, l2: float) -> Tensor:
    """G + l2 I."""
    if l2:
        G = G.clone()
        G.diagonal().add_(l2)
    return G


@naming_overflow()
def solve_symmetric(S: Tensor, Q: Tensor, delta: float = 0.0) -> Tensor:
    """S+ Q for a Gram matrix S (k, k), in float64; `delta` is a relative threshold of its singular values' roots."""
    eigenvalues, V = torch.linalg.eigh(S.double())
    kept = eigenvalues > max(len(S) * torch.finfo(S.dtype).eps, delta**2) * eigenvalues.max()
    V = V[:, kept]
    return laid_out_product(V, laid_out_product(V.T, Q.double()).div_(eigenvalues[kept, None])).to(Q.dtype)


def laid_out_product(S: Tensor, F: Tensor) -> Tensor:
    """S F, in memory as F (k, n) is: entry by entry, factors of one order are worked on several times as fast."""
    return S @ F if F.is_contiguous() else (F.T @ S.T).T


def dot(A: Tensor, B: Tensor) -> float:
    """Sum of the products of entries, added up in float64."""
    if not A.is_contiguous():  # both lie by columns
        A, B = A.T, B.T
    rows = max(1, TILE_ENTRIES // A.shape[1])
    if rows >= len(A):
        return float((A * B).sum(1).sum(dtype=torch.float64))
    products = (a * b for a, b in zip(A.split(rows), B.split(rows), strict=True))
    return float(sum(product.sum(1).sum(dtype=torch.float64) for product in products))


def ratio(squares: float, size: float) -> float:
    """Root of a quotient, 0 / 0 being 0."""
    return 0.0 if squares == 0 else (squares / size) ** 0.5 if size > 0 else float("inf")
