"""Damped least-squares steps by a running Gram matrix of the inputs: the primal form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nmfnet.linalg.cholesky import damped_cholesky, damping_term
from nmfnet.linalg.momentum import Momentum
from nmfnet.linalg.products import inner_product
from nmfnet.linalg.statistics import Moments
from nmfnet.stateful import State, Stateful


@dataclass(frozen=True)
class Penalty:
    """A penalty on weights as a least-squares step sees it.

    Attributes
    ----------
    gradient : Tensor of shape (n, k)
        Of the penalty at the weights, without the bias row.
    curvature : float
        Its second derivative, added to the damping term.
    """

    gradient: Tensor
    curvature: float


@dataclass(frozen=True)
class Step:
    """A step on the weights of a layer.

    Attributes
    ----------
    D : Tensor of shape (n + bias, k)
    squares : Tensor of shape (number of parts,)
        For each part of the outputs, the mean over samples of the squared length of ``[Z, 1] D``.
    """

    D: Tensor
    squares: Tensor


class GramSolver(Stateful):
    """Steps ``(G + d I)^-1 Zt E / m`` on batches, with a running Gram matrix G of the inputs.

    G is centred where there is a bias row: the bias is fitted exactly and not damped, as in ridge regression.  G
    averages over the batches at which it is factorized again: every few of them, and whenever inputs have grown much.

    Parameters
    ----------
    damping : float
        d, relative to the mean diagonal of G.
    bias : bool
        Whether steps have a bias row.
    momentum : float, default=0
        Of the right-hand sides ``Zt E / m`` and the biases.

    Attributes
    ----------
    retries : int
        Factorizations that failed and were repeated with ten times the damping.
    """

    memory: ClassVar[float] = 0.9  # share of the old G when a new one comes in
    refresh_samples: ClassVar[int] = 10_000  # between two factorizations, about,
    refresh_batches: ClassVar[int] = 10  # but at most so many batches
    early_updates: ClassVar[int] = 20  # in which every other one factorizes
    exact_damping: ClassVar[float] = 1e-2  # below it the inverse may be too inexact to tell the length of a step
    growth: ClassVar[float] = 4.0  # of the inputs since the last factorization, after which G begins anew

    fields = ("gram", "inverse", "ridge", "input_rms", "retries")

    def __init__(self, damping: float, bias: bool, momentum: float = 0.0) -> None:
        self.damping, self.bias, self.momentum = damping, bias, Momentum(momentum)
        self.gram: Tensor | None = None
        self.inverse: Tensor | None = None
        self.ridge: Tensor | None = None
        self.input_rms = 0.0  # at the last factorization
        self.retries = 0

    def state(self) -> State:
        """The fields, and the running means."""
        return {**super().state(), "momentum": self.momentum.state()}

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        super().restore(state)
        self.momentum.restore(state["momentum"])

    def forget(self) -> None:
        """Start the running means anew."""
        self.gram = self.inverse = None
        self.momentum.forget()

    def refresh_interval(self, m: int) -> int:
        """Batches of m samples between two factorizations."""
        return min(self.refresh_batches, max(1, self.refresh_samples // m))

    def due(self, m: int, update: int, input_rms: float) -> bool:
        """Whether G is to take up a batch of m samples, the `update`-th, whose inputs have such a root mean square."""
        if input_rms > self.growth * self.input_rms:
            self.gram = self.inverse = None
        early = update < self.early_updates and update % 2 == 0
        return early or update % self.refresh_interval(m) == 0 or self.inverse is None

    def collect(self, Z: Tensor, E: Tensor, weight: Tensor | None, update: int, input_rms: float) -> Moments:
        """Statistics of a batch, to be reduced and given to :meth:`step`."""
        due = self.due(len(Z), update, input_rms)
        self.input_rms = input_rms if due else self.input_rms
        return Moments.of(Z, E, weight, self.bias, due)

    def step(self, sums: Moments, parts: Sequence[slice], penalty: Penalty | None = None) -> Step:
        """Step from the reduced statistics of a batch; its length by parts of the outputs, without a pass over Z."""
        n = sums.n.to(sums.cross.dtype)
        mean = None if sums.inputs is None else sums.inputs / n
        bias = None if sums.residuals is None else sums.residuals / n
        alone = float(sums.n) == 1  # one sample has nothing left beside its mean
        C = sums.cross / n
        if mean is not None and bias is not None and not alone:
            C.addr_(mean, bias, alpha=-1)
        if sums.gram is not None:
            self._refresh(sums.gram / n, None if alone else mean, 0.0 if penalty is None else penalty.curvature)
        if penalty is not None:
            C -= penalty.gradient
        C = self.momentum("right-hand side", C)
        D = C.new_empty(len(C) + self.bias, C.shape[1])
        weights = D[: len(C)]
        assert self.inverse is not None
        torch.mm(self.inverse, C, out=weights)
        squares = self._squares(C, weights, parts)
        if mean is not None and bias is not None:
            bias = self.momentum("bias", bias)
            squares = with_bias(squares, bias, parts, not alone or penalty is not None)
            torch.sub(bias, mean @ weights, out=D[-1])
        return Step(D, squares)

    def _squares(self, C: Tensor, D: Tensor, parts: Sequence[slice]) -> Tensor:
        """``tr(Dt G D)`` by parts."""
        assert self.gram is not None and self.ridge is not None
        if self.damping < self.exact_damping:
            GD = self.gram @ D
            return torch.stack([inner_product(GD[:, part], D[:, part]) for part in parts])
        # G D = C - d D, without another product
        return torch.stack(
            [
                inner_product(C[:, part], D[:, part]) - self.ridge * inner_product(D[:, part], D[:, part])
                for part in parts
            ]
        )

    def _refresh(self, G: Tensor, centre: Tensor | None, curvature: float) -> None:
        """Let the Gram matrix of a batch into the running one, and factorize that."""
        size = G.diagonal().mean()
        if centre is not None:
            G.addr_(centre, centre, alpha=-1)
        self.gram = G if self.gram is None else G.lerp_(self.gram, self.memory)
        ridge = damping_term(self.damping, self.gram.diagonal().mean(), size, curvature)
        self.inverse = None  # its memory is needed
        L, self.ridge, retries = damped_cholesky(self.gram, ridge)
        self.inverse = torch.cholesky_inverse(L, out=L)
        self.retries += retries


def with_bias(squares: Tensor, bias: Tensor, parts: Sequence[slice], others: bool) -> Tensor:
    """Mean squared lengths by parts with that of the bias; `others`: whether more than the bias moves the outputs.

    One sample moves by its bias alone; but a penalty moves all the others, too.
    """
    of_bias = torch.stack([bias[part].square().sum() for part in parts])
    return of_bias + squares if others else of_bias
