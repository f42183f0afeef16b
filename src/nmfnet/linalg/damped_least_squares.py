"""Damped least-squares steps of a layer, in the form that is cheaper for the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor

from nmfnet.linalg.gram_solver import GramSolver, Penalty, Step
from nmfnet.linalg.products import column_parts
from nmfnet.linalg.sample_solver import Samples, SampleSolver
from nmfnet.linalg.sparse import SparseRows
from nmfnet.linalg.statistics import Moments
from nmfnet.stateful import State


class DampedLeastSquares:
    """Damped least-squares steps on batches: by the Gram matrix of the inputs, or by the samples.

    Inputs wider than `primal_max_features` and than a batch take the dual form where that is cheaper; it knows the
    batch at hand alone.

    Parameters
    ----------
    damping : float
        Tikhonov term, relative to the mean diagonal of the Gram matrix.
    bias : bool
        Whether steps have a bias row, which is fitted exactly and not damped.
    momentum : float, default=0
        Nesterov momentum.
    """

    primal_max_features: ClassVar[int] = 4096
    enough_samples: ClassVar[int] = 64  # in a batch: with fewer, twice as many begin the running means anew
    part_outputs: ClassVar[int] = 2048  # that are scaled together, at most,
    part_numbers: ClassVar[int] = 2**21  # and of very many inputs
    part_min_outputs: ClassVar[int] = 64

    def __init__(self, damping: float, bias: bool, momentum: float = 0.0) -> None:
        self.primal = GramSolver(damping, bias, momentum)
        self.dual = SampleSolver(damping, bias, momentum)
        self.form = ""  # of the last batch
        self.samples = 0  # of the largest batch so far, up to `enough_samples`

    @property
    def retries(self) -> int:
        """Factorizations that failed and were repeated with ten times the damping."""
        return self.primal.retries + self.dual.retries

    def forget(self) -> None:
        """Start all running means anew."""
        self.primal.forget()
        self.dual.forget()

    def state(self) -> State:
        """All that steps change."""
        return {"form": self.form, "samples": self.samples, "primal": self.primal.state(), "dual": self.dual.state()}

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        self.form, self.samples = state["form"], state["samples"]
        self.primal.restore(state["primal"])
        self.dual.restore(state["dual"])

    def parts(self, n: int, k: int) -> list[slice]:
        """Of k outputs of n inputs, those whose step is scaled together: all of them, or about equally many."""
        few = max(self.part_min_outputs, self.part_numbers // n)
        return column_parts(k, self.part_outputs if n <= self.primal_max_features else few)

    def collect(
        self,
        Z: Tensor | SparseRows,
        E: Tensor,
        weight: Tensor | None,
        update: int | None,
        input_rms: float,
        share: float = 1.0,
    ) -> Moments | Samples:
        """Statistics of a batch, to be reduced and given to :meth:`steps`.

        Parameters
        ----------
        Z : Tensor or SparseRows of shape (m, n)
            Sparse rows wider than `primal_max_features` take the dual form always.
        E : Tensor of shape (m, k)
        weight : Tensor of shape (m,) or None
            Positive weights of the samples.
        update : int or None
            Number of the update, from 0; None where it goes on with one.
        input_rms : float
            Root mean square of the inputs.
        share : float, default=1
            Of an update.
        """
        if min(len(E), self.enough_samples) >= 2 * self.samples:  # what so few have told is not worth a running mean
            self.forget()
        self.samples = max(self.samples, min(len(E), self.enough_samples))
        self.primal.momentum.share = self.dual.momentum.share = share
        (m, n), k = Z.shape, E.shape[1]
        sparse = isinstance(Z, SparseRows)
        dual = n > self.primal_max_features if sparse else self._dual_is_cheaper(m, n, k)
        form = "dual" if dual else "primal"
        if form != self.form:  # what was averaged is something else
            self.primal.momentum.forget()
            self.dual.momentum.forget()
            self.form = form
        if dual:
            return self.dual.collect(Z, E, weight)
        return self.primal.collect(Z.dense() if isinstance(Z, SparseRows) else Z, E, weight, update, input_rms)

    def steps(
        self, statistics: Moments | Samples, parts: Sequence[slice], penalty: Penalty | None = None
    ) -> Iterator[Step]:
        """Steps from the reduced statistics of a batch, for one part of the outputs after another.

        That of a wide layer at once would be a set of weights more.
        """
        if isinstance(statistics, Samples):
            return self.dual.steps(statistics, parts, penalty)
        return self.primal.steps(statistics, parts, penalty)

    def _dual_is_cheaper(self, m: int, n: int, k: int) -> bool:
        primal = n * n * k + (m * n * n + n**3) / self.primal.refresh_interval(m)
        return n > max(m, self.primal_max_features) and m * m * (n + k) + m**3 / 6 < primal
