"""A start is searched for in compressed data, where a pass costs a fraction.

The best approximation of X of about twice the rank holds nearly all that the components can fit (randomized
compression: Erichson, Mendible, Wihlborn and Kutz, 2018), and its passes need no product with X.  So a
minimum can be left again for better ones in the time of a few passes over all data.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nmfnet.factorization.acceleration import Alternation, Problem, alternate
from nmfnet.factorization.data import Data, LowRankData, SparseData
from nmfnet.factorization.initialization import leading_vectors
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.transformers.component_replacement import (
    MAX_COMPONENTS_WITHOUT,
    PASSES_AROUND_REPLACEMENT,
    REPLACED_SHARES,
    Factors,
    replaced,
)
from nmfnet.transformers.subsampled_start import Stalled

VECTORS_PER_COMPONENT, MORE_VECTORS = 2, 10  # rank of the compressed data: so many times the components, and some more
VECTORS_AT_A_TIME = 8  # in products with sparse data: a multiple of that takes less time than a little less
SUBSPACE_ROUNDS = 3  # of the subspace iteration that finds it: small vectors need not be exact,
SPARSE_ROUNDS = 4  # but those of sparse data, whose singular values differ less, need one more for a search
MAX_LOST = 0.25  # share of the squares of X that compression may leave out, for late replacements to pay
DENSE_FACTOR, SPARSE_FACTOR = 2, 4  # multiplications in compressed data that are worth one with X at most
WAY_CYCLES, LAST_CYCLES = 2, 4  # of coordinate descent in a pass: few first, which leads to better minima
FIRST_PASSES, WAY_PASSES, LAST_PASSES = 20, 40, 200  # most passes without replacements, after them, and in the end
WAY_GAIN, LAST_GAIN = 1e-3, 3e-4  # they end when ten passes lower the objective by less than this share of it
EASY_PASSES, EASY_GAIN = 5, 1e-5  # where so many more gain less after the first, there is nothing to search for
LATE_PASSES = 10  # with more components, in the last replacement


def compression_pays(data: Data, k: int) -> bool:
    """Whether passes become cheaper, or hardly dearer, in compressed data."""
    return cheaper(data, k, SPARSE_FACTOR if isinstance(data, SparseData) else DENSE_FACTOR)


def few_passes_pay(data: Data, k: int) -> bool:
    """Whether passes in compressed data pay although no component is going to be replaced.

    They do for sparse data, of which a product takes ten times as long for a multiplication.
    """
    return isinstance(data, SparseData) and k <= MAX_COMPONENTS_WITHOUT and cheaper(data, k, DENSE_FACTOR)


def cheaper(data: Data, k: int, factor: float) -> bool:
    """Whether a pass in compressed data takes at most so many times the multiplications of one with X."""
    return compressed_rank(data, k) * sum(data.shape) <= factor * data.entries


def compressed_rank(data: Data, k: int) -> int:
    """Rank of the compressed data."""
    rank = VECTORS_PER_COMPONENT * k + MORE_VECTORS
    if isinstance(data, SparseData):
        rank += -rank % VECTORS_AT_A_TIME
    return min(rank, *data.shape)


def compress(data: Data, k: int, generator: torch.Generator, rounds: int = SUBSPACE_ROUNDS) -> Factors:
    """Scaled left and right singular vectors of X, (r, m) and (r, n), for the search with k components."""
    return leading_vectors(data, compressed_rank(data, k), generator, rounds, 0)


class CompressedSearch:
    """Replaces components early and late, unless passes without that soon gain nothing more.

    Where compression leaves out much, components are replaced early alone.

    Parameters
    ----------
    vectors : tuple of Tensor
        Of :func:`compress`.
    penalties : Penalties
    squares : float
        ``||X||^2``, of which the compressed data have a part.
    start : tuple of Tensor
        Z (k, m) and H (k, n).
    """

    def __init__(self, vectors: Factors, penalties: Penalties, squares: float, start: Factors) -> None:
        self.data, self.penalties, self.start = LowRankData(*vectors), penalties, start
        self.lost = max(0.0, squares - self.data.squares(None)) / 2
        self.coarse = 2 * self.lost > MAX_LOST * squares

    def problem(self, k: int, cycles: int = WAY_CYCLES, data: LowRankData | None = None) -> Problem:
        """The problem with so many components, and so many cycles of coordinate descent in a pass."""
        problem = LeastSquares(data or self.data, k, self.penalties)
        problem.z_sweeps = problem.h_sweeps = cycles
        return problem

    def way(self) -> Factors:
        """Factors after passes from the start until these gain little."""
        done = self._way(self.start)
        return done.Z, done.H

    def search(self) -> Factors:
        """Factors whose objective is low."""
        early = self._passes(self.start, PASSES_AROUND_REPLACEMENT)
        stop = Stalled(WAY_GAIN, self.lost)
        plain = self._passes((early.Z, early.H), FIRST_PASSES, stop)
        checked = plain if plain.converged or stop.still else self._passes((plain.Z, plain.H), EASY_PASSES)
        gained = plain.last.objective - checked.last.objective
        if gained <= EASY_GAIN * (checked.last.objective + self.lost):
            return checked.Z, checked.H
        other = early
        for share in REPLACED_SHARES:
            other = self._passes(self._replaced(other, share, PASSES_AROUND_REPLACEMENT), PASSES_AROUND_REPLACEMENT)
        best = self._way((other.Z, other.H))
        if self.coarse:  # minima differ by less than the data do from X
            return best.Z, best.H
        best = lower(best, self._way(self._replaced(best, REPLACED_SHARES[0], LATE_PASSES)))
        return self._last(best.Z, best.H)

    def _last(self, Z: Tensor, H: Tensor) -> Factors:
        """Factors after the last passes; where rounding errors end them, they go on in double precision."""
        stop = Stalled(LAST_GAIN, self.lost)
        last = alternate(self.problem(len(H), LAST_CYCLES), Z, H, LAST_PASSES, 0.0, stop)
        if last.converged and last.n_iter < LAST_PASSES:
            problem = self.problem(len(H), LAST_CYCLES, LowRankData(self.data.A.double(), self.data.B.double()))
            last = alternate(problem, last.Z.double(), last.H.double(), LAST_PASSES - last.n_iter, 0.0, stop)
        return last.Z, last.H

    def _way(self, start: Factors) -> Alternation:
        return self._passes(start, WAY_PASSES, Stalled(WAY_GAIN, self.lost))

    def _replaced(self, at: Alternation, share: int, passes: int) -> Factors:
        return replaced(self.problem, self.data, at.Z, at.H, max(1, len(at.H) // share), passes)

    def _passes(
        self, start: Factors, most: int, stop: Callable[[int, float], bool | None] | None = None
    ) -> Alternation:
        """Passes from copies of the factors."""
        Z, H = start
        return alternate(self.problem(len(H)), Z.clone(), H.clone(), most, 0.0, stop)


def lower(one: Alternation, other: Alternation) -> Alternation:
    """The one of the lower objective."""
    return other if other.last.objective < one.last.objective else one
