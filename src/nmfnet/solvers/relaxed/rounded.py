"""The relaxed sweep of several ranks that send right-hand sides and Gram matrices in few bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nmfnet.linalg.cholesky import damped_cholesky, damping_term
from nmfnet.linalg.holders import Holders
from nmfnet.linalg.rounding import rounded_sums
from nmfnet.linalg.statistics import Moments, Question, symmetric, triangle
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.defaults import Resolved
from nmfnet.solvers.relaxed.passes import Lengths, Pass
from nmfnet.solvers.relaxed.ranked import RankedSweep, Told
from nmfnet.stateful import State


class RoundedSweep(RankedSweep):
    """As :class:`RankedSweep`, but matrices are sent in few bits, after the small sums of a batch.

    Losses, lengths, means and the diagonals of Gram matrices are exact, so that decisions are as in one process.  They
    are sent first, as matrices are centred by the means of all.  Rounding errors are of equal size everywhere.  So

    - a right-hand side C is sent as ``L^-1 C``, where ``L Lt = G + d I``: the step ``(G + d I)^-1 C`` enlarges errors
      of C in the directions in which inputs vary little, but leaves those of ``L^-1 C`` as large as they are.
    - of a Gram matrix its difference to the running one G is sent, and the first one as it is.

    Of layers in a dual form rows are sent, as in :class:`RankedSweep`.

    Parameters
    ----------
    settings, network, plan, masking_value
        As of :class:`RelaxedSweep`.
    ranks : Holders
    bits : {2, 4, 8}
        Of a number.
    """

    def __init__(
        self, settings: Resolved, network: Network, plan: Plan, masking_value: Tensor | None, ranks: Holders, bits: int
    ) -> None:
        super().__init__(settings, network, plan, masking_value, ranks)
        self.ranks, self.bits = ranks, bits
        self.factors: dict[int, Tensor] = {}  # L of layers

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        super().restore(state)
        self.factors.clear()

    def _roll_back(self) -> None:
        super()._roll_back()
        self.factors.clear()

    def _step(self, layer: int, statistics: Any, lengths: Lengths) -> None:
        super()._step(layer, statistics, lengths)
        if statistics.gram is not None:
            self.factors.pop(layer, None)

    def _factorized(self, statistics: list[tuple[int, Moments]]) -> list[tuple[int, Moments]]:
        """As they are: an inverse has far more bytes than a rounded right-hand side, and each rank needs L."""
        return statistics

    def _moments(self, forward: Pass, E: Tensor, sample_weight: Tensor | None) -> Question[list[tuple[int, Any]]]:
        """Small sums over all samples, and the first Gram matrices; the other matrices of the samples at hand."""
        layers, found = zip(*self._statistics(forward, E, [None] * len(self.solvers), sample_weight), strict=True)
        running = [self.solvers[layer].primal.gram for layer in layers]
        exact = [_exact_sums(own, G is None) for own, G in zip(found, running, strict=True)]
        sums = iter((yield [part for each in exact for part in each.values()]))
        whole = [{name: next(sums) for name in each} for each in exact]
        return [(layer, Parts.of(*each)) for layer, *each in zip(layers, found, whole, running, strict=True)]

    def _completed(self, m: int, told: Told, sample_weight: Tensor | None) -> list[tuple[int, Moments]]:
        """The statistics, with matrices of all samples."""
        # What `_moments` of this class found, before it is summed.
        found: list[tuple[int, Parts]] = told.statistics  # type: ignore[assignment]
        sent = dict[tuple[str, int], Tensor]()
        for layer, parts in found:
            L = self._factor(layer, parts.moments)
            sent["right-hand side", layer] = torch.linalg.solve_triangular(L, parts.cross, upper=False)
            if parts.gram is not None:
                sent["Gram matrix", layer] = parts.gram
        sums = rounded_sums(sent, self.bits, self.ranks)
        statistics = []
        for layer, parts in found:
            cross = self.factors[layer] @ sums["right-hand side", layer]
            statistics.append((layer, parts.summed(cross, sums.get(("Gram matrix", layer)))))
        return super()._completed(m, told._replace(statistics=statistics), sample_weight)

    def _factor(self, layer: int, moments: Moments) -> Tensor:
        """L of a layer: of the running Gram matrix, or of the first one, which `moments` have then."""
        if layer not in self.factors:
            primal, ridge = self.solvers[layer].primal, self.solvers[layer].primal.ridge
            gram, size = (primal.gram, primal.size) if primal.gram is not None else _covariance(moments)
            if primal.inverse is None or ridge is None:  # it is the first one
                assert gram is not None and size is not None
                ridge = damping_term(primal.damping, gram.diagonal().mean(), size, 0.0)
            self.factors[layer] = damped_cholesky(gram, ridge, self.looks.now)[0].to(moments.cross.dtype)
        return self.factors[layer]


SMALL = ("n", "inputs", "residuals", "gram_n", "gram_inputs")  # sums that are sent as they are


class Parts(NamedTuple):
    """What a layer's step is made of, before its matrices are summed.

    Attributes
    ----------
    moments : Moments
        Of all samples, but for the right-hand side; the Gram matrix is the first one, or what the running one expects.
    cross : Tensor of shape (n, k)
        Right-hand side of the samples at hand, centred by the means of all where there are biases.
    gram : Tensor or None
        A triangle of the Gram matrix of the samples at hand, less what the running one expects.
    """

    moments: Moments
    cross: Tensor
    gram: Tensor | None = None

    @classmethod
    def of(cls, own: Moments, whole: Mapping[str, Tensor], running: Tensor | None) -> Parts:
        """From sums over the samples at hand, the exact ones over all, and the running Gram matrix."""
        small: dict[str, Any] = {name: each for name, each in whole.items() if name in SMALL}
        moments = replace(own, **small)
        cross, gram = own.cross, None
        if own.residuals is not None:
            cross = cross.addr(_rows_and_mean(moments)[1], own.residuals, alpha=-1)
        if own.gram is not None:
            if running is None:
                expected = symmetric(whole["gram"], len(own.gram))
            else:
                expected, gram = _expected(own, moments, whole["diagonal"], running)
            moments = replace(moments, gram=expected)
        return cls(moments, cross, gram)

    def summed(self, cross: Tensor, gram: Tensor | None) -> Moments:
        """The moments of all samples, from the sums of the matrices."""
        moments = self.moments
        if moments.residuals is not None:
            cross = cross.addr(_rows_and_mean(moments)[1], moments.residuals)
        if gram is None or moments.gram is None:
            return replace(moments, cross=cross)
        G = symmetric(gram, len(moments.gram)).fill_diagonal_(0)
        return replace(moments, cross=cross, gram=G.add_(moments.gram))


def _exact_sums(own: Moments, first: bool) -> dict[str, Tensor]:
    """All sums but the matrices; with the first Gram matrix, or the diagonal of another one."""
    sums = {name: getattr(own, name) for name in SMALL if getattr(own, name) is not None}
    if own.gram is None:
        return sums
    return {**sums, "gram": triangle(own.gram)} if first else {**sums, "diagonal": own.gram.diagonal()}


def _expected(own: Moments, whole: Moments, diagonal: Tensor, running: Tensor) -> tuple[Tensor, Tensor]:
    """The Gram matrix of all samples that the running one expects, and a triangle of what one's own has beside.

    The diagonal is known.
    """
    assert own.gram is not None
    n, mean = _gram_rows_and_mean(whole)
    own_n, own_mean = _gram_rows_and_mean(own)
    G = (n * running).addr_(n * mean, mean)
    G.diagonal().copy_(diagonal)
    away = own_n * (own_mean - mean / 2)  # sums of (z - mean) (z - mean)t from those of z zt
    beside = own.gram - own_n * running
    beside.addr_(mean, away, alpha=-1).addr_(away, mean, alpha=-1)
    return G, triangle(beside.fill_diagonal_(0))


def _rows_and_mean(moments: Moments) -> tuple[Tensor, Tensor]:
    """Number of rows, and the mean of their inputs; 0 without biases, where nothing is centred."""
    n = moments.n.to(moments.cross.dtype)
    if moments.inputs is None:
        return n, moments.cross.new_zeros(len(moments.cross))
    return n, moments.inputs / n.clamp(min=torch.finfo(n.dtype).tiny)  # a rank may have none


def _gram_rows_and_mean(moments: Moments) -> tuple[Tensor, Tensor]:
    """The same of the rows that the Gram matrix is of, which may be a part of all."""
    if moments.gram_n is None:
        return _rows_and_mean(moments)
    return _rows_and_mean(replace(moments, n=moments.gram_n, inputs=moments.gram_inputs))


def _covariance(moments: Moments) -> tuple[Tensor, Tensor]:
    """The Gram matrix over the number of its rows, centred where there are biases; and the size of its diagonal."""
    assert moments.gram is not None
    n, mean = _gram_rows_and_mean(moments)
    G = moments.gram / n
    return G.addr(mean, mean, alpha=-1), G.diagonal().mean()
