"""Damped least-squares steps on batches, the linear algebra of the relaxed sweep."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from nmfnet.linalg import check_finite, inner_product, mean_length, weighted, weighted_mean
from nmfnet.sparse import CentredRows, SparseRows, outer, transposed_product


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
    momentum : float, default=0
        Of the right-hand sides ``Zt E / m``, in Nesterov's way; in the dual form, of the steps.

    Attributes
    ----------
    retries : int
        Factorizations that failed and were repeated with ten times the damping.
    """

    memory = 0.9  # share of the old G when a new one comes in
    samples = 10_000  # between two factorizations, about, but at most `batches` batches
    batches = 10
    early = 20  # updates in which every other one factorizes
    columns = 1024  # of a right-hand side at a time
    wide = 4096  # inputs up to here always take the primal form
    plain = 1e-2  # damping below which an inverse may be too inexact to tell from C - d D how long a step is
    growth = 4.0  # of the size of the inputs since the last factorization, after which it is made anew

    def __init__(self, damping: float, intercept: bool, momentum: float = 0.0) -> None:
        self.damping, self.intercept, self.momentum, self.retries = damping, intercept, momentum, 0
        self.velocity: list[Tensor] = []  # running means of the right-hand side, or step, and of the bias
        self.form = ""  # "primal" or "dual", of the velocity
        self.gram: Tensor | None = None
        self.inverse: Tensor | None = None
        self.ridge: Tensor | None = None
        self.stiffness = 0.0
        self.size = 0.0  # root mean square of the inputs at the last factorization

    def fork(self) -> DampedInverse:
        """A copy that goes its own way; what is not written into is shared."""
        other = copy(self)
        other.velocity = [mean.clone() for mean in self.velocity]
        return other

    def forget(self) -> None:
        """Start the running average anew."""
        self.gram = self.inverse = None
        self.velocity = []

    def solve(
        self,
        Z: Tensor | SparseRows,
        E: Tensor,
        update: int,
        pull: Tensor | None = None,
        stiffness: float = 0.0,
        sample_weight: Tensor | None = None,
        out: Tensor | None = None,
        spare: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Step for a batch.

        Parameters
        ----------
        Z : Tensor or SparseRows of shape (m, n)
            Sparse rows wider than `wide` take the dual form always.
        E : Tensor of shape (m, k)
        update : int
            Number of the batch, from 0.
        pull : Tensor of shape (n + intercept, k), optional
            Added to the right-hand side ``Zt E / m``: minus the slope of a penalty.
        stiffness : float, default=0
            Curvature of the penalty, added to d.
        sample_weight : Tensor of shape (m,), optional
            Positive; means over samples are then weighted ones.
        out : Tensor of shape (n + intercept, k), optional
            Memory for the step.
        spare : bool, default=False
            Whether Z and E may be written into.

        Returns
        -------
        D : Tensor of shape (n + intercept, k)
        moved : Tensor, a scalar
            Root mean square over samples of the length of ``[Z, 1] D``; from G, without a pass over Z.
        """
        (m, n), k = Z.shape, E.shape[1]
        self.stiffness = stiffness
        if isinstance(Z, SparseRows) and n <= self.wide:
            Z = Z.dense()
        weight = None if sample_weight is None else (sample_weight / sample_weight.double().mean()).to(Z.dtype)
        centre, bias = None, None
        if self.intercept:
            centre = Z.mean(weight) if isinstance(Z, SparseRows) else weighted_mean(Z, weight)
            bias = weighted_mean(E, weight)
        mean = centre
        if centre is not None and m == 1:  # one sample has nothing left beside its mean
            centre = torch.zeros_like(centre)
        pull = None if pull is None else pull[:n]
        step = E.new_empty(n + self.intercept, k) if out is None else out
        D = step[:n]
        if isinstance(Z, SparseRows) or self._dual_is_cheaper(m, n, k):
            squares = self._dual(Z, E, centre, bias, pull, weight, D, spare)
        else:
            squares = self._primal(Z, E, centre, bias, update, pull, weight, D)
        if mean is not None and bias is not None:
            # One sample moves by its bias alone; but a penalty moves all the others, too.
            squares = bias.square().sum() + (0 if m == 1 and pull is None else squares)
            torch.sub(bias, mean @ D, out=step[n])
        return step, squares.clamp(min=0).sqrt()

    def _dual_is_cheaper(self, m: int, n: int, k: int) -> bool:
        primal = n * n * k + (m * n * n + n**3) / self._every(m)
        return n > max(m, self.wide) and m * m * (n + k) + m**3 / 6 < primal

    def _every(self, m: int) -> int:
        return min(self.batches, max(1, self.samples // m))

    def _primal(
        self, Z: Tensor, E: Tensor, centre: Tensor | None, bias: Tensor | None,
        update: int, pull: Tensor | None, weight: Tensor | None, D: Tensor,
    ) -> Tensor:  # fmt: skip
        """Write the step without its bias row into D (n, k); mean square of the length of what it moves."""
        due = update % self._every(len(Z)) == 0 or (update < self.early and update % 2 == 0)
        size = float(mean_length(Z, weight)) / Z.shape[1] ** 0.5
        grown = size > self.growth * self.size
        if due or grown or self.inverse is None:
            self.gram = None if grown else self.gram
            self.size = size
            self._refresh(Z, centre, weight)
        assert self.gram is not None and self.inverse is not None and self.ridge is not None
        E, squares = weighted(E, weight), E.new_zeros(())
        means, fresh = self._means("primal", D, bias)
        for start in range(0, D.shape[1], self.columns):  # some at a time, which are independent
            part = slice(start, start + self.columns)
            C = (Z.T @ E[:, part]).div_(len(Z))
            if centre is not None and bias is not None:
                C.addr_(centre, bias[part], alpha=-1)
            if pull is not None:
                C += pull[:, part]
            if means:
                self._ahead(C, means[0][:, part], fresh)
            torch.mm(self.inverse, C, out=D[:, part])
            if self.damping < self.plain:
                torch.mm(self.gram, D[:, part], out=C)
                squares += inner_product(C, D[:, part], C)
            else:  # G D = C - d D, without another product
                squares += inner_product(C, D[:, part], C)
                squares -= self.ridge * inner_product(D[:, part], D[:, part], C)
            del C  # its memory is for the next one
        if means and bias is not None:
            self._ahead(bias, means[1], fresh)
        return squares

    def _means(self, form: str, D: Tensor, bias: Tensor | None) -> tuple[list[Tensor], bool]:
        """Running means of the right-hand side (or dual step) and the bias, if any; whether they begin with now."""
        if form != self.form:  # what was averaged is something else
            self.velocity, self.form = [], form
        fresh = not self.velocity
        if fresh and self.momentum:
            self.velocity = [torch.empty_like(each) for each in (D, bias) if each is not None]
        return self.velocity, fresh

    def _ahead(self, now: Tensor, mean: Tensor, fresh: bool) -> None:
        """Move what a step is made of one step ahead of its running mean (Nesterov), and that on, in place."""
        if fresh:
            mean.copy_(now)
        torch.lerp(now, mean, self.momentum, out=mean)
        now.lerp_(mean, self.momentum)

    def _refresh(self, Z: Tensor, centre: Tensor | None, weight: Tensor | None) -> None:
        self.inverse = None  # its memory is needed
        G = Z.T @ weighted(Z, weight)
        G /= len(Z)
        size = G.diagonal().mean()
        if centre is not None:
            G.addr_(centre, centre, alpha=-1)
        self.gram = G if self.gram is None else G.lerp_(self.gram, self.memory)
        self.ridge = self._ridge(G.diagonal().mean(), size)
        L = self._cholesky(G)
        self.inverse = torch.cholesky_inverse(L, out=L)

    def _dual(
        self, X: Tensor | SparseRows, E: Tensor, centre: Tensor | None, bias: Tensor | None,
        pull: Tensor | None, weight: Tensor | None, D: Tensor, spare: bool,
    ) -> Tensor:  # fmt: skip
        """The same by the inner products of the samples."""
        m, n = X.shape
        E = weighted(E if bias is None else torch.sub(E, bias, out=E if spare else None), weight, 0.5)
        Z: Tensor | CentredRows
        if isinstance(X, SparseRows):
            Z = CentredRows(X, centre, weight)
        else:
            Z = weighted(X if centre is None else torch.sub(X, centre, out=X if spare else None), weight, 0.5)
        K = outer(Z)
        K /= m
        size = K.diagonal().sum() / n
        self.ridge = self._ridge(size, size)
        L = self._cholesky(K)
        S = torch.cholesky_solve(E if pull is None else E - Z @ pull / self.ridge, L)
        transposed_product(Z, S / m, out=D)
        if pull is not None:
            D.addcdiv_(pull, self.ridge)
        if pull is None and not self.momentum:
            squares = (E - self.ridge * S).square().sum()  # Z D = (K - d I) S
        else:
            means, fresh = self._means("dual", D, bias)
            if means:
                self._ahead(D, means[0], fresh)
            if means and bias is not None:
                self._ahead(bias, means[1], fresh)
            squares = (Z @ D).square().sum()
        return squares / m

    def _ridge(self, mean_diagonal: Tensor, size: Tensor) -> Tensor:
        """d: never below the rounding error of a Gram matrix of entries of this size, never 0."""
        limits = torch.finfo(size.dtype)
        return self.damping * mean_diagonal.clamp(min=0) + limits.eps * size + limits.tiny**0.5 + self.stiffness

    def _cholesky(self, G: Tensor) -> Tensor:
        """Factor of G + d I, in the only copy of G that is made; d grows until there is one."""
        assert self.ridge is not None
        check_finite(G.diagonal())  # which bounds all entries, as Cauchy and Schwarz say
        failed = torch.empty((), dtype=torch.int32, device=G.device)
        while True:
            L = torch.empty_like(G).mT.copy_(G)  # the order of LAPACK, which then writes into it
            L.diagonal().add_(self.ridge)
            torch.linalg.cholesky_ex(L, out=(L, failed))
            if not int(failed):
                return L
            self.retries += 1
            self.ridge = check_finite(10 * self.ridge)
