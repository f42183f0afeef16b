"""What "auto" stands for in the relaxed solver: rules from the sizes of things, none of them tuned to a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nmfnet.data.scaling import Scaling
from nmfnet.network import Network
from nmfnet.solvers.base import Plan

PATH = 30.0  # relative steps are planned to add up to half of this, where their number is known
LARGEST, STEADY = 0.3, 0.05  # relative steps; above the second they are anchored to the average
UNPLANNED = 0.1  # dropout without a plan
MOST_DAMPING = 700.0  # for text: less is worse, and four times as much
MOMENTUM, LARGE_MOMENTUM = 0.9, 0.7  # where residuals have little noise: real targets, and means of large batches
LARGE = 10_000  # samples
FAR, NEAR = 0.1, 0.01  # the targets of classes and labels, and real ones
PRIOR = {"softmax": 0.07, "sigmoid": 0.07, "identity": 0.02}  # penalty, for each input that a unit has


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
    return PRIOR[network.output.name] * mean_fan_in


def auto_damping(network: Network, sparse: bool) -> float:
    """Least squares for dense inputs; for classes by many sparse ones nearly the direction of the plain gradient."""
    words = sparse and network.output.has_classes
    return min(MOST_DAMPING, max(1.0, network.sizes[0] / 4)) if words else 1.0


def auto_dropout(network: Network, plan: Plan) -> float | tuple[float, ...]:
    """Of all hidden layers; or of each, with none in front of convolutions, whose weights many positions share."""
    own = [not layer.shares_weights for layer in network.layers]
    if all(own):
        return _dropout(network, plan, len(own))
    share = _dropout(network, plan, max(1, sum(own) - 1))
    return tuple(share * each for each in own[1:])


def _dropout(network: Network, plan: Plan, depth: int) -> float:
    """More with more weights for each target value, less with depth, half for real targets; below 1 % none at all."""
    if plan.n_updates is None:  # nobody knows how much is to come
        return UNPLANNED
    weights = sum(W.numel() for W in network.weights)
    values = plan.n_samples * network.weights[-1].shape[1]  # an autoencoder has many more of them than weights
    most = (0.15 if network.output.name == "identity" else 0.3) / depth**0.5
    share = most * weights / (weights + values)
    return share if share >= 0.01 else 0.0


def auto_delta(n_updates: int | None, momentum: float) -> float:
    """PATH / updates within limits; less where momentum lets the steps add up, by a factor that measures best."""
    less = 1 - 2 / 3 * momentum
    path = LARGEST if n_updates is None else PATH / max(1, n_updates)
    return less * (STEADY if n_updates is None else min(LARGEST, max(STEADY, path)))


def auto_momentum(output: str, plan: Plan) -> float:
    """For real targets; for others where few updates of large batches have to go far.  Over a tenth of the updates."""
    planned, most = plan.n_updates, MOMENTUM
    if output != "identity":
        few = planned is not None and planned * STEADY < PATH
        most = LARGE_MOMENTUM if few and plan.batch_size >= LARGE else 0.0
    return most if planned is None else max(0.0, min(most, 1 - 10 / max(1, planned)))


def auto_tau(output: str) -> float:
    """How far targets go: by default not as far for real ones."""
    return NEAR if output == "identity" else FAR


def auto_noise(inputs: Scaling | None) -> float:
    """Masking only where a few directions hold almost everything, so that what is masked can be told from the rest."""
    return 0.3 * (1 - 2 * inputs.compression) if inputs is not None and inputs.projects else 0.0
