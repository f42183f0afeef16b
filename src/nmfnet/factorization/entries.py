"""Entries that the Kullback-Leibler divergence looks at: all of dense rows, the stored ones of sparse rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Protocol

import scipy.sparse
import torch
from torch import Tensor

from nmfnet.factorization.data import Data, DenseData, SparseData
from nmfnet.linalg.sparse import csr, some_rows

TILE_BYTES = 2**20  # bytes of entries that are worked on at a time, so that they stay in the cache
MIN_TILE_COLUMNS = 16  # columns of dense data in a tile: fewer would use little of what is read

Memory = Tensor | tuple[Tensor, Tensor]


class Entries(Protocol):
    """Rows of X, or of its transpose, shape (c, n); other numbers at the same entries are tensors like `values`."""

    values: Tensor
    scratch: Tensor

    def product(self, F: Tensor, G: Tensor) -> Tensor:
        """Ft G at the entries, for F (k, c) and G (k, n); overwritten by the next call."""

    def project(self, V: Tensor, G: Tensor) -> Tensor:
        """``G Vt``, shape (k, c), for V at the entries."""

    def collect(self, F: Tensor, V: Tensor) -> Tensor:
        """``F V``, shape (k, n), for F (k, c) and V at the entries."""

    def sums(self, V: Tensor) -> Tensor:
        """Sum of each row, shape (c,)."""

    def some(self, mask: Tensor, instead: bool = False) -> Entries:
        """Those of some of the rows, by a mask of shape (c,).

        They are worked on in the same memory, but for `scratch`, whose numbers stay; `instead`: that, too.
        """

    def put(self, part: Tensor, mask: Tensor, V: Tensor) -> None:
        """Write numbers at the entries of some of the rows into those V at all entries."""


class DenseEntries:
    """Rows of a dense matrix.

    Parameters
    ----------
    values : Tensor of shape (c, n)
        In any order in memory.
    memory : Tensor of shape (2, at least c * n), or two tensors
        What is worked in.  New memory for each result would cost more than the result.
    """

    def __init__(self, values: Tensor, memory: Memory) -> None:
        self.values, self.by_rows, self.memory = values, values.is_contiguous(), memory
        self.A, self.scratch = (like(values, part) for part in memory)

    def product(self, F: Tensor, G: Tensor) -> Tensor:
        """Ft G, in memory as the values are: else every operation on both would be several times as slow."""
        if self.by_rows:
            return torch.mm(F.T, G, out=self.A)
        return torch.mm(G.T, F, out=self.A.T).T

    def project(self, V: Tensor, G: Tensor) -> Tensor:
        """``G Vt``."""
        return G @ V.T

    def collect(self, F: Tensor, V: Tensor) -> Tensor:
        """``F V``."""
        return F @ V

    def sums(self, V: Tensor) -> Tensor:
        """Sum of each row."""
        return V.sum(1)

    def some(self, mask: Tensor, instead: bool = False) -> DenseEntries:
        """Those of some of the rows."""
        values = self.values[mask]
        return DenseEntries(values, self.memory if instead else (self.memory[0], values.new_empty(values.numel())))

    def put(self, part: Tensor, mask: Tensor, V: Tensor) -> None:
        """Write numbers of some of the rows into those of all."""
        V[mask] = part


class SparseEntries:
    """The stored entries of sparse rows.

    Parameters
    ----------
    X : Tensor of shape (c, n)
        By rows.
    memory : Tensor of shape (2, at least the number of entries), or two tensors
        What is worked in; finite.
    """

    def __init__(self, X: Tensor, memory: Memory) -> None:
        self.X, self.values, self.memory = X, X.values(), memory
        of_product, self.scratch = (part[: len(self.values)] for part in memory)
        self.A = self._matrix(of_product)
        self.crow = X.crow_indices().long()
        self.counts = self.crow.diff()

    def _matrix(self, V: Tensor) -> Tensor:
        return csr(self.X.crow_indices(), self.X.col_indices(), V, self.X.shape[1])

    def product(self, F: Tensor, G: Tensor) -> Tensor:
        """Ft G where X is stored; what was there before counts zero times, and so must be finite."""
        return torch.sparse.sampled_addmm(self.A, F.T, G, beta=0.0, out=self.A).values()

    def project(self, V: Tensor, G: Tensor) -> Tensor:
        """``G Vt``."""
        return (self._matrix(V) @ G.T).T

    def collect(self, F: Tensor, V: Tensor) -> Tensor:
        """``F V``; PyTorch would sort the entries by columns first, with several copies of them."""
        if V.device.type != "cpu":
            return F @ self._matrix(V)
        parts = V.numpy(), self.X.col_indices().numpy(), self.X.crow_indices().numpy()
        transpose = scipy.sparse.csc_array(parts, shape=self.X.shape[::-1])
        return torch.from_numpy(transpose @ F.T.numpy()).T

    def sums(self, V: Tensor) -> Tensor:
        """Sum of each row."""
        return torch.segment_reduce(V, "sum", offsets=self.crow, initial=0)

    def some(self, mask: Tensor, instead: bool = False) -> SparseEntries:
        """Those of some of the rows."""
        kept = self._within(mask)
        crow = torch.cat([self.crow[:1], self.counts[mask].cumsum(0)]).to(self.X.col_indices().dtype)
        values = self.values.masked_select(kept)
        part = csr(crow, self.X.col_indices().masked_select(kept), values, self.X.shape[1])
        return SparseEntries(part, self.memory if instead else (self.memory[0], values.new_zeros(len(values))))

    def put(self, part: Tensor, mask: Tensor, V: Tensor) -> None:
        """Write numbers at the entries of some of the rows into those at all."""
        V.masked_scatter_(self._within(mask), part)

    def _within(self, mask: Tensor) -> Tensor:
        """Whether each entry is in one of the rows of a mask; no index, which would be as large as the values."""
        if mask.device.type != "cpu":
            return mask.repeat_interleave(self.counts, output_size=len(self.values))
        return torch.from_numpy(mask.numpy().repeat(self.counts.numpy()))


class Side:
    """The rows of X, or its columns, by tiles, which are all worked on in the same memory.

    Parameters
    ----------
    data : Data
        X (m, n).
    transposed : bool
        Whether the columns are meant.
    row_weights : Tensor of shape (m,), optional
        Factors of the rows of X, where its columns are meant.
    other : Side, optional
        The other side, whose memory is used where it is large enough: only one of them is worked on at a time.
    """

    def __init__(
        self, data: Data, transposed: bool = False, row_weights: Tensor | None = None, other: Side | None = None
    ) -> None:
        self.data, self.transposed, self.row_weights = data, transposed, row_weights
        self.lines = data.shape[1] if transposed else data.shape[0]
        size = (TILE_BYTES if data.like.device.type == "cpu" else TILE_BYTES << 8) // data.like.element_size()
        if isinstance(data, SparseData):
            X = self._sparse_lines(data)
            self.slices = sparse_slices(X.crow_indices(), size)
            parts = [some_rows(X, lines) for lines in self.slices]
            self.memory = memory_of(other, (2, max(len(part.values()) for part in parts)), data.like)
            self.sparse = [SparseEntries(part, self.memory) for part in parts]
        else:
            m, n = data.shape
            width = min(self.lines, max(MIN_TILE_COLUMNS, size // m) if transposed else max(1, size // n))
            self.slices = [slice(i, min(i + width, self.lines)) for i in range(0, self.lines, width)]
            numbers = max(width * (m if transposed else n), min(size, m * n))  # also enough for most of the other side
            self.memory = memory_of(other, (3, numbers), data.like)
        self.totals = torch.cat([tile.sums(tile.values) for _, tile in self])

    def __iter__(self) -> Iterator[tuple[slice, Entries]]:
        if isinstance(self.data, SparseData):
            yield from zip(self.slices, self.sparse, strict=True)
            return
        assert isinstance(self.data, DenseData)
        for lines in self.slices:
            yield lines, DenseEntries(self._dense_lines(self.data, lines), self.memory[1:])

    def _sparse_lines(self, data: SparseData) -> Tensor:
        X, w = data.columns if self.transposed else data.stored, self.row_weights
        if w is None or not self.transposed:  # samples do not depend on their weights
            return X
        return csr(X.crow_indices(), X.col_indices(), X.values() * w[X.col_indices().long()], X.shape[1])

    def _dense_lines(self, data: DenseData, lines: slice) -> Tensor:
        if not self.transposed:
            return data.block(lines)
        X, w = data.block(slice(None))[:, lines], self.row_weights
        copy = self.memory[0, : X.numel()].view(X.shape)
        return (copy.copy_(X) if w is None else torch.mul(X, w[:, None], out=copy)).T


def memory_of(other: Side | None, shape: tuple[int, int], like: Tensor) -> Tensor:
    """Memory of this shape, that of the other side where it is large enough; finite, as sparse products ask for."""
    if other is not None and other.memory.shape[1] >= shape[1]:
        return other.memory
    return like.new_zeros(shape)


def like(values: Tensor, memory: Tensor) -> Tensor:
    """A part of the memory in the shape of the values (c, n), and in their order."""
    part = memory[: values.numel()]
    return part.view(values.shape) if values.is_contiguous() else part.view(values.T.shape).T


def sparse_slices(crow: Tensor, size: int) -> list[slice]:
    """Slices of the rows of a sparse matrix that have about so many entries each, and no more rows than that."""
    lines = len(crow) - 1
    entries = crow.long().cpu() + torch.arange(lines + 1)  # a row without entries takes room, too
    cuts = torch.searchsorted(entries, torch.arange(0, int(entries[-1]), size)).clamp_(max=lines).unique().tolist()
    return [slice(a, b) for a, b in itertools.pairwise([*cuts, lines]) if b > a]
