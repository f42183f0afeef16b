"""Sums over samples: formed from the samples at hand, reduced over all who hold some, and only then used.

Whatever is decided from samples (a step, its length, whether to accept a batch) is decided from reduced sums, so that
it comes out alike wherever the samples are.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from nmfnet.linalg.blocks import Blocks
from nmfnet.linalg.holders import AtHand, Reducer, batch_rows, local
from nmfnet.linalg.patches import Patches
from nmfnet.linalg.products import inner_product, weighted
from nmfnet.linalg.sparse import SparseRows

T = TypeVar("T")

# Yields sums over the samples at hand, is sent those over all samples, and returns what it finds from them.
Question: TypeAlias = Generator[list[Tensor], list[Tensor], T]


def answers(reduce: Reducer, *questions: Question[Any]) -> list[Any]:
    """What questions find from the sums over all samples that they ask for: all of these by one reduction."""
    asked, found = [next(question) for question in questions], []
    sums = iter(reduce([each for some in asked for each in some]))
    for question, some in zip(questions, asked, strict=True):
        try:
            question.send([next(sums) for _ in some])
        except StopIteration as end:
            found.append(end.value)
    return found


def total_weight(like: Tensor | SparseRows | Patches, weight: Tensor | None) -> Tensor:
    """Sum of the weights (m,) of samples; their number where they have none.  A scalar in float64."""
    if weight is None:
        return torch.full((), float(len(like)), dtype=torch.float64, device=like.device)
    return weight.sum(dtype=torch.float64)


def weighted_sum(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum over samples of `values` (m,) or (m, k), by weights (m,) if there are any."""
    return values.sum(0) if weight is None else weight @ values


def sum_of_squares(A: Tensor | SparseRows, weight: Tensor | None = None) -> Tensor:
    """Weighted sum over samples of the squares of the numbers of A (m, ...), a scalar."""
    if isinstance(A, SparseRows):
        return A.squares(weight)
    if weight is None:
        return inner_product(A, A)  # mostly in a third of the time of vector_norm
    return weight @ torch.linalg.vector_norm(A.flatten(1), dim=1).square()


@dataclass(frozen=True)
class Moments:
    """Sums over the samples of a batch that the normal equations of a layer are made of.

    Attributes
    ----------
    n : Tensor, a scalar
        Sum of the weights v.
    cross : Tensor of shape (n, k)
        Sum of ``v z et``, for inputs z and residuals e.
    inputs, residuals : Tensor of shape (n,) and (k,), or None
        Sums of ``v z`` and ``v e``, where there is a bias.
    gram : Tensor of shape (n, n) or None
        Sum of ``v z zt``, where it was asked for.
    rows : int
        Samples of the whole batch.
    gram_n, gram_inputs : Tensor or None
        `n` and `inputs` of the rows in `gram`, where these are a part of all: patches are many.
    """

    n: Tensor
    cross: Tensor
    inputs: Tensor | None = None
    residuals: Tensor | None = None
    gram: Tensor | None = None
    rows: int = 0
    gram_n: Tensor | None = None
    gram_inputs: Tensor | None = None

    @property
    def alone(self) -> bool:
        """Whether there is one sample, of which nothing is left beside its mean, not even rounding."""
        return self.rows == 1

    @classmethod
    def of(
        cls,
        Z: Tensor | Patches,
        E: Tensor | Blocks,
        weight: Tensor | None,
        bias: bool,
        gram: bool,
        at_hand: AtHand | None = None,
    ) -> Moments:
        """Of inputs Z (m, n) and residuals E (m, k) with weights (m,); with a bias, and a Gram matrix, or without.

        Of patches of m images E has the shape (m, h, w, k), and a position is a row.
        """
        if isinstance(Z, Patches):
            return cls._of_patches(Z, E, weight, bias, gram, at_hand)
        assert not isinstance(E, Blocks)
        return cls(
            total_weight(Z, weight),
            Z.T @ weighted(E, weight),
            weighted_sum(Z, weight) if bias else None,
            weighted_sum(E, weight) if bias else None,
            Z.T @ weighted(Z, weight) if gram else None,
            batch_rows(len(Z), at_hand),
        )

    @classmethod
    def _of_patches(
        cls, P: Patches, E: Tensor | Blocks, weight: Tensor | None, bias: bool, gram: bool, at_hand: AtHand | None
    ) -> Moments:
        cross, residuals = P.products(E, weight)
        count, inputs, products = P.gram(weight, at_hand=at_hand) if gram else (None, None, None)
        return cls(
            total_weight(P.images, weight) * P.places,
            cross,
            P.sum(weight) if bias else None,
            residuals if bias else None,
            products,
            batch_rows(len(P), at_hand),
            count,
            inputs if bias else None,
        )

    def reduced(self, reduce: Reducer) -> Moments:
        """The same over all samples."""
        return self if reduce is local else self.with_sums(iter(reduce(self.sums())))

    def gram_sums(self, Z: Tensor | Patches, weight: Tensor | None, at_hand: AtHand | None) -> Question[Moments]:
        """The same with a Gram matrix, which was not asked for when these were formed from inputs Z."""
        if isinstance(Z, Patches):
            count, inputs, gram = Z.gram(weight, at_hand=at_hand)
            count, inputs, parts = yield [count, inputs, triangle(gram)]
            own = inputs if self.inputs is not None else None
            return replace(self, gram=symmetric(parts, len(gram)), gram_n=count, gram_inputs=own)
        (parts,) = yield [triangle(Z.T @ weighted(Z, weight))]
        return replace(self, gram=symmetric(parts, Z.shape[1]))

    def sums(self) -> list[Tensor]:
        """All that is there, in one list; of the Gram matrix a triangle."""
        parts = [part for part in self._others() if part is not None]
        return parts if self.gram is None else [*parts, triangle(self.gram)]

    def with_sums(self, sums: Iterator[Tensor]) -> Moments:
        """Others in the place of :meth:`sums`, taken from these."""
        n, cross, *rest = (None if part is None else next(sums) for part in self._others())
        assert n is not None and cross is not None
        inputs, residuals, gram_n, gram_inputs = rest
        gram = None if self.gram is None else symmetric(next(sums), len(self.gram))
        return Moments(n, cross, inputs, residuals, gram, self.rows, gram_n, gram_inputs)

    def _others(self) -> tuple[Tensor | None, ...]:
        """All but the Gram matrix."""
        return self.n, self.cross, self.inputs, self.residuals, self.gram_n, self.gram_inputs


def triangle(G: Tensor) -> Tensor:
    """The numbers that a symmetric matrix (n, n) is made of, about half of them: shape (n (n + 1) / 2,) or a few more.

    They are the block beside the diagonal, and one square of the two triangles on the diagonal.
    """
    h = (len(G) + 1) // 2
    square, last = G[:h, :h].triu(), G[h:, h:]
    square[: len(last), : len(last)] += last.tril(-1)
    return torch.cat([square.flatten(), G[:h, h:].flatten(), last.diagonal()])


def triangle_numbers(n: int) -> int:
    """How many numbers :func:`triangle` makes of a matrix (n, n)."""
    h = (n + 1) // 2
    return h * h + h * (n - h) + n - h


def symmetric(parts: Tensor, n: int) -> Tensor:
    """Inverse of :func:`triangle`."""
    h = (n + 1) // 2
    k = n - h
    square, beside, diagonal = parts.split([h * h, h * k, k])
    square, G = square.view(h, h), parts.new_empty(n, n)
    first, last = square.triu(), square[:k, :k].tril(-1)
    G[:h, :h] = first + first.triu(1).T
    G[:h, h:], G[h:, :h] = beside.view(h, k), beside.view(h, k).T
    G[h:, h:] = last + last.T + diagonal.diag()
    return G


def reduced_symmetric(G: Tensor, others: list[Tensor], reduce: Reducer) -> list[Tensor]:
    """A symmetric matrix and other sums over all samples, by one reduction.

    Of the matrix, which is written into, a triangle is sent.
    """
    if reduce is local:
        return [G, *others]
    parts, *rest = reduce([triangle(G), *others])
    return [G.copy_(symmetric(parts, len(G))), *rest]


def summed_moments(found: list[Moments]) -> Question[list[Moments]]:
    """Statistics of several layers over all samples."""
    sums = iter((yield [part for each in found for part in each.sums()]))
    return [each.with_sums(sums) for each in found]


def reduced_together(statistics: Iterable[Any], reduce: Reducer) -> list[Any]:
    """Statistics of several layers over all samples, those that are sums by one reduction."""
    found = list(statistics)
    sums = iter(reduce([part for each in found if isinstance(each, Moments) for part in each.sums()]))
    return [each.with_sums(sums) if isinstance(each, Moments) else each.reduced(reduce) for each in found]
