"""Where the factorizations start: NNDSVD and random factors."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.factorization.coordinate_descent import Tiles, Workspace
from nmfnet.factorization.data import Data, DenseData
from nmfnet.linalg import gram, naming_overflow
from nmfnet.linalg.draws import normal, uniform

SUBSPACE_ROUNDS = 7  # passes, as in scikit-learn: with fewer the small vectors are not those of X
MIN_PIVOT_RATIO = 1e-4  # pivots of less than this share of the largest: rounding errors of 1e-16 would be 1e-8 of it
Factors = tuple[Tensor, Tensor]
INITS = ("random", "nndsvd", "nndsvda", "nndsvdar")


@naming_overflow()
def leading_vectors(data: Data, k: int, generator: torch.Generator, rounds: int = SUBSPACE_ROUNDS) -> Factors:
    """Scaled left and right singular vectors, ``U diag(s)`` transposed (k, m) and Vt (k, n), by subspace iteration.

    Halko, Martinsson and Tropp (2011); each round is one pass over the data.
    """
    m, n = data.shape
    wide = min(k + 10, m, n)
    Q = normal(n, wide, data.like, generator).T
    US = data.laid_out(data.like.new_empty(wide, m))
    tiles = Tiles(m, Workspace(wide, m, data.like))
    for _ in range(rounds):
        H = data.laid_out(orthonormal(Q.T).T)
        Q = torch.zeros_like(H)
        for rows, kernel in tiles:
            data.project(rows, H, kernel.P)
            data.add_products(rows, kernel.P, Q)
            US[:, rows] = kernel.P
        data.finish_products(US, Q)
    # Rayleigh-Ritz in the span of the last H that was multiplied by X.
    rotation = torch.linalg.eigh((US.double() @ US.double().T) if m < 4096 else (US @ US.T).double())[1]
    rotation = rotation.flip(1)[:, :k].T.to(US.dtype)
    return rotation @ US, rotation @ H


def orthonormal(A: Tensor) -> Tensor:
    """Orthonormal columns with the span of those of A (n, k), as exact as a start has to be.

    Where A is not well-conditioned, to about 1e-5 in single precision and 1e-9 in double, as rounding errors grow with
    its condition and with its square.
    By the Cholesky factor of the Gram matrix, in float64, which costs a fifth of Householder's reflections and no
    copy; by them where A is too ill-conditioned for the squares of its singular values.
    """
    L, failed = torch.linalg.cholesky_ex(gram(A))
    pivots = L.diagonal()
    if failed or not pivots.min() > MIN_PIVOT_RATIO * pivots.max():
        Q = torch.linalg.qr(A.double()).Q.to(A.dtype)
        return Q.mul_(A.any(1, keepdim=True))  # rows of zeros stay zeros, without rounding errors
    return A @ torch.linalg.inv(L).T.to(A.dtype)


def nndsvd(data: Data, k: int, generator: torch.Generator, *, signed: bool = False) -> tuple[Tensor, Tensor]:
    """Nonnegative double singular value decomposition (Boutsidis and Gallopoulos, 2008).

    Of each pair of singular vectors the nonnegative or the nonpositive sides are kept, whichever are
    larger together.  The first pair of a nonnegative matrix has one sign.

    Parameters
    ----------
    data : Data
        X (m, n).
    k : int
        Components, at most the smaller side of X.
    generator : torch.Generator
    signed : bool, default=False
        Whether H may have any sign, so that the left side decides alone and the right vector stays whole.

    Returns
    -------
    Z : Tensor of shape (k, m), nonnegative
    H : Tensor of shape (k, n), nonnegative or of any sign
    """
    return nonnegative_sides(*leading_vectors(data, k, generator), signed=signed)


def nonnegative_sides(US: Tensor, V: Tensor, *, signed: bool = False) -> tuple[Tensor, Tensor]:
    """NNDSVD of given scaled left and right singular vectors, (k, m) and (k, n); see :func:`nndsvd`."""
    Z, H = torch.zeros_like(US), torch.zeros_like(V)
    for j in range(len(US)):
        u, v = US[j], V[j]
        up, down = u.clamp(min=0), (-u).clamp(min=0)
        if signed:
            positive = up.norm() >= down.norm()
            Z[j], H[j] = (up, v) if positive else (down, -v)
            continue
        right, left = v.clamp(min=0), (-v).clamp(min=0)
        if up.norm() * right.norm() < down.norm() * left.norm():
            up, right = down, left
        norms = up.norm(), right.norm()
        size = u.norm()
        if j == 0:
            Z[j], H[j] = u.abs() / size.sqrt().clamp(min=1e-30), v.abs() * size.sqrt()
        elif norms[0] > 0 and norms[1] > 0:
            factor = (norms[0] / size * norms[1] * size).sqrt()
            Z[j], H[j] = factor * up / norms[0], factor * right / norms[1]
    return Z, H


def fill_zeros(F: Tensor, size: float, variant: str, generator: torch.Generator) -> Tensor:
    """Zeros become what the mean of X is to a factor (nndsvda), small random numbers (nndsvdar), or stay (nndsvd).

    scikit-learn takes the mean itself, which is small or large next to the other entries by the unit of X.
    """
    if variant == "nndsvda":
        return torch.where(F == 0, F.new_tensor(size), F)
    if variant == "nndsvdar":
        return torch.where(F == 0, uniform(len(F), F.shape[1], F, generator) * (size / 100), F)
    return F


def starting_factors(
    data: Data, k: int, init: str, generator: torch.Generator, *, signed: bool = False, vectors: Factors | None = None
) -> Factors:
    """Z (k, m) and H (k, n) to start from.

    Parameters
    ----------
    init : {"random", "nndsvd", "nndsvda", "nndsvdar"}
        "random": half-normal numbers whose product has the mean of X.
    vectors : tuple of Tensor, optional
        At least k leading singular vectors of nonnegative X, as :func:`leading_vectors` finds them, where known.
    """
    m, n = data.shape
    size = (abs(data.mean()) / k) ** 0.5  # of entries of factors whose product has the mean of X
    if init == "random":
        size = (data.squares(None) / (m * n) / k) ** 0.25 if signed else size
        Z, H = (normal(k, side, data.like, generator).mul_(size) for side in (m, n))
        return Z.abs(), H if signed else H.abs()
    if signed:
        return nndsvd(data, k, generator, signed=True)
    Z, H = nndsvd(data, k, generator) if vectors is None else nonnegative_sides(*(F[:k] for F in vectors))
    Z = data.laid_out(fill_zeros(Z, size, init, generator))
    return Z, data.laid_out(fill_zeros(H, size, init, generator))


class MeanFilled(DenseData):
    """A dense matrix whose missing entries are the means of their columns."""

    def __init__(self, data: DenseData) -> None:
        self.__dict__.update(data.__dict__)
        self.means = self.X.nanmean(0).nan_to_num_(0.0)

    def block(self, rows: slice) -> Tensor:
        """X[rows], filled."""
        X = self.X[rows]
        return torch.where(X.isnan(), self.means.to(X.dtype), X)

    def mean(self) -> float:
        """Mean of the means."""
        return float(self.means.mean())
