"""Damped least-squares steps by the inner products of the samples: the dual form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmfnet.linalg.cholesky import damped_cholesky, damping_term
from nmfnet.linalg.gram_solver import Penalty, Step
from nmfnet.linalg.holders import Holders, Reducer, local
from nmfnet.linalg.momentum import Momentum
from nmfnet.linalg.products import weighted, weighted_mean
from nmfnet.linalg.sparse import CentredRows, SparseRows, gathered_rows, outer, transposed_product
from nmfnet.linalg.statistics import total_weight
from nmfnet.stateful import State, Stateful


@dataclass(frozen=True)
class Samples:
    """What the dual form is made of: the samples of a batch themselves, of which there is no sum.

    Attributes
    ----------
    Z : Tensor or CentredRows of shape (m, n)
        Inputs, centred where there is a bias, times the roots of their weights.
    E : Tensor of shape (m, k)
        Residuals likewise.
    n : Tensor, a scalar
        Sum of the weights.
    inputs, residuals : Tensor of shape (n,) and (k,), or None
        Means, where there is a bias.
    refresh : bool
        Whether a solver that remembers samples is to take these in.
    """

    Z: Tensor | CentredRows
    E: Tensor
    n: Tensor
    inputs: Tensor | None = None
    residuals: Tensor | None = None
    refresh: bool = False

    @classmethod
    def of(
        cls, Z: Tensor | SparseRows, E: Tensor, weight: Tensor | None, bias: bool, refresh: bool = False
    ) -> Samples:
        """Of inputs Z (m, n) and residuals E (m, k) with weights (m,)."""
        n = total_weight(E, weight)
        weight = None if weight is None else (weight / weight.double().mean()).to(E.dtype)
        if not bias:
            rows = CentredRows(Z, None, weight) if isinstance(Z, SparseRows) else weighted(Z, weight, 0.5)
            return cls(rows, weighted(E, weight, 0.5), n, refresh=refresh)
        mean = Z.mean(weight) if isinstance(Z, SparseRows) else weighted_mean(Z, weight)
        of_residuals = weighted_mean(E, weight)
        centre = torch.zeros_like(mean) if len(E) == 1 else mean  # one sample has nothing left beside its mean
        if isinstance(Z, SparseRows):
            rows = CentredRows(Z, centre, weight)
        else:
            rows = weighted(Z - centre, weight, 0.5)
        return cls(rows, weighted(E - of_residuals, weight, 0.5), n, mean, of_residuals, refresh)

    def reduced(self, reduce: Reducer) -> Samples:
        """Of one process, which has all samples.

        Raises
        ------
        ValueError
            If there are others.
        """
        if reduce is not local:
            raise ValueError("The dual form needs all samples of a batch in one process.")
        return self


@dataclass(frozen=True)
class Scattered:
    """The samples of a batch that are at hand, for all who hold some to have them all.

    Attributes
    ----------
    Z, E, weight, bias, refresh
        As :meth:`Samples.of` takes them.
    """

    Z: Tensor | SparseRows
    E: Tensor
    weight: Tensor | None
    bias: bool
    refresh: bool = False

    def reduced(self, holders: Holders) -> Samples:
        """All samples of the batch."""
        weight = None if self.weight is None else holders.gathered(self.weight)
        rows, residuals = gathered_rows(self.Z, holders), holders.gathered(self.E)
        return Samples.of(rows, residuals, weight, self.bias, self.refresh)


class SampleSolver(Stateful):
    """Steps ``Zt (Z Zt / m + d I)^-1 E / m`` on batches, equal to those of the Gram matrix of the batch alone.

    They need no matrix of the size of the Gram matrix, which is for inputs that outnumber the samples of a batch.

    A penalty pulls along the directions of all samples, of which a batch knows few: as in
    :class:`nmfnet.linalg.earlier_batch_solver.EarlierBatchSolver` the others count with the mean variance of as many
    directions as there can be, or they would shrink much faster than they are learned.

    Parameters
    ----------
    damping : float
        d, relative to the mean diagonal of the Gram matrix.
    bias : bool
        Whether steps have a bias row.
    momentum : float, default=0
        Of the steps.
    n_samples : float, default=inf
        In all batches together, where that is known.

    Attributes
    ----------
    retries : int
        Factorizations that failed and were repeated with ten times the damping.
    """

    fields = ("retries",)

    def __init__(self, damping: float, bias: bool, momentum: float = 0.0, n_samples: float = math.inf) -> None:
        self.damping, self.bias, self.momentum, self.n_samples = damping, bias, Momentum(momentum), n_samples
        self.retries = 0
        self.looks = True  # at what a device has computed

    def state(self) -> State:
        """The fields, and the running means."""
        return {**super().state(), "momentum": self.momentum.state()}

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        super().restore(state)
        self.momentum.restore(state["momentum"])

    def begin(self, looks: bool) -> None:
        """Begin an update, in which one `looks` at what a device has computed, or does not."""
        self.looks = looks

    def forget(self) -> None:
        """Start the running means anew."""
        self.momentum.forget()

    def collect(self, Z: Tensor | SparseRows, E: Tensor, weight: Tensor | None) -> Samples:
        """The samples of a batch, centred and weighted."""
        return Samples.of(Z, E, weight, self.bias)

    def steps(self, samples: Samples, parts: Sequence[slice], penalty: Penalty | None = None) -> Iterator[Step]:
        """Steps from the samples of a batch, for one part of the outputs after another."""
        Z, E, m = samples.Z, samples.E, len(samples.E)
        K = outer(Z)
        K /= m
        variance = K.diagonal().sum()
        size = variance / Z.shape[1]
        ridge = damping_term(self.damping, size, size, 0.0 if penalty is None else penalty.curvature)
        L, ridge, retries = damped_cholesky(K, ridge, self.looks)
        self.retries += retries
        reduction = ridge / (ridge + variance / min(Z.shape[1], self.n_samples))
        bias = None if samples.residuals is None else self.momentum("bias", samples.residuals.clone())
        for part in parts:
            D = E.new_empty(Z.shape[1] + self.bias, part.stop - part.start)
            weights, gradient = D[: Z.shape[1]], None if penalty is None else penalty.gradient[:, part] * reduction
            S = torch.cholesky_solve(E[:, part] if gradient is None else E[:, part] + Z @ gradient / ridge, L)
            transposed_product(Z, S / m, out=weights)
            if gradient is None and not self.momentum.beta:
                moved = E[:, part] - ridge * S  # Z D = (K - d I) S
            else:
                if gradient is not None:
                    weights.addcdiv_(gradient, ridge, value=-1)
                moved = Z @ self.momentum(f"step from {part.start}", weights)
            square = moved.square().sum() / m
            if samples.inputs is not None and bias is not None:
                square = bias[part].square().sum() + square
                torch.sub(bias[part], samples.inputs @ weights, out=D[-1])
            yield Step(D, square)
