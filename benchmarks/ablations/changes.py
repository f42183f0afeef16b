"""Other targets of hidden layers, and other rules for Gram matrices, in place of the sweep's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from nmfnet.layers.base import kernel
from nmfnet.linalg.gram_solver import GramSolver
from nmfnet.solvers.relaxed import settings
from nmfnet.solvers.relaxed.sweep import Lengths, RelaxedSweep

Change = AbstractContextManager[Any]


class Variant(RelaxedSweep):
    """The sweep with another target below a layer; inputs, which have no A, get none here."""

    def _difference_below(
        self, layer: int, E: Tensor, Z: list[Tensor], A: list[Tensor], M: list[Tensor | None]
    ) -> Tensor:
        V = kernel(self.network.weights[layer], self.network.intercept)
        below, mask = self._target(self._pulled(E, V), A[layer - 1], layer - 1), M[layer]
        return below if mask is None else below.mul_(mask)

    def _pulled(self, E: Tensor, V: Tensor) -> Tensor:
        """By how much the inputs of a layer are to move for its outputs to move by E (b, k)."""
        return E @ V.T

    def _target(self, R: Tensor, A: Tensor, layer: int) -> Tensor:
        """Target minus value of a factor f(A) that is to move by R, both without dropout."""
        f = self.network.activations[layer]
        return f(A + R) - f(A)


class Derivative(Variant):
    """f'(A) R: the errors of backpropagation."""

    def _target(self, R: Tensor, A: Tensor, layer: int) -> Tensor:
        return R * (A > 0)  # all networks here are of ReLUs


class Linear(Variant):
    """T = Z + R, whether nonnegative or not."""

    def _target(self, R: Tensor, A: Tensor, layer: int) -> Tensor:
        return R


class FromFactor(Variant):
    """T = f(Z + R) instead of f(A + R)."""

    def _target(self, R: Tensor, A: Tensor, layer: int) -> Tensor:
        f = self.network.activations[layer]
        return f(f(A) + R) - f(A)


class LeastSquares(Variant):
    """R = E (VtV / d + I)^-1 Vt, d being the mean diagonal of VtV: damped least squares, as in the weights' step."""

    def _pulled(self, E: Tensor, V: Tensor) -> Tensor:
        G = V.T @ V
        H = G / G.diagonal().mean()
        H.diagonal().add_(1.0)
        return torch.linalg.solve(H, E, left=False) @ V.T


class AfterUpdate(Variant):
    """With the weights of the layer above after their update, as in alternating optimization.

    The sweep asks for the targets below a layer before its step: here the step comes first, and not again.
    """

    def _lengths(self, Z: list[Tensor], A: list[Tensor], sample_weight: Tensor | None) -> list[Lengths]:
        self._measured = super()._lengths(Z, A, sample_weight)
        self._taken: set[int] = set()
        return self._measured

    def _difference_below(
        self, layer: int, E: Tensor, Z: list[Tensor], A: list[Tensor], M: list[Tensor | None]
    ) -> Tensor:
        self._step(layer, Z[layer], E, self._measured[layer], None)
        self._taken.add(layer)
        return super()._difference_below(layer, E, Z, A, M)

    def _step(self, layer: int, Z: Tensor, E: Tensor, lengths: Lengths, sample_weight: Tensor | None) -> None:
        if layer not in self._taken:
            super()._step(layer, Z, E, lengths, sample_weight)


def sweep(kind: type[RelaxedSweep]) -> Change:
    """Train with another sweep."""
    return patch.object(settings, "RelaxedSweep", kind)


def gram(**changes: float) -> Change:
    """Train with other rules for running Gram matrices."""
    return patch.multiple(GramSolver, **changes)


# name -> (what to train with, what it means)
CHANGES: dict[str, tuple[Callable[[], Change], str]] = {
    "refresh=1": (
        partial(gram, refresh_samples=1),
        "new Gram matrices and inverses at every batch, not at every tenth",
    ),
    "refresh=1, memory=0.99": (
        partial(gram, refresh_samples=1, memory=0.99),
        "the same, averaged over as many samples as usual",
    ),
    "refresh=40": (partial(gram, refresh_samples=40_000, refresh_batches=40), "new ones at every 40th batch"),
    "memory=0": (partial(gram, memory=0.0), "Gram matrices of one batch, without a running average"),
    "target=derivative": (
        partial(sweep, Derivative),
        "backpropagated errors: f'(A) ∘ E Wᵀ in place of f(A + E Wᵀ) - f(A)",
    ),
    "target=Z+EW": (partial(sweep, Linear), "the target is Z + E Wᵀ, whether nonnegative or not"),
    "target=f(Z+EW)": (
        partial(sweep, FromFactor),
        "the target is f(Z + E Wᵀ), which can only raise inactive units",
    ),
    "target=least-squares": (partial(sweep, LeastSquares), "a damped least-squares solution in place of E Wᵀ"),
    "target=after-update": (partial(sweep, AfterUpdate), "E Wᵀ with the weights after their update, not before"),
}
