"""Temperatures: probabilities that are as sure as they are right (Guo, Pleiss, Sun and Weinberger, 2017)."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from torch import Tensor

from nmfnet.network.outputs import Output

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0  # temperatures, in root mean squares of outputs


def output_rms(output: Output, A: Tensor, weight: Tensor | None = None) -> float:
    """Root mean square of outputs A (m, k); those of a softmax less their mean over the classes, which is nothing."""
    A = A.double()
    squares = (A - A.mean(1, keepdim=True) if output.name == "softmax" else A).square().mean(1)
    mean = squares.mean() if weight is None else squares @ weight.double() / weight.double().sum()
    return math.sqrt(float(mean))


def fitted_temperature(output: Output, A: Tensor, Y: Tensor, weight: Tensor | None = None) -> float:
    """Temperature of the least cross-entropy.

    A row is added that nothing is known of, with the mean outputs of all: without it, rows without an error would
    make a temperature of 0.

    Parameters
    ----------
    output : Output
        A softmax or a sigmoid.
    A, Y : Tensor of shape (m, k)
        Outputs, of a root mean square of about 1, and targets.
    weight : Tensor of shape (m,), optional
        Positive.

    Returns
    -------
    float
        Within MIN_TEMPERATURE and MAX_TEMPERATURE.
    """
    A, Y = A.double(), Y.double()
    w = A.new_ones(len(A)) if weight is None else weight.double()
    unknown = w / w.sum()

    def slope(log_temperature: float) -> float:
        """Derivative of the cross-entropy by the inverse of the temperature, which it is convex in."""
        P = output(A / math.exp(log_temperature))
        known = ((P - Y) * A).sum(1) @ w
        return float(known + ((P - output(A * 0)) * A).sum(1) @ unknown)

    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    if not slope(high) < 0:  # the outputs tell nothing
        return MAX_TEMPERATURE
    return MIN_TEMPERATURE if slope(low) < 0 else math.exp(brentq(slope, low, high, xtol=1e-3))
