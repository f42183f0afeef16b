"""Damped least-squares steps by the rows of recent batches: a Gram matrix of low rank that is never formed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from nmfnet.linalg.cholesky import damped_cholesky, damping_term
from nmfnet.linalg.gram_solver import GramSolver, Penalty, Step
from nmfnet.linalg.sample_solver import Samples
from nmfnet.linalg.sparse import CentredRows


class RecentRowsSolver(GramSolver):
    """Steps ``(St S + d I)^-1 Zt E / m`` for the rows S (r, n) of recent batches, over the root of their number.

    By Woodbury's formula ``(St S + d I)^-1 = (I - St (S St + d I)^-1 S) / d``: of many inputs it takes a matrix of
    r x r in place of one of n x n, and still knows more than the batch at hand.

    Parameters
    ----------
    damping, bias, momentum
        As in :class:`GramSolver`.
    """

    share: ClassVar[float] = 0.2  # least number of rows that are remembered, over inputs

    fields = (*GramSolver.fields, "rows")

    def __init__(self, damping: float, bias: bool, momentum: float = 0.0) -> None:
        super().__init__(damping, bias, momentum)
        self.rows: Tensor | None = None  # S; the Gram matrix is S St, without the division

    def forget_matrices(self) -> None:
        """Forget the rows."""
        super().forget_matrices()
        self.rows = None

    def remembered(self, m: int, n: int) -> int:
        """Rows that are remembered: of whole batches of m."""
        return m * math.ceil(self.share * n / m)

    def collect_samples(
        self, Z: Tensor, E: Tensor, weight: Tensor | None, updates: float, input_rms: float, share: float = 1.0
    ) -> Samples:
        """The samples of a batch, centred and weighted; they are remembered where that is due."""
        return Samples.of(Z, E, weight, self.bias, refresh=self.due(len(E), updates, input_rms, share))

    def steps_from_samples(
        self, samples: Samples, parts: Sequence[slice], penalty: Penalty | None = None
    ) -> Iterator[Step]:
        """Steps from the samples of a batch, for one part of the outputs after another."""
        Z: Any = samples.Z
        E, m = samples.E, len(samples.E)
        if samples.refresh:
            assert not isinstance(Z, CentredRows)
            self._remember(Z, 0.0 if penalty is None else penalty.curvature)
        bias = None if samples.residuals is None else self.momentum("bias", samples.residuals.clone())
        assert self.rows is not None and self.gram is not None and self.inverse is not None and self.ridge is not None
        for part in parts:
            D = E.new_empty(Z.shape[1] + self.bias, part.stop - part.start)
            weights = D[: Z.shape[1]]
            C = self.momentum(f"right-hand side from {part.start}", (Z.T @ E[:, part]).div_(m))
            fitted = (self.inverse @ (self.rows @ C)).T @ self.rows
            torch.sub(C, fitted.T, out=weights).div_(self.ridge)
            if penalty is not None:
                size = self.gram.diagonal().mean() / len(self.rows)
                weights.addcdiv_(penalty.gradient[:, part], self.ridge + size, value=-1)
            # Not by the remembered rows: samples that they do not know move much further than these say.
            square = (Z @ weights).square().sum() / m
            if samples.inputs is not None and bias is not None:
                square = bias[part].square().sum() + square
                torch.sub(bias[part], samples.inputs @ weights, out=D[-1])
            yield Step(D, square)

    def _remember(self, Z: Tensor, curvature: float) -> None:
        """Take the rows of a batch in, and the oldest out."""
        S, K = Z.clone(), Z @ Z.T
        if self.rows is not None and self.gram is not None:
            out = max(0, len(self.rows) + len(Z) - self.remembered(*Z.shape))
            old, old_K = self.rows[out:], self.gram[out:, out:]
            across = old @ S.T
            S, K = torch.cat([old, S]), torch.cat([torch.cat([old_K, across], 1), torch.cat([across.T, K], 1)])
        self.rows, self.gram, r = S, K, len(S)
        ridge = damping_term(self.damping, K.diagonal().sum() / S.numel(), Z.new_tensor(self.input_rms**2), curvature)
        L, self.ridge, retries = damped_cholesky(K / r, ridge)
        self.retries += retries
        self.inverse = torch.cholesky_inverse(L).div_(r)
