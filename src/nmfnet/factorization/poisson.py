"""Nonnegative Poisson regressions with the identity link, into which the Kullback-Leibler divergence falls.

Given the components, each sample is a regression of its own, and given the samples each feature is.  With the values x
(n,) of one of them, the other factor as regressors G (k, n) and coefficients f >= 0 it is::

    min over f  sum_j (a_j - x_j log a_j) + l1 sum(f) + l2 ||f||^2 / 2  with  a = Gt f

which is convex.  Many of them, the columns of F (k, c), take their steps together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.factorization.entries import Entries

MAX_TRIALS = 4  # lengths that are tried along a direction; where all are too long, the coefficients stay
SHORTENING = 0.9  # a step that was too long aims at this share of the way to the minimum
REACH_GROWTH, MIN_REACH = 2.0, 1e-3  # of a reach that was not too long; the least that it shrinks to
MAX_ROUNDS = 300  # steps to a solution, at most
MAX_ROUNDS_FLOAT32 = 40  # what that many do not solve in single precision is left to its rounding errors
MOMENTUM_DELAY = 3  # solutions are extrapolated by (t - 1) / (t + MOMENTUM_DELAY)
MAX_BEYOND = 3.0  # factor by which multiplicative steps go beyond the minimum of their bound at most
MIN_KEPT_SHARE = 0.5  # of a coefficient, which the extrapolation leaves of it


@dataclass(eq=False)
class Regressors:
    """What all regressions of a factor share.

    Attributes
    ----------
    G : Tensor of shape (k, n)
        The other factor, laid out.
    slopes : Tensor of shape (k, 1)
        Its sums, weighted as the data are, and the L1 penalty.
    l2 : float
        The L2 penalty.
    floor : float
        What no divisor is below.
    """

    G: Tensor
    slopes: Tensor
    l2: float
    floor: float

    @cached_property
    def squares(self) -> Tensor:
        """Squares of the other factor, shape (k, n)."""
        return self.G.square()


class Point(NamedTuple):
    """What is known of regressions where they are.

    Attributes
    ----------
    A : Tensor
        Ft G at the entries of the tile.
    quotient : Tensor
        x / a.
    gradient : Tensor of shape (k, c)
    """

    A: Tensor
    quotient: Tensor
    gradient: Tensor


def point_at(tile: Entries, F: Tensor, by: Regressors) -> Point:
    """Find the gradient at F (k, c); all but that is overwritten by the next call for the tile."""
    A, quotient = product_and_quotient(tile, F, by)
    gradient = by.slopes - tile.project(quotient, by.G)
    if by.l2:
        gradient.add_(F, alpha=by.l2)
    return Point(A, quotient, gradient)


def product_and_quotient(tile: Entries, F: Tensor, by: Regressors) -> tuple[Tensor, Tensor]:
    """``a`` = Ft G at the entries of the tile, and x / a; overwritten by the next call for the tile."""
    A = tile.product(F, by.G).clamp_(min=by.floor)
    return A, torch.div(tile.values, A, out=tile.scratch)


def multiply_(tile: Entries, F: Tensor, totals: Tensor, by: Regressors, steps: int) -> Tensor:
    """So many multiplicative steps on the coefficients F (k, c), in place, from their best factors; x / a after them.

    Each goes to the minimum of a bound of the function that touches it, as in the EM algorithm (Lee and Seung, 2001).
    All but the last one go on as far again.
    """
    rescale_(F, totals, by)
    quotient, slopes = product_and_quotient(tile, F, by)[1], by.slopes.clamp(min=torch.finfo(F.dtype).tiny)
    for left in reversed(range(steps)):
        ratios = tile.project(quotient, by.G)
        if by.l2:
            ratios = bound_minimum(ratios.mul_(F), by.slopes, by.l2).div_(F.clamp(min=torch.finfo(F.dtype).tiny))
        else:
            ratios.div_(slopes)
        F.mul_(ratios)
        if left:
            F.mul_(ratios.clamp_(1 / MAX_BEYOND, MAX_BEYOND))
        quotient = product_and_quotient(tile, F, by)[1]
    return quotient


def beyond(best: Tensor, start: Tensor) -> Tensor:
    """Where a step that leads from `start` to `best` comes when it goes on as far, in logarithms, but not too far."""
    ratios = best / start.clamp(min=torch.finfo(start.dtype).tiny)
    return ratios.clamp_(1 / MAX_BEYOND, MAX_BEYOND).mul_(best)


def bound_minimum(numerators: Tensor, linear: Tensor, l2: float) -> Tensor:
    """The minimum over f of ``linear f - numerators log f + l2 f^2 / 2``; 0 where numerators and ``linear`` are."""
    tiny = torch.finfo(linear.dtype).tiny
    if not l2:
        return numerators / linear.clamp(min=tiny)
    roots = (linear.square() + 4 * l2 * numerators).sqrt_()
    return 2 * numerators / (linear + roots).clamp_(min=tiny)


def descend_(tile: Entries, F: Tensor, totals: Tensor, by: Regressors, reach: Tensor) -> Tensor:
    """One step on the coefficients F (k, c), in place, after which no regression is worse; x / a after it.

    After the best factor for each column, a step of Newton's with the diagonal of the Hessian, as all coefficients
    move at once times the ``reach`` (c,) of their column, and down to 0 at most: ``-min(f, reach g / d)``.  Where the
    function would rise again at its end, it is cut short.  A reach shrinks with that, and else grows up to 1.

    Parameters
    ----------
    tile : Entries
        The values x.
    F : Tensor of shape (k, c)
    totals : Tensor of shape (c,)
        Their sums.
    by : Regressors
    reach : Tensor of shape (c,)
        Of the step before; overwritten.
    """
    rescale_(F, totals, by)
    at = point_at(tile, F, by)
    return move_(tile, F, totals, at.gradient, diagonal_step(tile, F, at, by, reach), by, reach)


def rescale_(F: Tensor, totals: Tensor, by: Regressors) -> None:
    """Multiply the columns of F (k, c) by the factors that are best, in place; zeros begin anew at equal parts.

    A factor s minimizes ``b s - totals log s + l2 s^2 ||f||^2 / 2``.  It is 0 where regressors are 0.
    """
    linear = (by.slopes.T @ F)[0]
    all_known = bool(linear.all())
    if not all_known:
        F[:, linear == 0] = 1.0
        linear = (by.slopes.T @ F)[0]
    known = linear > 0
    if by.l2:
        linear = (linear + (linear.square() + 4 * by.l2 * F.square().sum(0) * totals).sqrt_()) / 2
    factors = totals / linear.clamp_(min=torch.finfo(F.dtype).tiny)
    F.mul_(factors if all_known else torch.where(known, factors, 0.0))


def diagonal_step(tile: Entries, F: Tensor, at: Point, by: Regressors, reach: Tensor) -> Tensor:
    """``-min(f, reach g / d)`` with the diagonal d of the Hessian; the quotients of the point are overwritten."""
    info = torch.finfo(F.dtype)
    curvature = tile.project(at.quotient.div_(at.A), by.squares)
    if by.l2:
        curvature.add_(by.l2)
    step = torch.div(at.gradient, curvature.clamp_(min=info.tiny), out=curvature).mul_(reach)
    return torch.minimum(step.clamp_(min=-(info.max**0.25)), F, out=step).neg_()


def move_(
    tile: Entries, F: Tensor, totals: Tensor, gradient: Tensor, direction: Tensor, by: Regressors, reach: Tensor
) -> Tensor:
    """Move F (k, c) along the direction, in place, as far as no function rises at the end; x / a there.

    Each function is convex, and so lower wherever it still falls.
    """
    start = (gradient * direction).sum(0)
    noise = 16 * torch.finfo(F.dtype).eps * totals
    F.add_(direction).clamp_(min=0)
    end = point_at(tile, F, by)
    slope = (end.gradient * direction).sum(0)
    reach.mul_(REACH_GROWTH).clamp_(max=1.0)
    long = slope > noise
    if bool(long.any()):
        f, d = F[:, long] - direction[:, long], direction[:, long]
        step, shorter = shorten(tile.some(long), f, d, start[long], slope[long], noise[long], by)
        F[:, long] = (f + step * d).clamp_(min=0)
        tile.put(shorter, long, end.quotient)
        reach[long] = (reach[long] / REACH_GROWTH * step).clamp_(min=MIN_REACH)
    return end.quotient


def shorten(
    tile: Entries, F: Tensor, direction: Tensor, start: Tensor, slope: Tensor, noise: Tensor, by: Regressors
) -> tuple[Tensor, Tensor]:
    """Steps (c,) along the direction (k, c) to where no function rises, and x / a there.

    Given the slopes at its start and at its end.
    """
    step = torch.ones_like(slope)
    for trial in range(MAX_TRIALS + 1):
        shorter = step * (SHORTENING * start / (start - slope)).clamp(0.1, 0.9) if trial < MAX_TRIALS else 0.0
        step = torch.where(slope > noise, shorter, step)
        end = point_at(tile, (F + step * direction).clamp_(min=0), by)
        slope = (end.gradient * direction).sum(0)
        if not bool((slope > noise).any()):
            break
    return step, end.quotient


def solve_(tile: Entries, F: Tensor, totals: Tensor, by: Regressors, until: float) -> None:
    """Minimize over the coefficients F (k, c), in place, until all residuals are at most `until`.

    By steps as :func:`descend_` takes, extrapolated: each column goes on in the direction of its last step, and starts
    with that anew when a step has turned back (O'Donoghue and Candes, 2015).
    """
    todo, part, f, reach = torch.arange(F.shape[1], device=F.device), tile, F, torch.ones_like(totals)
    last, t = f, torch.ones_like(totals)
    for _ in range(MAX_ROUNDS_FLOAT32 if F.dtype == torch.float32 else MAX_ROUNDS):
        start = torch.maximum(f + (t - 1) / (t + MOMENTUM_DELAY) * (f - last), MIN_KEPT_SHARE * f)
        rescale_(start, totals, by)
        at = point_at(part, start, by)
        left = residuals(start, at.gradient, totals, by) > until
        F[:, todo] = start
        if not bool(left.any()):
            break
        end = start.clone()
        move_(part, end, totals, at.gradient, diagonal_step(part, start, at, by, reach), by, reach)
        turned = ((start - end) * (end - f)).sum(0) > 0
        last, f, t = f, end, torch.where(turned, 1.0, t + 1)
        if int(left.sum()) < len(left) // 2:
            part, todo, totals = part.some(left, instead=True), todo[left], totals[left]
            reach, t = reach[left], t[left]
            f, last = f[:, left], last[:, left]


def residuals(F: Tensor, gradient: Tensor, totals: Tensor, by: Regressors) -> Tensor:
    """How far each column is from its minimum, where each coefficient or its gradient is 0, shape (c,).

    The gradient in shares of the slopes, a coefficient as its share of the values.
    """
    tiny = torch.finfo(F.dtype).tiny
    shares = F * by.slopes / totals.clamp(min=tiny)
    return torch.minimum(shares, gradient / by.slopes.clamp(min=tiny)).abs_().amax(0)
