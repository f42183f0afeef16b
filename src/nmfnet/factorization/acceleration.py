"""The alternation over Z and H, extrapolated, with an objective that never increases."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from nmfnet.factorization._common import finite
from nmfnet.factorization.data import Data
from nmfnet.factorization.steps import Pass, Step

MOMENTUM_DELAY, MAX_MOMENTUM = 5, 0.97  # of the extrapolation: beta = (t - 1) / (t + delay), at most 0.97
PASSES_COMPARED = 10  # passes whose progress is compared with the tolerance where the objective tells when to stop

T = TypeVar("T", Pass, Step)


class Problem(Protocol):
    """What the alternation asks of a loss with its steps."""

    data: Data
    signed: bool
    multiplicative: bool  # steps, which are not extrapolated
    kept: float  # share of an entry that extrapolation leaves of it at least, where it must not be negative
    settled: bool  # whether steps on Z need the data once, as their linear term does not depend on Z
    unique: bool  # whether Z has one solution for given components, if these are independent
    single_first: bool  # whether it pays to begin in single precision
    by_objective: bool  # whether the objective tells when to stop, instead of the projected gradients

    @property
    def step_rows(self) -> float:
        """Rows of a whole online step, unless a batch size is given."""

    def sweep(self, Z: Tensor, H: Tensor, out: Tensor, until: float = 0.0, measure: bool = False) -> Pass:
        """One pass over the data with a step on Z (k, m), written to `out`."""

    def online_step(self, Z: Tensor, H: Tensor, with_earlier: Callable[[Pass], Pass]) -> tuple[Pass, Tensor]:
        """A step on Z (k, b) of a mini-batch, in place, and the H that its products and earlier ones ask for."""

    def tolerance(self, H: Tensor) -> float:
        """What a sweep goes on until where Z is to be solved for."""

    def step(
        self,
        Z: Tensor,
        H: Tensor,
        out: Tensor,
        most: float = math.inf,
        measure_z: bool = False,
        measure_h: bool = False,
    ) -> Step:
        """One pass with a step on Z, written to `out`, and one on H with that, in place; all three laid out.

        Not all of it needs to be done where the objective is above `most`.
        """


class Alternation(NamedTuple):
    """The factors Z (k, m) and H (k, n), the last step, the passes over X, and whether the criterion held.

    The objective of the last step is that before its step on H, and so not below that of Z and H.
    """

    Z: Tensor
    H: Tensor
    last: Step
    n_iter: int
    converged: bool


def alternate(
    problem: Problem,
    Z: Tensor,
    H: Tensor,
    max_iter: int,
    tol: float,
    callback: Callable[[int, float], bool | None] | None = None,
) -> Alternation:
    """Alternate steps on Z and H until the relative projected gradient is at most `tol`.

    After each pass one goes on in the same direction, ``H + beta (H - H_last)`` and alike for Z (extrapolation:
    Ang and Gillis, 2019).  Where the objective would rise, the step is taken back and the plain one, which never
    increases it, is done instead.  beta grows as in Nesterov's method, (t - 1) / (t + 5), and a step that was
    taken back halves t.

    Parameters
    ----------
    problem : Problem
    Z : Tensor of shape (k, m)
        Start; overwritten.
    H : Tensor of shape (k, n)
        Start; overwritten.
    max_iter : int
        Most passes over the data.
    tol : float
        For coordinate descent: stop where ``||P grad_Z|| <= tol ||X Ht||`` and ``||P grad_H|| <= tol ||Zt X||``,
        with the projected gradients.  For multiplicative updates and the divergence: where ten passes lower the root
        of the objective by less than `tol` times its first value, as scikit-learn does.  0: never.
    callback : callable, optional
        Called with the passes done and the objective, whenever it fell; returns True to stop.
    """
    Z, H, gradients = problem.data.laid_out(Z), problem.data.laid_out(H), tol > 0 and not problem.by_objective
    H_before = H.clone()  # the plain step of the pass before, then the extrapolated one, then the step from there
    last = check_finite(problem.step(Z, H, Z, measure_h=gradients))
    other = Z.clone()  # alike
    roots = deque([root(last.objective)], PASSES_COMPARED + 1)
    first = roots[0]
    # Multiplicative updates go unextrapolated: what comes near zero then stays there, and they end worse.
    n_iter, t, measured = 1, 1, False
    while True:
        if callback is not None and callback(n_iter, last.objective):
            return Alternation(Z, H, last, n_iter, False)
        if problem.by_objective:
            if tol > 0 and len(roots) > PASSES_COMPARED and roots[0] - roots[-1] <= tol * first:
                return Alternation(Z, H, last, n_iter, True)
        else:
            near = tol > 0 and last.h_residual <= tol
            if near and measured and last.z_residual <= tol:
                return Alternation(Z, H, last, n_iter, True)
            measured = near
        if n_iter >= max_iter:
            return Alternation(Z, H, last, n_iter, False)
        beta = 0.0 if problem.multiplicative else min(MAX_MOMENTUM, (t - 1) / (t + MOMENTUM_DELAY))
        trial = H_before.lerp_(H, 1 + beta)
        if not problem.signed:
            at_least_(trial, problem.kept, H)
        # The extrapolation leaves the ones of a bias exact.
        start = at_least_(other.lerp_(Z, 1 + beta), problem.kept, Z) if beta else Z
        now = check_finite(problem.step(start, trial, other, last.objective, measured, gradients))
        n_iter += 1
        if now.objective <= last.objective:
            t += 1
        else:
            t = max(1, t // 2)
            if n_iter >= max_iter:
                return Alternation(Z, H, last, n_iter, False)
            now = check_finite(problem.step(Z, trial.copy_(H), other, last.objective, measured, gradients))
            n_iter += 1
            if not now.objective < last.objective:  # nothing is left but rounding
                return Alternation(Z, H, last, n_iter, True)
        last = now
        roots.append(root(last.objective))
        H, H_before = trial, H
        Z, other = other, Z


def at_least_(F: Tensor, share: float, before: Tensor) -> Tensor:
    """Raise the entries of F, in place, to `share` of what they were before, which was not negative."""
    return torch.maximum(F, share * before, out=F) if share else torch.relu_(F)


def root(objective: float) -> float:
    """The objective in the units of the data, 0 where rounding left less than nothing of it."""
    return math.sqrt(max(objective, 0.0))


def check_finite(done: T) -> T:
    """Refuse an objective that overflowed."""
    finite(done.objective)
    return done
