"""Truncated decompositions and pseudo-inverses: the linear algebra under every factorization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.errors import DivergenceError

BLOCK = 1024  # rows that are converted to float64 at a time


class TruncatedSVD(NamedTuple):
    """Z ~ U diag(s) Vt with the r singular values above the threshold.

    Attributes
    ----------
    U : Tensor of shape (m, r)
        Orthonormal columns.
    s : Tensor of shape (r,)
        Singular values, positive.
    V : Tensor of shape (n, r)
        Orthonormal columns.
    """

    U: Tensor
    s: Tensor
    V: Tensor


def affine(Z: Tensor, W: Tensor, intercept: bool = True) -> Tensor:
    """[Z, 1] W, shape (m, k), without forming [Z, 1]; Z W where there is no bias row."""
    return torch.addmm(W[-1], Z, W[:-1]) if intercept else Z @ W


def with_ones(Z: Tensor, intercept: bool = True) -> Tensor:
    """Append the column of ones that the bias row multiplies: [Z, 1], shape (m, n + 1)."""
    return torch.cat([Z, Z.new_ones(len(Z), 1)], 1) if intercept else Z


def truncated_svd(Z: Tensor, delta: float = 0.0) -> TruncatedSVD:
    """Singular value decomposition without the singular values at most `delta` times the largest.

    float64 input goes through LAPACK's SVD.  float32 input goes through the eigenvalues of the
    smaller Gram matrix formed in float64, which is several times faster: squaring the singular
    values in float64 leaves of them what float32 holds.

    Parameters
    ----------
    Z : Tensor of shape (m, n)
    delta : float, default=0
        Relative threshold; never below what rounding leaves meaningful in the dtype of `Z`.

    Returns
    -------
    TruncatedSVD
        Of rank 0 if `Z` is zero or empty.
    """
    if len(Z) < Z.shape[1]:
        U, s, V = truncated_svd(Z.T, delta)
        return TruncatedSVD(V, s, U)
    if Z.dtype == torch.float64:
        check_finite(Z)
        U, s, Vh = torch.linalg.svd(Z, full_matrices=False)
        kept = _significant(s, delta, max(Z.shape) * torch.finfo(Z.dtype).eps)
        return TruncatedSVD(U[:, kept], s[kept], Vh[kept].T)
    s, V = singular_basis(Z, delta)
    inverse = V / s
    U = Z.new_empty(len(Z), len(s))
    for block, wide in zip(U.split(BLOCK), float64_blocks(Z), strict=True):
        block.copy_(wide @ inverse)
    return TruncatedSVD(U, s.to(Z.dtype), V.to(Z.dtype))


def singular_basis(Z: Tensor, delta: float = 0.0) -> tuple[Tensor, Tensor]:
    """Singular values (r,) and right singular vectors (n, r) of `Z` (m, n), truncated at `delta`.

    In float64, whatever the dtype of `Z`.  For a tall float32 matrix it needs no memory of the size
    of `Z`: the first layer takes it of the whole data set.
    """
    if Z.dtype == torch.float64:
        check_finite(Z)
        _, s, Vh = torch.linalg.svd(torch.linalg.qr(Z, mode="r").R, full_matrices=False)
        kept = _significant(s, delta, max(Z.shape) * torch.finfo(Z.dtype).eps)
        return s[kept], Vh[kept].T
    if len(Z) < Z.shape[1]:
        _, s, V = truncated_svd(Z, delta)
        return s.double(), V.double()
    eigenvalues, V = torch.linalg.eigh(check_finite(gram(Z)))
    s = eigenvalues.clamp(min=0).sqrt()
    # Eigenvalues carry an error of n eps times the largest, singular values its square root.
    kept = _significant(s, delta, (len(s) * torch.finfo(s.dtype).eps) ** 0.5)
    return s[kept], V[:, kept]


def _significant(s: Tensor, delta: float, rounding: float) -> Tensor:
    """Mask of the singular values (n,) above the larger of the two relative thresholds."""
    return s > max(delta, rounding) * s.max() if len(s) else s > 0


def check_finite(Z: Tensor) -> Tensor:
    """Return `Z`, or raise DivergenceError if it is not finite, on which LAPACK's answers differ."""
    if not Z.isfinite().all():
        raise DivergenceError("A matrix to decompose is not finite: numbers overflowed. Scale the data.")
    return Z


def gram(Z: Tensor) -> Tensor:
    """Gram matrix Zt Z, shape (n, n), accumulated in float64."""
    G = torch.zeros(Z.shape[1], Z.shape[1], dtype=torch.float64, device=Z.device)
    for wide in float64_blocks(Z):
        G.addmm_(wide.T, wide)
    return G


def float64_blocks(Z: Tensor) -> Iterator[Tensor]:
    """Blocks of rows of `Z` in float64, all in one buffer to write into: fresh memory costs as much as a product."""
    buffer = torch.empty(min(len(Z), BLOCK), Z.shape[1], dtype=torch.float64, device=Z.device)
    for block in Z.split(BLOCK):
        yield buffer[: len(block)].copy_(block)


def pseudo_inverse(Z: Tensor, delta: float = 0.0, alpha: float = 0.0) -> Tensor:
    """Moore-Penrose inverse of `Z` (m, n), shape (n, m), truncated and damped.

    Parameters
    ----------
    Z : Tensor of shape (m, n)
    delta : float, default=0
        Singular values at most `delta` times the largest are taken as zero.
    alpha : float, default=0
        Tikhonov term: 1/s becomes s / (s^2 + alpha).
    """
    U, s, V = truncated_svd(Z, delta)
    return (V / (s + alpha / s)) @ U.T


class DampedInverse:
    """Damped least-squares steps ``(G + d I)^-1 Zt E / m`` on batches, with a running Gram matrix G.

    G is centred where there is a bias row: the bias is fitted exactly and not damped, as in ridge regression.  It
    averages over the batches at which it is factorized again: every few of them, and whenever inputs have grown
    much.  Inputs wider than `wide` and than a batch take the dual form ``Zt (Z Zt / m + d I)^-1 E / m`` where
    that is cheaper; it needs no matrix of the size of G, and knows the batch at hand alone.

    Parameters
    ----------
    damping : float
        d, relative to the mean diagonal of G.
    intercept : bool
        Whether steps have a bias row.

    Attributes
    ----------
    retries : int
        Factorizations that failed and were repeated with ten times the damping.
    """

    memory = 0.9  # share of the old G when a new one comes in
    samples = 10_000  # between two factorizations, about, but at most `batches` batches
    batches = 10
    early = 20  # updates in which every other one factorizes
    wide = 4096  # inputs up to here always take the primal form
    growth = 4.0  # of the size of the inputs since the last factorization, after which it is made anew

    def __init__(self, damping: float, intercept: bool) -> None:
        self.damping, self.intercept, self.retries = damping, intercept, 0
        self.gram: Tensor | None = None
        self.inverse: Tensor | None = None
        self.ridge: Tensor | None = None
        self.stiffness = 0.0
        self.size = 0.0  # root mean square of the inputs at the last factorization

    def forget(self) -> None:
        """Start the running average anew."""
        self.gram = self.inverse = None

    def solve(
        self, Z: Tensor, E: Tensor, update: int, pull: Tensor | None = None, stiffness: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Step for a batch.

        Parameters
        ----------
        Z : Tensor of shape (m, n)
        E : Tensor of shape (m, k)
        update : int
            Number of the batch, from 0.
        pull : Tensor of shape (n + intercept, k), optional
            Added to the right-hand side ``Zt E / m``: minus the slope of a penalty.
        stiffness : float, default=0
            Curvature of the penalty, added to d.

        Returns
        -------
        D : Tensor of shape (n + intercept, k)
        moved : Tensor, a scalar
            Root mean square over samples of the length of ``[Z, 1] D``; from G, without a pass over Z.
        """
        (m, n), k = Z.shape, E.shape[1]
        self.stiffness = stiffness
        centre, bias = (Z.mean(0), E.mean(0)) if self.intercept else (None, None)
        mean = centre
        if centre is not None and m == 1:  # one sample has nothing left beside its mean
            centre = torch.zeros_like(centre)
        solve = self._dual if self._dual_is_cheaper(m, n, k) else self._primal
        D, squares = solve(Z, E, centre, bias, update, None if pull is None else pull[:n])
        if mean is not None and bias is not None:
            squares = bias.square().sum() if m == 1 else squares + bias.square().sum()
            D = torch.cat([D, (bias - mean @ D)[None]])
        return D, squares.clamp(min=0).sqrt()

    def _dual_is_cheaper(self, m: int, n: int, k: int) -> bool:
        primal = n * n * k + (m * n * n + n**3) / self._every(m)
        return n > max(m, self.wide) and m * m * (n + k) + m**3 / 6 < primal

    def _every(self, m: int) -> int:
        return min(self.batches, max(1, self.samples // m))

    def _primal(
        self, Z: Tensor, E: Tensor, centre: Tensor | None, bias: Tensor | None, update: int, pull: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        due = update % self._every(len(Z)) == 0 or (update < self.early and update % 2 == 0)
        size = float(torch.linalg.vector_norm(Z)) / Z.numel() ** 0.5
        grown = size > self.growth * self.size
        if due or grown or self.inverse is None:
            self.gram = None if grown else self.gram
            self.size = size
            self._refresh(Z, centre)
        assert self.inverse is not None and self.ridge is not None
        C = Z.T @ E
        C /= len(Z)
        if centre is not None and bias is not None:
            C.addr_(centre, bias, alpha=-1)
        if pull is not None:
            C += pull
        D = self.inverse @ C
        return D, (D * C).sum() - self.ridge * D.square().sum()  # G D = C - d D

    def _refresh(self, Z: Tensor, centre: Tensor | None) -> None:
        G = Z.T @ Z
        G /= len(Z)
        size = G.diagonal().mean()
        if centre is not None:
            G.addr_(centre, centre, alpha=-1)
        self.gram = G if self.gram is None else torch.lerp(G, self.gram, self.memory)
        self.ridge = self._ridge(self.gram.diagonal().mean(), size)
        self.inverse = torch.cholesky_inverse(self._cholesky(self.gram))

    def _dual(
        self, Z: Tensor, E: Tensor, centre: Tensor | None, bias: Tensor | None, update: int, pull: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        m, n = Z.shape
        if centre is not None and bias is not None:
            Z, E = Z - centre, E - bias
        K = Z @ Z.T
        K /= m
        size = K.diagonal().sum() / n
        self.ridge = self._ridge(size, size)
        L = self._cholesky(K)
        if pull is None:
            S = torch.cholesky_solve(E, L)
            return Z.T @ S / m, (E - self.ridge * S).square().sum() / m  # Z D = (K - d I) S
        D = Z.T @ torch.cholesky_solve(E - Z @ pull / self.ridge, L) / m + pull / self.ridge
        return D, (Z @ D).square().sum() / m

    def _ridge(self, mean_diagonal: Tensor, size: Tensor) -> Tensor:
        """d: never below the rounding error of a Gram matrix of entries of this size, never 0."""
        limits = torch.finfo(size.dtype)
        return self.damping * mean_diagonal.clamp(min=0) + limits.eps * size + limits.tiny**0.5 + self.stiffness

    def _cholesky(self, G: Tensor) -> Tensor:
        """Factor of G + d I; d grows until there is one."""
        assert self.ridge is not None
        check_finite(G)
        while True:
            damped = G.clone()
            damped.diagonal().add_(self.ridge)
            L, failed = torch.linalg.cholesky_ex(damped)
            if not int(failed):
                return L
            self.retries += 1
            self.ridge = check_finite(10 * self.ridge)
