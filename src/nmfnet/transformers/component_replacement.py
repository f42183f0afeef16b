"""Components of little use give way to what the residual shows, before the fit proper.

Coordinate descent ends in one of many nearly equal minima: a frequent word, or a topic, has a component of its own or
not, and no small step changes that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmfnet.factorization.acceleration import Problem, alternate
from nmfnet.factorization.data import Data, SparseData
from nmfnet.linalg import naming_overflow

MIN_SPARSE_SIDE = 512  # rows and columns of sparse data from which on it pays
MAX_COMPONENTS_WITHOUT = 10  # components up to which data have hardly a minimum but one
PASSES_AROUND_REPLACEMENT = 5  # at most: before the first one, with more components, and again with as many as before
REPLACED_SHARES = 2, 4  # of two replacements; each tries one component more for so many
POWER_ITERATIONS, SAME_PART_COSINE = 5, 0.5  # the cosine from which on two rank-one parts are the same

Factors = tuple[Tensor, Tensor]


def replacement_pays(data: Data, k: int, max_iter: int) -> bool:
    """Whether it pays to replace some of k components: not where the passes asked for are fewer than they take."""
    if k <= MAX_COMPONENTS_WITHOUT:
        return False
    if isinstance(data, SparseData):
        return min(data.shape) >= max(MIN_SPARSE_SIDE, 2 * k)
    enough = min(data.shape) >= k + max(1, k // REPLACED_SHARES[0])
    passes = PASSES_AROUND_REPLACEMENT * (1 + 2 * len(REPLACED_SHARES))
    return enough and max_iter >= passes


def replace_components(problem: Callable[[int], Problem], data: Data, start: Factors, most: int) -> Factors:
    """Factors whose objective is mostly lower than some passes from the start lead to.

    Twice, nonnegative parts of the residual become additional components, half as many as there are, then a quarter,
    and after some passes as many of all that cost least to miss are left out.  What is no better after some passes
    more is undone, by the objectives before the last step on H.

    Parameters
    ----------
    problem : callable
        Returns the problem with so many components.
    data : Data
        X (m, n).
    start : tuple of Tensor
        Z (k, m) and H (k, n); overwritten.
    most : int
        Most passes in a row.

    Returns
    -------
    Z, H : Tensor
    """
    as_asked, few = problem(len(start[0])), min(PASSES_AROUND_REPLACEMENT, most)
    best = alternate(as_asked, *start, few, 0.0)
    del start  # of which half is not in `best`
    for share in REPLACED_SHARES:
        count = max(1, len(best.H) // share)
        new = alternate(as_asked, *replaced(problem, data, best.Z, best.H, count, few), few, 0.0)
        best = new if new.last.objective < best.last.objective else best
        del new  # where it is no better
    return best.Z, best.H


def replaced(problem: Callable[[int], Problem], data: Data, Z: Tensor, H: Tensor, count: int, passes: int) -> Factors:
    """Factors of as many components, after some passes with `count` more."""
    k, (U, V) = len(H), residual_parts(data, Z, H, count)
    # Joined, and taken apart again, as they lie in memory: by samples, or features.
    Z, H = torch.cat([Z.T, U.T], 1).T, torch.cat([H.T, V.T], 1).T
    del U, V
    Z, H, *_ = alternate(problem(len(H)), Z, H, passes, 0.0)
    kept = most_useful(Z, H, k)
    return Z.T[:, kept].T, H.T[:, kept].T


def residual_parts(data: Data, Z: Tensor, H: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Nonnegative rank-one parts of X - Z H, U (c, m) and V (c, n), c at most `count`, largest first.

    By the power method, kept nonnegative, from the columns of the largest residual.  The residual is never formed.
    """
    n, tiny, squares = data.shape[1], torch.finfo(H.dtype).tiny, data.column_squares()
    squares += ((Z @ Z.T) @ H).mul_(H).sum(0) - 2 * data.transposed_times(Z.T).mul_(H.T).sum(1)
    worst = squares.topk(min(2 * count, n)).indices
    V = H.new_zeros(n, len(worst))
    V[worst, torch.arange(len(worst), device=V.device)] = 1
    for _ in range(POWER_ITERATIONS):
        U = data.times(V).sub_(Z.T @ (H @ V)).clamp_(min=0)
        U /= U.norm(dim=0).clamp(min=tiny)
        V = data.transposed_times(U).sub_(H.T @ (Z @ U)).clamp_(min=0)
        sizes = V.norm(dim=0)
        V /= sizes.clamp(min=tiny)
    same = ((U.T @ U) * (V.T @ V) > SAME_PART_COSINE).tolist()
    chosen: list[int] = []
    order = sizes.argsort(descending=True)
    for i in order[sizes[order] > 0].tolist():
        if not any(same[i][j] for j in chosen):
            chosen.append(i)
    chosen = chosen[:count]
    root = sizes[chosen].sqrt()
    return (U[:, chosen] * root).T, (V[:, chosen] * root).T


@naming_overflow()
def most_useful(Z: Tensor, H: Tensor, k: int) -> list[int]:
    """Indices of the k components that are left when the one that costs least to miss is left out again and again.

    A component costs what the loss rises by at least where the others' Z, or H, make up for it without bounds.  One
    that is left out is taken from the inverse Gram matrices by an update of rank one.
    """
    S, G = ((F @ F.T).double().cpu().numpy() for F in (Z, H))
    inverses, sizes = [ridged_inverse(A, torch.finfo(H.dtype).eps) for A in (G, S)], [S.diagonal(), G.diagonal()]
    kept = list(range(len(H)))
    while len(kept) > k:
        costs = [size[kept] / inverse.diagonal()[kept] for size, inverse in zip(sizes, inverses, strict=True)]
        gone = kept.pop(int(np.minimum(*costs).argmin()))
        for inverse in inverses:
            inverse -= np.outer(inverse[gone] / inverse[gone, gone], inverse[gone])
    return kept


def ridged_inverse(A: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """The inverse of A (k, k) with a share `floor` of its largest diagonal entry added to all of them."""
    ridge = floor * max(A.diagonal().max(), 1e-300)
    return torch.linalg.inv(torch.from_numpy(A + ridge * np.eye(len(A)))).numpy()
