"""Data in files as the passes of the factorizations see it: each block is read once a pass."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from nmfnet.data.on_disk import RowsOnDisk
from nmfnet.data.sparse_on_disk import SparseOnDisk
from nmfnet.factorization.data import DenseData, Rows
from nmfnet.linalg.holders import Holders, local


class StoredDense(DenseData):
    """Dense rows in files: a block is read, used several times and left, while the next one is read."""

    def __init__(self, X: RowsOnDisk, device: torch.device | None = None, holders: Holders = local) -> None:
        self.stored = X.to(device or X.device)
        self.shape, self.rows = X.shape, Rows(len(X), holders)
        self.entries = self.rows.total * X.shape[1]
        self.like = torch.empty(0, dtype=X.dtype, device=self.stored.device)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nmfnet-read-ahead")
        self._held: tuple[tuple[int, int], Future[Tensor]] | None = None
        self._next: tuple[tuple[int, int], Future[Tensor]] | None = None
        self._width = 0  # of the first block

    def block(self, rows: slice | Tensor) -> Tensor:
        """X[rows], shape (c, n), not to be written to."""
        if isinstance(rows, Tensor):
            return self.stored[rows]
        wanted = rows.start or 0, min(rows.stop, self.shape[0])
        if self._held is None or self._held[0] != wanted:
            begun = self._next if self._next is not None and self._next[0] == wanted else None
            self._held = begun or self._read(*wanted)
            self._width = wanted[1] if wanted[0] == 0 else self._width
            start = wanted[1] if wanted[1] < self.shape[0] else 0
            self._next = self._read(start, min(start + self._width, self.shape[0]))
        return self._held[1].result()

    def _read(self, start: int, stop: int) -> tuple[tuple[int, int], Future[Tensor]]:
        return (start, stop), self._pool.submit(self.stored.__getitem__, slice(start, stop))


class StoredSparse:
    """Sparse rows in files, which are never made dense.  Products with them are SciPy's, on the CPU."""

    def __init__(self, X: SparseOnDisk, holders: Holders = local) -> None:
        self.stored, self.shape, self.rows = X, X.shape, Rows(len(X), holders)
        self.like = torch.empty(0, dtype=torch.float32 if X.dtype.itemsize == 4 else torch.float64)
        self._held: tuple[slice, list[tuple[slice, Any]]] = slice(0, 0), []
        self.entries = int(self._total(lambda _, part: float(part.nnz)))

    def laid_out(self, F: Tensor) -> Tensor:
        """By samples, or features."""
        return F.T.contiguous().T

    def project(self, rows: slice, H: Tensor, out: Tensor) -> None:
        """``out <- H X[rows]t``."""
        for place, X in self._parts(rows):
            out[:, place] = torch.from_numpy(X @ H.T.numpy()).T

    def add_products(self, rows: slice, F: Tensor, Q: Tensor) -> None:
        """``Q <- Q + F X[rows]``."""
        for place, X in self._parts(rows):
            Q.T.add_(torch.from_numpy(X.T @ F[:, place].T.contiguous().numpy()))

    def finish_products(self, F: Tensor, Q: Tensor) -> None:
        """Nothing is left to do."""

    def times(self, V: Tensor) -> Tensor:
        """``X V``."""
        return torch.cat([torch.from_numpy(X @ V.contiguous().numpy()) for _, X in self.stored.parts(self._all)])

    def transposed_times(self, U: Tensor) -> Tensor:
        """``Xt U``."""
        parts = self.stored.parts(self._all)
        return self.rows.reduced(sum(torch.from_numpy(X.T @ U[place].contiguous().numpy()) for place, X in parts))  # type: ignore[arg-type]

    def column_squares(self) -> Tensor:
        """Sum of the squares of each column."""
        squares = sum(torch.from_numpy((X * X).sum(0)) for _, X in self.stored.parts(self._all))
        return self.rows.reduced(squares)  # type: ignore[arg-type]

    def squares(self, row_weights: Tensor | None) -> float:
        """Sum of squares, rows weighted."""
        w = None if row_weights is None else row_weights.double().numpy()
        return self._total(
            lambda place, X: (
                float((X * X).sum(1).astype(float) @ w[place])
                if w is not None
                else float(X.data.astype(float) @ X.data)
            )
        )

    def mean(self) -> float:
        """Mean of the entries."""
        return self._total(lambda _, X: float(X.data.sum(dtype=float))) / max(self.rows.total * self.shape[1], 1)

    def _parts(self, rows: slice) -> list[tuple[slice, Any]]:
        """Those of a block, which is used several times."""
        if self._held[0] != rows:
            self._held = rows, list(self.stored.parts(rows))
        return self._held[1]

    @property
    def _all(self) -> slice:
        return slice(0, self.shape[0])

    def _total(self, of_part: Callable[[slice, Any], float]) -> float:
        """Sum over the files, and over all who hold some."""
        return self.rows.summed(sum(of_part(place, X) for place, X in self.stored.parts(self._all)))[0]
