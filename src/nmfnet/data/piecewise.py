"""Piecewise-linear encodings: a column of numbers becomes one for each interval between its quantiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from nmfnet.data.scaling import Scaling
from nmfnet.stateful import State

PIECES = 8  # of a column, at most


@dataclass(frozen=True, kw_only=True)
class PiecewiseLinear(Scaling):
    """``clamp((X[:, column] - shift) * factor, low, high)``, where each column is repeated for each of its pieces.

    A piece rises from the lower end of its interval to the upper one, and is constant elsewhere, so that the first
    layer learns a function of each column by itself (Gorishniy, Rubachev and Babenko, "On embeddings for numerical
    features in tabular deep learning", 2022).  Pieces are standardized.  Columns of two values have one piece, which
    is the standardized column.

    Attributes
    ----------
    shift, factor : Tensor of shape (k,)
        As the others, of all k pieces, those of the first column first.
    low, high : Tensor of shape (k,)
    pieces : tuple of int
        Number of pieces of each column.
    """

    low: Tensor
    high: Tensor
    pieces: tuple[int, ...]

    @classmethod
    def of(cls, X: Tensor, most: int = PIECES) -> Self:
        """Learn from rows X (m, n): intervals of as many rows each, or between neighbours where values are few."""
        each = [_pieces_of(x, most) for x in X.double().T]
        shift, factor, low, high = torch.cat(each, 1).to(X.dtype)
        return cls(shift, factor, low=low, high=high, pieces=tuple(part.shape[1] for part in each))

    def after(self, scaling: Scaling, dtype: torch.dtype) -> Self:
        """The encoding of columns as they are by this one of scaled columns."""
        column = self.column
        unit, start = scaling.factor.double()[column], scaling.shift.double()[column]
        shift = start + torch.where(unit != 0, self.shift.double() / unit, 0.0)
        found = self.changed(lambda tensor: tensor.to(dtype))
        return replace(found, shift=shift.to(dtype), factor=(self.factor.double() * unit).to(dtype))

    def __call__(self, X: Any) -> Any:
        """From (m, n) to (m, k)."""
        X = X if isinstance(X, Tensor) else X.dense()
        return X[:, self.column].sub_(self.shift).mul_(self.factor).clamp_(self.low, self.high)

    @cached_property
    def column(self) -> Tensor:
        """Number of the column of each piece, shape (k,)."""
        return torch.arange(len(self.pieces)).repeat_interleave(torch.tensor(self.pieces)).to(self.shift.device)

    def numbers(self, columns: Tensor) -> Tensor:
        """Numbers (k,) of the pieces, in another order of all columns (n,)."""
        return torch.cat([(self.column.cpu() == column).nonzero()[:, 0] for column in columns.cpu()])

    @property
    def n_in(self) -> int:
        """Columns of X."""
        return len(self.pieces)

    @property
    def by_column(self) -> bool:
        """They are scaled one by one."""
        return True

    def changes(self, W: Tensor) -> Tensor:
        """What weights W (k, h) of the pieces make of a column (n, h), from its least value to its greatest."""
        total = W.new_zeros(self.n_in, W.shape[1])
        return total.index_add_(0, self.column, W * (self.high - self.low)[:, None])

    def weights_of(self, W: Tensor, intercept: bool) -> Tensor:
        """First-layer weights (k + 1, h) of the pieces that do what W (n + 1, h) does with the columns.

        Beyond the least and the greatest value of a column, its effect stays as it is there.
        """
        step = torch.where(self.factor != 0, 1 / self.factor, 0.0).to(W)[:, None]  # of a column in a piece
        kernel = W[: self.n_in][self.column.to(W.device)]
        if not intercept:
            return kernel * step
        first = torch.tensor(self.pieces).cumsum(0) - torch.tensor(self.pieces)
        low = self.low.to(W)[:, None] * step
        start = (self.shift.to(W)[:, None] + low)[first]  # least value of each column
        return torch.cat([kernel * step, W[-1:] + (start * W[: self.n_in]).sum(0) - (kernel * low).sum(0)])

    @property
    def fits(self) -> bool:
        """Whether the tensors are of these pieces, for those of a stranger's file."""
        each = (self.shift, self.factor, self.low, self.high)
        counted = min(self.pieces, default=0) >= 1 and all(t.shape == (sum(self.pieces),) for t in each)
        return counted and bool((self.low <= self.high).all())

    def state(self) -> State:
        """Its tensors and its pieces, by name."""
        return {**super().state(), "low": self.low, "high": self.high, "pieces": list(self.pieces)}

    def changed(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with other tensors."""
        return replace(super().changed(change), low=change(self.low), high=change(self.high))


def restored(state: State) -> Scaling:
    """Inverse of `state` of both kinds."""
    if state.get("pieces") is None:
        return Scaling(state["shift"], state["factor"])
    return PiecewiseLinear(**{**state, "pieces": tuple(state["pieces"])})


def _pieces_of(x: Tensor, most: int) -> Tensor:
    """Shift, factor, low and high (4, k) of the pieces of a column x (m,)."""
    ascending = x.sort().values
    edges = torch.unique_consecutive(ascending)
    if len(edges) > most + 1:
        edges = torch.unique_consecutive(ascending[torch.linspace(0, len(x) - 1, most + 1).long()])
    if len(edges) == 1:
        return torch.stack([edges, *torch.zeros(3, 1).to(edges)])
    slope = 1 / edges.diff()
    rising = ((x[:, None] - edges[:-1]) * slope).clamp(0, 1)
    mean, deviation = rising.mean(0), rising.std(0, correction=0)
    return torch.stack([edges[:-1] + mean / slope, slope / deviation, -mean / deviation, (1 - mean) / deviation])
