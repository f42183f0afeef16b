"""Settings of the relaxed solver; the update itself is in sweep.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from nmfnet._parameters import between, boolean, check_settings
from nmfnet.data.scaling import Scaling, input_scaling, target_scaling
from nmfnet.data.source import Source
from nmfnet.data.words import are_words, stored_per_row
from nmfnet.layers import Dense, Layer
from nmfnet.linalg.rounding import STEPS
from nmfnet.network import Network
from nmfnet.network.drift import Rescaled
from nmfnet.network.initialization import initial_weights
from nmfnet.network.outputs import Output
from nmfnet.solvers.base import Kind, Plan
from nmfnet.solvers.relaxed.defaults import (
    PENALTY_UNIT,
    WORD_WEIGHTS,
    Resolved,
    auto_alpha,
    auto_damping,
    auto_delta,
    auto_dropout,
    auto_momentum,
    auto_noise,
    auto_tau,
    long_training,
)
from nmfnet.solvers.relaxed.masks import masking_value
from nmfnet.solvers.relaxed.ranked import RankedSweep
from nmfnet.solvers.relaxed.rounded import RoundedSweep
from nmfnet.solvers.relaxed.stack import StackedSweep
from nmfnet.solvers.relaxed.sweep import RelaxedSweep

MAX_STACKED_INPUTS = 1024  # of a layer: more take other forms of the least-squares steps
MANY_VALUES = 64  # real target values a sample, or positions in an image, from which on batches are halved,
IMAGE_BATCH = 125  # and of images have at most so many


@dataclass
class Relaxed(BaseEstimator):
    """Settings of the relaxed solver, for ``NMFNetClassifier(solver=Relaxed(dropout=0.2))``.

    The defaults are meant to be used as they are.  Inputs and regression targets are scaled inside.  Steps are
    relative to the size of a layer's pre-activations, so there is no learning rate to tune.  docs/relaxed.md describes
    the method and explains each setting.  Classification includes multi-label targets here.

    Parameters
    ----------
    delta : float or "auto", default="auto"
        Relative step of the first update: the fraction of their size by which the pre-activations of each layer move.
        It falls linearly to 0 over the planned updates.  In `partial_fit` it is constant, as nothing is planned.  If
        `delta` is above 0.05, an update moves the weights by 0.05 at once; the rest follows through the average.
        "auto" is 30 divided by the number of updates, within [0.05, 0.3], times ``1 - 2/3 momentum``.
        In `partial_fit` it is 0.05 times the same factor.  For classification by convolutions in 30 epochs or more the
        lower limit 0.05 falls with more than 1000 updates, by the root of their number.
    tau : float or "auto", default="auto"
        Distance of targets from outputs.  The target of the output layer is ``A + tau (Y - g(A))``, for its
        pre-activations A, the true targets Y and the function g of the outputs (softmax for classes).  "auto" is 0.1
        for classification and 0.01 for regression.  Distant targets can only raise inactive units, which end up always
        active.  With ReLU they also enlarge rounding errors: 1e-5 keeps these small.
    damping : float or "auto", default="auto"
        Tikhonov term of the least-squares steps, divided by the mean of the diagonal of the Gram matrix.  "auto" is 1.
        For classification with sparse inputs it is the smallest of a quarter of the number of inputs, 500, and
        1,500,000 divided by the number of samples: rare words have too few samples in a batch for a least-squares
        fit.  It is at least 1, and without hidden layers at most 8.
    noise : float or "auto", default="auto"
        Probability that an input is masked during training.  A masked input is set to 0, or to the value nearest to 0
        that its column has.  The others move away from that value by the factor ``1 / (1 - noise)``.  "auto" depends
        on the data:

        - ``0.3 (1 - 2 r / n_0)`` if r principal components replace n_0 inputs, as in images;
        - ``0.5 (1 - 5 / w)`` for classification of texts, with hidden layers; w is the mean number of stored values
          of a sample.  Texts are sparse inputs of 1000 columns or more, or of 100 to 999 columns whose samples store
          few values and differ much in how many.  It is 0 where all words have one scale, as held-out documents may
          choose;
        - otherwise 0.
    dropout : float, sequence of float or "auto", default="auto"
        Probability that the activation of a hidden unit is set to 0 during training: one for all hidden layers, or one
        for each.  In front of a convolution whole channels are set to 0.  The others are multiplied by
        ``1 / (1 - dropout)``.  "auto" is ``0.3 / sqrt(L) w / (w + v)`` for w weights in L layers and v target values,
        and half of that for regression.  That is 0.17 for two hidden layers and few data, and 0 for an autoencoder.
        In `partial_fit` it is 0.1.  In a network with convolutions L is the number of fully-connected hidden layers,
        and in front of convolutions it is 0.  For classification by more than 15 epochs w is multiplied by a fifteenth
        of their number, and in front of convolutions of 64 or more channels it rises to 0.1, at 30 epochs.
    adversarial : float or "auto", default="auto"
        Radius of adversarial inputs.  Before each update every sample is moved in a direction in which the network
        fits it worse.  The length of this move is the radius times the root mean square of the Euclidean lengths of
        the samples.  An update then takes half as long again.  "auto" is 0.1 if columns share a unit, as pixels do,
        and classes turn out to hardly overlap during training.  Otherwise, and with convolutions, it is 0.  Sparse
        inputs are never moved.
    momentum : float or "auto", default="auto"
        Nesterov momentum of the right-hand sides of the least-squares steps.  "auto" is 0.9 for regression, whose
        residuals have less noise.  For classification it is 0.7 if there are fewer than 600 updates, from batches of
        10,000 samples or more, and otherwise 0.  It is less if fewer than 100 updates are planned.
    averaging : float, default=8
        Predictions use an average of the weights over about the last ``1 / (averaging + 1)`` of the updates, so that
        training can end at any time.
    standardize : bool, default=True
        Whether inputs are scaled.  With `pretrain` they never are.  Columns that share a unit, such as pixels, get one
        common scale, others are standardized one by one.
    explained_variance : float, default=0.96
        Share of the variance that the principal components of the inputs keep; 1 keeps all inputs.  Inputs are
        replaced by their principal components only for classification, and only if few components are needed.
    label_smoothing : float, default=0.2
        Smoothing of the targets of a classification.  It leaves a residual in nearly every sample.  Without it the
        steps would follow the few samples that are still wrong.  `predict_proba` corrects for it.
    message_bits : {0, 2, 4, 8}, default=0
        For several ranks, that is processes that train together (docs/messages.md): bits of a number in the
        right-hand sides and Gram matrices that they send.  The weights become other ones, about as good.  0: numbers
        are sent as they are, and the result is that of one process with all samples.
    """

    delta: float | Literal["auto"] = "auto"
    tau: float | Literal["auto"] = "auto"
    damping: float | Literal["auto"] = "auto"
    noise: float | Literal["auto"] = "auto"
    dropout: float | Sequence[float] | Literal["auto"] = "auto"
    adversarial: float | Literal["auto"] = "auto"
    momentum: float | Literal["auto"] = "auto"
    averaging: float = 8.0
    standardize: bool = True
    explained_variance: float = 0.96
    label_smoothing: float = 0.2
    message_bits: int = 0

    # The length of a step does not depend on the residuals: over fewer samples their noise does not cancel.
    min_batch_samples: ClassVar[int] = 64
    takes_sparse: ClassVar[bool] = True
    takes_ranks: ClassVar[bool] = True
    penalizes_bias: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse unfit settings, naming them."""
        if self.delta != "auto":
            between("delta", self.delta, 0, 1, open_low=True)
        if self.tau != "auto":
            between("tau", self.tau, 0, 1, open_low=True)
        check_settings(damping=1.0 if self.damping == "auto" else self.damping, averaging=self.averaging)
        for name in ("noise", "adversarial", "momentum", "label_smoothing"):
            if name == "label_smoothing" or getattr(self, name) != "auto":
                between(name, getattr(self, name), 0, 1, open_high=True)
        for each in self.dropout if isinstance(self.dropout, (list, tuple)) else [self.dropout]:
            if self.dropout != "auto":
                between("dropout", each, 0, 1, open_high=True)
        if self.message_bits not in (0, *STEPS) or isinstance(self.message_bits, bool):
            raise ValueError(f"message_bits must be 0, 2, 4 or 8; got {self.message_bits!r}.")
        boolean("standardize", self.standardize)
        between("explained_variance", self.explained_variance, 0, 1, open_low=True)

    @staticmethod
    def default_batch_size(n: int, real_values: int = 0, positions: int = 1) -> int:
        """A twentieth of the samples, within [200, 1000]; less where a sample has many real values or positions."""
        size = max(200, min(1000, n // 20))
        if max(real_values, positions) >= MANY_VALUES:
            size //= 2
        return min(n, size, IMAGE_BATCH if positions >= MANY_VALUES else size)

    @staticmethod
    def default_alpha(network: Network) -> float:
        """Penalty on the weights: that of :func:`auto_alpha`, for tables only."""
        return auto_alpha(network)

    @staticmethod
    def penalty_unit(network: Network) -> float:
        """Unit of the penalties that folds choose from."""
        return PENALTY_UNIT[network.output.name]

    def stacks(self, network: Network) -> bool:
        """Whether :meth:`stack` can train networks like this one: fully-connected ones, without masked inputs."""
        noise = auto_noise(network.inputs) if self.noise == "auto" else self.noise
        dense = all(isinstance(layer, Dense) and layer.n_in <= MAX_STACKED_INPUTS for layer in network.layers)
        return dense and not noise and not network.frozen and self.adversarial in ("auto", 0)

    def stack(self, network: Network, weights: list[Tensor], alphas: Tensor, plan: Plan) -> StackedSweep:
        """Return the sweep over many networks at once, see :class:`StackedSweep`; inputs are scaled already."""
        return StackedSweep(self.resolved(network, plan), network, weights, alphas, plan)

    def output(self, kind: Kind) -> Output:
        """What the outputs mean: softmax for classes, sigmoid for labels, identity for real targets."""
        names: dict[str, Literal["identity", "softmax", "sigmoid"]] = {"classes": "softmax", "labels": "sigmoid"}
        return Output(names.get(kind, "identity"), 0.0 if kind == "real" else self.label_smoothing)

    def input_scaling(self, source: Source, kind: Kind, centre: bool, partial: bool) -> Scaling | None:
        """Scaling of the inputs.

        Inputs are centred if there are biases (`centre`).  `partial` says that they are only the first of a stream.
        Only classes and labels get principal components: real targets may depend on any direction.
        """
        self.check()
        if not self.standardize:
            return None
        share = 1.0 if kind == "real" else self.explained_variance
        return input_scaling(source, share, centre, float(partial), by_rarity=not partial and kind != "real")

    @staticmethod
    def is_text(network: Network, source: Source) -> bool:
        """Whether inputs are taken for the words of documents that have classes or labels."""
        return network.output.has_classes and are_words(source)

    def resolved(self, network: Network, plan: Plan, source: Source | None = None) -> Resolved:
        """The settings with a number for each "auto", for the samples of a source."""
        name, sparse = network.output.name, source is not None and source.is_sparse
        known = plan.n_updates is not None and len(network.layers) > 1  # a linear model gains nothing by masks
        words = stored_per_row(source).mean if known and source is not None and self.is_text(network, source) else None
        damping = auto_damping(network, sparse, plan) if self.damping == "auto" else float(self.damping)
        momentum = auto_momentum(name, plan) if self.momentum == "auto" else float(self.momentum)
        long = long_training(network, plan)
        return Resolved(
            delta=auto_delta(plan.n_updates, momentum, long) if self.delta == "auto" else float(self.delta),
            tau=auto_tau(name) if self.tau == "auto" else float(self.tau),
            damping=damping,
            noise=auto_noise(network.inputs, words) if self.noise == "auto" else float(self.noise),
            dropout=self._dropout(network, plan),
            adversarial=self.adversarial,
            momentum=momentum,
            averaging=self.averaging,
        )

    def _dropout(self, network: Network, plan: Plan) -> float | tuple[float, ...]:
        """The probability of all hidden layers, or of each."""
        if isinstance(self.dropout, (list, tuple)):
            n_hidden = len(network.layers) - 1
            if len(self.dropout) != n_hidden:
                raise ValueError(
                    f"dropout has {len(self.dropout)} numbers for {n_hidden} hidden layers with weights; give one, or "
                    "one for each."
                )
            return tuple(map(float, self.dropout))
        return auto_dropout(network, plan) if self.dropout == "auto" else float(self.dropout)  # type: ignore[arg-type]

    def target_scaling(self, source: Source, kind: Kind, centre: bool) -> Scaling | None:
        """Scaling of real targets."""
        return target_scaling(source, centre) if kind == "real" else None

    @staticmethod
    def initial_weights(layers: Sequence[Layer], generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
        """Random weights; those of the output layer are small, and relative steps find their scale."""
        return initial_weights(layers, generator, dtype, last=0.1)

    def prepare(self, network: Network, source: Source, plan: Plan) -> RelaxedSweep:
        """Return the sweep, which updates the weights from a batch by the plan."""
        self.check()
        new = not plan.trained and plan.n_updates is not None
        if new and source.is_sparse and network.output.has_classes:
            # Of inputs that outnumber samples most are rare: random weights would outlast what is learned of them.
            most = WORD_WEIGHTS if self.is_text(network, source) else 1.0
            network.weights[0][: source.n_features] *= min(most, plan.n_samples / source.n_features)
        resolved = self.resolved(network, plan, source)
        sweep = self._sweep(resolved, network, plan, source)
        if source.is_sparse:
            sweep.adversary.stop()
        sweep.look_at(source)
        return sweep

    def _sweep(self, resolved: Resolved, network: Network, plan: Plan, source: Source) -> RelaxedSweep:
        ranks = source.holders
        value = masking_value(source) if resolved.noise else None  # a pass over all samples
        if self.message_bits and ranks.size > 1:
            return RoundedSweep(resolved, network, plan, value, ranks, self.message_bits)
        sweep = RelaxedSweep if ranks.size == 1 else RankedSweep
        return sweep(resolved, network, plan, value, ranks)

    @staticmethod
    def proceed(sweep: RelaxedSweep, source: Source, plan: Plan, rescaled: Rescaled | None = None) -> RelaxedSweep:
        """The same sweep, with its averages."""
        if rescaled is not None:
            sweep.rescale(*rescaled, source)
        return sweep
