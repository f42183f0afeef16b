"""Damped least-squares steps of a layer, in the form that is cheaper for the batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor

from nmfnet.linalg.blocks import Blocks
from nmfnet.linalg.earlier_batch_solver import EarlierBatchSolver
from nmfnet.linalg.gram_solver import GramSolver, Penalty, Step
from nmfnet.linalg.holders import AtHand, batch_rows
from nmfnet.linalg.patches import Patches
from nmfnet.linalg.products import column_parts
from nmfnet.linalg.sample_solver import Samples, SampleSolver, Scattered
from nmfnet.linalg.sparse import SparseRows
from nmfnet.linalg.statistics import Moments
from nmfnet.stateful import State


class DampedLeastSquares:
    """Damped least-squares steps on batches, in one of three forms, by their costs.

    - "primal": by the inverse of the running Gram matrix of the inputs.
    - "earlier batch", for more than `gram_features` inputs, if `low_rank`: by the rows of an earlier batch, where that
      takes half of the primal form's operations or less.
    - "dual", for inputs wider than `primal_max_features` and than a batch, and, if `low_rank`, for sparse ones wider
      than `gram_features`: by the samples of the batch alone.

    Parameters
    ----------
    damping : float
        Tikhonov term, relative to the mean diagonal of the Gram matrix.
    bias : bool
        Whether steps have a bias row, which is fitted exactly and not damped.
    momentum : float, default=0
        Nesterov momentum.
    n_samples : float, default=inf
        In all batches together, where that is known.
    low_rank : bool, default=True
        Whether the rows of one earlier batch may stand for all.
    """

    gram_features: ClassVar[int] = 1024  # inputs up to here take the primal form,
    primal_max_features: ClassVar[int] = 4096  # and up to here never the dual one
    earlier_max_cost: ClassVar[float] = 0.5  # of steps by one batch, in those by all batches
    sparse_max_density: ClassVar[float] = 1 / 16  # share of stored values, above which dense products are faster
    enough_samples: ClassVar[int] = 64  # in a batch: while there are fewer,
    more_samples: ClassVar[float] = 1.25  # so many times more begin the running means anew
    part_outputs: ClassVar[int] = 2048  # that are scaled together, at most,
    part_numbers: ClassVar[int] = 2**21  # and of very many inputs
    part_min_outputs: ClassVar[int] = 64

    def __init__(
        self, damping: float, bias: bool, momentum: float = 0.0, n_samples: float = math.inf, low_rank: bool = True
    ) -> None:
        self.low_rank = low_rank
        self.primal = GramSolver(damping, bias, momentum)
        self.earlier = EarlierBatchSolver(damping, bias, momentum, n_samples)
        self.dual = SampleSolver(damping, bias, momentum, n_samples)
        self.density: float | None = None  # share of stored values in all rows, where these are sparse and known
        self.form = ""  # of the last batch
        self.samples = 0  # with which the running means began, up to `enough_samples`

    @property
    def _solvers(self) -> dict[str, GramSolver | EarlierBatchSolver | SampleSolver]:
        return {"primal": self.primal, "earlier batch": self.earlier, "dual": self.dual}

    @property
    def retries(self) -> int:
        """Factorizations that failed and were repeated with ten times the damping."""
        return self.primal.retries + self.earlier.retries + self.dual.retries

    def begin(self, looks: bool) -> None:
        """Begin an update, in which one `looks` at what a device has computed, and waits for it, or does not."""
        for solver in self._solvers.values():
            solver.begin(looks)

    def forget(self) -> None:
        """Start all running means anew."""
        for solver in self._solvers.values():
            solver.forget()

    def state(self) -> State:
        """All that steps change."""
        solvers = {name: solver.state() for name, solver in self._solvers.items()}
        return {"form": self.form, "samples": self.samples, **solvers}

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        self.form, self.samples = state["form"], state["samples"]
        for name, solver in self._solvers.items():
            solver.restore(state[name])

    def wants_covariance(self, m: int, n: int, k: int) -> bool:
        """Whether one Gram matrix of all inputs spares much, of n inputs and k outputs in batches of m samples."""
        wide = not self.low_rank and n > self.gram_features
        return wide and not self._dual_is_cheaper(m, n, k)

    def parts(self, n: int, k: int) -> list[slice]:
        """Of k outputs of n inputs, those whose step is scaled together: all of them, or about equally many."""
        few = max(self.part_min_outputs, self.part_numbers // n)
        return column_parts(k, self.part_outputs if n <= self.primal_max_features else few)

    def collect(
        self,
        Z: Tensor | SparseRows | Patches,
        E: Tensor | Blocks,
        weight: Tensor | None,
        updates: float,
        input_rms: float | Tensor | None,
        share: float = 1.0,
        at_hand: AtHand | None = None,
    ) -> Moments | Samples | Scattered:
        """Statistics of a batch, to be reduced and given to :meth:`steps`.

        Parameters
        ----------
        Z : Tensor, SparseRows or Patches of shape (m, n)
            Sparse rows are made dense where the dual form is not for them; patches take the primal one.
        E : Tensor of shape (m, k)
            For the patches of m images (m, h, w, k), or the blocks of such a tensor.
        weight : Tensor of shape (m,) or None
            Positive weights of the samples.
        updates : float
            Made so far.
        input_rms : float, Tensor or None
            Root mean square of the inputs; None in the primal form alone, see :meth:`GramSolver.collect`.
        share : float, default=1
            Of an update that the batch is.
        at_hand : AtHand, optional
            Which samples of the batch these are; left out, all.
        """
        m = batch_rows(len(E), at_hand)
        if min(m, self.enough_samples) >= self.more_samples * self.samples:
            self.forget()  # what fewer have told is not worth a running mean
            self.samples = min(m, self.enough_samples)
        if isinstance(Z, SparseRows) and not self._stays_sparse(Z, m):
            Z = Z.dense()
        form = self._form(Z, m, E.shape[-1])
        if form != self.form:  # what was averaged is something else
            for solver in self._solvers.values():
                solver.momentum.forget()
            self.form = form
        self._solvers[form].momentum.share = share
        if form == "primal":
            assert not isinstance(Z, SparseRows)
            return self.primal.collect(Z, E, weight, updates, input_rms, share, at_hand)
        assert input_rms is not None and not isinstance(Z, Patches)
        assert not isinstance(E, Blocks)
        if at_hand is not None:
            refresh = form == "earlier batch" and self.earlier.due(m, updates, input_rms, share)
            return Scattered(Z, E, weight, self.primal.bias, refresh)
        if form == "dual":
            return self.dual.collect(Z, E, weight)
        assert not isinstance(Z, SparseRows)
        return self.earlier.collect_samples(Z, E, weight, updates, input_rms, share)

    def steps(
        self, statistics: Moments | Samples, parts: Sequence[slice], penalty: Penalty | None = None
    ) -> Iterator[Step]:
        """Steps from the reduced statistics of a batch, for one part of the outputs after another.

        That of a wide layer at once would be a set of weights more.
        """
        if not isinstance(statistics, Samples):
            return self.primal.steps(statistics, parts, penalty)
        if self.form == "dual":
            return self.dual.steps(statistics, parts, penalty)
        return self.earlier.steps_from_samples(statistics, parts, penalty)

    def form_of_dense(self, m: int, n: int, k: int) -> str:
        """The cheapest form for m samples of n dense inputs and k outputs."""
        if self._dual_is_cheaper(m, n, k):
            return "dual"
        return "earlier batch" if self._earlier_batch_is_cheaper(m, n, k) else "primal"

    def _form(self, Z: Tensor | SparseRows | Patches, m: int, k: int) -> str:
        """The cheapest form for the inputs of m samples and k outputs."""
        if isinstance(Z, Patches):  # always more rows than columns
            return "primal"
        return "dual" if isinstance(Z, SparseRows) else self.form_of_dense(m, Z.shape[1], k)

    def _stays_sparse(self, Z: SparseRows, m: int) -> bool:
        """Whether products of m sparse rows, which the dual form takes alone, are cheaper than those of dense ones."""
        n = Z.shape[1]
        density = Z.density if self.density is None else self.density
        few = density <= self.sparse_max_density and n > max(m, self.gram_features)
        return n > self.primal_max_features or (self.low_rank and few)

    def _dual_is_cheaper(self, m: int, n: int, k: int) -> bool:
        cheaper = m * m * (n + k) + m**3 / 6 < self._primal_cost(m, n, k)
        return n > max(m, self.primal_max_features) and cheaper

    def _earlier_batch_is_cheaper(self, m: int, n: int, k: int) -> bool:
        # Subtracting from I loses as many digits as d has fewer than G.
        possible = self.low_rank and n > self.gram_features and self.primal.damping >= self.primal.exact_damping
        cost = 3 * m * n * k + m * m * k + (m * m * n + m**3) / self.primal.refresh_interval(m)
        return possible and cost < self.earlier_max_cost * self._primal_cost(m, n, k)

    def _primal_cost(self, m: int, n: int, k: int) -> float:
        """Multiplications for m samples of n inputs and k outputs, but for those that all forms make."""
        return n * n * k + (m * n * n + n**3) / self.primal.refresh_interval(m)
