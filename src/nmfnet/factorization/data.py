"""A matrix as the passes of the factorizations see it: products with blocks of its rows, dense or sparse."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmfnet.linalg.arrays import as_tensor, canonical
from nmfnet.linalg.holders import Holders, local, summed
from nmfnet.linalg.sparse import SparseRows, some_rows
from nmfnet.linalg.threads import threads_for

ROWS_PER_BLOCK = 4096  # of dense data that are looked at together


class Rows:
    """Which rows of a matrix are at hand: all, or those of one of several processes.

    Parameters
    ----------
    m : int
        How many are at hand.
    holders : Holders
        Who holds rows; those of the first come first.

    Attributes
    ----------
    total, before : int
        How many there are in all, and before those at hand.
    """

    def __init__(self, m: int, holders: Holders = local) -> None:
        self.holders = holders
        counts = [m] if holders is local else holders.gathered(torch.tensor([m])).tolist()
        self.total, self.before, self.here = sum(counts), sum(counts[: holders.rank]), m

    def own(self, F: Tensor) -> Tensor:
        """Of a factor (k, total) of all rows the columns of those at hand."""
        return F if self.here == self.total else F[:, self.before : self.before + self.here].contiguous()

    def summed(self, *values: float) -> list[float]:
        """Sums over all rows of numbers that were summed over those at hand."""
        return summed(self.holders, *values)

    def reduced(self, sums: Tensor) -> Tensor:
        """A sum over all rows, from that over those at hand."""
        return self.holders([sums])[0]

    def any(self, flags: Tensor) -> Tensor:
        """Whether each of the flags (n,) is set for any of the rows."""
        return flags if self.holders is local else self.holders.largest(flags.float()) > 0


class Data(Protocol):
    """X (m, n), met by blocks of rows.  Several processes may hold some of the rows each.

    What is said of X as a whole, as its mean, is of the rows of all; products with factors are of those at hand, but
    for sums over samples.
    """

    shape: tuple[int, int]  # of the rows at hand
    rows: Rows
    entries: int  # multiplications of a product with one vector, of all rows
    like: Tensor  # an empty tensor of its dtype, on its device

    def laid_out(self, F: Tensor) -> Tensor:
        """A factor (k, m) or (k, n) in the order in memory that the products want; a copy where it has another."""

    def project(self, rows: slice, H: Tensor, out: Tensor) -> None:
        """``out <- H X[rows]t``, shape (k, c), for H (k, n), laid out."""

    def add_products(self, rows: slice, F: Tensor, Q: Tensor) -> None:
        """``Q <- Q + F X[rows]``, shape (k, n), for F (k, c)."""

    def finish_products(self, F: Tensor, Q: Tensor) -> None:
        """Complete Q, given all of F (k, m), both laid out, where :meth:`add_products` left it to the end."""

    def times(self, V: Tensor) -> Tensor:
        """``X V``, shape (m, c), for V (n, c)."""

    def transposed_times(self, U: Tensor) -> Tensor:
        """``Xt U``, shape (n, c), for U (m, c)."""

    def column_squares(self) -> Tensor:
        """Sum of the squares of each column, shape (n,)."""

    def squares(self, row_weights: Tensor | None) -> float:
        """Sum of the squares of X, row by row with weights (m,)."""

    def mean(self) -> float:
        """Mean of the entries."""


class DenseData:
    """A dense matrix, also one that is mapped from a file: a block of rows is read, used twice and left."""

    def __init__(self, X: NDArray[Any] | Tensor, device: torch.device | None = None, holders: Holders = local) -> None:
        self.X = X if isinstance(X, Tensor) else as_tensor(np.ascontiguousarray(X))
        self.X = self.X.to(device or self.X.device)
        self.shape, self.rows = (len(X), X.shape[1]), Rows(len(X), holders)
        self.entries = self.rows.total * X.shape[1]
        self.like = self.X.new_empty(0)

    def block(self, rows: slice | Tensor) -> Tensor:
        """X[rows], shape (c, n)."""
        return self.X[rows]

    def blocks(self) -> Iterator[slice]:
        """Rows that are looked at together, in their order."""
        starts = range(0, self.shape[0], ROWS_PER_BLOCK)
        return (slice(start, min(start + ROWS_PER_BLOCK, self.shape[0])) for start in starts)

    def laid_out(self, F: Tensor) -> Tensor:
        """By components."""
        return F.contiguous()

    def project(self, rows: slice, H: Tensor, out: Tensor) -> None:
        """``out <- H X[rows]t``."""
        with threads_for(2 * len(H) * self.shape[1] * out.shape[1]):
            torch.mm(H, self.block(rows).T, out=out)

    def add_products(self, rows: slice, F: Tensor, Q: Tensor) -> None:
        """``Q <- Q + F X[rows]``."""
        with threads_for(2 * len(F) * self.shape[1] * F.shape[1]):
            Q.addmm_(F, self.block(rows))

    def finish_products(self, F: Tensor, Q: Tensor) -> None:
        """Nothing is left to do."""

    def times(self, V: Tensor) -> Tensor:
        """``X V``."""
        return self.X @ V

    def transposed_times(self, U: Tensor) -> Tensor:
        """``Xt U``."""
        return self.rows.reduced(self.X.T @ U)

    def column_squares(self) -> Tensor:
        """Sum of the squares of each column."""
        squares = self.like.new_zeros(self.shape[1])
        for rows in self.blocks():
            squares += self.block(rows).square().sum(0)
        return self.rows.reduced(squares)

    def squares(self, row_weights: Tensor | None) -> float:
        """Sum of squares, rows weighted."""
        total = 0.0
        for rows in self.blocks():
            squares = row_norms(self.block(rows)).square_()
            total += float((squares if row_weights is None else squares * row_weights[rows]).sum())
        return self.rows.summed(total)[0]

    def mean(self) -> float:
        """Mean of the entries."""
        total = float(sum(self.block(rows).sum(1).sum(dtype=torch.float64) for rows in self.blocks()))
        return self.rows.summed(total)[0] / max(self.entries, 1)


class SparseData:
    """Sparse rows, and their transpose as soon as that is asked for, as sparse tensors.  It is never made dense."""

    def __init__(self, X: Any, device: torch.device, holders: Holders = local) -> None:
        self.sparse = SparseRows(canonical(scipy.sparse.csr_array(X)), device)
        self.shape = self.sparse.shape
        self.stored, self.rows = self.sparse.tensor(), Rows(self.shape[0], holders)
        self.entries = int(self.rows.summed(self.stored.values().numel())[0])
        self.like = torch.empty(0, dtype=self.sparse.dtype, device=device)

    @cached_property
    def columns(self) -> Tensor:
        """The transpose, by rows."""
        return self.sparse.transposed().tensor()

    def laid_out(self, F: Tensor) -> Tensor:
        """By samples, or features: a sparse product goes through the components of one after the other."""
        return F.T.contiguous().T

    def project(self, rows: slice, H: Tensor, out: Tensor) -> None:
        """``out <- H X[rows]t``."""
        out.copy_((some_rows(self.stored, rows) @ H.T).T)

    def project_columns(self, columns: slice, F: Tensor, out: Tensor) -> None:
        """``out <- F X[:, columns]``, shape (k, c), for F (k, m), laid out."""
        out.copy_((some_rows(self.columns, columns) @ F.T).T)

    def add_products(self, rows: slice, F: Tensor, Q: Tensor) -> None:
        """Nothing yet: one product with the transpose at the end is faster."""

    def finish_products(self, F: Tensor, Q: Tensor) -> None:
        """Complete Q."""
        torch.addmm(Q.T, self.columns, F.T, beta=0, out=Q.T)

    def times(self, V: Tensor) -> Tensor:
        """``X V``."""
        return self.stored @ V

    def transposed_times(self, U: Tensor) -> Tensor:
        """``Xt U``."""
        return self.rows.reduced(self.columns @ U)

    def column_squares(self) -> Tensor:
        """Sum of the squares of each column."""
        X = self.stored
        squares = self.like.new_zeros(self.shape[1]).index_add_(0, X.col_indices(), X.values().square())
        return self.rows.reduced(squares)

    def squares(self, row_weights: Tensor | None) -> float:
        """Sum of squares, rows weighted."""
        values = self.stored.values()
        if row_weights is None:  # a part at a time, as copies in float64 would take more memory than the values
            return self.rows.summed(sum(float(part.double().square().sum()) for part in values.split(2**16)))[0]
        weights = row_weights.double().repeat_interleave(self.stored.crow_indices().diff())
        return self.rows.summed(float(values.double().square().mul_(weights).sum()))[0]

    def mean(self) -> float:
        """Mean of the entries."""
        total = self.rows.summed(float(self.stored.values().sum(dtype=torch.float64)))[0]
        return total / max(self.rows.total * self.shape[1], 1)


class LowRankData:
    """A matrix X = At B of low rank r, given by its factors: its products take r (m + n) operations a vector.

    Parameters
    ----------
    A : Tensor of shape (r, m)
    B : Tensor of shape (r, n)
    """

    def __init__(self, A: Tensor, B: Tensor) -> None:
        self.A, self.B = A.contiguous(), B.contiguous()
        self.shape, self.rows = (A.shape[1], B.shape[1]), Rows(A.shape[1])
        self.entries = len(A) * sum(self.shape)
        self.like = A.new_empty(0)

    def laid_out(self, F: Tensor) -> Tensor:
        """By components."""
        return F.contiguous()

    def project(self, rows: slice, H: Tensor, out: Tensor) -> None:
        """``out <- H Bt A[:, rows]``."""
        torch.mm(H @ self.B.T, self.A[:, rows], out=out)

    def add_products(self, rows: slice, F: Tensor, Q: Tensor) -> None:
        """``Q <- Q + F A[:, rows]t B``."""
        Q.addmm_(F @ self.A[:, rows].T, self.B)

    def finish_products(self, F: Tensor, Q: Tensor) -> None:
        """Nothing is left to do."""

    def times(self, V: Tensor) -> Tensor:
        """``X V``."""
        return self.A.T @ (self.B @ V)

    def transposed_times(self, U: Tensor) -> Tensor:
        """``Xt U``."""
        return self.B.T @ (self.A @ U)

    def column_squares(self) -> Tensor:
        """Sum of the squares of each column."""
        return ((self.A @ self.A.T) @ self.B).mul_(self.B).sum(0)

    def squares(self, row_weights: Tensor | None) -> float:
        """Sum of squares, rows weighted; of all rows it is found once."""
        return self._squares if row_weights is None else self._weighted_squares(row_weights)

    @cached_property
    def _squares(self) -> float:
        return self._weighted_squares(1.0)

    def _weighted_squares(self, weights: Tensor | float) -> float:
        A = self.A.double()
        return float((((weights * A) @ A.T) * (self.B @ self.B.T).double()).sum())

    def mean(self) -> float:
        """Mean of the entries."""
        return float(self.A.sum(1).double() @ self.B.sum(1).double()) / max(self.shape[0] * self.shape[1], 1)


def row_norms(A: Tensor) -> Tensor:
    """Norms of the rows of A (m, n), in float64, without a copy of A in it, which takes ten times as long."""
    return torch.linalg.vector_norm(A, dim=1).double()


def nonzeros(data: Data) -> int:
    """How many entries of the rows at hand are not 0; all of a matrix that is a product."""
    if isinstance(data, SparseData):
        return int(data.stored.values().numel())
    return int(data.X.count_nonzero()) if isinstance(data, DenseData) else data.entries
