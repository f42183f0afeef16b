"""What the outputs of a network mean: the function g over them, its matching loss, the residual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

OUTPUTS = ("identity", "softmax", "sigmoid")
MANY_CLASSES = 16  # from which on PyTorch's softmax of rows is fast; of two columns it takes ten times as long


@dataclass(frozen=True)
class Output:
    """Function of the output layer, with the loss whose derivative is ``g(A) - Y``.

    Parameters
    ----------
    name : {"identity", "softmax", "sigmoid"}
        Real targets, one class of several, or several labels.
    smoothing : float, default=0
        Share of a target's weight that is spread evenly over its classes (label smoothing, Szegedy et al.,
        2016); no part of "identity".
    temperature : float, optional
        What outputs are divided by to make probabilities of them; no part of "identity", and of no loss that is
        minimized.  Left out, probabilities take the smoothing back.
    """

    name: Literal["identity", "softmax", "sigmoid"] = "identity"
    smoothing: float = 0.0
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.name not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(map(repr, OUTPUTS))}; got {self.name!r}.")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1); got {self.smoothing!r}.")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be positive and finite, or None; got {self.temperature!r}.")

    def __call__(self, A: Tensor) -> Tensor:
        """g(A), of the shape (m, k) of the outputs."""
        match self.name:
            case "softmax":
                return A.softmax(1)
            case "sigmoid":
                return A.sigmoid()
            case _:
                return A

    def smoothed(self, Y: Tensor) -> Tensor:
        """Targets (m, k) as they are fitted."""
        if not self.smoothing or self.name == "identity":
            return Y
        return torch.lerp(Y, torch.full_like(Y, self._uniform(Y.shape[1])), self.smoothing)

    def residual(self, Y: Tensor, A: Tensor) -> Tensor:
        """Y - g(A), the targets smoothed: what is left to fit."""
        return self.smoothed(Y) - self(A)

    def loss(self, A: Tensor, Y: Tensor) -> Tensor:
        """Matching loss of each sample, shape (m,): half the squared error or the (binary) cross-entropy."""
        Y = self.smoothed(Y)
        match self.name:
            case "softmax":
                return -(Y * A.log_softmax(1)).sum(1)
            case "sigmoid":
                return F.binary_cross_entropy_with_logits(A, Y, reduction="none").sum(1)
            case _:
                return (Y - A).square().sum(1) / 2

    def loss_and_residual(self, A: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each sample (m,) and residual (m, k), for targets that are smoothed already, by one pass."""
        match self.name:
            case "softmax":
                few = A.shape[1] < MANY_CLASSES
                log_p = A.mT.contiguous().log_softmax(0).mT if few else A.log_softmax(1)
                return -(Y * log_p).sum(1), Y - log_p.exp()
            case "sigmoid":
                return F.binary_cross_entropy_with_logits(A, Y, reduction="none").sum(1), Y - A.sigmoid()
            case _:
                residual = Y - A
                return residual.square().sum(1) / 2, residual

    def prediction_loss(self, A: Tensor, Y: Tensor) -> Tensor:
        """Loss of what is predicted for targets Y as they are, shape (m,).

        The cross-entropy of :meth:`probabilities`, of several labels their mean; or the mean squared error of a row.
        """
        if self.name == "identity":
            return (Y - A).square().mean(1)
        if self.temperature is None and self.smoothing:  # no probability is 0
            P = self.probabilities(A)
            if self.name == "softmax":
                return -(Y * P.log()).sum(1)
            return F.binary_cross_entropy(P, Y, reduction="none").mean(1)
        logits = A / (self.temperature or 1.0)
        if self.name == "softmax":
            return -(Y * logits.log_softmax(1)).sum(1)
        return F.binary_cross_entropy_with_logits(logits, Y, reduction="none").mean(1)

    def probabilities(self, A: Tensor) -> Tensor:
        """Probabilities (m, k) that the outputs stand for: by the temperature, or the smoothing taken back.

        A network that fits smoothed targets estimates ``(1 - e) p + e / k``.  What lies below the floor
        ``e / k`` is less than no probability; it is taken for a small one, a hundredth of the floor.
        """
        return probabilities(A, self.name == "softmax", self.smoothing, self.temperature) if self.has_classes else A

    @property
    def has_classes(self) -> bool:
        """Whether outputs stand for probabilities, of classes or labels."""
        return self.name != "identity"

    def _uniform(self, k: int) -> float:
        return 1 / k if self.name == "softmax" else 0.5


def probabilities(A: Tensor, softmax: bool, smoothing: float, temperature: float | None) -> Tensor:
    """What :meth:`Output.probabilities` says of a softmax, or of logistic functions, in words that TorchScript has."""
    eps = 1.1920929e-07 if A.dtype == torch.float32 else 2.220446049250313e-16
    if temperature is not None:
        A = A / temperature
    P = A.softmax(1) if softmax else A.sigmoid()
    if temperature is not None:
        return P if softmax else P.clamp(eps, 1 - eps)  # a label is never certain
    if smoothing == 0:
        return P
    floor = smoothing / A.shape[1] if softmax else smoothing / 2
    P = ((P - floor) / (1 - smoothing)).clamp(floor / 100, 1)
    return P / P.sum(1, keepdim=True) if softmax else P.clamp(max=1 - floor / 100)


LINEAR = Output()
