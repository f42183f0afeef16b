"""Activation functions of the hidden layers.

Each is monotone with a slope in [0, 1]: all that the paper's nonlinear least-squares step needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, softplus
from torch.special import xlogy

LOG_2 = math.log(2)
LEAKY_SLOPE = 0.01  # of the leaky ReLU below zero, PyTorch's default


@dataclass(frozen=True)
class Activation:
    """A monotone activation function and what the factorizations must know of it.

    Parameters
    ----------
    name : str
        scikit-learn's name where it has one.
    f_ : callable
        Elementwise function with a slope in [0, 1], in place: Tensor -> the same Tensor.
    low, high : float or None
        Closure of the range of f; None where it is unbounded.
    matching_loss : callable, optional
        ``F(a) - x a + F*(x)`` with F' = f and F* its conjugate, elementwise in x and a: convex in a, at least
        ``(x - f(a))^2 / 2``, and 0 where x = f(a) (Auer, Herbster and Warmuth, 1995).
    slope : callable, optional
        f', elementwise.
    f : callable, optional
        The same as `f_` into new memory, which takes one pass instead of a copy and another.
    rectifies : bool, default=False
        Whether f is ReLU, whose changes need not be computed as differences.
    """

    name: str
    f_: Callable[[Tensor], Tensor]
    low: float | None = None
    high: float | None = None
    matching_loss: Callable[[Tensor, Tensor], Tensor] | None = None
    slope: Callable[[Tensor], Tensor] | None = None
    f: Callable[[Tensor], Tensor] | None = None
    rectifies: bool = False

    def __call__(self, A: Tensor) -> Tensor:
        """Return f(A), in memory of its own."""
        return self.f_(A.clone()) if self.f is None else self.f(A)

    def residual(self, T: Tensor, A: Tensor, out: Tensor) -> Tensor:
        """Return T - f(A), written into `out`: the inner loops of a sweep allocate nothing."""
        return torch.sub(T, self.f_(out.copy_(A)), out=out)

    def base_(self, A: Tensor) -> Tensor:
        """What a change D of A is added to, for :meth:`change_`; in the memory of A."""
        return A.clamp_(max=0) if self.rectifies else A

    def change_(self, moved: Tensor, Z: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``mask (f(A + D) - f(A))``, written over ``moved = base_(A) + D``; Z is ``mask f(A)``, and mask >= 0.

        For ReLU it is ``mask max(min(A, 0) + D, -f(A))``.  Where D is small, this has all digits of D, while the
        difference of two values of f has lost most of them.
        """
        if self.rectifies:
            less = (moved if mask is None else moved.mul_(mask)).neg_()  # in place: -Z would be memory
            return torch.minimum(less, Z, out=less).neg_()
        T = self.f_(moved)
        return T.sub_(Z) if mask is None else T.mul_(mask).sub_(Z)

    def __reduce__(self) -> Any:
        """Pickle ours by name, since functions do not pickle well."""
        return (get_activation, (self.name,)) if ACTIVATIONS.get(self.name) is self else super().__reduce__()

    @property
    def nonnegative(self) -> bool:
        """Whether f(A) >= 0 always, so that the activations of a layer are nonnegative factors."""
        return self.low is not None and self.low >= 0

    def project(self, Z: Tensor) -> Tensor:
        """Nearest point to `Z` in the closure of the range of f: for ReLU the nonnegative part."""
        if self.low is None and self.high is None:
            return Z
        return Z.clamp(self.low, self.high)


def _half_square(X: Tensor, A: Tensor) -> Tensor:
    return (X - A).square_().div_(2)


def _relu_loss(X: Tensor, A: Tensor) -> Tensor:
    return _half_square(X, A.clamp(min=0)).sub_(X * A.clamp(max=0))


def _leaky_relu_loss(X: Tensor, A: Tensor) -> Tensor:
    F = A.clamp(min=0).square() + LEAKY_SLOPE * A.clamp(max=0).square()
    conjugate = X.clamp(min=0).square() + X.clamp(max=0).square() / LEAKY_SLOPE
    return (F + conjugate) / 2 - X * A


def _logistic_loss(X: Tensor, A: Tensor) -> Tensor:
    return softplus(A) - X * A + xlogy(X, X) + xlogy(1 - X, 1 - X)


def _tanh_loss(X: Tensor, A: Tensor) -> Tensor:
    log_cosh = A.abs() + softplus(-2 * A.abs()) - LOG_2
    return log_cosh - X * A + (xlogy(1 + X, 1 + X) + xlogy(1 - X, 1 - X)) / 2


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        "relu",
        torch.relu_,
        low=0.0,
        matching_loss=_relu_loss,
        slope=lambda A: (A > 0).to(A.dtype),
        f=torch.relu,
        rectifies=True,
    ),
    "leaky_relu": Activation(
        "leaky_relu",
        lambda A: leaky_relu(A, LEAKY_SLOPE, inplace=True),
        matching_loss=_leaky_relu_loss,
        slope=lambda A: (A > 0).to(A.dtype).clamp_(min=LEAKY_SLOPE),
        f=lambda A: leaky_relu(A, LEAKY_SLOPE),
    ),
    "logistic": Activation(
        "logistic",
        torch.sigmoid_,
        low=0.0,
        high=1.0,
        matching_loss=_logistic_loss,
        slope=lambda A: torch.sigmoid(A) * torch.sigmoid(-A),
        f=torch.sigmoid,
    ),
    "tanh": Activation(
        "tanh",
        torch.tanh_,
        low=-1.0,
        high=1.0,
        matching_loss=_tanh_loss,
        slope=lambda A: 1 - torch.tanh(A).square(),
        f=torch.tanh,
    ),
    "softplus": Activation("softplus", lambda A: A.copy_(softplus(A)), low=0.0, slope=torch.sigmoid, f=softplus),
    "identity": Activation("identity", lambda A: A, matching_loss=_half_square, slope=torch.ones_like),
}
ACTIVATIONS["sigmoid"] = ACTIVATIONS["logistic"]  # PyTorch's name for it


def get_activation(activation: str | Activation) -> Activation:
    """Look an activation up by name.

    Parameters
    ----------
    activation : {"relu", "leaky_relu", "logistic", "sigmoid", "tanh", "softplus", "identity"}
        An :class:`Activation` is returned as it is.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return activation if isinstance(activation, Activation) else activation_named(activation)


def activations_named(activation: object, n: int) -> Activation | list[Activation]:
    """Activation of all hidden layers by its name, or of each of the `n` by a list of theirs."""
    if isinstance(activation, str) or not isinstance(activation, Sequence):
        return activation_named(activation)
    if len(activation) != n:
        raise ValueError(f"activation has {len(activation)} names for {n} hidden layers; give one, or one for each.")
    return [activation_named(name) for name in activation]


def activation_named(activation: object) -> Activation:
    """:func:`get_activation` for names alone, which is what a model file can hold."""
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    names = ", ".join(map(repr, ACTIVATIONS))
    raise ValueError(f"activation must be one of {names}; got {activation!r}.")
