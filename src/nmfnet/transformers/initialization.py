"""Where the factorizing transformers start: at factors of the user's, at NNDSVD, or at what a search has found."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from nmfnet.distributed import now
from nmfnet.factorization.acceleration import Problem
from nmfnet.factorization.data import SparseData
from nmfnet.factorization.initialization import MeanFilled, starting_factors
from nmfnet.factorization.kullback_leibler import KullbackLeibler
from nmfnet.factorization.passes import Penalties
from nmfnet.factorization.stored import StoredDense, StoredSparse
from nmfnet.linalg.holders import local
from nmfnet.transformers import input as given
from nmfnet.transformers.component_replacement import Factors, replace_components, replacement_pays
from nmfnet.transformers.compressed_start import (
    SPARSE_ROUNDS,
    SUBSPACE_ROUNDS,
    CompressedSearch,
    compress,
    compression_pays,
    few_passes_pay,
)
from nmfnet.transformers.input import Input
from nmfnet.transformers.subsampled_start import FIRST_Z_TOLERANCE, STARTS, best_of, sample_rows

RAISED_SHARE = 0.01  # of the mean of a component that is added to its entries where the divergence starts


class Starts:
    """The starting factors of a transformer."""

    signed: bool  # whether the components may have any sign

    init: str | None
    solver: str = "cd"
    max_iter: int
    batch_size: int | None
    random_state: int | np.random.RandomState | None

    @abstractmethod
    def _problem(self, data: Input, k: int) -> Problem:
        """The loss and its steps on this data."""

    def _warn_of_ignored(self, W: object, H: object) -> None:
        """Say that starting factors are ignored, where they are."""
        if self.init != "custom" and (W is not None or H is not None):
            warnings.warn(
                f"W and H are ignored with init={self.init!r}: use init='custom'.", RuntimeWarning, stacklevel=5
            )

    @abstractmethod
    def _penalties(self, data: Input) -> Penalties:
        """The penalties in the units of the data."""

    def _start(
        self, data: Input, k: int, W: Any, H: Any, generator: torch.Generator, vectors: Factors | None = None
    ) -> Factors:
        """Starting factors Z (k, m) and H (k, n); `vectors`: leading singular vectors, where they are known."""
        m, n = data.shape
        like = data.data.like
        if self.init == "custom":
            shapes = {"W": (data.data.shape[0], k), "H": (k, n)}
            Z, H_start = (
                torch.tensor(given.check_start(F, name, shapes[name], name == "W" or not self.signed)).to(like)
                for name, F in (("W", W), ("H", H))
            )
            return Z.T.contiguous(), H_start * data.scale
        init = self.init or ("nndsvda" if k <= min(m, n) else "random")
        if init != "random" and k > min(m, n):
            raise ValueError(
                f"init={init!r} needs n_components <= min(n_samples, n_features) = {min(m, n)}; got {k}. "
                "Use init='random'."
            )
        start = MeanFilled(data.dense) if data.missing else data.data
        Z, F = starting_factors(start, k, init, generator, signed=self.signed, vectors=vectors)
        if self.signed and self.solver == "mu":
            (total,) = data.data.rows.summed(float(Z.sum(dtype=torch.float64)))
            Z.clamp_(min=0.2 * total / (k * m))  # multiplicative steps leave zeros zero
        return Z, F

    def _searched_start(self, data: Input, k: int, problem: Problem) -> Factors | None:
        """Starting factors that a search found; None where none pays, or rows are in files or in several processes."""
        if data.data.rows.holders is not local or isinstance(data.data, (StoredDense, StoredSparse)):
            return None
        if self.init == "custom" or self.batch_size is not None or problem.multiplicative:
            return None
        if isinstance(problem, KullbackLeibler):
            found = self._start_by_least_squares(data, k, problem)
        else:
            found = self._start_on_sample(data, k, problem) or self._start_by_replacement(data, k, problem)
        return found or self._start_in_single(data, k, problem)

    def _start_on_sample(self, data: Input, k: int, problem: Problem) -> Factors | None:
        """Starting factors of tall data, from a sample of their rows; None where that does not pay."""
        generator = self._generator()
        rows = sample_rows(data.shape, generator)
        if rows is None:
            return None
        part = data.rows(rows, single=True)
        starts = (self._start(part, k, None, None, generator) for _ in range(STARTS))
        H = best_of(self._problem(part, k), starts, int(self.max_iter)).to(data.data.like)
        Z = self._zero_start(data, k)
        problem.sweep(Z, H, Z, until=FIRST_Z_TOLERANCE)
        return (Z, H) if bool(H.any(1).all()) else None  # all data may need what the sample does not

    def _start_by_replacement(self, data: Input, k: int, problem: Problem) -> Factors | None:
        """Starting factors that replacing components leads to, in single precision; None where that does not pay.

        In compressed data where these are smaller.  Where none is replaced these are those of passes there alone.
        """
        if self.signed or data.missing or data.weights is not None or data.row_weights is not None:
            return None
        replaces = replacement_pays(data.data, k, int(self.max_iter))
        if not (data.in_memory and (replaces or few_passes_pay(data.data, k))):
            return None
        part, generator = data.single, self._generator()
        if compression_pays(part.data, k):
            rounds = SPARSE_ROUNDS if isinstance(part.data, SparseData) else SUBSPACE_ROUNDS
            compressed = self._compressed(part, k, generator, self._penalties(part), rounds)
            if not problem.single_first:  # else the passes begin with this part
                del part
                data.forget_single()
            return compressed.search() if replaces else compressed.way()
        start = self._start(part, k, None, None, generator)
        return replace_components(lambda size: self._problem(part, size), part.data, start, int(self.max_iter))

    def _start_by_least_squares(self, data: Input, k: int, problem: KullbackLeibler) -> Factors | None:
        """Starting factors for the divergence, by least squares in compressed data; None where that does not pay.

        Zeros are raised to a small share of their component, as an entry without any source is far from all data.
        """
        if data.row_weights is not None or not (problem.single_first and data.in_memory):
            return None
        part = data.single
        if not compression_pays(part.data, k) or k > min(data.shape):
            return None
        factors = self._compressed(part, k, self._generator(), Penalties()).way()
        Z, H = (F + RAISED_SHARE * F.mean(1, keepdim=True) for F in factors)
        return Z, H

    def _start_in_single(self, data: Input, k: int, problem: Problem) -> Factors | None:
        """NNDSVD in single precision, in which the passes begin; None where they do not."""
        if self.init == "random" or not (problem.single_first and data.in_memory):
            return None
        return self._start(data.single, k, None, None, self._generator())

    def _compressed(
        self, part: Input, k: int, generator: torch.Generator, penalties: Penalties, rounds: int = SUBSPACE_ROUNDS
    ) -> CompressedSearch:
        """A search in the data compressed."""
        vectors = compress(part.data, k, generator, rounds)
        start = self._start(part, k, None, None, generator, vectors)
        return CompressedSearch(vectors, penalties, part.data.squares(None), start)

    def _zero_start(self, data: Input, k: int) -> Tensor:
        return data.data.like.new_zeros(k, data.data.shape[0])

    def _generator(self) -> torch.Generator:
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        return torch.Generator().manual_seed(int(now().shared(seed)))
