"""Settings of the relaxed solver; the sweep itself is in relaxed.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from nmfnet._parameters import between, boolean, check_settings
from nmfnet.data.scaling import Scaling, input_scaling, target_scaling
from nmfnet.data.source import Rows, Source
from nmfnet.layers import Layer
from nmfnet.network import Network
from nmfnet.network.initialization import initial_weights
from nmfnet.network.outputs import Output
from nmfnet.solvers.base import Kind, Plan
from nmfnet.solvers.relaxed.defaults import (
    Resolved,
    auto_alpha,
    auto_delta,
    auto_dropout,
    auto_momentum,
    auto_noise,
    auto_tau,
)
from nmfnet.solvers.relaxed.masks import masking_value
from nmfnet.solvers.relaxed.sweep import RelaxedSweep

MANY = 64  # real target values of a sample that tell enough for batches of half the size


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
        "auto" is 30 / updates, within [0.05, 0.3], times ``1 - 2/3 momentum``.
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
    adversarial : float or "auto", default="auto"
        How far inputs are moved away from their own targets before each update, in root mean squares of their lengths.
        "auto" is 0.1 where inputs share a unit (images) and classes turn out to be easy to tell apart, which leaves
        wide margins between them, and 0 elsewhere.  Each update then takes half as long again.  Sparse inputs are
        never moved.
    momentum : float or "auto", default="auto"
        Nesterov's, on the right-hand sides of the least-squares steps.  "auto" is 0.9 for real targets, whose
        residuals have less noise: a deep autoencoder needs half the epochs.  For classes and labels it is 0, or 0.7
        where batches of 10,000 samples and more leave fewer than 600 updates.  Less where fewer than 100 are planned.
    averaging : float, default=8
        The weights returned are averages over about the last ``1 / (averaging + 1)`` of all updates, so that
        training can end at any time.
    standardize : bool, default=True
        Whether inputs are scaled; see :func:`nmfnet.data.scaling.input_scaling`.
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
    adversarial: float | Literal["auto"] = "auto"
    momentum: float | Literal["auto"] = "auto"
    averaging: float = 8.0
    standardize: bool = True
    explained_variance: float = 0.96
    label_smoothing: float = 0.2

    # The length of a step is relative to its batch: with fewer, samples that are fitted move as far as others.
    min_batch_samples: ClassVar[int] = 8
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
        for name in ("noise", "dropout", "adversarial", "momentum", "label_smoothing"):
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

    def input_scaling(
        self, X: Rows, kind: Kind, centre: bool, partial: bool, sample_weight: Tensor | None = None
    ) -> Scaling | None:
        """Scaling of the inputs X (n, n_0), with a shift where there are biases; `partial` where X is but a part.

        Principal components only for classes and labels: real targets may hang on any direction.
        """
        self.check()
        share = 1.0 if kind == "real" else self.explained_variance
        return input_scaling(X, share, centre, float(partial), sample_weight) if self.standardize else None

    def resolved(self, network: Network, plan: Plan) -> Resolved:
        """The settings with a number for each "auto"."""
        name = network.output.name
        momentum = auto_momentum(name, plan) if self.momentum == "auto" else float(self.momentum)
        return Resolved(
            delta=auto_delta(plan.n_updates, momentum) if self.delta == "auto" else float(self.delta),
            tau=auto_tau(name) if self.tau == "auto" else float(self.tau),
            damping=self.damping,
            noise=auto_noise(network.inputs) if self.noise == "auto" else float(self.noise),
            dropout=auto_dropout(network, plan) if self.dropout == "auto" else float(self.dropout),
            adversarial=self.adversarial,
            momentum=momentum,
            averaging=self.averaging,
        )

    def target_scaling(
        self, Y: Tensor, kind: Kind, centre: bool, sample_weight: Tensor | None = None
    ) -> Scaling | None:
        """Scaling of real targets."""
        return target_scaling(Y, centre, sample_weight) if kind == "real" else None

    @staticmethod
    def initial_weights(layers: Sequence[Layer], generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
        """Random weights; those of the output layer are small, as relative steps then find their scale."""
        return initial_weights(layers, generator, dtype, last=0.1)

    def prepare(self, network: Network, source: Source, plan: Plan) -> RelaxedSweep:
        """Return the sweep over a batch, which knows how many updates are planned."""
        self.check()
        sweep = RelaxedSweep(self.resolved(network, plan), network, plan, masking_value(source))
        if source.is_sparse:
            sweep.adversary.stop()
        return sweep

    @staticmethod
    def proceed(sweep: RelaxedSweep, source: Source, plan: Plan) -> RelaxedSweep:
        """The same sweep, with its averages."""
        return sweep
