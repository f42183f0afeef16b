"""What "auto" stands for in the relaxed solver: rules from the sizes of things, none of them tuned to a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nmfnet.data.scaling import Scaling
from nmfnet.network import Network
from nmfnet.solvers.base import Plan

PLANNED_PATH = 15.0  # sum of the relative steps of a fit; they fall linearly, so delta is twice this over the updates
CHECK_INTERVAL = 4  # updates between two looks at the running losses and errors
MIN_OUTPUT_RMS = 0.01  # of the outputs when steps are scaled: those of constant inputs start at 0
MAX_DELTA = 0.3  # relative step that "auto" never exceeds
UNANCHORED_DELTA = 0.05  # relative step that is taken at once; what delta is above it comes through the average
# Of networks with convolutions that learn classes or labels:
FEW_EPOCHS = 15  # up to which a training is not long; of twice as many it is
STEADY_UPDATES = 1000  # planned, from which on steps of long trainings get shorter, by the root of their number
MASKED_CHANNELS, MANY_CHANNELS = 0.1, 64  # of 30 epochs or more, in front of convolutions of so many channels or more
STREAM_DROPOUT = 0.1  # dropout of `partial_fit`, which does not know how many samples will come
MAX_SPARSE_DAMPING = 500.0  # of many sparse inputs, as words; measured: twice as much is worse,
FEW_DOCUMENTS = 3000  # and so is less where documents are not more than these
LINEAR_SPARSE_DAMPING = 8.0  # of a network without hidden layers; measured: 3 and 20 are as good
SPARED_WORDS, MASKED_WORDS = 5, 0.5  # of texts: documents of few words are masked less than others
WORD_WEIGHTS = 0.1  # factor of their random weights in the first layer: most words are rare, and unlearn nothing
# Momentum needs residuals with little noise: those of real targets, and means over large batches.
REAL_TARGET_MOMENTUM, LARGE_BATCH_MOMENTUM = 0.9, 0.7
LARGE_BATCH_SAMPLES = 10_000
CLASS_TAU, REAL_TARGET_TAU = 0.1, 0.01  # classes and labels; real targets
# Penalty `alpha` over the mean number of inputs of a unit, by the function of the outputs.
ALPHA_PER_INPUT = {"softmax": 0.07, "sigmoid": 0.07, "identity": 0.02}
PENALTY_UNIT = {"softmax": 10.0, "sigmoid": 10.0, "identity": 3.0}  # of those that folds choose from


@dataclass(frozen=True)
class Resolved:
    """Settings of the relaxed solver with a number for each "auto"; see :class:`nmfnet.Relaxed`.

    `dropout` is that of all hidden layers, or has one for each.  `adversarial` stays "auto" where the training itself
    is to find out.
    """

    delta: float
    tau: float
    damping: float
    noise: float
    dropout: float | tuple[float, ...]
    adversarial: float | Literal["auto"]
    momentum: float
    averaging: float


def auto_alpha(network: Network) -> float:
    """Penalty of weights whose inputs are scaled column by column, as in tables; 0 for pixels, which share a unit.

    A penalty is the inverse of a variance that weights are expected to have.  He's is 2 / n for n inputs of a unit;
    that of a trained network is larger, by a factor that was measured with 256 units a layer.
    """
    if not network.by_column:
        return 0.0
    mean_fan_in = sum(W.numel() for W in network.weights) / sum(W.shape[1] for W in network.weights)
    return ALPHA_PER_INPUT[network.output.name] * mean_fan_in


def auto_damping(network: Network, sparse: bool, plan: Plan) -> float:
    """Least squares for dense inputs; for classes by many sparse ones nearly the direction of the plain gradient.

    Without hidden layers that would leave most of the training rows wrong.
    """
    if not (sparse and network.output.has_classes):
        return 1.0
    most = MAX_SPARSE_DAMPING
    if len(network.layers) == 1:
        most = LINEAR_SPARSE_DAMPING
    elif plan.n_updates is not None:
        most *= min(1.0, FEW_DOCUMENTS / plan.n_samples)
    return max(1.0, min(most, network.sizes[0] / 4))


def auto_dropout(network: Network, plan: Plan) -> float | tuple[float, ...]:
    """Of all hidden layers; or of each, where there are convolutions, whose weights many positions share.

    In front of these there is none, but for long trainings of classes or labels.
    """
    own = [not layer.shares_weights for layer in network.layers]
    if all(own):
        return _dropout(network, plan, len(own))
    share = _dropout(network, plan, max(1, sum(own) - 1), max(1.0, _length(network, plan)))
    masked = MASKED_CHANNELS * long_training(network, plan)
    many = [layer.n_out >= MANY_CHANNELS for layer in network.layers[:-1]]
    return tuple(share if dense else masked * wide for dense, wide in zip(own[1:], many, strict=True))


def long_training(network: Network, plan: Plan) -> float:
    """From 0 to 1: how far a plan counts as long.  That is for convolutions that learn classes or labels."""
    return min(1.0, max(0.0, _length(network, plan) - 1))


def _length(network: Network, plan: Plan) -> float:
    """Planned epochs, about, over FEW_EPOCHS; 0 where there is nothing planned, and for other networks."""
    convolutional = any(layer.shares_weights for layer in network.layers)
    if plan.n_updates is None or network.output.name == "identity" or not convolutional:
        return 0.0
    return plan.n_updates * plan.batch_size / (FEW_EPOCHS * plan.n_samples)


def _dropout(network: Network, plan: Plan, depth: int, times: float = 1.0) -> float:
    """More with more weights for each target value, less with depth, half for real targets; below 1 % none at all.

    A network that is trained for long may fit its samples as one of so many `times` the weights does.
    """
    if plan.n_updates is None:  # nobody knows how much is to come
        return STREAM_DROPOUT
    weights = times * sum(W.numel() for W in network.weights)
    values = plan.n_samples * network.weights[-1].shape[1]  # an autoencoder has many more of them than weights
    most = (0.15 if network.output.name == "identity" else 0.3) / depth**0.5
    share = most * weights / (weights + values)
    return share if share >= 0.01 else 0.0


def auto_delta(n_updates: int | None, momentum: float, long: float = 0.0) -> float:
    """2 PLANNED_PATH / updates within limits; less where momentum lets the steps add up, by a measured factor.

    Less as well where a training is `long`, from 0 to 1.
    """
    less = 1 - 2 / 3 * momentum
    if n_updates is None:
        return less * UNANCHORED_DELTA
    planned = max(1, n_updates)
    least = UNANCHORED_DELTA * min(1.0, STEADY_UPDATES / planned) ** (long / 2)
    return less * min(MAX_DELTA, max(least, 2 * PLANNED_PATH / planned))


def auto_momentum(output: str, plan: Plan) -> float:
    """For real targets; for others where few updates of large batches have to go far.  Over a tenth of the updates."""
    planned, most = plan.n_updates, REAL_TARGET_MOMENTUM
    if output != "identity":
        few = planned is not None and planned * UNANCHORED_DELTA < 2 * PLANNED_PATH
        most = LARGE_BATCH_MOMENTUM if few and plan.batch_size >= LARGE_BATCH_SAMPLES else 0.0
    return most if planned is None else max(0.0, min(most, 1 - 10 / max(1, planned)))


def auto_tau(output: str) -> float:
    """How far targets go: by default not as far for real ones."""
    return REAL_TARGET_TAU if output == "identity" else CLASS_TAU


def auto_noise(inputs: Scaling | None, words: float | None = None) -> float:
    """Masking only where what is masked can be told from the rest.

    That is so where a few directions hold almost everything, and in documents of more than a few `words`.  Where words
    have one scale, held-out documents have said that training is held back too much.
    """
    if words is not None:
        if inputs is not None and inputs.has_one_factor:
            return 0.0
        return MASKED_WORDS * (1 - SPARED_WORDS / max(words, SPARED_WORDS))
    return 0.3 * (1 - 2 * inputs.compression) if inputs is not None and inputs.projects else 0.0
