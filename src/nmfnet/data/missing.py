"""Missing numbers: filled by the mean of their column, and told to the network by a column of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nmfnet.distributed import now
from nmfnet.linalg import float64_blocks


@dataclass(frozen=True)
class MissingValues:
    """What takes the place of NaN, as scikit-learn's ``SimpleImputer(add_indicator=True)`` does.

    Attributes
    ----------
    fill : Tensor of shape (n,)
        Means of the columns.
    indicated : Tensor of shape (k,)
        Columns that had missing values in the fit, in ascending order.  Each has one more column, behind all others,
        which is 1 where the value is missing and 0 elsewhere.
    """

    fill: Tensor
    indicated: Tensor

    @classmethod
    def of(cls, X: Tensor, weight: Tensor | None = None) -> MissingValues:
        """Learn from rows X (m, n), weighted ones or not; a column without any value is filled by 0."""
        w = torch.ones(len(X), dtype=torch.float64, device=X.device) if weight is None else weight.double()
        fill = torch.zeros(X.shape[1], dtype=torch.float64, device=X.device)
        start, holders = 0, now()
        (total,) = holders([w.sum()])
        for block in float64_blocks(X):
            fill += w[start : start + len(block)] @ block / total
            start += len(block)
        (fill,) = holders([fill])
        odd = (~fill.isfinite()).nonzero()[:, 0]  # NaN, or a sum that overflows
        if len(odd):  # few, as a rule
            columns = X[:, odd]
            absent = columns.isnan()
            present = (~absent).double() * w[:, None]
            (total,) = holders([present.sum(0)])
            shares = present / total.clamp_min(torch.finfo(torch.float64).tiny)
            (fill[odd],) = holders([(columns.double().nan_to_num(nan=0.0) * shares).sum(0)])
            odd = odd[holders.largest(absent.any(0).double()) > 0]
        return cls(fill.to(X.dtype), odd)

    def __call__(self, X: Tensor) -> Tensor:
        """From (m, n) to (m, n + k), all of them finite; X itself where nothing is missing nor ever was."""
        if not len(self.indicated) and not bool(X.sum().isnan()):
            return X
        absent = X.isnan()
        X = torch.where(absent, self.fill, X)
        return torch.cat([X, absent[:, self.indicated].to(X.dtype)], 1) if len(self.indicated) else X

    def on(self, device: torch.device | str) -> MissingValues:
        """The same on a device."""
        return MissingValues(self.fill.to(device), self.indicated.to(device))

    def to(self, dtype: torch.dtype) -> MissingValues:
        """The same for inputs of a dtype."""
        return MissingValues(self.fill.to(dtype), self.indicated)

    def names(self, names: Sequence[str]) -> list[str]:
        """Names of the columns of the result."""
        return [*names, *(f"{names[i]}_missing" for i in self.indicated.tolist())]

    def state(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"fill": self.fill.tolist(), "indicated": self.indicated.tolist()}

    @classmethod
    def from_state(cls, state: dict[str, Any], dtype: torch.dtype) -> MissingValues:
        """Inverse of :meth:`state`, checked."""
        fill = torch.tensor(state["fill"], dtype=dtype)
        indicated = state["indicated"]
        if fill.ndim != 1 or not bool(fill.isfinite().all()):
            raise ValueError("missing.fill is not a list of finite numbers.")
        if indicated != sorted(set(indicated)) or (indicated and not 0 <= indicated[0] <= indicated[-1] < len(fill)):
            raise ValueError("missing.indicated are not columns in ascending order.")
        return cls(fill, torch.tensor(indicated, dtype=torch.int64))
