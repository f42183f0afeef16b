"""The layers of our networks that PyTorch does not have.

Annotations are objects here, not text: TorchScript reads them.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.scaling import Scaling
from nmfnet.network.outputs import probabilities

Kind = Literal["softmax", "sigmoid", "simplex", "clip"]


class FillMissing(nn.Module):
    """NaN becomes the mean of its column; columns behind all others say where values were missing.

    Parameters
    ----------
    fill : Tensor of shape (n,)
    indicated : Tensor of shape (k,)
        Columns that have such a column, in its order.
    """

    fill: Tensor
    indicated: Tensor

    def __init__(self, fill: Tensor, indicated: Tensor) -> None:
        super().__init__()
        self.register_buffer("fill", fill)
        self.register_buffer("indicated", indicated)

    def forward(self, X: Tensor) -> Tensor:
        """From (m, n) to (m, n + k)."""
        absent = X.isnan()
        return torch.cat([torch.where(absent, self.fill, X), absent[:, self.indicated].to(X.dtype)], 1)


class Standardize(nn.Module):
    """``(X - shift) * factor``, or ``(X - shift) @ factor``: what a network does to its inputs first.

    Not folded into the first Linear, where the shift of inputs far from 0 would cost most of float32's digits.

    Parameters
    ----------
    shift : Tensor of shape (n,)
    factor : Tensor of shape (n,) or (n, r)
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, shift: Tensor, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift)
        self.register_buffer("factor", factor)

    def forward(self, X: Tensor) -> Tensor:
        """From (m, n) to (m, n) or (m, r)."""
        X = X - self.shift
        return X @ self.factor if self.factor.ndim == 2 else X * self.factor

    @torch.jit.unused
    def scaling(self) -> Scaling:
        """The same as a network has it, on the CPU."""
        return Scaling(self.shift, self.factor).changed(_copied)


class PiecewiseLinearEncoding(nn.Module):
    """``clamp((X[:, column] - shift) * factor, low, high)``: a column for each interval between quantiles.

    Parameters
    ----------
    column : Tensor of shape (k,)
        Ascending numbers of the columns, each as often as it has intervals.
    shift, factor, low, high : Tensor of shape (k,)
    """

    column: Tensor
    shift: Tensor
    factor: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, column: Tensor, shift: Tensor, factor: Tensor, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.register_buffer("column", column)
        self.register_buffer("shift", shift)
        self.register_buffer("factor", factor)
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, X: Tensor) -> Tensor:
        """From (m, n) to (m, k)."""
        return ((X[:, self.column] - self.shift) * self.factor).clamp(self.low, self.high)

    @torch.jit.unused
    def scaling(self) -> Scaling:
        """The same as a network has it, on the CPU."""
        pieces = tuple(torch.bincount(self.column).tolist())
        found = PiecewiseLinear(self.shift, self.factor, low=self.low, high=self.high, pieces=pieces)
        return found.changed(_copied)


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone()


class Residual(nn.Module):
    """``X + body(X)``, for a body of modules one after the other: a skip connection.

    Parameters
    ----------
    *layers : nn.Module
        The body; its outputs have the shape of its inputs.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, X: Tensor) -> Tensor:
        """From (m, channels, ...) to the same shape."""
        return X + self.body(X)


class Probabilities(nn.Module):
    """From outputs to probabilities, as `predict_proba` has them; to train on, use the modules before it.

    Can be scripted and exported, as the modules of PyTorch can.

    Parameters
    ----------
    kind : {"softmax", "sigmoid", "simplex", "clip"}
        The first two are of outputs over the temperature, or without one take the smoothing of the labels back.
        The others are for least-squares fits of 0/1 targets: the nearest point of the probability simplex, and of
        the cube.
    smoothing : float, default=0
    temperature : float, optional
    """

    def __init__(self, kind: Kind, smoothing: float = 0.0, temperature: float | None = None) -> None:
        super().__init__()
        self.kind: Kind = kind
        self.smoothing, self.temperature = float(smoothing), temperature

    def forward(self, A: Tensor) -> Tensor:
        """From (m, k) to (m, k)."""
        if self.kind == "simplex":
            return project_onto_simplex(A)
        if self.kind == "clip":
            eps = 1.1920929e-07 if A.dtype == torch.float32 else 2.220446049250313e-16
            return A.clamp(eps, 1 - eps)
        return probabilities(A, self.kind == "softmax", self.smoothing, self.temperature)

    def extra_repr(self) -> str:
        """What `print` shows."""
        how = f"smoothing={self.smoothing}" if self.temperature is None else f"temperature={self.temperature:.4g}"
        return f"{self.kind!r}, {how}"


def project_onto_simplex(A: Tensor) -> Tensor:
    """Nearest points (m, k) with nonnegative entries of sum 1 (Held, Wolfe and Crowder, 1974)."""
    A = A - A.amax(1, keepdim=True)
    ordered = A.sort(1, descending=True).values
    excess = (ordered.cumsum(1) - 1) / torch.arange(1, A.shape[1] + 1, dtype=A.dtype, device=A.device)
    kept = (ordered > excess).sum(1, keepdim=True)
    return (A - excess.gather(1, kept - 1)).clamp(min=0)
