"""Most passes in single precision, the last ones in that of the data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nmfnet.factorization.acceleration import Alternation, Problem, alternate

MIN_FLOAT32_TOL = 1e-6  # tolerance in single precision, where smaller gains are rounding errors
MIN_FLOAT32_GRADIENT_TOL = 1e-5  # alike, of projected gradients


def alternate_in_turn(
    problem: Problem,
    single: Callable[[], Problem] | None,
    Z: Tensor,
    H: Tensor,
    max_iter: int,
    tol: float,
    callback: Callable[[int, float], bool | None],
) -> Alternation:
    """Alternate, first on the same problem in single precision where that is given; see :func:`alternate`.

    There are as many passes in double precision as the tolerance needs, and at least one; of projected gradients at
    least two, as each is measured in a pass of its own.
    """
    like = problem.data.like
    if single is None or max_iter == 1:
        return alternate(problem, Z.to(like), H.to(like), max_iter, tol, callback)
    smallest = MIN_FLOAT32_TOL if problem.by_objective else MIN_FLOAT32_GRADIENT_TOL
    first = alternate(single(), Z.float(), H.float(), max_iter - 1, max(tol, smallest), callback)
    Z, H, done = first.Z.to(like), first.H.to(like), first.n_iter
    # What ten passes gain at the tolerance, against the rounding errors of the sum over X.
    m, n = problem.data.rows.total, problem.data.shape[1]
    noise = torch.finfo(torch.float32).eps * problem.data.mean() * m * n
    reached = problem.by_objective and first.converged and 2 * tol * first.last.objective > noise
    most, tol = (1, 0.0) if reached else (max_iter - done, tol)
    del first  # factors and statistics
    last = alternate(problem, Z, H, most, tol, lambda n_iter, objective: callback(done + n_iter, objective))
    return last._replace(n_iter=done + last.n_iter, converged=reached or last.converged)
