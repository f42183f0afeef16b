"""Shift, scale and projection of what goes into a network, and the scale of real targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from nmfnet.data.column_statistics import Blocks, Columns, columns_of
from nmfnet.data.first_reading import MIN_COMPONENTS, covariance_step, may_have_components
from nmfnet.data.source import Source
from nmfnet.linalg import naming_overflow
from nmfnet.linalg.sparse import SparseRows
from nmfnet.linalg.statistics import reduced_symmetric
from nmfnet.stateful import State

# Columns of one scale were standardized before if the root mean square of their means, in units of that scale, is less
# than this.  Pixels and counts have means farther from 0.
MAX_STANDARDIZED_MEAN = 0.5
RARITY = 0.5  # power of their root mean square that words are divided by: rare ones have few rows to learn from


@dataclass(frozen=True)
class Scaling:
    """``(X - shift) * factor``, or ``(X - shift) @ factor`` where the factor is a matrix.

    Attributes
    ----------
    shift : Tensor of shape (n,)
    factor : Tensor of shape (n,) or (n, r)
    one_unit : bool, default=False
        Whether sparse columns share a unit, which neither their means nor factors show; model files do not say it.
    """

    shift: Tensor
    factor: Tensor
    one_unit: bool = False

    def __call__(self, X: Any) -> Any:
        """From (m, n) to (m, n) or (m, r); sparse rows stay sparse where nothing is shifted or projected."""
        if isinstance(X, SparseRows):
            if not (self.projects or bool(self.shift.any())):
                return X.scaled(self.factor)
            X = X.dense()
        X = X - self.shift
        return X @ self.factor if self.projects else X.mul_(self.factor)

    def inverse(self, X: Tensor) -> Tensor:
        """From scaled to original values; for a scaling that does not project."""
        return X / self.factor + self.shift

    @property
    def projects(self) -> bool:
        """Whether the factor is a matrix."""
        return self.factor.ndim == 2

    @property
    def n_in(self) -> int:
        """Columns of X."""
        return len(self.shift)

    @property
    def n_out(self) -> int:
        """Columns of the result."""
        return self.factor.shape[-1]

    @property
    def compression(self) -> float:
        """Share r / n of the dimensions that is kept."""
        return self.n_out / len(self.factor)

    @property
    def by_column(self) -> bool:
        """Whether columns are scaled one by one: here, or before, which leaves them with means near 0."""
        varies = self.factor != 0
        if self.projects or self.one_unit or not bool(varies.any()):
            return False
        factor, shift = self.factor[varies], self.shift[varies]
        same_unit = bool((factor == factor[0]).all())
        return not same_unit or float((shift * factor).square().mean().sqrt()) < MAX_STANDARDIZED_MEAN

    @property
    def has_one_factor(self) -> bool:
        """Whether all columns that vary are multiplied by one number."""
        varies = self.factor != 0
        return not self.projects and bool((self.factor[varies] == self.factor.max()).all())

    def on(self, device: torch.device | str) -> Self:
        """The same on a device."""
        return self.changed(lambda tensor: tensor.to(device))

    def state(self) -> State:
        """Its tensors, by name."""
        return {"shift": self.shift, "factor": self.factor}

    def changed(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with other tensors."""
        return replace(self, shift=change(self.shift), factor=change(self.factor))


def input_scaling(
    source: Source, explained_variance: float, centre: bool = True, constant: float = 0.0, by_rarity: bool = False
) -> Scaling:
    """Scaling of the inputs, by what their columns are.

    Columns of different units (a table's) are standardized one by one.  Columns that share a unit (pixels,
    counts) keep their proportions and get one common scale.  If these are compressible besides, so that
    half as many principal components hold `explained_variance` of the variance, then the network sees those
    components alone: the low-variance directions are mostly noise, and the first layer becomes cheaper.

    Sparse inputs stay sparse: nothing is subtracted or projected, and columns of different units are divided by their
    largest absolute values instead, since a rare entry may be many standard deviations large.  Columns of one unit
    that are words of documents may be divided by the roots of their root mean squares: rare ones are learned, too.

    Parameters
    ----------
    source : Source
        With inputs of shape (n, n_0).  Means and variances are weighted by its weights; what counts samples does not
        look at them.
    explained_variance : float
        Share of the variance to keep, in (0, 1]; 1 keeps everything.
    centre : bool, default=True
        Whether to subtract the mean; a network without biases could not put it back.
    constant : float, default=0
        Factor of constant columns; 0 ignores them for ever, 1 is for samples that are only the first.
    by_rarity : bool, default=False
        Whether sparse columns that are words of documents are scaled by how rare they are.

    Returns
    -------
    Scaling
        Of mean square 1 on average over the columns of its result that vary.
    """
    blocks = Blocks(source, "X")
    columns = columns_of(blocks, centre)
    varies = columns.vary(source.dtype)
    same_unit = columns.share_unit(varies)
    if not columns.dense:
        rarity = RARITY if by_rarity and columns.words else 0.0
        return _sparse_scaling(columns, varies, same_unit, constant, source.dtype, rarity)
    if same_unit:
        projection = _principal(blocks, columns, explained_variance)
        if projection is not None:
            return Scaling(columns.mean.to(source.dtype), projection.to(source.dtype))
    factor = torch.where(varies, columns.inverse_scale(varies, same_unit), constant)
    return Scaling(columns.mean.to(source.dtype), factor.to(source.dtype))


def one_scale(source: Source) -> Scaling:
    """Scaling of sparse inputs that share a unit, by which rare words stay as small as they are."""
    columns = columns_of(Blocks(source, "X"), False)
    return _sparse_scaling(columns, columns.vary(source.dtype), True, 0.0, source.dtype, 0.0)


def _sparse_scaling(
    columns: Columns, varies: Tensor, same_unit: bool, constant: float, dtype: torch.dtype, rarity: float
) -> Scaling:
    unit = columns.spread
    if same_unit:
        largest = unit[varies].max()
        unit = largest * (columns.deviation / largest) ** rarity
    scale = unit * (columns.deviation / unit)[varies].square().mean().sqrt()
    factor = torch.where(varies, 1 / scale, constant)
    return Scaling(torch.zeros_like(factor).to(dtype), factor.to(dtype), one_unit=same_unit)


def target_scaling(source: Source, centre: bool = True) -> Scaling:
    """Scaling of real targets (n, k) to mean 0 and mean square 1.

    One by one, or with one scale for all where they share a unit; a constant column keeps its scale.
    """
    columns = columns_of(Blocks(source, "Y"), centre)
    varies = columns.vary(source.dtype)
    factor = torch.where(varies, columns.inverse_scale(varies, columns.share_unit(varies)), 1.0)
    return Scaling(columns.mean.to(source.dtype), factor.to(source.dtype))


@naming_overflow()
def _principal(blocks: Blocks, columns: Columns, share: float) -> Tensor | None:
    """Principal directions (n_0, r) with the common scale, or None where the inputs are not compressible."""
    n = len(columns.mean)
    if share >= 1 or not may_have_components(len(blocks), n):
        return None
    unit = float(columns.deviation.max())  # keeps the squares of huge and tiny numbers in range
    V = _covariance(blocks, columns.mean, unit, covariance_step(len(blocks), n))
    eigenvalues = V.new_empty(n)
    torch.linalg.eigh(V, out=(eigenvalues, V))  # a matrix less
    eigenvalues, V = eigenvalues.flip(0).clamp(min=0), V.flip(1)
    cumulated = eigenvalues.cumsum(0) / eigenvalues.sum()
    r = max(MIN_COMPONENTS, 1 + int((cumulated < share).sum()))
    if 2 * r > n:
        return None
    return V[:, :r] / (unit * eigenvalues[:r].mean().sqrt())


def _covariance(blocks: Blocks, mean: Tensor, unit: float, step: int) -> Tensor:
    """Of the columns of every `step`-th row over a unit, in float64."""
    covariance, rows = torch.diag_embed(torch.zeros_like(mean)).mT, 0  # the order of LAPACK
    for block, weight in blocks.sampled(step):
        block.sub_(mean).div_(unit)
        if weight is not None:
            block.mul_(weight[:, None].sqrt())
        covariance.addmm_(block.T, block)
        rows += len(block)
    covariance, count = reduced_symmetric(covariance, [mean.new_tensor(float(rows))], blocks.source.holders)
    return covariance.div_(count)
