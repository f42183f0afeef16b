"""A start is searched for in compressed data, where a pass costs a fraction.

The best approximation of about twice the rank holds nearly all that the components can fit.  Its passes need no
product with X.  So some starts and many passes there cost less than a few passes over all data.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nmfnet.factorization.acceleration import Alternation, Problem, alternate
from nmfnet.factorization.data import Data, LowRankData, SparseData
from nmfnet.transformers.component_replacement import Factors, exchanged

MEMBERS = 2, 10  # singular vectors: so many times the components, and so many more
ROUNDS = 4  # of the subspace iteration
BRANCH = 5  # passes after which components are replaced early
PASSES = 40
LAST = 200
SHARES = 2, 4
STALLED = 1e-3, 3e-4
EASY=1e-5


class Search:
    def __init__(self, problem, k, offset):
        self.problem, self.k, self.offset = problem, k, offset

    def run(self, Z, H, passes, share, problem=None):
        seen = []
        def stalled(n_iter, objective):
            seen.append(objective)
            return len(seen) > 10 and seen[-11] - objective <= share * (objective + self.offset)
        return alternate(problem or self.problem(len(H)), Z, H, passes, 0.0, stalled)

    def replace(self, data, at, count, passes):
        Z, H = exchanged(self.problem, data, at.Z.clone(), at.H.clone(), count, passes)
        return Z, H


def search(problem, data, k, start, offset):
    s = Search(problem, k, offset)
    early = s.run(*start, BRANCH, 0.0)
    plain = s.run(early.Z.clone(), early.H.clone(), PASSES, STALLED[0])
    cand = [plain]
    at = early
    for share in SHARES:
        Z, H = s.replace(data, at, max(1, k // share), BRANCH)
        at = s.run(Z, H, BRANCH, 0.0)
    cand.append(s.run(at.Z.clone(), at.H.clone(), PASSES, STALLED[0]))
    best = min(cand, key=lambda c: c.last.objective)
    Z, H = s.replace(data, best, max(1, k // 2), 10)
    late = s.run(Z, H, PASSES, STALLED[0])
    best = late if late.last.objective < best.last.objective else best
    return s.run(best.Z, best.H, LAST, STALLED[1])
