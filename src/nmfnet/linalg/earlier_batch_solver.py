"""Damped least-squares steps by the rows of an earlier batch: a Gram matrix of low rank that is never formed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nmfnet.linalg.cholesky import cholesky_inverse, damped_cholesky, damping_term
from nmfnet.linalg.gram_solver import GramSolver, Penalty, Step
from nmfnet.linalg.sample_solver import Samples


class EarlierBatchSolver(GramSolver):
    """Steps ``(St S + d I)^-1 Zt E / m`` for the rows S (r, n) of an earlier batch, over the root of their number.

    By Woodbury's formula ``(St S + d I)^-1 = (I - St (S St + d I)^-1 S) / d``: of many inputs it takes a matrix of
    r x r in place of one of n x n.

    A penalty pulls along the directions of all samples.  S knows few of them, and by d alone those of the others would
    shrink much faster than they are learned.  They count with the mean variance of as many directions as there can be.

    Parameters
    ----------
    damping, bias, momentum
        As in :class:`GramSolver`.
    n_samples : float, default=inf
        In all batches together, where that is known.
    """

    fields = (*GramSolver.fields, "rows", "unknown")

    def __init__(self, damping: float, bias: bool, momentum: float = 0.0, n_samples: float = math.inf) -> None:
        super().__init__(damping, bias, momentum)
        self.n_samples = n_samples
        self.rows: Tensor | None = None  # S
        self.unknown: Tensor | None = None  # d with the variance of what S does not know

    def forget_matrices(self) -> None:
        """Forget the rows."""
        super().forget_matrices()
        self.rows = None

    def collect_samples(
        self,
        Z: Tensor,
        E: Tensor,
        weight: Tensor | None,
        updates: float,
        input_rms: float | Tensor,
        share: float = 1.0,
    ) -> Samples:
        """The samples of a batch, centred and weighted; they are remembered where that is due."""
        return Samples.of(Z, E, weight, self.bias, refresh=self.due(len(E), updates, input_rms, share))

    def steps_from_samples(
        self, samples: Samples, parts: Sequence[slice], penalty: Penalty | None = None
    ) -> Iterator[Step]:
        """Steps from the samples of a batch, for one part of the outputs after another."""
        Z = samples.Z
        assert isinstance(Z, Tensor)
        E, m = samples.E, len(samples.E)
        if samples.refresh:
            self._remember(Z, 0.0 if penalty is None else penalty.curvature)
        bias = None if samples.residuals is None else self.momentum("bias", samples.residuals.clone())
        assert self.rows is not None and self.inverse is not None
        assert self.ridge is not None and self.unknown is not None
        for part in parts:
            D = E.new_empty(Z.shape[1] + self.bias, part.stop - part.start)
            weights = D[: Z.shape[1]]
            C = (Z.T @ E[:, part]).div_(m)
            if penalty is not None:
                C.addcmul_(penalty.gradient[:, part], self.ridge / self.unknown, value=-1)
            C = self.momentum(f"right-hand side from {part.start}", C)
            known = (self.inverse @ (self.rows @ C)).T @ self.rows
            torch.sub(C, known.T, out=weights).div_(self.ridge)
            square = (Z @ weights).square().sum() / m  # of new samples S knows too little
            if samples.inputs is not None and bias is not None:
                square = bias[part].square().sum() + square
                torch.sub(bias[part], samples.inputs @ weights, out=D[-1])
            yield Step(D, square)

    def _remember(self, Z: Tensor, curvature: float) -> None:
        """Let the rows of a batch be S."""
        (m, n), K = Z.shape, Z @ Z.T / len(Z)
        variance = K.diagonal().sum()
        self.rows = Z / m**0.5
        size = Z.new_zeros(()).add_(self.input_rms**2)
        ridge = damping_term(self.damping, variance / n, size, curvature)
        L, self.ridge, retries = damped_cholesky(K, ridge, self.looks)
        self.unknown = self.ridge + variance / min(n, self.n_samples)
        self.retries += retries
        self.inverse = cholesky_inverse(L, self.looks)
