"""The relaxed sweep for many small networks at once: the same update, by batched products.

Fits of small tables are mostly calls around small products.  Here networks with the same layers, as for every fold of
the data and every penalty, are trained together: each matrix of sweep.py has one more dimension in front, that of the
members.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.linalg.gram_solver import GramSolver
from nmfnet.linalg.momentum import Momentum
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.defaults import CHECK_INTERVAL, MIN_OUTPUT_RMS, UNANCHORED_DELTA, Resolved
from nmfnet.solvers.relaxed.masks import Masks
from nmfnet.solvers.relaxed.schedule import Schedule
from nmfnet.stateful import State


class Pass(NamedTuple):
    """A forward pass: inputs Z and their dropout masks M, outputs A of every layer, all of (K, b, n)."""

    Z: list[Tensor]
    A: list[Tensor]
    M: list[Tensor | None]


@dataclass
class Memory:
    """What a layer of all members remembers of earlier batches."""

    momentum: Momentum
    gram: Tensor | None = None  # (K, n, n)
    inverse: Tensor = field(default_factory=lambda: torch.empty(0))  # (K, n, n)
    ridge: Tensor = field(default_factory=lambda: torch.empty(0))  # (K,)
    input_rms: Tensor = field(default_factory=lambda: torch.empty(0))  # (K,), at the last factorization


class StackedSweep:
    """One update of K members from a batch of each; a member moves as it would in :class:`RelaxedSweep`.

    A member whose loss shows that steps were too long goes back to its average alone.  There are no masked inputs, no
    adversarial ones, and no shares of updates.

    Parameters
    ----------
    settings : Resolved
    network : Network
        Whose layers, fully-connected ones, all members have.
    weights : list of Tensor of shape (K, n_{l-1} + 1, n_l)
        Of all members; written into.
    alphas : Tensor of shape (K,)
        Penalties of the members.
    plan : Plan
        Of each member, but for `alpha`.
    """

    def __init__(
        self, settings: Resolved, network: Network, weights: list[Tensor], alphas: Tensor, plan: Plan
    ) -> None:
        self.settings, self.network, self.plan, self.weights = settings, network, plan, weights
        self.bias = network.intercept
        self.strength = (alphas / plan.n_samples * settings.tau).to(weights[0])
        self.schedule = Schedule(settings.delta, plan.n_updates)
        self.delta = torch.full_like(self.strength, settings.delta)
        self.mean = [W.clone() for W in weights]
        self.pending = torch.zeros_like(self.strength)
        self.first, self.running, self.lowest = (torch.full_like(self.strength, torch.nan) for _ in range(3))
        self.memory = [Memory(Momentum(settings.momentum)) for _ in weights]
        self.masks = Masks(plan.seed)
        of_all = settings.dropout
        self.dropout = of_all if isinstance(of_all, tuple) else (of_all,) * (len(weights) - 1)

    @torch.no_grad()
    def __call__(self, X: Tensor, Y: Tensor, sample_weight: Tensor | None = None) -> None:
        """Update all members from scaled batches (K, b, n_0), targets (K, b, n_L) and weights (K, b) of mean 1."""
        drawn = self.masks.state()
        forward = self._forward(X, self.weights)
        good = self._accepted(X, Y, forward.A[-1], sample_weight, drawn)
        self.pending *= good
        self._update_average()
        E = self.settings.tau * self.network.output.residual(Y.flatten(0, 1), forward.A[-1].flatten(0, 1)).view_as(Y)
        v = None if sample_weight is None else sample_weight[..., None]
        lengths = [self._length(A, v, last=A is forward.A[-1]) * good for A in forward.A]
        for layer in reversed(range(len(self.weights))):  # which writes into A below
            below = self._difference_below(layer, E, forward) if layer else E
            self._step(layer, forward.Z[layer], E, lengths[layer], v)
            E = below
        self._finish(good)

    def means(self) -> list[Tensor]:
        """The averages of the members' weights so far."""
        self._update_average()
        return self.mean

    def _update_average(self) -> None:
        for mean, W in zip(self.mean, self.weights, strict=True):
            mean.lerp_(W, self.pending[:, None, None])
        self.pending = torch.zeros_like(self.pending)

    def _forward(self, X: Tensor, weights: list[Tensor]) -> Pass:
        Z, A, M = [X], list[Tensor](), list[Tensor | None]([None])
        for number, W in enumerate(weights):
            if number:
                Z.append(self.network.activations[number - 1](A[-1]))
                dropout = self.dropout[number - 1]
                M.append(self.masks(Z[-1].flatten(0, 1), dropout).view_as(Z[-1]) if dropout else None)
                Z[-1] = Z[-1] if M[-1] is None else Z[-1].mul_(M[-1])
            A.append(torch.baddbmm(W[:, -1:], Z[-1], W[:, :-1]) if self.bias else torch.bmm(Z[-1], W))
        return Pass(Z, A, M)

    def _loss(self, outputs: Tensor, Y: Tensor, weight: Tensor | None) -> Tensor:
        """Mean loss of each member's batch."""
        each = self.network.output.loss(outputs.flatten(0, 1), Y.flatten(0, 1)).view(Y.shape[:2])
        return each.mean(1) if weight is None else (each * weight).mean(1)

    def _accepted(self, X: Tensor, Y: Tensor, outputs: Tensor, weight: Tensor | None, drawn: State) -> Tensor:
        """Whether members go on from their weights (K,), with the masks that were `drawn`; others are set back.

        As :class:`Safeguard` has it, but for averages that have diverged as well: such a member is given up.
        """
        loss = self._loss(outputs, Y, weight)
        for each in (self.first, self.running, self.lowest):
            each.copy_(torch.where(each.isnan(), loss, each))
        unusual = ~(loss <= self._limit(self.lowest))
        good = ~unusual
        if bool(unusual.any()):
            self.masks.restore(drawn)
            of_average = self._loss(self._forward(X, self.mean).A[-1], Y, weight)
            good = good | (loss <= self._limit(of_average))
            self._roll_back(~good)
            for each in (self.first, self.running, self.lowest):
                each[unusual] = torch.nan
        if int(self.schedule.updates) % CHECK_INTERVAL == 0:
            self.running += (loss - self.running) / 4
            torch.fmin(self.lowest, self.running, out=self.lowest)
        return good

    def _limit(self, loss: Tensor) -> Tensor:
        return torch.maximum(2 * loss, loss + self.first / 4)

    def _roll_back(self, members: Tensor) -> None:
        """Set members back to their averages, and on with half the step."""
        self.delta[members] /= 2
        self.pending[members] = 0
        for W, mean in zip(self.weights, self.mean, strict=True):
            W[members] = mean[members]

    def _difference_below(self, layer: int, E: Tensor, forward: Pass) -> Tensor:
        """Target minus value of a layer's inputs, in the memory of A below."""
        f = self.network.activations[layer - 1]
        below = f.base_(forward.A[layer - 1]).baddbmm_(E, self._kernel(layer).mT)
        return f.change_(below, forward.Z[layer], forward.M[layer])

    def _kernel(self, layer: int) -> Tensor:
        """Weights without the biases."""
        return self.weights[layer][:, :-1] if self.bias else self.weights[layer]

    def _length(self, A: Tensor, v: Tensor | None, last: bool) -> Tensor:
        """Root mean squares (K,) of the lengths of pre-activations (K, b, n)."""
        length = ((squares(A) if v is None else inner_products(A, A * v)) / A.shape[1]).sqrt()
        return length.clamp(min=MIN_OUTPUT_RMS * A.shape[2] ** 0.5) if last else length

    def _step(self, layer: int, Z: Tensor, E: Tensor, length: Tensor, v: Tensor | None) -> None:
        """Move weights by a damped least-squares step on E, a share delta of a length (K,)."""
        W, memory, b = self.weights[layer], self.memory[layer], Z.shape[1]
        kernel, weighted = self._kernel(layer), E if v is None else E * v
        C = torch.bmm(Z.mT, weighted).div_(b)
        z = (Z if v is None else Z * v).mean(1, keepdim=True) if self.bias else None
        e = weighted.mean(1, keepdim=True) if self.bias else None
        if z is not None and e is not None:
            C.baddbmm_(z.mT, e, alpha=-1)
        self._refresh(memory, Z, z, v)
        C.addcmul_(self._penalty_gradient(kernel), self.strength[:, None, None], value=-1)
        C = memory.momentum("right-hand side", C)
        D = torch.bmm(memory.inverse, C)
        square = inner_products(C, D) - memory.ridge * squares(D)
        if e is not None:
            e = memory.momentum("bias", e)
            square = square + squares(e)
        delta = self.schedule.step * self.delta.clamp(max=UNANCHORED_DELTA)
        factor = (delta * length / square.clamp(min=0).sqrt()).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        kernel.addcmul_(D, factor[:, None, None])
        if z is not None and e is not None:
            W[:, -1:].addcmul_(e.baddbmm(z, D, alpha=-1), factor[:, None, None])
        a, c = self._anchor(), self._newest_weight()
        pull = a * c / (1 - a) * (length > 0)
        if bool(pull.any()):
            W.lerp_(self.mean[layer], -pull[:, None, None])

    def _penalty_gradient(self, W: Tensor) -> Tensor:
        l1 = self.plan.l1_ratio
        return (1 - l1) * W + l1 * W.sign() if l1 else W

    def _anchor(self) -> Tensor:
        return (1 - UNANCHORED_DELTA / self.delta).clamp(min=0)

    def _newest_weight(self) -> float:
        weight = self.settings.averaging + 1
        return weight / (self.schedule.updates + weight)

    def _refresh(self, memory: Memory, Z: Tensor, z: Tensor | None, v: Tensor | None) -> None:
        """Let batches into the running Gram matrices, where that is due, and factorize these."""
        b, updates = Z.shape[1], int(self.schedule.updates)
        weighted = Z if v is None else Z * v
        rms = ((squares(Z) if v is None else inner_products(Z, weighted)) / (b * Z.shape[2])).sqrt()
        due = torch.ones_like(rms, dtype=torch.bool)
        anew = due if memory.gram is None else rms > GramSolver.growth * memory.input_rms
        early = updates < GramSolver.early_updates and updates % 2 == 0
        if memory.gram is not None and not early and updates % GramSolver.refresh_interval(b):
            if not bool(anew.any()):
                return
            due = anew
        G = torch.bmm(Z.mT, weighted).div_(b)
        size = G.diagonal(dim1=1, dim2=2).mean(1)
        if z is not None:
            G.baddbmm_(z.mT, z, alpha=-1)
        if memory.gram is not None:
            share = torch.ones_like(rms).masked_fill(due, GramSolver.memory).masked_fill(anew, 0.0)
            G.lerp_(memory.gram, share[:, None, None])
            rms = torch.where(due, rms, memory.input_rms)
        memory.gram, memory.input_rms = G, rms
        memory.inverse, memory.ridge = self._inverse(G, size)

    def _inverse(self, G: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Inverses of damped Gram matrices, and their ridges (K,), which grow tenfold until there is one."""
        limits = torch.finfo(G.dtype)
        diagonal = G.diagonal(dim1=1, dim2=2).mean(1).clamp(min=0)
        ridge = self.settings.damping * diagonal + limits.eps * size + limits.tiny**0.5
        ridge = (ridge + self.strength * (1 - self.plan.l1_ratio)).nan_to_num(nan=1.0, posinf=1.0)
        if not bool(diagonal.isfinite().all()):  # of a member that is given up
            G = G.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        while True:
            damped = G.clone()
            damped.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
            L, failed = torch.linalg.cholesky_ex(damped)
            if not bool(failed.any()):
                return torch.cholesky_inverse(L), ridge
            ridge = torch.where(failed > 0, 10 * ridge, ridge)

    def _finish(self, good: Tensor) -> None:
        """Accept the update of the members whose weights are finite, and roll back the others."""
        finite = torch.stack([squares(W) for W in self.weights]).isfinite().all(0)
        if not bool(finite.all()):
            self._roll_back(~finite)
        a, c = self._anchor(), self._newest_weight()
        self.pending = c / (1 - a + a * c) * (good & finite)
        self.schedule.accept()


def inner_products(A: Tensor, B: Tensor) -> Tensor:
    """Of each member's matrices (K, m, n): (K,)."""
    return (A * B).sum((1, 2))


def squares(A: Tensor) -> Tensor:
    """Sums of squares of each member's matrix (K, m, n): (K,), in one pass."""
    return torch.linalg.vector_norm(A.flatten(1), dim=1).square()
