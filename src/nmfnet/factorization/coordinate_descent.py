"""Nonnegative least squares on Gram products: coordinate descent in blocks, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Self

import torch
from torch import Tensor

BLOCK_COMPONENTS = 10  # components whose mutual updates go one by one; the rest of the Gram matrix is a GEMM
TILE_ENTRIES = 2**18  # entries of a factor that are worked on at a time, so that they stay in the cache


class Coordinates:
    """Gram matrices (k, k) of one rank, prepared for :meth:`CoordinateDescent.sweep` one after the other.

    Views of a matrix cost as much as small products.  So they are made once, and each matrix is copied under them.

    Attributes
    ----------
    G : Tensor of shape (k, k)
    scale : Tensor of shape (k, 1)
        1 / g_jj; 0 for rows of F that do not move.
    later : list of Tensor
        For each block its rows of G, times minus that, within the block only what has not been updated yet; 1 at
        itself for a row that does not move.
    earlier : list of list of Tensor
        For each row of a block but the first the rest: its entries at the earlier rows of the block, times -1 / g_jj.
    free : int
        How many rows of F may move.
    flat : set of int
        Rows of F without curvature: their g_jj is 0 or subnormal.  Neither these nor rows that may not move do.
    """

    def __init__(self, k: int, like: Tensor) -> None:
        self.G, self._scaled, self._later = like.new_empty(3, k, k)
        self.scale, self._mask = like.new_empty(k, 1), later_mask(k, like.dtype, like.device)
        self.later = self._later.split(BLOCK_COMPONENTS)
        starts = range(0, k, BLOCK_COMPONENTS)
        blocks = (self._scaled[start : start + BLOCK_COMPONENTS, start:] for start in starts)
        self.earlier = [[block[i, :i] for i in range(1, len(block))] for block in blocks]
        self._inverse, self._negative = self.scale[:, 0], like.new_empty(k, 1)
        self._diagonal = self.G.diagonal()
        self._tiny = torch.finfo(like.dtype).tiny  # below which the inverse is no number

    def fill(self, G: Tensor, l2: float = 0.0, last_stays: bool = False) -> Self:
        """Take the matrix G + l2 I; `last_stays`: whether the last row of F is not to move."""
        self.G.copy_(G)
        if l2:
            self._diagonal.add_(l2)
        self.flat = {j for j, g in enumerate(self._diagonal.tolist()) if g < self._tiny}
        torch.reciprocal(self._diagonal, out=self._inverse)
        self.free = len(G) - last_stays
        held = self.flat | set(range(self.free, len(G)))
        for j in held:
            self.scale[j] = 0
        torch.mul(self.G, torch.neg(self.scale, out=self._negative), out=self._scaled)
        torch.mul(self._scaled, self._mask, out=self._later)
        for j in held:
            self._later[j, j] = 1
        return self


class CoordinateDescent:
    """Minimizes ``tr(Ft G F) / 2 - tr(Pt F)`` over F >= 0 by exact minimization over its rows in turn.

    ``f_j <- [f_j + (p_j - G_j F) / g_jj]+``: HALS (Cichocki and Phan, 2009) for the factor of
    components as rows.  A block of rows first takes the pull of all others in one matrix product,
    then its rows follow one another with two operations each; the order of updates, and so the
    result, is that of the plain cycle.  No sweep increases the objective.  A row whose g_jj is 0
    stays as it is, or vanishes where p_j < 0, a penalty, pulls it down.

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
        self.R = memory.new_empty(min(k, BLOCK_COMPONENTS), columns)
        # Views cost as much as small products: they are made once, and so are bound methods.
        self.rows = [(self.R[i - 1].relu_, self.R[i].addmv_, self.R[:i].T) for i in range(1, len(self.R))]
        of_block = (A.split(BLOCK_COMPONENTS) for A in (self.scratch, self.F))
        self.blocks = [(P, F, self.R[: len(P)]) for P, F in zip(*of_block, strict=True)]

    def sweep(self, coordinates: Coordinates, sweeps: int) -> None:
        """Update F in place, every row once a sweep."""
        torch.mul(self.P, coordinates.scale, out=self.scratch)
        for j in coordinates.flat:
            self.F[j].masked_fill_(self.P[j] < 0, 0)
        blocks = list(zip(self.blocks, coordinates.later, coordinates.earlier, strict=True))
        for _ in range(sweeps):
            for (P, F, R), later, earlier in blocks:
                torch.addmm(P, later, self.F, out=R)
                for (complete_row_before, subtract_from_row, updated), g in zip(self.rows, earlier, strict=False):
                    complete_row_before()
                    subtract_from_row(updated, g)
                torch.clamp_min(R, 0, out=F)  # which completes the last row, too

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
    """Zero the entries whose descent leads out of F >= 0, in place: all that is left must vanish at a minimum.

    They are those of F = 0 with a positive gradient.  Anything above 0 times the largest number is above all
    gradients.  Masks would take ten times as long.
    """
    return torch.minimum(gradient, F * torch.finfo(F.dtype).max, out=gradient)


def squared_norm(A: Tensor) -> float:
    """Sum of squares, safe from overflow and underflow."""
    return float(torch.linalg.vector_norm(A)) ** 2


def tile_width(k: int, columns: int, like: Tensor) -> int:
    """Columns of a factor (k, columns) in a tile; on a GPU all, as what a cache holds does not matter there."""
    return min(columns, max(512, min(4096, TILE_ENTRIES // k))) if like.device.type == "cpu" else columns


class Workspace:
    """Memory for tiles of factors (k, at most `columns`), and the Gram matrix that steps are prepared for."""

    def __init__(self, k: int, columns: int, like: Tensor) -> None:
        self.k, self.memory = k, like.new_empty(3, k * tile_width(k, columns, like))

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
