"""Shift, scale and projection of what goes into a network, and the scale of real targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nmfnet.linalg import float64_blocks, naming_overflow
from nmfnet.linalg.sparse import SparseRows

# Columns share a unit if nine in ten of them reach at most so many times as far as the median column.
SAME_UNIT = 2.0
NEAR = 0.5  # in units of the common scale: pixels and counts have means farther from 0
# Directions that are always kept, and the widest input whose covariance matrix is formed.
FEWEST, WIDEST = 64, 8192
ENOUGH = 10_000  # samples for a covariance matrix; four times the width where that is more


@dataclass(frozen=True)
class Scaling:
    """``(X - shift) * factor``, or ``(X - shift) @ factor`` where the factor is a matrix.

    Attributes
    ----------
    shift : Tensor of shape (n,)
    factor : Tensor of shape (n,) or (n, r)
    sparse : bool, default=False
        Whether it is of sparse inputs, from which no means were subtracted; model files do not say it.
    """

    shift: Tensor
    factor: Tensor
    sparse: bool = False

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
        if self.projects or not bool(varies.any()):
            return False
        factor, shift = self.factor[varies], self.shift[varies]
        same_unit = bool((factor == factor[0]).all())
        if same_unit and self.sparse:
            return False
        return not same_unit or float((shift * factor).square().mean().sqrt()) < NEAR

    def on(self, device: torch.device | str) -> Scaling:
        """The same on a device."""
        return replace(self, shift=self.shift.to(device), factor=self.factor.to(device))


def input_scaling(
    X: Tensor | SparseRows,
    explained_variance: float,
    centre: bool = True,
    constant: float = 0.0,
    sample_weight: Tensor | None = None,
) -> Scaling:
    """Scaling of the inputs, by what the columns of X are.

    Columns of different units (a table's) are standardized one by one.  Columns that share a unit (pixels,
    counts) keep their proportions and get one common scale.  If these are compressible besides, so that
    half as many principal components hold `explained_variance` of the variance, then the network sees those
    components alone: the low-variance directions are mostly noise, and the first layer becomes cheaper.

    Sparse inputs stay sparse: nothing is subtracted or projected, and columns of different units are divided by their
    largest absolute values instead, since a rare entry may be many standard deviations large.

    Parameters
    ----------
    X : Tensor or SparseRows of shape (n, n_0)
    explained_variance : float
        Share of the variance to keep, in (0, 1]; 1 keeps everything.
    centre : bool, default=True
        Whether to subtract the mean; a network without biases could not put it back.
    constant : float, default=0
        Factor of constant columns; 0 ignores them for ever, 1 is for samples that are only the first.
    sample_weight : Tensor of shape (n,), optional
        Positive.  Means and variances are weighted; what counts samples does not look at it.

    Returns
    -------
    Scaling
        Of mean square 1 on average over the columns of its result that vary.
    """
    weight = _normalized(sample_weight)
    if isinstance(X, SparseRows):
        return _sparse_scaling(X, constant, weight)
    mean, deviation, varies, same_unit = _columns(X, centre, weight)
    if same_unit:
        projection = _principal(X, mean, deviation, explained_variance, weight)
        if projection is not None:
            return Scaling(mean.to(X.dtype), projection.to(X.dtype))
    factor = torch.where(varies, _inverse_scale(deviation, varies, same_unit), constant)
    return Scaling(mean.to(X.dtype), factor.to(X.dtype))


def _sparse_scaling(X: SparseRows, constant: float, weight: Tensor | None) -> Scaling:
    deviation, reach = X.sizes(weight)
    varies, same_unit = _units(deviation, reach, reach, X.dtype)
    unit = reach[varies].max() if same_unit else reach
    scale = unit * (deviation / unit)[varies].square().mean().sqrt()
    factor = torch.where(varies, 1 / scale, constant)
    return Scaling(torch.zeros_like(factor).to(X.dtype), factor.to(X.dtype), sparse=True)


def target_scaling(Y: Tensor, centre: bool = True, sample_weight: Tensor | None = None) -> Scaling:
    """Scaling of real targets (n, k) to mean 0 and mean square 1.

    One by one, or with one scale for all where they share a unit; a constant column keeps its scale.
    """
    mean, deviation, varies, same_unit = _columns(Y, centre, _normalized(sample_weight))
    scale = _inverse_scale(deviation, varies, same_unit)
    return Scaling(mean.to(Y.dtype), scale.to(Y.dtype))


@dataclass(frozen=True)
class Columns:
    """What some rows say about their columns, each of shape (n,) in float64.

    Attributes
    ----------
    mean, deviation : Tensor
        Of the columns; the deviation is from the mean.
    lowest, highest : Tensor
    spread : Tensor
        Largest distance from the mean.
    rows : int
    centred : bool
        Whether the mean may be subtracted; otherwise it is given as 0.
    dense : bool
    """

    mean: Tensor
    deviation: Tensor
    lowest: Tensor
    highest: Tensor
    spread: Tensor
    rows: int
    centred: bool
    dense: bool = True

    def vary(self, dtype: torch.dtype) -> Tensor:
        """Whether each column varies beyond rounding."""
        return _varies(self.deviation, torch.maximum(self.highest, -self.lowest), dtype)

    def inverse_scale(self, varies: Tensor, same_unit: bool) -> Tensor:
        """Factors of columns of their own unit, or of one unit; of sparse ones the largest value becomes 1."""
        return _inverse_scale(self.deviation if self.dense else self.spread, varies, same_unit)


def columns_of(X: Tensor | SparseRows, centre: bool, sample_weight: Tensor | None = None) -> Columns:
    """Look over rows X (m, n); sparse ones are not centred."""
    weight = _normalized(sample_weight)
    if isinstance(X, SparseRows):
        deviation, reach = X.sizes(weight)
        return Columns(torch.zeros_like(reach), deviation, -reach, reach, reach, len(X), False, False)
    mean, deviation, _, spread = _moments(X, centre, weight)
    return Columns(mean, deviation, X.amin(0).double(), X.amax(0).double(), spread, len(X), centre)


def _normalized(sample_weight: Tensor | None) -> Tensor | None:
    """Weights (n,) in float64, of mean 1."""
    return None if sample_weight is None else sample_weight.double() / sample_weight.double().mean()


def _columns(X: Tensor, centre: bool, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Mean and standard deviation of each column in float64, whether it varies, and whether all share a unit."""
    mean, deviation, reach, spread = _moments(X, centre, weight)
    return mean, deviation, *_units(deviation, reach, spread, X.dtype)


def _units(deviation: Tensor, reach: Tensor, spread: Tensor, dtype: torch.dtype) -> tuple[Tensor, bool]:
    """Whether each column varies, and whether all that do share a unit."""
    varies = _varies(deviation, reach, dtype)
    if not bool(varies.any()):
        return varies, False
    middle, most = spread[varies].median(), torch.quantile(spread[varies], 0.9)  # of two columns the smaller
    return varies, float(most) <= SAME_UNIT * float(middle)


def _varies(deviation: Tensor, reach: Tensor, dtype: torch.dtype) -> Tensor:
    """What rounding leaves of a constant column is no deviation; and one over it must be a number."""
    limits = torch.finfo(dtype)
    return (deviation > 4 * limits.eps * reach) & (deviation > 4 / limits.max)


def _inverse_scale(deviation: Tensor, varies: Tensor, same_unit: bool) -> Tensor:
    """One over the standard deviation of each column, 1 for a constant one; or over that of all that vary."""
    if same_unit:
        largest = deviation[varies].max()
        common = largest * (deviation[varies] / largest).square().mean().sqrt()
        return (1 / common).expand_as(deviation)
    return 1 / torch.where(varies, deviation, torch.ones_like(deviation))


@naming_overflow()
def _principal(X: Tensor, mean: Tensor, deviation: Tensor, share: float, weight: Tensor | None) -> Tensor | None:
    """Principal directions (n_0, r) with the common scale, or None where X is not compressible."""
    n = X.shape[1]
    if share >= 1 or n < 2 * FEWEST or n > WIDEST or len(X) < 2 * FEWEST:
        return None
    unit = float(deviation.max())  # keeps the squares of huge and tiny numbers in range
    step = max(1, len(X) // max(ENOUGH, 4 * n))
    V = _covariance(X[::step], mean, unit, None if weight is None else weight[::step])
    eigenvalues = V.new_empty(n)
    torch.linalg.eigh(V, out=(eigenvalues, V))  # a matrix less
    eigenvalues, V = eigenvalues.flip(0).clamp(min=0), V.flip(1)
    cumulated = eigenvalues.cumsum(0) / eigenvalues.sum()
    r = max(FEWEST, 1 + int((cumulated < share).sum()))
    if 2 * r > n:
        return None
    return V[:, :r] / (unit * eigenvalues[:r].mean().sqrt())


def _covariance(X: Tensor, mean: Tensor, unit: float, weight: Tensor | None) -> Tensor:
    """Of the columns of X (m, n) over a unit, in float64."""
    covariance = torch.zeros(X.shape[1], X.shape[1], dtype=torch.float64, device=X.device).mT  # the order of LAPACK
    for block, w in _weighted_blocks(X, weight):
        block.sub_(mean).div_(unit).mul_(w**0.5)
        covariance.addmm_(block.T, block)
    return covariance.div_(len(X))


def _weighted_blocks(X: Tensor, weight: Tensor | None) -> Iterator[tuple[Tensor, Tensor | float]]:
    """Blocks of rows of X (n, k) in float64, to write into, with the weights of the rows as a column, or 1."""
    start = 0
    for block in float64_blocks(X):
        yield block, 1.0 if weight is None else weight[start : start + len(block), None]
        start += len(block)


def _moments(X: Tensor, centre: bool, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean (or 0), deviation from it, largest distances from 0 and from the mean of each column, in float64."""
    highest, lowest = X.amax(0).double(), X.amin(0).double()  # abs() would copy X
    mean, squares = torch.zeros_like(highest), torch.zeros_like(highest)
    if centre:
        for block, w in _weighted_blocks(X, weight):
            share = w[:, 0] if isinstance(w, Tensor) else block.new_ones(len(block))
            mean.addmv_(block.T, share / len(X))
        mean = torch.minimum(torch.maximum(mean, lowest), highest)  # where rounding has put it outside
    spread = torch.maximum(highest - mean, mean - lowest)
    unit = torch.where(spread > 0, spread, torch.ones_like(spread))  # keeps squares in range
    for block, w in _weighted_blocks(X, weight):
        block.sub_(mean).div_(unit).square_()
        squares += (block if weight is None else block.mul_(w)).sum(0)
    return mean, unit * (squares / len(X)).sqrt(), torch.maximum(highest, -lowest), spread
