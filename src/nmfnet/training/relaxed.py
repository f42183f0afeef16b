"""The relaxed sweep, ``solver="relaxed"``: small steps on both factors, from the output layer down.

The alternation is the paper's: a factor as the target of each layer, then a least-squares fit of its weights,
and no derivative of f anywhere.  docs/relaxed.md explains each part and what is proved of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nmfnet.damped_inverse import DampedInverse
from nmfnet.linalg import affine, inner_product, mean_length, weighted_mean
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
FIXED = ("settings", "network", "plan", "background", "average_lent", "working_lent")
CHECK = 4  # updates between two looks at the running losses and errors


class RelaxedSweep:
    """One update of all weights from a batch, and the average of the weights so far.

    The network's weights are those that a batch goes through: fast ones, where whole steps lead, or their mean with
    the average.  The fast ones follow from these two, and are not kept.
    """

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
        # What a training that goes astray goes back to: new weights enter once a batch has gone well through them.
        self.average = [W.clone() for W in network.weights]
        self.follow = 0.0  # weight with which the working ones will enter; 0: they have
        # Whether others may hold the tensors, which are then not written into.
        self.average_lent, self.working_lent = False, plan.trained
        self.updates = self.taken_back = 0
        self.worst = 1.0  # loss over that of no outputs at all, where the average had gone astray as well
        self.watch = Watch()
        self.masks = Masks(plan.seed)
        self.adversary = Adversary(settings.adversarial, network, plan)

    def fork(self) -> RelaxedSweep:
        """A copy that goes its own way; tensors are shared, since none that is lent is ever written into."""
        self.average_lent = self.working_lent = True
        other = copy(self)
        other.network, other.average = self.network.with_weights(self.network.weights), list(self.average)
        other.inverses, other.watch = [inverse.fork() for inverse in self.inverses], copy(self.watch)
        other.adversary = copy(self.adversary)
        other.masks = self.masks.fork()
        return other

    def state(self) -> State:
        """All that calls change: weights, averages, Gram matrices, counts, random numbers."""
        self.average_lent = self.working_lent = True
        own = {name: value for name, value in vars(self).items() if name not in FIXED}
        own |= {"working": list(self.network.weights), "average": list(self.average), "watch": dict(vars(self.watch))}
        own["adversary"] = dict(vars(self.adversary))
        own["inverses"] = [dict(vars(inverse.fork())) for inverse in self.inverses]
        own["masks"] = self.masks.generator.get_state()
        return own

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        state = dict(state)
        self.network.weights[:] = state.pop("working")
        vars(self.watch).update(state.pop("watch"))
        vars(self.adversary).update(state.pop("adversary"))
        for inverse, stored in zip(self.inverses, state.pop("inverses"), strict=True):
            vars(inverse).update(stored, velocity=[mean.clone() for mean in stored["velocity"]])
        self.masks.generator.set_state(state.pop("masks"))
        vars(self).update(state, average=list(state["average"]), average_lent=True, working_lent=True)

    def weights(self) -> list[Tensor]:
        """The average, which goes on in the same list."""
        self._enter()
        return self.average

    def lend(self) -> list[Tensor]:
        """The average as of now; the next call makes another one."""
        self._enter()
        self.average_lent = True
        return list(self.average)

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
        drawn = self.masks.generator.get_state()
        Z, A, kept = self._forward(X, W)
        outputs, Y = A[-1], network.scaled_targets(Y)
        loss = self._loss(outputs, Y, sample_weight)
        if not self.watch.good(loss):
            del Z, A, kept  # their memory is needed
            self.masks.generator.set_state(drawn)  # the same masks, each time
            if self._astray(loss, X, Y, sample_weight):
                self._take_back()
                return network.original_outputs(outputs)
            self.watch = Watch()  # for what the data are now
            self.masks.generator.set_state(drawn)
            Z, A, kept = self._forward(X, W)
        self._enter()
        E = self.tau * network.output.residual(Y, A[-1])  # T[L] - Z[L]
        if self.adversary.reach:
            for layer in reversed(range(len(W))):
                E = self._below(layer, E, Z[layer], A, W[layer], kept[layer])
            shift = self.adversary.shift(Z[0], E, sample_weight)
            del Z, A, kept, E
            Z, A, kept = self._forward(X, W, shift)
            E = self.tau * network.output.residual(Y, A[-1])
        self.adversary.observe(A[-1], Y, sample_weight)
        if self.updates % CHECK == 0:
            self.watch.note(loss)
            self.adversary.decide()
        parts = [each.parts(Z[layer].shape[1], A[layer].shape[1]) for layer, each in enumerate(self.inverses)]
        sizes = [[mean_length(each[:, part], sample_weight) for part in of] for each, of in zip(A, parts, strict=True)]
        lowest = network.lowest_trained
        for layer in reversed(range(lowest, len(W))):  # a target is made with weights from before the update
            below = self._below(layer, E, Z[layer], A, W[layer], kept[layer]) if layer > lowest else E
            if layer not in network.frozen:
                self._step(layer, Z[layer], E, sizes[layer], sample_weight)
            del Z[layer], A[layer]
            E = below
        self._finish()
        return network.original_outputs(outputs)

    def _forward(
        self, X: Tensor, weights: list[Tensor], shift: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        """Inputs, moved by a `shift` if there is one, and pre-activations of every layer, and their dropout masks."""
        network, F = self.network, self.network.activations
        X = self._masked(X) if self.noise else X
        Z, A = [X if network.inputs is None else network.inputs(X)], []
        if shift is not None:
            Z[0] = shift.add_(Z[0])
        kept: list[Tensor | None] = [None]
        for layer, W in enumerate(weights):
            A.append(affine(Z[-1], W, network.intercept))
            if layer < len(weights) - 1:
                Z.append(F[layer](A[-1]))
                mask = self.masks(Z[-1], self.dropout) if self.dropout else None
                kept.append(mask)
                if mask is not None:
                    Z[-1].mul_(mask)
        return Z, A, kept

    def _below(self, layer: int, E: Tensor, Z: Tensor, A: list[Tensor], W: Tensor, mask: Tensor | None) -> Tensor:
        """Target minus value of a layer's inputs Z (b, n), from that of its outputs, E (b, k); in the memory of A."""
        V = W[:-1] if self.network.intercept else W
        if not layer:  # inputs have no pre-activations: their target is Z + E Wt
            return E @ V.T
        # T = f(A + (T_above - Z_above) Wt)
        T = self.network.activations[layer - 1].f_(A[layer - 1].addmm_(E, V.T))
        return T.sub_(Z) if mask is None else T.mul_(mask).sub_(Z)

    def _loss(self, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None) -> float:
        return float(weighted_mean(self.network.output.loss(outputs, Y), sample_weight))

    def _astray(self, loss: float, X: Tensor, Y: Tensor, sample_weight: Tensor | None) -> bool:
        """Whether a batch's loss is so large because of the steps, not of the batch.

        Then it is far above that of the average or, should this have gone astray as well, of no outputs at all.  But
        samples far from all others may have such a loss for long: the second counts again only where it is far worse
        than before, or steps would be halved with every look at them.
        """
        if not loss <= self.watch.limit(self._loss(self._forward(X, self.average)[1][-1], Y, sample_weight)):
            return True
        nothing = self._loss(torch.zeros_like(Y), Y, sample_weight)
        if loss <= self.watch.limit(self.worst * nothing):
            return False
        self.worst = loss / nothing if nothing else self.worst
        return True

    def _masked(self, X: Any) -> Any:
        """Inputs (b, n_0), some of them set back to the background."""
        if isinstance(X, SparseRows):
            return X.with_values(self.masks(X.values, self.noise) * X.values)
        mask = self.masks(X, self.noise)
        if self.background is None:
            return mask * X
        return torch.addcmul(self.background, mask, X - self.background)

    def _step(self, layer: int, Z: Tensor, E: Tensor, sizes: Sequence[Tensor], sample_weight: Tensor | None) -> None:
        """Move a layer's weights by damped least-squares steps D on E, so that Z D is a share delta of the size of A.

        Sizes are those of the parts of A that steps are made for at a time.
        """
        old = self.network.weights[layer]
        new = self.network.weights[layer] = old.clone() if self.working_lent else old
        penalty = self.plan.alpha / self.plan.n_samples * self.tau if self.plan.alpha else 0.0
        l1 = self.plan.l1_ratio

        def pull(part: slice) -> Tensor:
            W = old[: Z.shape[1], part]
            return -penalty * ((1 - l1) * W + l1 * W.sign())

        spare = layer > 0 or self.noise > 0 or self.network.inputs is not None  # else Z is the caller's X
        steps = self.inverses[layer].steps(
            Z, E, self.updates, pull if penalty else None, penalty * (1 - l1), sample_weight, spare
        )
        share = self._share(len(Z), sample_weight) * min(self.delta, STEADY)  # the rest is for the average to bring
        for (part, D, moved), size in zip(steps, sizes, strict=True):
            if layer == len(self.average) - 1:  # outputs of constant inputs start at 0
                size = size.clamp(min=LEAST * D.shape[1] ** 0.5)
            new[:, part].addcmul_(D, (share * size / moved).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))
        if self.anchor:
            new.lerp_(self.average[layer], -self.anchor * self._newest / (1 - self.anchor))

    def _share(self, n: int, sample_weight: Tensor | None) -> float:
        """Of delta, in this update of n samples."""
        if self.plan.n_updates is not None:
            return max(0.0, 1 - self.updates / self.plan.n_updates)
        total = n if sample_weight is None else float(sample_weight.sum())
        return min(1.0, (total / ENOUGH) ** 0.5)  # no end: calls with a few samples each say little each

    @property
    def _newest(self) -> float:
        """Weight of the newest fast weights in the average (schedule-free averaging: Defazio et al., 2024)."""
        a = self.settings.averaging
        newest = (a + 1) / (self.updates + a + 1)
        return newest if self.plan.n_updates is not None else max(newest, FOLLOW)

    def _finish(self) -> None:
        """End the update, or take it back: all layers or none."""
        self.working_lent = False
        # Finite sums of squares bound the weights and all means of them.
        if not torch.stack([inner_product(W, W) for W in self.network.weights]).isfinite().all():
            self._take_back()
            return
        # x + c (z - x), for the average x and the fast z that are meant by y = (1 - a) z + a (x + c (z - x)).
        anchor, c = self.anchor, self._newest
        self.follow = c / (1 - anchor + anchor * c)
        self.updates += 1

    def _enter(self) -> None:
        """Let the newest weights into the average.

        All layers or none: the average, which is moved in place, is moved in one call, in which there is no Ctrl-C.
        """
        if not self.follow:
            return
        newest, follow = self.network.weights, self.follow
        if self.average_lent:
            self.average[:] = [torch.lerp(old, new, follow) for old, new in zip(self.average, newest, strict=True)]
            self.average_lent = False
        else:
            torch._foreach_lerp_(self.average, newest, follow)
        self.follow = 0.0

    def _take_back(self) -> None:
        """Go back to the average, and on with half the step."""
        self.delta /= 2
        self.follow = 0.0  # those that went astray never enter
        pairs, lent = zip(self.network.weights, self.average, strict=True), self.working_lent
        self.network.weights[:] = [mean.clone() if lent else W.copy_(mean) for W, mean in pairs]
        self.working_lent = False
        self.updates += 1
        self.taken_back += 1
        self.watch = Watch()  # the next batch goes through the average: it is to learn from it, whatever its loss
        for inverse in self.inverses:
            inverse.forget()
