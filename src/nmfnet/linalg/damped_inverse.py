"""Damped least-squares steps on batches, the linear algebra of the relaxed sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy

import torch
from torch import Tensor

from nmfnet.linalg import check_finite, column_parts, inner_product, mean_length, weighted, weighted_mean
from nmfnet.linalg.sparse import CentredRows, SparseRows, outer, transposed_product


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
    units, fewest = 2048, 64  # outputs whose step is made at a time, at most, and of very many inputs
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
        self.lent = False  # whether others may hold gram and inverse, which are then not written into
        self.stiffness = 0.0
        self.size = 0.0  # root mean square of the inputs at the last factorization

    def fork(self) -> DampedInverse:
        """A copy that goes its own way; matrices are shared until one of the two makes new ones."""
        self.lent = True
        other = copy(self)
        other.velocity = [mean.clone() for mean in self.velocity]
        return other

    def forget(self) -> None:
        """Start the running average anew."""
        self.gram = self.inverse = None
        self.velocity = []

    def parts(self, n: int, k: int) -> list[slice]:
        """Of k outputs of n inputs, those whose step is made at a time: all of them, or about equally many."""
        most = self.units if n <= self.wide else max(self.fewest, self.units * self.columns // n)
        return column_parts(k, most)

    def steps(
        self,
        Z: Tensor | SparseRows,
        E: Tensor,
        update: int,
        pull: Callable[[slice], Tensor] | None = None,
        stiffness: float = 0.0,
        sample_weight: Tensor | None = None,
        spare: bool = False,
    ) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Step for a batch, for some of the outputs at a time: that of a wide layer would be a set of weights more.

        Parameters
        ----------
        Z : Tensor or SparseRows of shape (m, n)
            Sparse rows wider than `wide` take the dual form always.
        E : Tensor of shape (m, k)
        update : int
            Number of the batch, from 0.
        pull : callable, optional
            From columns to what is added to these of the right-hand side ``Zt E / m``, of shape (n, their number):
            minus the slope of a penalty.
        stiffness : float, default=0
            Curvature of the penalty, added to d.
        sample_weight : Tensor of shape (m,), optional
            Positive; means over samples are then weighted ones.
        spare : bool, default=False
            Whether Z and E may be written into.

        Yields
        ------
        part : slice
            Columns of E, one of :meth:`parts`.
        D : Tensor of shape (n + intercept, their number)
            In memory that the next part is written into.
        moved : Tensor, a scalar
            Root mean square over samples of the length of ``[Z, 1] D``; from G, without a pass over Z.
        """
        (m, n), k = Z.shape, E.shape[1]
        self.stiffness = stiffness
        if isinstance(Z, SparseRows) and n <= self.wide:
            Z = Z.dense()
        weight = None if sample_weight is None else (sample_weight / sample_weight.double().mean()).to(Z.dtype)
        mean, bias = None, None
        if self.intercept:
            mean = Z.mean(weight) if isinstance(Z, SparseRows) else weighted_mean(Z, weight)
            bias = weighted_mean(E, weight)
        # One sample has nothing left beside its mean.
        centre = torch.zeros_like(mean) if mean is not None and m == 1 else mean
        solve: Callable[..., Tensor]
        if isinstance(Z, SparseRows) or self._dual_is_cheaper(m, n, k):
            solve, form = self._dual(Z, E, centre, bias, weight, spare), "dual"
        else:
            solve, form = self._primal(Z, E, centre, bias, weight, update), "primal"
        means, fresh = self._means(form, n, E, bias)
        parts, rows = self.parts(n, k), n + self.intercept
        memory = E.new_empty(rows * -(-k // len(parts)))
        for part in parts:
            step = memory[: rows * (part.stop - part.start)].view(rows, -1)
            D, now = step[:n], None if bias is None else bias[part]
            squares = solve(part, D, None if pull is None else pull(part), means[0][:, part] if means else None, fresh)
            if mean is not None and now is not None:
                if means:
                    self._ahead(now, means[1][part], fresh)
                # One sample moves by its bias alone; but a penalty moves all the others, too.
                squares = now.square().sum() + (0 if m == 1 and pull is None else squares)
                torch.sub(now, mean @ D, out=step[n])
            yield part, step, squares.clamp(min=0).sqrt()

    def _dual_is_cheaper(self, m: int, n: int, k: int) -> bool:
        primal = n * n * k + (m * n * n + n**3) / self._every(m)
        return n > max(m, self.wide) and m * m * (n + k) + m**3 / 6 < primal

    def _every(self, m: int) -> int:
        return min(self.batches, max(1, self.samples // m))

    def _primal(
        self, Z: Tensor, E: Tensor, centre: Tensor | None, bias: Tensor | None, weight: Tensor | None, update: int
    ) -> Callable[..., Tensor]:
        """Function that writes some columns of the step, without its bias row, into D (n, their number).

        It returns the mean square of the length of what these move.
        """
        due = update % self._every(len(Z)) == 0 or (update < self.early and update % 2 == 0)
        size = float(mean_length(Z, weight)) / Z.shape[1] ** 0.5
        grown = size > self.growth * self.size
        if due or grown or self.inverse is None:
            self.gram = None if grown else self.gram
            self.size = size
            self._refresh(Z, centre, weight)
        E = weighted(E, weight)

        def solve(outputs: slice, D: Tensor, pull: Tensor | None, mean: Tensor | None, fresh: bool) -> Tensor:
            assert self.gram is not None and self.inverse is not None and self.ridge is not None
            squares = E.new_zeros(())
            for part in column_parts(D.shape[1], self.columns):  # which are independent
                of_all = slice(outputs.start + part.start, outputs.start + part.stop)
                C = (Z.T @ E[:, of_all]).div_(len(Z))
                if centre is not None and bias is not None:
                    C.addr_(centre, bias[of_all], alpha=-1)
                if pull is not None:
                    C += pull[:, part]
                if mean is not None:
                    self._ahead(C, mean[:, part], fresh)
                torch.mm(self.inverse, C, out=D[:, part])
                if self.damping < self.plain:
                    torch.mm(self.gram, D[:, part], out=C)
                    squares += inner_product(C, D[:, part], C)
                else:  # G D = C - d D, without another product
                    squares += inner_product(C, D[:, part], C)
                    squares -= self.ridge * inner_product(D[:, part], D[:, part], C)
                del C  # its memory is for the next one
            return squares

        return solve

    def _means(self, form: str, n: int, E: Tensor, bias: Tensor | None) -> tuple[list[Tensor], bool]:
        """Running means of the right-hand side (or dual step) and the bias, if any; whether they begin with now."""
        if form != self.form:  # what was averaged is something else
            self.velocity, self.form = [], form
        fresh = not self.velocity
        if fresh and self.momentum:
            self.velocity = [E.new_zeros(n, E.shape[1]), *([] if bias is None else [torch.zeros_like(bias)])]
        return self.velocity, fresh

    def _ahead(self, now: Tensor, mean: Tensor, fresh: bool) -> None:
        """Move what a step is made of one step ahead of its running mean (Nesterov), and that on, in place."""
        if fresh:
            mean.copy_(now)
        torch.lerp(now, mean, self.momentum, out=mean)
        now.lerp_(mean, self.momentum)

    def _refresh(self, Z: Tensor, centre: Tensor | None, weight: Tensor | None) -> None:
        spare = None if self.inverse is None or self.lent else self.inverse.mT
        self.inverse = None
        G = torch.mm(Z.T, weighted(Z, weight), out=spare)
        G /= len(Z)
        size = G.diagonal().mean()
        if centre is not None:
            G.addr_(centre, centre, alpha=-1)
        if self.gram is None:
            self.gram, spare = G, None
        elif spare is None:
            self.gram = G.lerp_(self.gram, self.memory)
        else:
            torch.lerp(G, self.gram, self.memory, out=self.gram)
        self.lent = False
        self.ridge = self._ridge(self.gram.diagonal().mean(), size)
        L = self._cholesky(self.gram, spare)
        self.inverse = torch.cholesky_inverse(L, out=L)

    def _dual(
        self, X: Tensor | SparseRows, E: Tensor, centre: Tensor | None, bias: Tensor | None,
        weight: Tensor | None, spare: bool,
    ) -> Callable[..., Tensor]:  # fmt: skip
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

        def solve(part: slice, D: Tensor, pull: Tensor | None, mean: Tensor | None, fresh: bool) -> Tensor:
            assert self.ridge is not None
            S = torch.cholesky_solve(E[:, part] if pull is None else E[:, part] - Z @ pull / self.ridge, L)
            transposed_product(Z, S / m, out=D)
            if pull is None and mean is None:
                return (E[:, part] - self.ridge * S).square().sum() / m  # Z D = (K - d I) S
            if pull is not None:
                D.addcdiv_(pull, self.ridge)
            if mean is not None:
                self._ahead(D, mean, fresh)
            return (Z @ D).square().sum() / m

        return solve

    def _ridge(self, mean_diagonal: Tensor, size: Tensor) -> Tensor:
        """d: never below the rounding error of a Gram matrix of entries of this size, never 0."""
        limits = torch.finfo(size.dtype)
        return self.damping * mean_diagonal.clamp(min=0) + limits.eps * size + limits.tiny**0.5 + self.stiffness

    def _cholesky(self, G: Tensor, spare: Tensor | None = None) -> Tensor:
        """Factor of G + d I, in the only copy of G that is made, or in `spare`; d grows until there is one."""
        assert self.ridge is not None
        check_finite(G.diagonal())  # which bounds all entries, as Cauchy and Schwarz say
        failed = torch.empty((), dtype=torch.int32, device=G.device)
        L = torch.empty_like(G).mT if spare is None else spare.mT  # the order of LAPACK, which then writes into it
        while True:
            L.copy_(G)
            L.diagonal().add_(self.ridge)
            torch.linalg.cholesky_ex(L, out=(L, failed))
            if not int(failed):
                return L
            self.retries += 1
            self.ridge = check_finite(10 * self.ridge)
