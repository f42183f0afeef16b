"""Epochs of mini-batches."""

from __future__ import annotations

import math

import numpy as np
from sklearn.utils import check_random_state
from torch import Tensor

from nmfnet.transformers.initialization import Starts
from nmfnet.transformers.input import Input
from nmfnet.transformers.minibatch import Online


class Epochs(Starts):
    """The fit of a transformer by mini-batches."""

    tol: float
    forget_factor: float
    verbose: int

    def _fit_batches(self, data: Input, Z: Tensor, H: Tensor) -> tuple[Tensor, int, bool]:
        """Epochs of online steps on blocks of rows in random order, until an epoch lowers the objective little.

        Z (k, m) is where each batch starts, and is overwritten, where a step on it needs the data again.
        """
        m, k = data.shape[0], len(H)
        size = min(m, int(self.batch_size or m))
        starts, order = np.arange(0, m, size), check_random_state(self.random_state)
        online, before, total = Online(H, float(self.forget_factor)), math.inf, math.inf
        for epoch in range(1, int(self.max_iter) + 1):
            before, total = total, 0.0
            for start in order.permutation(starts):
                rows = slice(int(start), min(int(start) + size, m))
                batch = data.rows(rows)
                share = batch.shape[0] / m * len(starts) ** 0.5
                problem = self._problem(batch, k)
                total += online.step(problem, self._zero_start(batch, k) if problem.settled else Z[:, rows], share)
            if self.verbose:
                self._announce(epoch, total)
            if self.tol > 0 and before - total < self.tol * total:
                return online.H, epoch, True
        return online.H, epoch, False

    def _announce(self, n_iter: int, objective: float) -> None:
        print(f"pass {n_iter}, objective {objective:.6g}")
