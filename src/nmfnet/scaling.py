"""Shift, scale and projection of what goes into a network, and the scale of real targets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nmfnet.linalg import float64_blocks

# Columns share a unit if nine in ten of them reach at most so many times as far as the median column.
SAME_UNIT = 2.0
# Directions that are always kept, and the widest input whose covariance matrix is formed.
FEWEST, WIDEST = 64, 8192


@dataclass(frozen=True)
class Scaling:
    """``(X - shift) * factor``, or ``(X - shift) @ factor`` where the factor is a matrix.

    Attributes
    ----------
    shift : Tensor of shape (n,)
    factor : Tensor of shape (n,) or (n, r)
    """

    shift: Tensor
    factor: Tensor

    def __call__(self, X: Tensor) -> Tensor:
        """From (m, n) to (m, n) or (m, r)."""
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

    def on(self, device: torch.device | str) -> Scaling:
        """The same on a device."""
        return Scaling(self.shift.to(device), self.factor.to(device))


def input_scaling(X: Tensor, explained_variance: float, centre: bool = True, constant: float = 0.0) -> Scaling:
    """Scaling of the inputs, by what the columns of X are.

    Columns of different units (a table's) are standardized one by one.  Columns that share a unit (pixels,
    counts) keep their proportions and get one common scale.  If these are compressible besides, so that
    half as many principal components hold `explained_variance` of the variance, then the network sees those
    components alone: the low-variance directions are mostly noise, and the first layer becomes cheaper.

    Parameters
    ----------
    X : Tensor of shape (n, n_0)
    explained_variance : float
        Share of the variance to keep, in (0, 1]; 1 keeps everything.
    centre : bool, default=True
        Whether to subtract the mean; a network without biases could not put it back.
    constant : float, default=0
        Factor of constant columns; 0 ignores them for ever, 1 is for samples that are only the first.

    Returns
    -------
    Scaling
        Of mean square 1 on average over the columns of its result that vary.
    """
    mean, deviation, varies, same_unit = _columns(X, centre)
    if same_unit:
        projection = _principal(X, mean, deviation, explained_variance)
        if projection is not None:
            return Scaling(mean.to(X.dtype), projection.to(X.dtype))
    factor = torch.where(varies, _inverse_scale(deviation, varies, same_unit), constant)
    return Scaling(mean.to(X.dtype), factor.to(X.dtype))


def target_scaling(Y: Tensor, centre: bool = True) -> Scaling:
    """Scaling of real targets (n, k) to mean 0 and mean square 1.

    One by one, or with one scale for all where they share a unit; a constant column keeps its scale.
    """
    mean, deviation, varies, same_unit = _columns(Y, centre)
    scale = _inverse_scale(deviation, varies, same_unit)
    return Scaling(mean.to(Y.dtype), scale.to(Y.dtype))


def _columns(X: Tensor, centre: bool) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Mean and standard deviation of each column in float64, whether it varies, and whether all share a unit."""
    mean, deviation, reach, spread = _moments(X, centre)
    # What rounding leaves of a constant column is no deviation; and one over it must be a number.
    limits = torch.finfo(X.dtype)
    varies = (deviation > 4 * limits.eps * reach) & (deviation > 4 / limits.max)
    if not bool(varies.any()):
        return mean, deviation, varies, False
    middle, most = torch.quantile(spread[varies], torch.tensor([0.5, 0.9], dtype=reach.dtype, device=reach.device))
    return mean, deviation, varies, float(most) <= SAME_UNIT * float(middle)


def _inverse_scale(deviation: Tensor, varies: Tensor, same_unit: bool) -> Tensor:
    """One over the standard deviation of each column, 1 for a constant one; or over that of all that vary."""
    if same_unit:
        largest = deviation[varies].max()
        common = largest * (deviation[varies] / largest).square().mean().sqrt()
        return (1 / common).expand_as(deviation)
    return 1 / torch.where(varies, deviation, torch.ones_like(deviation))


def _principal(X: Tensor, mean: Tensor, deviation: Tensor, share: float) -> Tensor | None:
    """Principal directions (n_0, r) with the common scale, or None where X is not compressible."""
    n = X.shape[1]
    if share >= 1 or n < 2 * FEWEST or n > WIDEST or len(X) < 2 * FEWEST:
        return None
    covariance = torch.zeros(n, n, dtype=torch.float64, device=X.device)
    unit = float(deviation.max())  # keeps the squares of huge and tiny numbers in range
    for block in float64_blocks(X):
        block.sub_(mean).div_(unit)
        covariance.addmm_(block.T, block)
    eigenvalues, V = torch.linalg.eigh(covariance.div_(len(X)))
    eigenvalues, V = eigenvalues.flip(0).clamp(min=0), V.flip(1)
    cumulated = eigenvalues.cumsum(0) / eigenvalues.sum()
    r = max(FEWEST, 1 + int((cumulated < share).sum()))
    if 2 * r > n:
        return None
    return V[:, :r] / (unit * eigenvalues[:r].mean().sqrt())


def _moments(X: Tensor, centre: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean (or 0), deviation from it, largest distances from 0 and from the mean of each column, in float64."""
    reach = X.abs().amax(0).double()
    mean = torch.zeros_like(reach)
    if centre:
        for block in float64_blocks(X):
            mean += (block / len(X)).sum(0)
    spread, squares = torch.zeros_like(mean), torch.zeros_like(mean)
    for block in float64_blocks(X):
        spread = torch.maximum(spread, block.sub_(mean).abs_().amax(0))
    unit = torch.where(spread > 0, spread, torch.ones_like(spread))  # keeps squares in range
    for block in float64_blocks(X):
        squares += block.sub_(mean).div_(unit).square_().sum(0)
    return mean, unit * (squares / len(X)).sqrt(), reach, spread
