"""Dead components, which a penalty or an unlucky start has made zero, begin anew at what is fitted worst.

With an L1 penalty a component of zeros is a local minimum, so that no small step leaves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from nmfnet.factorization.acceleration import Alternation
from nmfnet.factorization.data import Data, DenseData, Rows, SparseData
from nmfnet.factorization.entries import Side
from nmfnet.factorization.passes import Penalties
from nmfnet.factorization.stored import StoredSparse

MAX_RESTARTS = 5
PASSES_BEFORE_CHECK = 30  # for dead components where there is an L1 penalty, and again after a restart
CANDIDATES_PER_COMPONENT = 8  # rows whose residuals a dead component may take
SAME_RESIDUAL_COSINE = 0.5  # from which on two residuals are the same

Factors = tuple[Tensor, Tensor]


def alternate_alive(
    run: Callable[[Tensor, Tensor, int, int], Alternation],
    revive: Callable[[Tensor, Tensor], Factors | None],
    start: Factors,
    max_iter: int,
    early: bool,
) -> Alternation:
    """Alternate, and begin dead components anew as long as the objective is lower for it.

    Parameters
    ----------
    run : callable
        Alternates from Z and H, with so many passes done, and so many more at most.
    revive : callable
        New factors in which no component is dead, or None where none is or none would help.
    start : tuple of Tensor
        Z and H.
    max_iter : int
        Most passes in all.
    early : bool
        Whether components are likely to die, so that it pays to look before the fit has converged.
    """
    first = PASSES_BEFORE_CHECK if early else max_iter
    best = run(*start, 0, min(first, max_iter))
    done, tries = best.n_iter, MAX_RESTARTS
    while done < max_iter:
        revived = revive(best.Z, best.H) if tries else None
        if revived is None and best.converged:
            break
        most = max_iter - done if revived is None else min(PASSES_BEFORE_CHECK, max_iter - done)
        new = run(*(revived or (best.Z, best.H)), done, most)
        done, tries = done + new.n_iter, tries - 1
        if revived is None or new.last.objective < best.last.objective:
            best = new
            if revived is None and not new.converged:
                break
        else:
            tries = 0
    return best._replace(n_iter=done)


def revived(
    data: Data, decode: Callable[[Tensor], Tensor], Z: Tensor, H: Tensor, penalties: Penalties, signed: bool
) -> Factors | None:
    """Factors Z (k, m) and H (k, n) with the residuals of badly fitted rows in place of dead components.

    A component's H is the residual of such a row, its positive part where H must not be negative, and its Z the
    projection of all residuals on it.

    Parameters
    ----------
    data : Data
    decode : callable
        From Z H to data.
    Z, H : Tensor
    penalties : Penalties
        The products' sizes are shared between the factors such that they are least.
    signed : bool
        Whether H may have any sign.

    Returns
    -------
    tuple of Tensor, or None
        None where no component is dead, nothing is left to be fitted, or X is in sparse files.
    """
    dead = (~(data.rows.any(Z.any(1)) & H.any(1))).nonzero()[:, 0]
    if not len(dead) or isinstance(data, StoredSparse):  # of sparse files no residuals are formed
        return None
    residuals = DenseResiduals(data, decode, Z, H) if isinstance(data, DenseData) else SparseResiduals(data, Z, H)
    parts: list[Tensor] = []
    for row in worst(residuals, signed, CANDIDATES_PER_COMPONENT * len(dead), data.rows):
        part = row / torch.linalg.vector_norm(row)
        if len(parts) < len(dead) and all(abs(float(part @ other)) < SAME_RESIDUAL_COSINE for other in parts):
            parts.append(part)
    if not parts:
        return None
    new = torch.stack(parts)
    coefficients = residuals.project(new).clamp_(min=0)
    l1_z, l1_h = penalties.l1_z, penalties.l1_h
    if l1_z and l1_h:
        ratio = l1_z * data.rows.reduced(coefficients.sum(1)) / (l1_h * new.abs().sum(1))
    else:
        ratio = data.rows.reduced(coefficients.square().sum(1)).sqrt()
    scale = ratio.sqrt_().clamp_(min=torch.finfo(H.dtype).tiny)[:, None]
    Z, H, dead = Z.clone(), H.clone(), dead[: len(parts)]
    Z[dead], H[dead] = coefficients / scale, new * scale
    return Z, H


def worst(residuals: DenseResiduals | SparseResiduals, signed: bool, most: int, rows: Rows) -> Iterable[Tensor]:
    """The largest residuals of rows, or their positive parts, wherever these are, the largest first."""
    sizes = residuals.sizes(signed)
    candidates = sizes.argsort(descending=True)[:most]
    candidates = candidates[sizes[candidates] > 0]
    found = (residuals.row(row) if signed else residuals.row(row).clamp(min=0) for row in candidates.tolist())
    if rows.here == rows.total:
        return found
    R = torch.stack([*found, residuals.H.new_zeros(residuals.H.shape[1])])[: len(candidates)]
    sizes, R = rows.holders.gathered(sizes[candidates]), rows.holders.gathered(R)
    return R[sizes.argsort(descending=True)[:most]]


class DenseResiduals:
    """X - f(Z H), block by block; 0 where an entry is missing."""

    def __init__(self, data: DenseData, decode: Callable[[Tensor], Tensor], Z: Tensor, H: Tensor) -> None:
        self.data, self.decode, self.Z, self.H = data, decode, Z, H

    def _blocks(self) -> Iterator[Tensor]:
        return map(self._block, self.data.blocks())

    def _block(self, rows: slice) -> Tensor:
        return (self.data.block(rows) - self.decode(self.Z[:, rows].T @ self.H)).nan_to_num_(0.0)

    def sizes(self, signed: bool) -> Tensor:
        """Norm of each row, or of its positive part, shape (m,)."""
        blocks = self._blocks() if signed else (R.clamp_(min=0) for R in self._blocks())
        return torch.cat([torch.linalg.vector_norm(R, dim=1) for R in blocks])

    def row(self, row: int) -> Tensor:
        """The residual of a row, shape (n,)."""
        return self._block(slice(row, row + 1))[0]

    def project(self, V: Tensor) -> Tensor:
        """``V Rt``, shape (c, m), for V (c, n)."""
        return torch.cat([V @ R.T for R in self._blocks()], dim=1)


class SparseResiduals:
    """X - Z H of sparse data, of which only the entries that are stored may be positive."""

    def __init__(self, data: Data, Z: Tensor, H: Tensor) -> None:
        assert isinstance(data, SparseData)
        self.data, self.Z, self.H = data, data.laid_out(Z), data.laid_out(H)

    def sizes(self, signed: bool) -> Tensor:
        """Norm of each row at the stored entries, or of its positive part, shape (m,)."""
        sizes = []
        for rows, tile in Side(self.data):
            R = tile.values - tile.product(self.Z[:, rows], self.H)
            sizes.append(tile.sums((R if signed else R.clamp_(min=0)).square_()))
        return torch.cat(sizes).sqrt_()

    def row(self, row: int) -> Tensor:
        """The residual of a row, shape (n,)."""
        x = torch.from_numpy(self.data.sparse.matrix[[row]].toarray()[0]).to(self.H)
        return x - self.Z[:, row] @ self.H

    def project(self, V: Tensor) -> Tensor:
        """``V Rt``, shape (c, m), for V (c, n)."""
        return (self.data.stored @ V.T).T - (V @ self.H.T) @ self.Z
