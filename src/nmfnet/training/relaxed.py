"""The relaxed sweep, ``solver="relaxed"``: small steps on both factors, from the output layer down.

The alternation is the paper's: a factor as the target of each layer, then a least-squares fit of its weights,
and no derivative of f anywhere.  docs/relaxed.md explains each part and what is proved of it.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nmfnet.damped_inverse import DampedInverse
from nmfnet.linalg import affine, mean_length
from nmfnet.network import Network
from nmfnet.sparse import SparseRows
from nmfnet.training.adversary import Adversary
from nmfnet.training.automatic import (
    STEADY,
    auto_delta,
    auto_dropout,
    auto_momentum,
    auto_noise,
    auto_tau,
)
from nmfnet.training.masks import Masks
from nmfnet.training.resuming import State
from nmfnet.training.solver import Plan
from nmfnet.training.watch import Watch

if TYPE_CHECKING:
    from nmfnet.training.relaxed_settings import Relaxed

LEAST = 0.01  # size of the outputs that steps are at least relative to
ENOUGH = 64  # samples from which on a batch without a plan takes the whole step
FOLLOW = 0.02  # least weight of the newest weights in the average where there is no end, so that it follows changes
# Of a sweep: what is not stored with a training, since the same data and settings make the same again.
FIXED = ("settings", "network", "plan", "background", "lent")
CHECK = 4  # updates between two looks at the loss, each of which waits for the device


class RelaxedSweep:
    """One update of all weights from a batch, and the average of the weights so far."""

    def __init__(self, settings: Relaxed, network: Network, plan: Plan, background: Tensor | None = None) -> None:
        self.settings, self.network, self.plan = settings, network, plan
        # Masking to 0 is the usual case, and takes fewer passes over X.
        self.background = background if background is not None and bool(background.any()) else None
        name, momentum, tau = network.output.name, settings.momentum, settings.tau
        self.momentum = auto_momentum(name, plan) if momentum == "auto" else float(momentum)
        self.tau = auto_tau(name) if tau == "auto" else float(tau)
        self.delta = auto_delta(plan.n_updates, self.momentum) if settings.delta == "auto" else float(settings.delta)
        self.noise = auto_noise(network.inputs) if settings.noise == "auto" else float(settings.noise)
        self.dropout = auto_dropout(network, plan) if settings.dropout == "auto" else float(settings.dropout)
        self.inverses = [DampedInverse(settings.damping, network.intercept, self.momentum) for _ in network.weights]
        self.fast = list(network.weights)
        self.average = list(network.weights)
        self.lent = True  # whether others may hold the tensors of the average, which are then not written into
        self.updates = self.taken_back = 0
        self.watch = Watch(self.average)
        self.masks = Masks(plan.seed)
        self.adversary = Adversary(settings.adversarial, network, plan)

    def fork(self) -> RelaxedSweep:
        """A copy that goes its own way; tensors are shared, since none that is lent is ever written into."""
        self.lent = True
        other = copy(self)
        other.network = self.network.with_weights(self.network.weights)
        other.inverses, other.watch = [copy(inverse) for inverse in self.inverses], copy(self.watch)
        other.adversary = copy(self.adversary)
        other.masks = self.masks.fork()
        return other

    def state(self) -> State:
        """All that calls change: weights, averages, Gram matrices, counts, random numbers."""
        self.lent = True
        own = {name: value for name, value in vars(self).items() if name not in FIXED}
        own |= {"weights": list(self.network.weights), "watch": dict(vars(self.watch))}
        own["adversary"] = dict(vars(self.adversary))
        own["inverses"] = [dict(vars(inverse)) for inverse in self.inverses]
        own["masks"] = self.masks.generator.get_state()
        return own

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        state = dict(state)
        self.network.weights[:] = state.pop("weights")
        vars(self.watch).update(state.pop("watch"))
        vars(self.adversary).update(state.pop("adversary"))
        for inverse, stored in zip(self.inverses, state.pop("inverses"), strict=True):
            vars(inverse).update(stored)
        self.masks.generator.set_state(state.pop("masks"))
        vars(self).update(state)
        self.lent = True

    def weights(self) -> list[Tensor]:
        """Weights to predict with, which stay as they are."""
        self.lent = True
        return self.average

    @property
    def anchor(self) -> float:
        """Share of the average in the working weights: so large that they move by at most STEADY at once."""
        return max(0.0, 1 - STEADY / self.delta)

    @property
    def retries(self) -> int:
        """Factorizations that needed more damping than asked for, and times that steps were taken back."""
        return self.taken_back + sum(inverse.retries for inverse in self.inverses)

    @torch.no_grad()
    def __call__(self, X: Tensor, Y: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Update the weights from a batch (b, n_0) and its targets (b, n_L), weighted by positive weights (b,).

        Returns
        -------
        Tensor of shape (b, n_L)
            Outputs from before the update, of the masked inputs.
        """
        network, W = self.network, self.network.weights
        # First of all, into the gaps that the last ones left, which activations would break up.
        steps = [torch.empty_like(each) for each in W]
        scales: list[Tensor] = []
        Z, A, kept = self._forward(X)
        outputs, Y = A[-1], network.scaled_targets(Y)
        E = self.tau * network.output.residual(Y, A[-1])  # T[L] - Z[L]
        if self.adversary.reach:
            for layer in reversed(range(len(W))):
                E = self._below(layer, E, Z[layer], A, kept[layer])
            shift = self.adversary.shift(Z[0], E, sample_weight)
            del Z, A, kept, E  # their memory is needed
            Z, A, kept = self._forward(X, shift)
            E = self.tau * network.output.residual(Y, A[-1])
        if not self._fine(A[-1], Y, sample_weight):
            self._take_back()
            return network.original_outputs(outputs)
        sizes = [mean_length(each, sample_weight) for each in A]
        for layer in reversed(range(len(W))):
            scales.insert(0, self._step(layer, Z[layer], E, sizes[layer], sample_weight, steps[layer]))
            if layer:
                E = self._below(layer, E, Z[layer], A, kept[layer])
                del Z[layer], A[layer]
        del Z, A, E  # the update needs memory
        self._update(steps, scales)
        return network.original_outputs(outputs)

    def _forward(
        self, X: Tensor, shift: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        """Inputs, moved by a `shift` if there is one, and pre-activations of every layer, and their dropout masks."""
        network, F = self.network, self.network.activations
        X = self._masked(X) if self.noise else X
        Z, A = [X if network.inputs is None else network.inputs(X)], []
        if shift is not None:
            Z[0] = shift.add_(Z[0])
        kept: list[Tensor | None] = [None]
        for layer, W in enumerate(network.weights):
            A.append(affine(Z[-1], W, network.intercept))
            if layer < len(network.weights) - 1:
                Z.append(F[layer](A[-1]))
                mask = self.masks(Z[-1], self.dropout) if self.dropout else None
                kept.append(mask)
                if mask is not None:
                    Z[-1].mul_(mask)
        return Z, A, kept

    def _below(self, layer: int, E: Tensor, Z: Tensor, A: list[Tensor], mask: Tensor | None) -> Tensor:
        """Target minus value of a layer's inputs Z (b, n), from that of its outputs, E (b, k); in the memory of A."""
        W = self.network.weights[layer]
        V = W[:-1] if self.network.intercept else W
        if not layer:  # inputs have no pre-activations: their target is Z + E Wt
            return E @ V.T
        # T = f(A + (T_above - Z_above) Wt)
        T = self.network.activations[layer - 1].f_(A[layer - 1].addmm_(E, V.T))
        return T.sub_(Z) if mask is None else T.mul_(mask).sub_(Z)

    def _fine(self, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None) -> bool:
        """Whether steps have the right size, as far as the outputs (b, k) tell; inputs may be moved from now on."""
        look = self.updates % CHECK == 0
        if look and not self.watch.good(self.network.output.loss(outputs, Y), self.weights(), sample_weight):
            return False
        self.adversary.observe(outputs, Y, sample_weight)
        if look and self.adversary.decide():
            self.watch = Watch(self.weights())  # losses of moved inputs do not compare
        return True

    def _masked(self, X: Any) -> Any:
        """Inputs (b, n_0), some of them set back to the background."""
        if isinstance(X, SparseRows):
            return X.with_values(self.masks(X.values, self.noise) * X.values)
        mask = self.masks(X, self.noise)
        if self.background is None:
            return mask * X
        return torch.addcmul(self.background, mask, X - self.background)

    def _step(
        self, layer: int, Z: Tensor, E: Tensor, size: Tensor, sample_weight: Tensor | None, out: Tensor
    ) -> Tensor:
        """Damped least-squares step D on E, into `out`; the factor that makes Z D a share delta of the `size` of A."""
        penalty = self.plan.alpha / self.plan.n_samples * self.tau if self.plan.alpha else 0.0
        pull, l1 = None, self.plan.l1_ratio
        if penalty:
            W = self.network.weights[layer]
            pull = -penalty * ((1 - l1) * W + l1 * W.sign())
        _, moved = self.inverses[layer].solve(Z, E, self.updates, pull, penalty * (1 - l1), sample_weight, out)
        if layer == len(self.network.weights) - 1:  # outputs of constant inputs start at 0
            size = size.clamp(min=LEAST * E.shape[1] ** 0.5)
        if self.plan.n_updates is None:  # no end: calls with a few samples each say little each
            n = len(Z) if sample_weight is None else float(sample_weight.sum())
            share = min(1.0, (n / ENOUGH) ** 0.5)
        else:
            share = max(0.0, 1 - self.updates / self.plan.n_updates)
        return (share * self.delta * size / moved).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def _update(self, steps: list[Tensor], scales: list[Tensor]) -> None:
        """Move the weights, and their average (schedule-free averaging: Defazio et al., 2024).

        The fast weights take the whole step; the average follows with the weight (a + 1) / (t + a + 1); the network
        works with a mean of the two, in which the average has the share `anchor`.  All layers or none: the average,
        which is moved in place, is moved in one call, in which there is no Ctrl-C.
        """
        a = self.settings.averaging
        follow = (a + 1) / (self.updates + a + 1)
        if self.plan.n_updates is None:
            follow = max(follow, FOLLOW)
        for step, scale, fast in zip(steps, scales, self.fast, strict=True):
            torch.addcmul(fast, step, scale, out=step)
        self.fast, self.updates = steps, self.updates + 1
        if self.lent:
            self.average = [torch.lerp(old, new, follow) for old, new in zip(self.average, steps, strict=True)]
            self.lent = False
        else:
            torch._foreach_lerp_(self.average, steps, follow)
        working = steps
        if self.anchor:
            working = [torch.lerp(new, mean, self.anchor) for new, mean in zip(steps, self.average, strict=True)]
        self.network.weights[:] = working

    def _take_back(self) -> None:
        """Go back to the average at the last good look, and on with half the step."""
        self.delta /= 2
        self.fast, self.average = list(self.watch.weights), list(self.watch.weights)
        self.network.weights[:] = self.watch.weights
        self.lent = True
        self.updates, self.taken_back = self.updates + 1, self.taken_back + 1
        self.watch = Watch(self.average)  # it may be the data that changed
        for inverse in self.inverses:
            inverse.forget()
