"""Where the factorizations start: NNDSVD and random factors."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.factorization.coordinate_descent import tile_width
from nmfnet.factorization.data import Data, DenseData, Rows
from nmfnet.linalg import gram, naming_overflow
from nmfnet.linalg.draws import normal, uniform

SUBSPACE_ROUNDS = 4  # passes: with more the small vectors are nearer to those of X, and fits end as high
MORE_VECTORS = 10  # than asked for, which make these exact
NORMS_AT_A_TIME = 8  # rows whose positive parts are held for their norms
MIN_PIVOT_RATIO = 1e-4  # pivots of less than this share of the largest: rounding errors of 1e-16 would be 1e-8 of it
Factors = tuple[Tensor, Tensor]
INITS = ("random", "nndsvd", "nndsvda", "nndsvdar")


@naming_overflow()
def leading_vectors(
    data: Data, k: int, generator: torch.Generator, rounds: int = SUBSPACE_ROUNDS, more: int = MORE_VECTORS
) -> Factors:
    """Scaled left and right singular vectors, ``U diag(s)`` transposed (k, m) and Vt (k, n), by subspace iteration.

    Halko, Martinsson and Tropp (2011); each round is one pass over the data, the last one half of it.  The random
    vectors that it begins with are independent enough as they are.
    """
    (m, n), reduced = data.shape, data.rows.reduced
    wide = min(k + more, data.rows.total, n)
    Q = uniform(n, wide, data.like, generator).sub_(0.5).T  # a quarter of the time of normal numbers
    US = data.laid_out(data.like.new_empty(wide, m))
    width = tile_width(wide, m, data.like)
    for left in reversed(range(rounds)):
        H = data.laid_out(Q if left == rounds - 1 > 0 else orthonormal(Q.T).T)
        Q = torch.zeros_like(H) if left else H
        for start in range(0, m, width):
            rows = slice(start, min(start + width, m))
            data.project(rows, H, US[:, rows])
            if left:
                data.add_products(rows, US[:, rows], Q)
        if left:
            data.finish_products(US, Q)
            Q = data.laid_out(reduced(Q))
    # Rayleigh-Ritz in the span of the last H that was multiplied by X.
    gram_of_rows = US.double() @ US.double().T if data.rows.total < 4096 else (US @ US.T).double()
    rotation = torch.linalg.eigh(reduced(gram_of_rows))[1]
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
    return nonnegative_sides(*leading_vectors(data, k, generator), data.rows, signed=signed)


def nonnegative_sides(US: Tensor, V: Tensor, rows: Rows, *, signed: bool = False) -> tuple[Tensor, Tensor]:
    """NNDSVD of given scaled left and right singular vectors, (k, m) and (k, n); see :func:`nndsvd`."""
    left = side_norms(US)
    if rows.here < rows.total:
        left = rows.reduced(left.double().square()).sqrt().to(US)
    right = torch.ones_like(left) if signed else side_norms(V)
    up = left[0] * right[0] >= left[1] * right[1]
    sign = torch.where(up, 1, -1).to(US)[:, None]
    if signed:
        return (sign * US).clamp_(min=0), sign * V
    Z, H = (sign * US).clamp_(min=0), (sign * V).clamp_(min=0)
    # Of both sides as much, the geometric mean of their norms.
    ratio = torch.where(up, right[0] / left[0], right[1] / left[1]).nan_to_num_(0.0, 0.0).sqrt_()[:, None]
    Z *= ratio
    H *= torch.where(ratio > 0, 1 / ratio, 0)
    size = left[:, 0].square().sum().sqrt().clamp(min=1e-15).sqrt()
    Z[0], H[0] = US[0].abs() / size, V[0].abs() * size
    return Z, H


def side_norms(F: Tensor) -> Tensor:
    """Norms of the positive and of the negative parts of the rows of F (k, n), shape (2, k)."""
    return torch.stack(
        [torch.cat([(sign * f).clamp_(min=0).norm(dim=1) for f in F.split(NORMS_AT_A_TIME)]) for sign in (1, -1)]
    )


def fill_zeros(F: Tensor, size: float, variant: str, generator: torch.Generator, rows: Rows | None = None) -> Tensor:
    """Zeros become what the mean of X is to a factor (nndsvda), small random numbers (nndsvdar), or stay (nndsvd).

    scikit-learn takes the mean itself, which is small or large next to the other entries by the unit of X.
    """
    if variant == "nndsvda":
        return torch.where(F == 0, F.new_tensor(size), F)
    if variant == "nndsvdar":
        columns = F.shape[1] if rows is None else rows.total
        drawn = uniform(len(F), columns, F, generator)
        return torch.where(F == 0, (drawn if rows is None else rows.own(drawn)) * (size / 100), F)
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
    m, n = data.rows.total, data.shape[1]
    size = (abs(data.mean()) / k) ** 0.5  # of entries of factors whose product has the mean of X
    if init == "random":
        size = (data.squares(None) / (m * n) / k) ** 0.25 if signed else size
        Z, H = (normal(k, side, data.like, generator).mul_(size) for side in (m, n))
        return data.rows.own(Z).abs(), H if signed else H.abs()
    if signed:
        return nndsvd(data, k, generator, signed=True)
    US, V = leading_vectors(data, k, generator) if vectors is None else vectors
    Z, H = nonnegative_sides(US[:k], V[:k], data.rows)
    Z = data.laid_out(fill_zeros(Z, size, init, generator, data.rows))
    return Z, data.laid_out(fill_zeros(H, size, init, generator))


class MeanFilled(DenseData):
    """A dense matrix whose missing entries are the means of their columns."""

    def __init__(self, data: DenseData) -> None:
        self.__dict__.update(data.__dict__)
        self.data = data
        counts, sums = torch.zeros(2, data.shape[1], dtype=data.like.dtype, device=data.like.device)
        for rows in data.blocks():
            X = data.block(rows)
            counts, sums = counts + (~X.isnan()).sum(0), sums + X.nansum(0)
        counts, sums = data.rows.holders([counts, sums])
        self.means = (sums / counts).nan_to_num_(0.0)

    def block(self, rows: slice | Tensor) -> Tensor:
        """X[rows], filled."""
        X = self.data.block(rows)
        return torch.where(X.isnan(), self.means.to(X.dtype), X)

    def mean(self) -> float:
        """Mean of the means."""
        return float(self.means.mean())
