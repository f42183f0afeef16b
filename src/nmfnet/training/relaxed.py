"""The relaxed sweep, ``solver="relaxed"``: small steps on both factors, from the output layer down.

The alternation is the paper's: a factor as the target of each layer, then a least-squares fit of its weights,
and no derivative of f anywhere.  docs/relaxed.md explains each part and what is proved of it.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from nmfnet._parameters import between, boolean, check_settings
from nmfnet.damped_inverse import DampedInverse
from nmfnet.linalg import affine, mean_length
from nmfnet.network import Network
from nmfnet.outputs import Output
from nmfnet.scaling import Scaling, input_scaling
from nmfnet.sparse import SparseRows
from nmfnet.training.automatic import STEADY, auto_alpha, auto_delta, auto_dropout, auto_noise
from nmfnet.training.loop import Kind, Plan
from nmfnet.training.masks import Masks, background
from nmfnet.training.resuming import State
from nmfnet.training.watch import Watch

MOMENTUM = 0.9  # where the residuals have little noise
MANY = 64  # real target values of a sample that tell enough for batches of half the size
FAR, NEAR = 0.1, 0.01  # the targets of classes and labels, and real ones
LEAST = 0.01  # size of the outputs that steps are at least relative to
ENOUGH = 64  # samples from which on a batch without a plan takes the whole step
FOLLOW = 0.02  # least weight of the newest weights in the average where there is no end, so that it follows changes
# Of a sweep: what is not stored with a training, since the same data and settings make the same again.
FIXED = ("settings", "network", "plan", "background", "lent")
CHECK = 4  # updates between two looks at the loss, each of which waits for the device


@dataclass
class Relaxed(BaseEstimator):
    """Settings of the relaxed solver, for ``NMFNetClassifier(solver=Relaxed(dropout=0.2))``.

    None of them is meant to be tuned to the data: steps are relative, and inputs and real targets are scaled, except
    inputs with `pretrain` or ``standardize=False``.

    Parameters
    ----------
    delta : float or "auto", default="auto"
        Relative step at the start: by how much of their size a layer's pre-activations move in one update, as far as
        the running Gram matrix tells.  It falls linearly to 0 over the planned updates; without a plan
        (`partial_fit`) it stays.  Above 0.05 a step is taken partly at once and partly by averaging.
        "auto" is 20 / updates, within [0.05, 0.3], times ``1 - 2/3 momentum``.
    tau : float or "auto", default="auto"
        How far the targets go: those of the top layer are ``A + tau (Y - g(A))``.  "auto" is 0.1 for classes and
        labels, and 0.01 for real targets: with far ones units that are off are raised only, until they never are.
    damping : float, default=1
        Tikhonov term of the least-squares steps, relative to the mean diagonal of the Gram matrix.
    noise : float or "auto", default="auto"
        Probability that an input is masked during training (set to 0, or to its value nearest to 0), the others
        moved away from there by the factor 1 / (1 - noise).  "auto" masks only where
        inputs tell about each other: ``0.3 (1 - 2 r / n_0)`` where r of n_0 principal components
        suffice (images), 0 where they do not (tables).
    dropout : float or "auto", default="auto"
        The same for hidden activations, of which the masked ones become 0.  "auto" is
        ``0.3 / sqrt(L) w / (w + v)`` for w weights in L layers and v target values to fit, half of that for real
        targets: 0.17 for two hidden layers on small data, nothing for an autoencoder.  0.1 in `partial_fit`.
    momentum : float or "auto", default="auto"
        Nesterov's, on the right-hand sides of the least-squares steps.  "auto" is 0 for classes and labels, and 0.9
        for real targets, whose residuals have less noise: a deep autoencoder needs half the epochs.  Less
        where fewer than 100 updates are planned.
    averaging : float, default=8
        The weights returned are averages over about the last ``1 / (averaging + 1)`` of all updates, so that
        training can end at any time.
    standardize : bool, default=True
        Whether inputs are scaled; see :func:`nmfnet.scaling.input_scaling`.
    explained_variance : float, default=0.96
        Share of the variance that the principal components of the inputs keep, where these are
        compressible and the targets are classes; 1 keeps all.
    label_smoothing : float, default=0.2
        Of the classes or labels.  It keeps a residual in nearly every sample: without it the relative step would
        follow the few samples that are still wrong.  `predict_proba` takes it back.
    """

    delta: float | Literal["auto"] = "auto"
    tau: float | Literal["auto"] = "auto"
    damping: float = 1.0
    noise: float | Literal["auto"] = "auto"
    dropout: float | Literal["auto"] = "auto"
    momentum: float | Literal["auto"] = "auto"
    averaging: float = 8.0
    standardize: bool = True
    explained_variance: float = 0.96
    label_smoothing: float = 0.2

    # The length of a step is relative to its batch: with fewer, samples that are fitted move as far as others.
    fewest_samples: ClassVar[int] = 8
    keeps_state: ClassVar[bool] = True
    takes_sparse: ClassVar[bool] = True
    penalizes_bias: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse unfit settings, naming them."""
        if self.delta != "auto":
            between("delta", self.delta, 0, 1, open_low=True)
        if self.tau != "auto":
            between("tau", self.tau, 0, 1, open_low=True)
        check_settings(damping=self.damping, averaging=self.averaging)
        for name in ("noise", "dropout", "momentum", "label_smoothing"):
            if name == "label_smoothing" or getattr(self, name) != "auto":
                between(name, getattr(self, name), 0, 1, open_high=True)
        boolean("standardize", self.standardize)
        between("explained_variance", self.explained_variance, 0, 1, open_low=True)

    @staticmethod
    def default_batch_size(n: int, real_values: int = 0) -> int:
        """A twentieth of the samples, within [200, 1000]; half of it for many real values, as of an autoencoder."""
        size = max(200, min(1000, n // 20))
        return min(n, size // 2 if real_values >= MANY else size)

    @staticmethod
    def default_alpha(network: Network) -> float:
        """Penalty on the weights where no masking of inputs keeps them small."""
        return auto_alpha(network)

    def output(self, kind: Kind) -> Output:
        """What the outputs mean: softmax for classes, sigmoid for labels, identity for real targets."""
        names: dict[str, Literal["identity", "softmax", "sigmoid"]] = {"classes": "softmax", "labels": "sigmoid"}
        return Output(names.get(kind, "identity"), 0.0 if kind == "real" else self.label_smoothing)

    def scaling(
        self, X: Tensor, kind: Kind, centre: bool, partial: bool, sample_weight: Tensor | None = None
    ) -> Scaling | None:
        """Scaling of the inputs X (n, n_0), with a shift where there are biases; `partial` where X is but a part.

        Principal components only for classes and labels: real targets may hang on any direction.
        """
        self.check()
        share = 1.0 if kind == "real" else self.explained_variance
        return input_scaling(X, share, centre, float(partial), sample_weight) if self.standardize else None

    def prepare(self, network: Network, X: Tensor, plan: Plan) -> RelaxedSweep:
        """Return the sweep over a batch, which knows how many updates are planned."""
        self.check()
        return RelaxedSweep(self, network, plan, background(X))


class RelaxedSweep:
    """One update of all weights from a batch, and the average of the weights so far."""

    def __init__(self, settings: Relaxed, network: Network, plan: Plan, background: Tensor | None = None) -> None:
        self.settings, self.network, self.plan = settings, network, plan
        # Masking to 0 is the usual case, and takes fewer passes over X.
        self.background = background if background is not None and bool(background.any()) else None
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

    def fork(self) -> RelaxedSweep:
        """A copy that goes its own way; tensors are shared, since none that is lent is ever written into."""
        self.lent = True
        other = copy(self)
        other.network = self.network.with_weights(self.network.weights)
        other.inverses, other.watch = [copy(inverse) for inverse in self.inverses], copy(self.watch)
        other.masks = self.masks.fork()
        return other

    def state(self) -> State:
        """All that calls change: weights, averages, Gram matrices, counts, random numbers."""
        self.lent = True
        own = {name: value for name, value in vars(self).items() if name not in FIXED}
        own |= {"weights": list(self.network.weights), "watch": dict(vars(self.watch))}
        own["inverses"] = [dict(vars(inverse)) for inverse in self.inverses]
        own["masks"] = self.masks.generator.get_state()
        return own

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        state = dict(state)
        self.network.weights[:] = state.pop("weights")
        vars(self.watch).update(state.pop("watch"))
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
    def momentum(self) -> float:
        """Momentum of the steps: by default for real targets, over at most a tenth of the updates."""
        if self.settings.momentum != "auto":
            return float(self.settings.momentum)
        if self.network.output.name != "identity":
            return 0.0
        planned = self.plan.n_updates
        return MOMENTUM if planned is None else max(0.0, min(MOMENTUM, 1 - 10 / max(1, planned)))

    @property
    def tau(self) -> float:
        """How far the targets go: by default not as far for real ones."""
        if self.settings.tau != "auto":
            return float(self.settings.tau)
        return NEAR if self.network.output.name == "identity" else FAR

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
        Z, A, kept = self._forward(X)
        outputs, Y = A[-1], network.scaled_targets(Y)
        loss = network.output.loss
        if self.updates % CHECK == 0 and not self.watch.good(loss(outputs, Y), self.weights(), sample_weight):
            self._take_back()
            return network.original_outputs(outputs)
        E = self.tau * network.output.residual(Y, outputs)  # T[L] - Z[L]
        sizes = [mean_length(each, sample_weight) for each in A]
        for layer in reversed(range(len(W))):
            self._step(layer, Z[layer], E, sizes[layer], sample_weight, steps[layer])
            if layer:
                E = self._below(layer, E, Z[layer], A, kept[layer])
                del Z[layer], A[layer]
        del Z, A, E  # the update needs memory
        self._update(steps)
        return network.original_outputs(outputs)

    def _forward(self, X: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        """Inputs and pre-activations of every layer, and the dropout masks of the inputs."""
        network, F = self.network, self.network.activations
        X = self._masked(X) if self.noise else X
        Z, A = [X if network.inputs is None else network.inputs(X)], []
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
        # T = f(A + (T_above - Z_above) Wt)
        T = self.network.activations[layer - 1].f_(A[layer - 1].addmm_(E, V.T))
        return T.sub_(Z) if mask is None else T.mul_(mask).sub_(Z)

    def _masked(self, X: Any) -> Any:
        """Inputs (b, n_0), some of them set back to the background."""
        if isinstance(X, SparseRows):
            return X.with_values(self.masks(X.values, self.noise) * X.values)
        mask = self.masks(X, self.noise)
        if self.background is None:
            return mask * X
        return torch.addcmul(self.background, mask, X - self.background)

    def _step(self, layer: int, Z: Tensor, E: Tensor, size: Tensor, sample_weight: Tensor | None, out: Tensor) -> None:
        """Damped least-squares step D on E, into `out`, so long that Z D is a fraction delta of the `size` of A."""
        penalty = self.plan.alpha / self.plan.n_samples * self.tau if self.plan.alpha else 0.0
        pull, l1 = None, self.plan.l1_ratio
        if penalty:
            W = self.network.weights[layer]
            pull = -penalty * ((1 - l1) * W + l1 * W.sign())
        D, moved = self.inverses[layer].solve(Z, E, self.updates, pull, penalty * (1 - l1), sample_weight, out)
        if layer == len(self.network.weights) - 1:  # outputs of constant inputs start at 0
            size = size.clamp(min=LEAST * E.shape[1] ** 0.5)
        if self.plan.n_updates is None:  # no end: calls with a few samples each say little each
            n = len(Z) if sample_weight is None else float(sample_weight.sum())
            share = min(1.0, (n / ENOUGH) ** 0.5)
        else:
            share = max(0.0, 1 - self.updates / self.plan.n_updates)
        scale = share * self.delta * size / moved
        D.mul_(scale.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))

    def _update(self, steps: list[Tensor]) -> None:
        """Move the weights, and their average (schedule-free averaging: Defazio et al., 2024).

        The fast weights take the whole step; the average follows with the weight (a + 1) / (t + a + 1); the network
        works with a mean of the two, in which the average has the share `anchor`.  All layers or none: each moves all
        of them in one call, in which there is no Ctrl-C.
        """
        a = self.settings.averaging
        follow = (a + 1) / (self.updates + a + 1)
        if self.plan.n_updates is None:
            follow = max(follow, FOLLOW)
        torch._foreach_add_(steps, self.fast)
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
