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

from nmfnet.linalg.batched_inverse import positive_inverse
from nmfnet.linalg.gram_solver import GramSolver
from nmfnet.linalg.momentum import Momentum
from nmfnet.linalg.penalties import gradient
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


class Parts(NamedTuple):
    """Weights of all layers in one piece of memory, and views of it."""

    whole: Tensor  # (K, their number)
    layers: list[Tensor]  # (K, n_{l-1} + 1, n_l)
    kernels: list[Tensor]  # without the biases
    biases: list[Tensor]  # (K, 1, n_l); empty for none

    @classmethod
    def of(cls, whole: Tensor, shapes: list[torch.Size], bias: bool) -> Parts:
        """Views of the weights (K, their number), whose layers have such shapes."""
        parts = whole.split([shape[1] * shape[2] for shape in shapes], 1)
        layers = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        return cls(whole, layers, [W[:, :-1] if bias else W for W in layers], [W[:, -1:] for W in layers if bias])


class Move(NamedTuple):
    """How far members go in one update, each of (K, 1, 1)."""

    delta: Tensor  # relative length of the step
    pull: Tensor | None  # how far away from the average; None if not at all
    newest: Tensor  # weight of the weights to come in the average


@dataclass
class Memory:
    """What a layer of all members remembers of earlier batches."""

    momentum: Momentum
    gram: Tensor | None = None  # (G, n, n), of G groups of members that have the same inputs
    inverse: Tensor = field(default_factory=lambda: torch.empty(0))  # (K, n, n)
    ridge: Tensor = field(default_factory=lambda: torch.empty(0))  # (K, 1, 1)
    input_rms: Tensor = field(default_factory=lambda: torch.empty(0))  # (G, 1, 1), at the last factorization


class StackedSweep:
    """One update of K members from a batch of each; a member moves as it would in :class:`RelaxedSweep`.

    A member whose loss shows that steps were too long goes back to its average alone.  There are no masked inputs, no
    adversarial ones, and no shares of updates.  Small networks are mostly calls: views are made once, and numbers of
    members are of shape (K, 1, 1), as matrices take them.

    Parameters
    ----------
    settings : Resolved
    network : Network
        Whose layers, fully-connected ones, all members have.
    weights : list of Tensor of shape (K, n_{l-1} + 1, n_l)
        Of all members, to start from.
    alphas : Tensor of shape (K,)
        Penalties of the members.
    plan : Plan
        Of each member, but for `alpha`.
    """

    def __init__(
        self, settings: Resolved, network: Network, weights: list[Tensor], alphas: Tensor, plan: Plan
    ) -> None:
        self.settings, self.network, self.plan = settings, network, plan
        self.bias, shapes = network.intercept, [W.shape for W in weights]
        whole = torch.cat([W.flatten(1) for W in weights], 1)
        self.weights, self.mean = (Parts.of(each, shapes, self.bias) for each in (whole, whole.clone()))
        self.strength = (alphas / plan.n_samples * settings.tau).to(whole)[:, None, None]
        self.schedule = Schedule(settings.delta, plan.n_updates)
        self.delta = torch.full_like(self.strength, settings.delta)
        self.pending = torch.zeros_like(self.strength)
        self.first, self.running, self.lowest = (torch.full_like(whole[:, 0], torch.nan) for _ in range(3))
        self.begins = True  # whether the losses of a member begin with the batch to come
        self.memory = [Memory(Momentum(settings.momentum)) for _ in weights]
        self.masks = Masks(plan.seed)
        of_all = settings.dropout
        self.dropout = of_all if isinstance(of_all, tuple) else (of_all,) * (len(weights) - 1)

    @torch.no_grad()
    def __call__(self, X: Tensor, Y: Tensor, sample_weight: Tensor | None = None) -> None:
        """Update all members from scaled batches (G, b, n_0), targets (G, b, n_L) and weights (G, b) of mean 1.

        Of G groups of as many members, one after the other, each has its batch.
        """
        drawn, members = self.masks.state(), len(self.strength) // len(X)
        Y = self.network.output.smoothed(Y.flatten(0, 1)).view_as(Y).repeat_interleave(members, 0)
        weight = None if sample_weight is None else sample_weight.repeat_interleave(members, 0)
        forward = self._forward(X.repeat_interleave(members, 0), self.weights)
        loss, E = self._loss_and_residual(forward.A[-1], Y, weight)
        good = self._accepted(loss, forward.Z[0], Y, weight, drawn)
        self._update_average()
        E.mul_(self.settings.tau)
        v = None if weight is None else weight[..., None]
        move = self._move()
        self._refresh([X, *forward.Z[1:]], sample_weight)
        lengths = [self._length(A, v, last=A is forward.A[-1]) for A in forward.A]
        for layer in reversed(range(len(lengths))):  # which writes into A below
            below = self._difference_below(layer, E, forward) if layer else E
            length = lengths[layer] if good is None else lengths[layer] * good[:, None, None]
            self._step(layer, forward.Z[layer], E, move.delta * length, v)
            E = below
        self._finish(good, move)

    def means(self) -> list[Tensor]:
        """The averages of the members' weights so far."""
        self._update_average()
        return self.mean.layers

    def _update_average(self) -> None:
        self.mean.whole.lerp_(self.weights.whole, self.pending[:, 0])
        self.pending = torch.zeros_like(self.pending)

    def _forward(self, X: Tensor, weights: Parts) -> Pass:
        Z, A, M = [X], list[Tensor](), list[Tensor | None]([None])
        for number, kernel in enumerate(weights.kernels):
            if number:
                Z.append(self.network.activations[number - 1](A[-1]))
                dropout = self.dropout[number - 1]
                M.append(self.masks(Z[-1].flatten(0, 1), dropout).view_as(Z[-1]) if dropout else None)
                Z[-1] = Z[-1] if M[-1] is None else Z[-1].mul_(M[-1])
            A.append(torch.bmm(Z[-1], kernel))
            if self.bias:
                A[-1].add_(weights.biases[number])
        return Pass(Z, A, M)

    def _loss_and_residual(self, outputs: Tensor, Y: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean loss of each member's batch (K,), and residuals; of targets that are smoothed."""
        each, residual = self.network.output.loss_and_residual(outputs.flatten(0, 1), Y.flatten(0, 1))
        each = each.view(Y.shape[:2])
        return each.mean(1) if weight is None else (each * weight).mean(1), residual.reshape(Y.shape)

    def _accepted(self, loss: Tensor, X: Tensor, Y: Tensor, weight: Tensor | None, drawn: State) -> Tensor | None:
        """Whether members go on from their weights (K,), with the masks that were `drawn`; others are set back.

        As :class:`Safeguard` has it, but for averages that have diverged as well: such a member is given up.  None
        where all go on.
        """
        if self.begins:
            for each in (self.first, self.running, self.lowest):
                each.copy_(torch.where(each.isnan(), loss, each))
        good, usual = None, loss <= self._limit(self.lowest)
        self.begins = not bool(usual.all())
        if self.begins:
            self.masks.restore(drawn)
            of_average, _ = self._loss_and_residual(self._forward(X, self.mean).A[-1], Y, weight)
            good = usual | (loss <= self._limit(of_average))
            self._roll_back(~good)
            for each in (self.first, self.running, self.lowest):
                each[~usual] = torch.nan
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
        self.weights.whole[members] = self.mean.whole[members]

    def _difference_below(self, layer: int, E: Tensor, forward: Pass) -> Tensor:
        """Target minus value of a layer's inputs, in the memory of A below."""
        f = self.network.activations[layer - 1]
        below = f.base_(forward.A[layer - 1]).baddbmm_(E, self.weights.kernels[layer].mT)
        return f.change_(below, forward.Z[layer], forward.M[layer])

    def _length(self, A: Tensor, v: Tensor | None, last: bool) -> Tensor:
        """Root mean squares of the lengths of pre-activations (K, b, n)."""
        length = size(A, v) / A.shape[1] ** 0.5
        return length.clamp(min=MIN_OUTPUT_RMS * A.shape[2] ** 0.5) if last else length

    def _move(self) -> Move:
        a = (1 - UNANCHORED_DELTA / self.delta).clamp(min=0)
        weight = self.settings.averaging + 1
        c = weight / (self.schedule.updates + weight)
        delta = self.schedule.step * self.delta.clamp(max=UNANCHORED_DELTA)
        return Move(delta, a * c / (1 - a) if bool(a.any()) else None, c / (1 - a + a * c))

    def _step(self, layer: int, Z: Tensor, E: Tensor, wanted: Tensor, v: Tensor | None) -> None:
        """Move weights by a damped least-squares step on E, by a `wanted` change of the pre-activations (K, 1, 1)."""
        memory, kernel = self.memory[layer], self.weights.kernels[layer]
        E = E if v is None else E * v
        e = E.mean(1, keepdim=True) if self.bias else None
        if e is not None:
            E = E - (e if v is None else e * v)
        C = torch.baddbmm(gradient(kernel, self.plan.l1_ratio) * -self.strength, Z.mT, E, alpha=1 / Z.shape[1])
        C = memory.momentum("right-hand side", C)
        D = torch.bmm(memory.inverse, C)
        square = torch.addcmul(C, memory.ridge, D, value=-1).mul_(D).sum((1, 2), keepdim=True)  # of Z D
        if e is not None:
            e = memory.momentum("bias", e)
            square += e.square().sum(2, keepdim=True)
        factor = (wanted / square.clamp_(min=0).sqrt_()).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        kernel.addcmul_(D, factor)
        if e is not None:
            z = (Z if v is None else Z * v).mean(1, keepdim=True)
            self.weights.biases[layer].addcmul_(e.baddbmm(z, D, alpha=-1), factor)

    def _refresh(self, inputs: list[Tensor], weight: Tensor | None) -> None:
        """Let batches into the running Gram matrices of all layers, where that is due, and factorize these.

        Inputs (G, b, n) are those of the first layer, once for all members that share them, and (K, b, n) of others.
        """
        b = inputs[0].shape[1]
        weights = [None if weight is None else weight.repeat_interleave(len(Z) // len(weight), 0) for Z in inputs]
        of_layers = [None if each is None else each[..., None] for each in weights]
        each = [size(Z, v) / (b * Z.shape[2]) ** 0.5 for Z, v in zip(inputs, of_layers, strict=True)]
        regular = GramSolver.regular(b, int(self.schedule.updates))
        begins = self.memory[0].gram is None
        before = [torch.zeros_like(rms) if begins else m.input_rms for rms, m in zip(each, self.memory, strict=True)]
        grown = torch.cat(each) > GramSolver.growth * torch.cat(before)
        if not (regular or bool(grown.any())):
            return
        for layer, anew in enumerate(grown.split([len(rms) for rms in each])):
            if regular or bool(anew.any()):
                due = torch.ones_like(anew) if regular else anew
                self._take_up(self.memory[layer], inputs[layer], of_layers[layer], each[layer], due, anew)

    def _take_up(self, memory: Memory, Z: Tensor, v: Tensor | None, rms: Tensor, due: Tensor, anew: Tensor) -> None:
        """Let a batch into the Gram matrices that are due, or begin these anew, and factorize them."""
        weighted = Z if v is None else Z * v
        G = torch.bmm(Z.mT, weighted).div_(Z.shape[1])
        mean_square = mean_diagonal(G)
        if self.bias:
            z = weighted.mean(1, keepdim=True)
            G.baddbmm_(z.mT, z, alpha=-1)
        if memory.gram is not None:
            G.lerp_(memory.gram, torch.ones_like(rms).masked_fill(due, GramSolver.memory).masked_fill(anew, 0.0))
            rms = torch.where(due, rms, memory.input_rms)
        memory.gram, memory.input_rms = G, rms
        memory.inverse, memory.ridge = self._inverse(G, mean_square)

    def _inverse(self, G: Tensor, mean_square: Tensor) -> tuple[Tensor, Tensor]:
        """Inverses of all members' damped matrices, and their ridges, which grow tenfold until there is one."""
        limits, members = torch.finfo(G.dtype), len(self.strength) // len(G)
        diagonal = mean_diagonal(G).clamp(min=0)
        ridge = self.settings.damping * diagonal + limits.eps * mean_square + limits.tiny**0.5
        ridge = ridge.repeat_interleave(members, 0) + self.strength * (1 - self.plan.l1_ratio)
        ridge = ridge.nan_to_num(nan=1.0, posinf=1.0)
        if not bool(diagonal.isfinite().all()):  # of a member that is given up
            G = G.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        while True:
            damped = G.repeat_interleave(members, 0)
            damped.diagonal(dim1=1, dim2=2).add_(ridge[:, 0])
            inverse, failed = positive_inverse(damped)
            if not bool(failed.any()):
                return inverse, ridge
            ridge = torch.where(failed[:, None, None], 10 * ridge, ridge)

    def _finish(self, good: Tensor | None, move: Move) -> None:
        """Accept the update of the members whose weights are finite, and roll back the others."""
        if move.pull is not None:  # of a member that was set back nothing: it is its average
            self.weights.whole.lerp_(self.mean.whole, -move.pull[:, 0])
        finite = self.weights.whole.norm(dim=1).isfinite()
        if not bool(finite.all()):
            self._roll_back(~finite)
        good = finite if good is None else good & finite
        self.pending = move.newest * good[:, None, None]
        self.schedule.accept()


def inner_products(A: Tensor, B: Tensor) -> Tensor:
    """Of each member's matrices (K, m, n): (K, 1, 1)."""
    return (A * B).sum((1, 2), keepdim=True)


def size(A: Tensor, v: Tensor | None = None) -> Tensor:
    """Root of the sum of squares of each member's matrix (K, m, n), of weighted rows: (K, 1, 1)."""
    return torch.linalg.vector_norm(A, dim=(1, 2), keepdim=True) if v is None else inner_products(A, A * v).sqrt()


def mean_diagonal(G: Tensor) -> Tensor:
    """Of each matrix (K, n, n): (K, 1, 1)."""
    return G.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
