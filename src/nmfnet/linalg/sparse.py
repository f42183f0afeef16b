"""Rows of a SciPy CSR matrix in place of a tensor: the products that a first layer needs, without making X dense."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, csr_matrix, vstack
from torch import Tensor

from nmfnet.linalg.arrays import as_tensor
from nmfnet.linalg.holders import Holders
from nmfnet.stateful import State

MOST_RESTORED = 2**20  # rows, of which files hold few


class SparseRows:
    """A CSR matrix of shape (m, n) that multiplies tensors.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array or csr_matrix of shape (m, n)
        Of float32 or float64; not modified.
    device : torch.device
        Of the results.  The products are taken on the CPU; rows picked for another device are made dense there.
    """

    def __init__(self, matrix: Any, device: torch.device | str = "cpu") -> None:
        self.matrix, self.device = matrix, torch.device(device)

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.matrix.shape

    @property
    def dtype(self) -> torch.dtype:
        """Of the values."""
        return torch.float32 if self.matrix.dtype == np.float32 else torch.float64

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def __getitem__(self, rows: Tensor | slice) -> SparseRows | Tensor:
        picked = SparseRows(self.matrix[rows.cpu().numpy() if isinstance(rows, Tensor) else rows], self.device)
        return picked if self.device.type == "cpu" else picked.dense()

    def split(self, rows: int) -> Iterator[SparseRows | Tensor]:
        """Parts of so many rows."""
        return (self[start : start + rows] for start in range(0, max(1, len(self)), rows))

    def to(self, device: torch.device | str) -> SparseRows:
        """The same, for results on a device."""
        return SparseRows(self.matrix, device)

    def dense(self) -> Tensor:
        """All of it, shape (m, n)."""
        return torch.from_numpy(self.matrix.toarray()).to(self.device)

    def arrays(self) -> list[Tensor]:
        """The three arrays of the CSR matrix: values, their columns, and where each row begins."""
        return [as_tensor(part) for part in (self.matrix.data, self.matrix.indices, self.matrix.indptr)]

    @property
    def density(self) -> float:
        """Share of the entries that are stored."""
        return self.matrix.nnz / max(1, self.shape[0] * self.shape[1])

    @property
    def values(self) -> Tensor:
        """What is stored, shape (number of stored values,)."""
        return as_tensor(self.matrix.data)

    @property
    def counts(self) -> Tensor:
        """Values that each row stores, shape (m,)."""
        return torch.from_numpy(np.diff(self.matrix.indptr)).long()

    @property
    def columns(self) -> Tensor:
        """Of what is stored."""
        return as_tensor(self.matrix.indices).long()

    def state(self) -> State:
        """The matrix as tensors of floating-point numbers, whole ones where they count."""
        if not self.matrix.nnz:
            return {"rows": len(self), "stored": None, "dtype": str(self.matrix.dtype)}
        columns, counts = self.columns.double(), torch.from_numpy(np.diff(self.matrix.indptr)).double()
        return {"rows": len(self), "stored": [self.values, columns, counts], "dtype": str(self.matrix.dtype)}

    @classmethod
    def restored(cls, state: State, n: int) -> SparseRows:
        """The matrix (m, n) of a :meth:`state`, perhaps of a stranger's file.

        Raises
        ------
        ValueError
            If it is none.
        """
        rows, dtype = state["rows"], state["dtype"]
        if type(rows) is not int or not 0 < rows <= MOST_RESTORED or dtype not in ("float32", "float64"):
            raise ValueError("there are no such sparse rows.")
        if state["stored"] is None:
            return cls(csr_matrix((rows, n), dtype=dtype))
        values, columns, counts = (part.numpy() for part in state["stored"])
        bounds = np.concatenate([[0], np.cumsum(counts)])
        parts = (values, columns.astype(np.int32), bounds.astype(np.int32))
        whole = all((part == part.round()).all() and part.min() >= 0 for part in (columns, counts))
        if not whole or values.dtype != dtype or len(counts) != rows:
            raise ValueError("there are no such sparse rows.")
        matrix = csr_matrix(parts, shape=(rows, n))
        matrix.check_format(full_check=True)
        return cls(matrix)

    def tensor(self) -> Tensor:
        """The same as a sparse tensor on the device; on the CPU it shares the memory."""
        values, columns, crow = (part.to(self.device) for part in self.arrays())
        return csr(crow, columns, values, self.shape[1])

    def transposed(self) -> SparseRows:
        """The columns as rows, shape (n, m)."""
        return SparseRows(csr_array(self.matrix.T.tocsr()), self.device)

    def any_row(self, stored: Tensor) -> Tensor:
        """Rows (m,) in which any of the stored values is marked."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.matrix.indptr))
        return torch.from_numpy(np.bincount(rows, stored.numpy(), len(self)) > 0).to(self.device)

    def with_values(self, values: Tensor) -> SparseRows:
        """Return a matrix with other values in the same places."""
        parts = (values.cpu().numpy(), self.matrix.indices, self.matrix.indptr)
        return SparseRows(type(self.matrix)(parts, shape=self.matrix.shape), self.device)

    def lengths(self) -> Tensor:
        """Euclidean lengths of the rows (m,), in float64."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.matrix.indptr))
        return torch.from_numpy(np.sqrt(np.bincount(rows, self.matrix.data.astype(np.float64) ** 2, len(self))))

    def scaled_rows(self, factor: Tensor) -> SparseRows:
        """Rows times factors (m,)."""
        return self.with_values(self.values * factor.to(self.dtype).repeat_interleave(self.counts))

    def scaled(self, factor: Tensor) -> SparseRows:
        """Columns times factors (n,)."""
        return self.with_values(self.values * factor.cpu()[self.columns])

    def __matmul__(self, W: Tensor) -> Tensor:
        """Product with (n, k)."""
        return torch.from_numpy(self.matrix @ W.cpu().numpy()).to(self.device)

    def transposed_product(self, E: Tensor) -> Tensor:
        """Xt E, shape (n, k), for E (m, k) or (m,)."""
        return torch.from_numpy(self.matrix.T @ E.cpu().numpy()).to(self.device)

    def outer(self) -> Tensor:
        """X Xt, shape (m, m)."""
        return torch.from_numpy((self.matrix @ self.matrix.T).toarray()).to(self.device)

    def mean(self, weight: Tensor | None = None) -> Tensor:
        """Mean row, shape (n,)."""
        weight = torch.ones(len(self), dtype=self.dtype) if weight is None else weight
        return self.transposed_product(weight / weight.sum())

    def squares(self, weight: Tensor | None = None) -> Tensor:
        """Sum over samples of the squared lengths of the rows, by weights (m,) if there are any; a scalar."""
        values = self.values.square()
        if weight is not None:
            counts = torch.from_numpy(np.diff(self.matrix.indptr))
            values = values * weight.cpu().to(self.dtype).repeat_interleave(counts)
        return values.sum().to(self.device)

    def sizes(self, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Root mean square and largest absolute value of each column (n,), in float64."""
        columns, n = self.matrix.indices, self.shape[1]
        largest = np.asarray(abs(self.matrix).max(axis=0).todense(), dtype=np.float64).ravel()
        unit = np.where(largest > 0, largest, 1.0)  # keeps squares in range
        squares = (self.matrix.data / unit[columns]) ** 2
        if weight is not None:
            squares *= np.repeat(weight.cpu().numpy(), np.diff(self.matrix.indptr))
        root = unit * np.sqrt(np.bincount(columns, squares, n) / len(self))
        return torch.from_numpy(root).to(self.device), torch.from_numpy(largest).to(self.device)


class CentredRows:
    """``sqrt(v) (X - 1 c)`` of sparse rows X (m, n), never formed.

    Parameters
    ----------
    X : SparseRows of shape (m, n)
    centre : Tensor of shape (n,) or None
        c; None is 0.
    weight : Tensor of shape (m,) or None
        v; None is 1.
    """

    def __init__(self, X: SparseRows, centre: Tensor | None, weight: Tensor | None) -> None:
        self.X, self.centre = X, centre
        self.root = torch.ones(len(X), dtype=X.dtype, device=X.device) if weight is None else weight.sqrt()
        self.shape = X.shape

    def __matmul__(self, W: Tensor) -> Tensor:
        """Product with (n, k)."""
        product = self.X @ W
        return self.root[:, None] * (product if self.centre is None else product - self.centre @ W)

    def transposed_product(self, S: Tensor) -> Tensor:
        """Product of the transpose with (m, k)."""
        S = self.root[:, None] * S
        product = self.X.transposed_product(S)
        return product if self.centre is None else product.addr_(self.centre, S.sum(0), alpha=-1)

    def outer(self) -> Tensor:
        """Inner products of the rows, shape (m, m)."""
        K = self.X.outer()
        if self.centre is not None:
            cross = (self.X @ self.centre[:, None])[:, 0]
            K += self.centre.square().sum() - cross - cross[:, None]
        return K.mul_(self.root).mul_(self.root[:, None])


def outer(Z: Tensor | CentredRows) -> Tensor:
    """Z Zt, shape (m, m)."""
    return Z @ Z.T if isinstance(Z, Tensor) else Z.outer()


def transposed_product(Z: Tensor | CentredRows, S: Tensor, out: Tensor) -> Tensor:
    """Zt S, written into `out` of shape (n, k)."""
    return torch.mm(Z.T, S, out=out) if isinstance(Z, Tensor) else out.copy_(Z.transposed_product(S))


def picked(part: Any, rows: Tensor) -> Any:
    """Some rows of a tensor or of sparse rows; of a tensor several times as fast as by brackets."""
    return part.index_select(0, rows) if isinstance(part, Tensor) else part[rows]


def stacked(X: Any, Y: Any) -> Any:
    """Rows of both, sparse where both are."""
    if isinstance(X, SparseRows) and isinstance(Y, SparseRows):
        return SparseRows(vstack([X.matrix, Y.matrix], format="csr"), Y.device)
    return torch.cat([part.dense() if isinstance(part, SparseRows) else part for part in (X, Y)])


def gathered_rows(part: Any, holders: Holders, counts: list[int] | None = None) -> Any:
    """Rows of all who hold some, dense or sparse, those of the first holder first; `counts` of each, if known."""
    if isinstance(part, Tensor):
        return holders.gathered(part, counts)
    stored = holders.gathered(part.counts, counts)
    values, columns = holders.gathered(part.values), holders.gathered(part.columns)
    starts = np.concatenate([[0], stored.cumsum(0).numpy()])
    shape = (len(stored), part.shape[1])
    return SparseRows(csr_matrix((values.numpy(), columns.numpy(), starts), shape), part.device)


def some_rows(X: Tensor, rows: slice) -> Tensor:
    """X[rows] of a sparse tensor, whose values are not copied."""
    crow = X.crow_indices()
    first, last = int(crow[rows.start]), int(crow[rows.stop])
    parts = crow[rows.start : rows.stop + 1] - first, X.col_indices()[first:last], X.values()[first:last]
    return csr(*parts, X.shape[1])


def csr(crow: Tensor, col: Tensor, values: Tensor, n: int) -> Tensor:
    """A sparse tensor of the given parts, which are known to be sound."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(crow, col, values, (len(crow) - 1, n), check_invariants=False)
