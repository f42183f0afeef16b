"""Nonnegative least squares on Gram products: coordinate descent in blocks, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK_COMPONENTS = 10  # components whose mutual updates go one by one; the rest of the Gram matrix is a GEMM
MAX_NUMPY_COLUMNS = 512  # of a tile, up to which NumPy updates a row faster than PyTorch
TILE_ENTRIES = 2**18  # entries of a factor that are worked on at a time, so that they stay in the cache

Array = NDArray[Any]


class Coordinates:
    """Gram matrices (k, k) of one rank, prepared for :meth:`CoordinateDescent.sweep` one after the other.

    Views of a matrix cost as much as small products.  So they are made once, and each matrix is copied under them.

    Attributes
    ----------
    G : Tensor of shape (k, k)
    scales : list of Tensor
        For each block 1 / g_jj of its rows, shape (b, 1); 1 where g_jj is 0 or subnormal.
    later : list of Tensor
        For each block its rows of G, times that, within the block only what has not been updated yet.
    flat : set of int
        Rows of F without curvature: their g_jj is 0 or subnormal.
    free : int
        How many rows of F may move.
    """

    def __init__(self, k: int, like: Tensor) -> None:
        self.G, self._scaled, self._later = like.new_empty(3, k, k)
        self._scale, self._mask = like.new_empty(k, 1), later_mask(k, like.dtype, like.device)
        self.scales, self.later = self._scale.split(BLOCK_COMPONENTS), self._later.split(BLOCK_COMPONENTS)

    @cached_property
    def arrays(self) -> list[list[Array]]:
        """For each row of a block its entries at the earlier ones of the block, times 1 / g_jj."""
        return rows_before(self._scaled.numpy())

    @cached_property
    def tensors(self) -> list[list[Tensor]]:
        """The same."""
        return rows_before(self._scaled)

    def fill(self, G: Tensor, l2: float = 0.0, last_stays: bool = False) -> Self:
        """Take the matrix G + l2 I; `last_stays`: whether the last row of F is not to move."""
        self.G.copy_(G)
        if l2:
            self.G.diagonal().add_(l2)
        tiny = torch.finfo(G.dtype).tiny  # below which the inverse is no number
        diagonal = self.G.diagonal()
        self.flat = {j for j, g in enumerate(diagonal.tolist()) if g < tiny}
        torch.reciprocal(diagonal, out=self._scale[:, 0])
        for j in self.flat:
            self._scale[j] = 1
        torch.mul(self.G, self._scale, out=self._scaled)
        torch.mul(self._scaled, self._mask, out=self._later)
        self.free = len(G) - last_stays
        return self


class CoordinateDescent:
    """Minimizes ``tr(Ft G F) / 2 - tr(Pt F)`` over F >= 0 by exact minimization over its rows in turn.

    ``f_j <- [f_j + (p_j - G_j F) / g_jj]+``: HALS (Cichocki and Phan, 2009) for the factor of
    components as rows.  A block of rows first takes the pull of all others in one matrix product,
    then its rows follow one another with a few operations each; the order of updates, and so the
    result, is that of the plain cycle.  No sweep increases the objective.  A row whose g_jj is 0
    stays as it is, or vanishes where p_j < 0, a penalty, pulls it down.

    NumPy and PyTorch work on the same memory: calls of NumPy take less time, operations of PyTorch on long rows do.

    Parameters
    ----------
    k : int
        Components.
    columns : int
        Columns of F.
    memory : Tensor of shape (3, at least k * columns)
        What is worked in; its content does not matter.

    Attributes
    ----------
    F, P : Tensor of shape (k, columns)
        The factor and the linear term, filled by the caller: the buffers are reused for every tile.
    """

    def __init__(self, k: int, columns: int, memory: Tensor) -> None:
        self.F, self.P, self.scratch = memory[:, : k * columns].view(3, k, columns)
        self.narrow = memory.device.type == "cpu" and columns <= MAX_NUMPY_COLUMNS
        R = self.scratch[:BLOCK_COMPONENTS]
        F, r = (self.F.numpy(), R.numpy()) if self.narrow else (self.F, R)
        # Views cost as much as small products: they are made once.
        self.blocks = []
        for start, P in zip(range(0, k, BLOCK_COMPONENTS), self.P.split(BLOCK_COMPONENTS), strict=True):
            rows = [(start + i, r[i], F[start : start + i], F[start + i]) for i in range(len(P))]
            self.blocks.append((P, R[: len(P)], rows))

    def sweep(self, coordinates: Coordinates, sweeps: int) -> None:
        """Update F in place, every row once a sweep."""
        update: Any = update_array if self.narrow else update_tensor
        before: Any = coordinates.arrays if self.narrow else coordinates.tensors
        blocks = list(zip(self.blocks, coordinates.scales, coordinates.later, before, strict=True))
        for _ in range(sweeps):
            for (P, R, rows), scale, later, before_each in blocks:
                torch.mul(P, scale, out=R).addmm_(later, self.F, alpha=-1)
                for (j, r, updated, f), g in zip(rows, before_each, strict=True):
                    if j >= coordinates.free:
                        continue
                    if j in coordinates.flat:
                        f[r < 0] = 0
                    else:
                        update(r, updated, g, f)

    def sweep_some(self, coordinates: Coordinates, columns: Tensor, sweeps: int) -> None:
        """Update these columns of F, given by their indices; all where copies of most would gain nothing."""
        if 2 * len(columns) > self.F.shape[1]:
            return self.sweep(coordinates, sweeps)
        part = CoordinateDescent(len(self.F), len(columns), self.F.new_empty(3, len(self.F) * len(columns)))
        part.F.copy_(self.F[:, columns])
        part.P.copy_(self.P[:, columns])
        part.sweep(coordinates, sweeps)
        self.F[:, columns] = part.F

    def gradient(self, coordinates: Coordinates) -> Tensor:
        """The projected gradient of ``G F - P``, shape (free, columns); overwritten by the next call."""
        free = coordinates.free
        P, G, F, out = self.P[:free], coordinates.G[:free], self.F, self.scratch[:free]
        return project_gradient_(torch.addmm(P, G, F, beta=-1, out=out), F[:free])

    def residual(self, coordinates: Coordinates) -> tuple[float, float]:
        """Squared norms of the projected gradient and of the part of it that F cannot change: P, less a bias."""
        free = coordinates.free
        fixed = self.P if free == len(self.P) else self.P[:free] - coordinates.G[:free, free:]
        return squared_norm(self.gradient(coordinates)), squared_norm(fixed)

    def unsolved(self, coordinates: Coordinates, *tols: float) -> list[Tensor]:
        """Columns whose projected gradient is above each of `tols`, times that of F = 0, as indices."""
        norms = torch.linalg.vector_norm(self.gradient(coordinates), dim=0)
        sizes = torch.linalg.vector_norm(self.P, dim=0)
        return [(norms > tol * sizes).nonzero()[:, 0] for tol in tols]

    def pivot(self, coordinates: Coordinates, columns: Tensor) -> None:
        """Solve these columns exactly where pivoting finds the set of their positive entries.

        Block principal pivoting (Kim and Park, 2011) from the set that the sweeps have found, in float64: for Gram
        matrices so ill-conditioned that coordinate descent creeps.
        """
        G = coordinates.G.double()
        G = G + 1e-14 * G.diagonal().max() * torch.eye(len(G), dtype=G.dtype, device=G.device)
        for some in columns.split(max(1, 2**21 // len(G) ** 2)):
            solution, solved = pivoting(G, self.P[:, some].double(), self.F[:, some] > 0)
            self.F[:, some[solved]] = solution[:, solved].to(self.F.dtype)


@lru_cache(maxsize=16)
def later_mask(k: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """1 for entries of a matrix (k, k) outside of the blocks on its diagonal, and above the diagonal; else 0."""
    block = torch.arange(k, device=device) // BLOCK_COMPONENTS
    within = block[:, None] == block
    return (~within | torch.ones_like(within).triu(1)).to(dtype)


def rows_before(G: Any) -> list[list[Any]]:
    """For each block of rows, of each its entries at the earlier ones of the block."""
    blocks = (range(start, min(start + BLOCK_COMPONENTS, len(G))) for start in range(0, len(G), BLOCK_COMPONENTS))
    return [[G[j, block.start : j] for j in block] for block in blocks]


def update_array(r: Array, updated: Array, g: Array, f: Array) -> None:
    """``f <- [r - gt updated]+``."""
    if len(g):
        r = np.subtract(r, np.dot(g, updated, out=f), out=f)
    np.maximum(r, 0.0, out=f)


def update_tensor(r: Tensor, updated: Tensor, g: Tensor, f: Tensor) -> None:
    """``f <- [r - gt updated]+``."""
    if len(g):
        torch.addmv(r, updated.T, g, alpha=-1, out=f)
    else:
        f.copy_(r)
    torch.relu_(f)


def pivoting(G: Tensor, P: Tensor, positive: Tensor, rounds: int = 40) -> tuple[Tensor, Tensor]:
    """Nonnegative least squares by exchanging sets: the solution (k, c), and a mask (c,) of where it is one.

    The Gram matrix G (k, k) is that of all columns, or G (c, k, k) has one for each.
    """
    X, solved = torch.zeros_like(P), torch.zeros(P.shape[1], dtype=torch.bool, device=P.device)
    positive, todo = positive.clone(), torch.arange(P.shape[1], device=P.device)
    for step in range(rounds):
        within, p = positive[:, todo].T, P[:, todo].T
        own = G if G.ndim == 2 else G[todo]
        A = own * within[:, :, None] * within[:, None, :]
        A.diagonal(dim1=1, dim2=2).add_((~within).to(G.dtype))
        x = torch.linalg.solve_ex(A, (p * within)[:, :, None]).result[:, :, 0]
        y = (x @ own if G.ndim == 2 else (x[:, None] @ own)[:, 0]) - p
        rounding = 1e-12 * p.abs().amax(1, keepdim=True)
        wrong = (within & ~(x >= 0)) | (~within & (y < -rounding))
        done = ~wrong.any(1)
        X[:, todo[done]], solved[todo[done]] = x[done].clamp(min=0).T, True
        if step > 10:  # the exchange of all may cycle; that of the last alone never does
            last = wrong.flip(1).to(torch.int8).argmax(1)
            wrong = torch.zeros_like(wrong).scatter_(1, (wrong.shape[1] - 1 - last)[:, None], wrong.any(1)[:, None])
        positive[:, todo] ^= wrong.T
        todo = todo[~done]
        if not len(todo):
            break
    return X, solved


def project_gradient_(gradient: Tensor, F: Tensor) -> Tensor:
    """Zero the entries whose descent leads out of F >= 0, in place: all that is left must vanish at a minimum."""
    return gradient.masked_fill_((F <= 0) & (gradient > 0), 0)


def squared_norm(A: Tensor) -> float:
    """Sum of squares, safe from overflow and underflow."""
    return float(torch.linalg.vector_norm(A)) ** 2


class Workspace:
    """Memory for tiles of factors (k, at most `columns`), and the Gram matrix that steps are prepared for.

    On a GPU there is one tile: what a cache holds does not matter there.
    """

    def __init__(self, k: int, columns: int, like: Tensor) -> None:
        width = max(512, min(4096, TILE_ENTRIES // k)) if like.device.type == "cpu" else columns
        self.k, self.memory = k, like.new_empty(3, k * min(width, columns))

    @cached_property
    def coordinates(self) -> Coordinates:
        """The Gram matrix."""
        return Coordinates(self.k, self.memory)


class Tiles:
    """Tiles of the columns of a factor (k, columns), each with its :class:`CoordinateDescent`.

    All are worked on in the same workspace, which the tiles of two factors may share.
    """

    def __init__(self, columns: int, workspace: Workspace) -> None:
        k, memory = workspace.k, workspace.memory
        width = memory.shape[1] // k
        self.workspace, self.slices = workspace, [slice(i, min(i + width, columns)) for i in range(0, columns, width)]
        sizes = {s.stop - s.start for s in self.slices}
        self.kernels = {size: CoordinateDescent(k, size, memory) for size in sizes}

    @property
    def coordinates(self) -> Coordinates:
        """The Gram matrix of the workspace."""
        return self.workspace.coordinates

    def __iter__(self) -> Iterator[tuple[slice, CoordinateDescent]]:
        for columns in self.slices:
            yield columns, self.kernels[columns.stop - columns.start]

    def minimize_(self, F: Tensor, G: Tensor, P: Tensor, sweeps: int, l1: float = 0.0) -> Tensor:
        """Improve all of F (k, columns) in place by `sweeps` sweeps on ``tr(Ft G F) / 2 - tr(Pt F) + l1 sum(F)``."""
        coordinates = self.coordinates.fill(G)
        for columns, kernel in self:
            kernel.F.copy_(F[:, columns])
            torch.sub(P[:, columns], l1, out=kernel.P)
            kernel.sweep(coordinates, sweeps)
            F[:, columns] = kernel.F
        return F
