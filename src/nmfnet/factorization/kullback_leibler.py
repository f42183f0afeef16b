"""NMF by the generalized Kullback-Leibler divergence, the loss of counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from nmfnet.factorization.coordinate_descent import squared_norm
from nmfnet.factorization.data import Data
from nmfnet.factorization.entries import Entries, Side
from nmfnet.factorization.passes import MIN_FLOAT32_OPERATIONS, Penalties
from nmfnet.factorization.poisson import (
    Regressors,
    beyond,
    bound_minimum,
    descend_,
    multiply_,
    product_and_quotient,
    solve_,
)
from nmfnet.factorization.steps import Pass, Step, online_rows

ONLINE_ROUNDS, ONLINE_Z_STEPS = 2, 4  # on a mini-batch; of each so many multiplicative steps on Z and one on H
MIN_STEP_ROWS = 10  # of an online step: what is remembered is of older components, and for 64 rows too old
LEAST_SHARE = 1e-5  # of a component's mean, as which an entry counts for them at least: zeros would stay


class KullbackLeibler:
    """``sum x log(x / a) - x + a`` with A = Z H plus penalties, by regressions of samples, then of features.

    Of a sparse X only the stored entries are ever looked at: the sum over A is the product of the sums of its factors.

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
    multiplicative = False
    settled = False
    unique = True
    kept = 0.1  # where all sources of an entry were left out at once, it would take long to come back
    by_objective = True

    def __init__(self, data: Data, k: int, penalties: Penalties, *, row_weights: Tensor | None = None) -> None:
        self.data, self.k, self.penalties, self.row_weights = data, k, penalties, row_weights
        self.floor = torch.finfo(data.like.dtype).eps * max(data.mean(), torch.finfo(data.like.dtype).tiny ** 0.5)
        self.single_first = k * data.entries >= MIN_FLOAT32_OPERATIONS

    @cached_property
    def z_reach(self) -> Tensor:
        """How long a step was not too long for each row of X, in the passes before."""
        return self.data.like.new_ones(self.data.shape[0])

    @cached_property
    def h_reach(self) -> Tensor:
        """The same for its columns."""
        return self.data.like.new_ones(self.data.shape[1])

    @cached_property
    def samples(self) -> Side:
        """The rows of X."""
        return Side(self.data)

    @cached_property
    def features(self) -> Side:
        """Its columns, weighted."""
        return Side(self.data, transposed=True, row_weights=self.row_weights, other=self.samples)

    @property
    def step_rows(self) -> float:
        """Rows of a whole online step, unless a batch size is given."""
        return online_rows(self.data, self.k, MIN_STEP_ROWS)

    def step(
        self,
        Z: Tensor,
        H: Tensor,
        out: Tensor,
        most: float = math.inf,
        measure_z: bool = False,
        measure_h: bool = False,
    ) -> Step:
        """A step on Z (k, m), written to `out`, and one on H (k, n) with that, in place.

        Where the objective is above `most`, neither is of use, and the step on H is left out.
        """
        objective = self._z_step(Z, H, out)
        if objective <= most:
            by = self._regressors(out)
            for columns, tile in self.features:
                F, reach = H[:, columns], self.h_reach[columns]
                descend_(tile, F, self.features.totals[columns], by, reach)
        return Step(objective, 0.0, 0.0)

    def online_step(self, Z: Tensor, H: Tensor, with_earlier: Callable[[Pass], Pass]) -> tuple[Pass, Tensor]:
        """Multiplicative steps on Z (k, b) of a mini-batch, in place, and on H with earlier products, too, in turn."""
        for left in reversed(range(ONLINE_ROUNDS)):
            # Earlier rows may not have had a feature: H has next to nothing in place of zeros, which would stay.
            H = torch.add(H, H.mean(1, keepdim=True), alpha=LEAST_SHARE)
            batch = self.sweep(Z, H, Z, multiplications=ONLINE_Z_STEPS, value=not left)
            best = self.h_step(H, with_earlier(batch))
            if left:
                # The scale of a component is free, as its Z has the inverse: only the bound may change it.
                moved = beyond(best, H)
                best = moved * (best.sum(1, keepdim=True) / moved.sum(1, keepdim=True).clamp_(min=self.floor))
            H = best
        return batch, H

    def sweep(
        self,
        Z: Tensor,
        H: Tensor,
        out: Tensor,
        until: float = 0.0,
        measure: bool = False,
        multiplications: int = 0,
        value: bool = True,
    ) -> Pass:
        """One pass over the data with a step on Z (k, m), written to `out`, or with its solution to `until`.

        Without `value` the objective is not found, and 0.

        Q is the numerator of the multiplicative step on H, ``H o Zt (X / A)``, which is what later passes remember.
        """
        if until:
            self._forget_features()
        Z, H, laid_out = (self.data.laid_out(F) for F in (Z, H, out))
        products: list[Tensor] = []
        objective = self._z_step(Z, H, laid_out, until, multiplications, products, value)
        if laid_out is not out:
            out.copy_(laid_out)
        Q = products[0]
        return Pass(Q.mul_(H), self._sums(laid_out), objective, 0.0)

    def _forget_features(self) -> None:
        """Leave the columns, a copy of sparse data: where Z is solved for, H has had its last step."""
        vars(self).pop("features", None)
        vars(self.data).pop("columns", None)

    def tolerance(self, H: Tensor) -> float:
        """Residual to solve to, of which a gradient is a share of the sums of H (k, n)."""
        return 1e-4 if H.dtype == torch.float32 else 1e-6

    def h_step(self, H: Tensor, done: Pass) -> Tensor:
        """The minimum over H (k, n) of ``sum(S H) - sum(Q log H)`` plus penalties, the bound that the passes left.

        A component that no row has used is not in it, and stays.
        """
        linear, l2 = done.S + self.penalties.l1_h, self.penalties.l2_h
        best = bound_minimum(done.Q, linear, l2)
        used = linear + l2 > 0
        return best if bool(used.all()) else torch.where((done.Q > 0) | used, best, H)

    def _z_step(
        self,
        Z: Tensor,
        H: Tensor,
        out: Tensor,
        until: float = 0.0,
        multiplications: int = 0,
        collected: list[Tensor] | None = None,
        value: bool = True,
    ) -> float:
        """Improve Z for H, solve for it until a residual, or by so many multiplicative steps; return the objective.

        The products Zt (X / A) become the one item of what is collected.
        """
        p = self.penalties
        by = Regressors(H, H.sum(1, keepdim=True) + p.l1_z, p.l2_z, self.floor)
        total = 0.0
        for rows, tile in self.samples:
            F, totals = Z[:, rows].clone(), self.samples.totals[rows]
            if until:
                solve_(tile, F, totals, by, until)
                quotient = product_and_quotient(tile, F, by)[1]
            elif multiplications:
                quotient = multiply_(tile, F, totals, by, multiplications)
            else:
                quotient = descend_(tile, F, totals, by, self.z_reach[rows])
            out[:, rows] = F
            if collected is not None:
                part = tile.collect(self._weighted(F, rows), quotient)
                collected[:] = [collected[0].add_(part)] if collected else [part]
            if not value:
                continue
            total += self._loss(rows, tile, quotient)
            if p.l2_z:
                total += p.l2_z / 2 * float((self._weighted(F, rows) * F).sum())
        if not value:
            return 0.0
        total += float((self._sums(out).double() * by.slopes.double()).sum())
        return total + p.l1_h * float(H.sum()) + p.l2_h / 2 * squared_norm(H)

    def _loss(self, rows: slice, tile: Entries, quotient: Tensor) -> float:
        """The sum of x log(x / a) - x."""
        tiny = torch.finfo(quotient.dtype).tiny
        losses = tile.sums(quotient.clamp_(min=tiny).log_().mul_(tile.values)) - self.samples.totals[rows]
        if self.row_weights is not None:
            losses *= self.row_weights[rows]
        return float(losses.sum(dtype=torch.float64))

    def _sums(self, Z: Tensor) -> Tensor:
        """Sums of the samples' weighted coefficients, shape (k, 1)."""
        return self._weighted(Z, slice(None)).sum(1, keepdim=True, dtype=torch.float64).to(Z.dtype)

    def _weighted(self, Z: Tensor, rows: slice) -> Tensor:
        """Coefficients (k, c) of some samples, times the weights of these."""
        return Z if self.row_weights is None else Z * self.row_weights[rows]

    def _regressors(self, Z: Tensor) -> Regressors:
        """Those of the features."""
        p = self.penalties
        return Regressors(Z, self._sums(Z) + p.l1_h, p.l2_h, self.floor)
