"""The relaxed sweep for many small networks at once: the same update, by batched products.

Small tables cost mostly the calls around small products.  Networks with the same layers, one for each fold of the data
and each penalty, are trained together: every matrix of sweep.py has one more dimension in front, the members'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from nmfnet.linalg.gram_solver import GramSolver
from nmfnet.linalg.momentum import Momentum
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.averaging import Averaging
from nmfnet.solvers.relaxed.defaults import UNANCHORED_DELTA, Resolved
from nmfnet.solvers.relaxed.masks import Masks
from nmfnet.solvers.relaxed.schedule import Schedule

MIN_OUTPUT_RMS = 0.01


@dataclass
class Statistics:
    """What the layers of all members K remember of earlier batches: running Gram matrices and their inverses."""

    gram: Tensor | None = None  # (K, n, n)
    inverse: Tensor | None = None  # (K, n, n)
    ridge: Tensor | None = None  # (K,)
    input_rms: Tensor | None = None  # (K,) at the last factorization
    momentum: Momentum = field(default_factory=lambda: Momentum(0.0))


class StackedSweep:
    """One update of all members from a batch of each.

    Parameters
    ----------
    settings : Resolved
        Of the relaxed solver; without input masks and adversarial inputs.
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
        self.schedule = Schedule(1.0, plan.n_updates)  # of all members, whose deltas differ
        self.delta = torch.full_like(self.strength, settings.delta)
        self.mean = [W.clone() for W in weights]
        self.pending = torch.zeros_like(self.strength)
        self.lowest = torch.full_like(self.strength, torch.nan)
        self.running, self.first = self.lowest.clone(), self.lowest.clone()
        self.statistics = [Statistics(momentum=Momentum(settings.momentum)) for _ in weights]
        self.masks = Masks(plan.seed)
        n_hidden = len(weights) - 1
        self.dropout = settings.dropout if isinstance(settings.dropout, tuple) else (settings.dropout,) * n_hidden

    @torch.no_grad()
    def __call__(self, X: Tensor, Y: Tensor, sample_weight: Tensor | None = None) -> None:
        """Update all members from batches (K, b, n_0), targets (K, b, n_L) and weights (K, b) of mean 1."""
        self.schedule.begin(1.0)
        Z, A, M = self._forward(X, self.weights)
        good = self._accepted(X, Y, A[-1], sample_weight)
        self.pending *= good
        self._let_in()
        E = self.settings.tau * self.network.output.residual(*_rows(Y, A[-1])).view_as(Y)
        if sample_weight is None:
            v = None
        else:
            v = sample_weight[..., None]
        for layer in reversed(range(len(self.weights))):
            below = self._difference_below(layer, E, Z, A, M) if layer else E
            self._step(layer, Z[layer], A[layer], E, good, v)
            E = below
        self._finish(good)

    def means(self) -> list[Tensor]:
        """The averages of the members' weights so far."""
        self._let_in()
        return self.mean

    def _let_in(self) -> None:
        for mean, W in zip(self.mean, self.weights, strict=True):
            mean.add_((W - mean) * self.pending[:, None, None])
        self.pending = torch.zeros_like(self.pending)

    def _forward(self, X: Tensor, weights: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        Z, A, M = [X], list[Tensor](), list[Tensor | None]([None])
        for number, W in enumerate(weights):
            if number:
                Z.append(self.network.activations[number - 1](A[-1]))
                p = self.dropout[number - 1]
                mask = self.masks(Z[-1].flatten(0, 1), p).view_as(Z[-1]) if p else None
                M.append(mask)
                if mask is not None:
                    Z[-1] *= mask
            A.append(torch.baddbmm(W[:, -1:], Z[-1], W[:, :-1]) if self.bias else Z[-1] @ W)
        return Z, A, M

    def _losses(self, outputs: Tensor, Y: Tensor, weight: Tensor | None) -> Tensor:
        each = self.network.output.loss(*_rows(outputs, Y)).view(Y.shape[:2])
        return each.mean(1) if weight is None else (each * weight).mean(1)

    def _accepted(self, X: Tensor, Y: Tensor, outputs: Tensor, weight: Tensor | None) -> Tensor:
        """Whether the loss of a batch lets the last step be kept: (K,)."""
        loss = self._losses(outputs, Y, weight)
        new = self.first.isnan()
        for each in (self.first, self.running, self.lowest):
            torch.where(new, loss, each, out=each)
        good = loss <= self._limit(self.lowest)
        if not good.all():
            of_average = self._losses(self._forward(X, self.mean)[1][-1], Y, weight)
            diverged = ~good & ~(loss <= self._limit(of_average))
            self._roll_back(diverged)
            fresh = ~good
            for each in (self.first, self.running, self.lowest):
                each[fresh] = torch.nan
            good = ~diverged
        if int(self.schedule.updates) % 4 == 0:
            self.running += (loss - self.running) / 4
            torch.fmin(self.lowest, self.running, out=self.lowest)
        return good

    def _limit(self, loss: Tensor) -> Tensor:
        return torch.maximum(2 * loss, loss + self.first / 4)

    def _roll_back(self, which: Tensor) -> None:
        self.delta[which] /= 2
        self.pending[which] = 0
        for W, mean in zip(self.weights, self.mean, strict=True):
            W[which] = mean[which]

    def _difference_below(
        self, layer: int, E: Tensor, Z: list[Tensor], A: list[Tensor], M: list[Tensor | None]
    ) -> Tensor:
        W = self.weights[layer]
        kernel = W[:, :-1] if self.bias else W
        T = self.network.activations[layer - 1].f_(A[layer - 1].baddbmm(E, kernel.mT))
        mask = M[layer]
        return T.sub_(Z[layer]) if mask is None else T.mul_(mask).sub_(Z[layer])

    def _step(self, layer: int, Z: Tensor, A: Tensor, E: Tensor, good: Tensor, v: Tensor | None) -> None:
        W, b = self.weights[layer], Z.shape[1]
        kernel = W[:, :-1] if self.bias else W
        weighted = E if v is None else E * v
        C = torch.bmm(Z.mT, weighted) / b
        z = e = None
        if self.bias:
            z = (Z if v is None else Z * v).mean(1)
            e = weighted.mean(1)
            C.baddbmm_(z[:, :, None], e[:, None], alpha=-1)
        kept = self.statistics[layer]
        self._refresh(kept, Z, z, v, self.strength)
        C -= self.strength[:, None, None] * self._gradient(kernel)
        C = kept.momentum("right-hand side", C)
        e = None if e is None else kept.momentum("bias", e)
        D = torch.bmm(kept.inverse, C)
        square = (C * D).sum((1, 2)) - kept.ridge * (D * D).sum((1, 2))
        if e is not None:
            square = square + e.square().sum(1)
        a2 = A.square() if v is None else A.square() * v
        length = (a2.sum((1, 2)) / b).sqrt()
        if layer == len(self.weights) - 1:
            length = length.clamp(min=MIN_OUTPUT_RMS * A.shape[2] ** 0.5)
        delta = self.schedule.step * self.delta.clamp(max=UNANCHORED_DELTA)
        factor = (delta * length / square.clamp(min=0).sqrt()).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) * good
        kernel += factor[:, None, None] * D
        if e is not None:
            W[:, -1] += factor[:, None] * (e - torch.bmm(z[:, None], D)[:, 0])
        a, c = self._anchor()
        if bool((a > 0).any()):
            W += (a * c / (1 - a) * good)[:, None, None] * (W - self.mean[layer])

    def _gradient(self, W: Tensor) -> Tensor:
        l1 = self.plan.l1_ratio
        return (1 - l1) * W + l1 * W.sign() if l1 else W

    def _anchor(self) -> tuple[Tensor, float]:
        a = (1 - UNANCHORED_DELTA / self.delta).clamp(min=0)
        power = self.settings.averaging
        c = (power + 1) / (self.schedule.updates + power + 1)
        return a, c

    def _refresh(self, kept: Statistics, Z: Tensor, z: Tensor | None, v: Tensor | None, strength: Tensor) -> None:
        b, updates = Z.shape[1], int(self.schedule.updates)
        rms = (Z.square() if v is None else Z.square() * v).mean((1, 2)).sqrt()
        interval = min(GramSolver.refresh_batches, max(1, GramSolver.refresh_samples // b))
        early = updates < GramSolver.early_updates and updates % 2 == 0
        due = torch.ones_like(rms, dtype=torch.bool)
        grown = due if kept.inverse is None else rms > GramSolver.growth * kept.input_rms
        if not (early or updates % interval == 0 or kept.inverse is None):
            if not grown.any():
                return
            due = grown
        G = torch.bmm(Z.mT, Z if v is None else Z * v) / b
        size = G.diagonal(dim1=1, dim2=2).mean(1)
        if z is not None:
            G.baddbmm_(z[:, :, None], z[:, None], alpha=-1)
        if kept.gram is not None:
            memory = GramSolver.memory * (~grown).to(G) + (1 - GramSolver.memory) * (~due).to(G)
            G.lerp_(kept.gram, memory[:, None, None])
            rms = torch.where(due, rms, kept.input_rms)
        kept.gram, kept.input_rms = G, rms
        limits = torch.finfo(G.dtype)
        diagonal = G.diagonal(dim1=1, dim2=2).mean(1).clamp(min=0)
        curvature = strength * (1 - self.plan.l1_ratio)
        ridge = self.settings.damping * diagonal + limits.eps * size + limits.tiny**0.5 + curvature
        eye = torch.eye(G.shape[1], dtype=G.dtype, device=G.device)
        while True:
            L, failed = torch.linalg.cholesky_ex(G + ridge[:, None, None] * eye)
            bad = failed > 0
            if not bad.any() or not ridge.isfinite().all():
                break
            ridge = torch.where(bad, 10 * ridge, ridge)
        kept.inverse, kept.ridge = torch.cholesky_inverse(L), ridge

    def _finish(self, good: Tensor) -> None:
        finite = torch.stack([W.square().sum((1, 2)) for W in self.weights]).isfinite().all(0)
        if not finite.all():
            self._roll_back(~finite)
        a, c = self._anchor()
        self.pending = c / (1 - a + a * c) * (good & finite)
        self.schedule.updates += 1


def _rows(*each: Tensor) -> list[Tensor]:
    return [A.flatten(0, 1) for A in each]
