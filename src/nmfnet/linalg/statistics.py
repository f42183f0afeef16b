"""Sums over samples: formed from the samples at hand, reduced over all who hold some, and only then used.

Whatever is decided from samples (a step, its length, whether to accept a batch) is decided from reduced sums, so that
it comes out alike wherever the samples are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmfnet.linalg.patches import Patches
from nmfnet.linalg.products import inner_product, weighted
from nmfnet.linalg.sparse import SparseRows

# From the sums over the samples at hand to those over all samples.
Reducer = Callable[[Sequence[Tensor]], list[Tensor]]


def local(sums: Sequence[Tensor]) -> list[Tensor]:
    """The reducer of one process, which has all samples at hand."""
    return list(sums)


def total_weight(like: Tensor | SparseRows | Patches, weight: Tensor | None) -> Tensor:
    """Sum of the weights (m,) of samples; their number where they have none.  A scalar in float64."""
    if weight is None:
        return torch.tensor(float(len(like)), dtype=torch.float64, device=like.device)
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


def means(reduce: Reducer, n: Tensor, *sums: Tensor) -> list[Tensor]:
    """Reduced sums over the reduced number n of samples."""
    total, *reduced = reduce([n, *sums])
    return [each / total.to(each.dtype) for each in reduced]


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
    rows : Tensor, a scalar
        Number of the samples.
    gram_n, gram_inputs : Tensor or None
        `n` and `inputs` of the rows in `gram`, where these are a part of all: patches are many.
    """

    n: Tensor
    cross: Tensor
    inputs: Tensor | None = None
    residuals: Tensor | None = None
    gram: Tensor | None = None
    rows: Tensor | None = None
    gram_n: Tensor | None = None
    gram_inputs: Tensor | None = None

    @property
    def alone(self) -> bool:
        """Whether there is one sample, of which nothing is left beside its mean, not even rounding."""
        return self.rows is not None and int(self.rows) == 1

    @classmethod
    def of(cls, Z: Tensor | Patches, E: Tensor, weight: Tensor | None, bias: bool, gram: bool) -> Moments:
        """Of inputs Z (m, n) and residuals E (m, k) with weights (m,); with a bias, and a Gram matrix, or without.

        Of patches of m images E has the shape (m, h, w, k), and a position is a row.
        """
        if isinstance(Z, Patches):
            return cls._of_patches(Z, E, weight, bias, gram)
        return cls(
            total_weight(Z, weight),
            Z.T @ weighted(E, weight),
            weighted_sum(Z, weight) if bias else None,
            weighted_sum(E, weight) if bias else None,
            Z.T @ weighted(Z, weight) if gram else None,
            total_weight(Z, None),
        )

    @classmethod
    def _of_patches(cls, P: Patches, E: Tensor, weight: Tensor | None, bias: bool, gram: bool) -> Moments:
        E = E if weight is None else weight[:, None, None, None] * E
        count, inputs, products = P.gram(weight) if gram else (None, None, None)
        return cls(
            total_weight(P.images, weight) * P.places,
            P.transposed_product(E),
            P.sum(weight) if bias else None,
            E.sum((0, 1, 2)) if bias else None,
            products,
            total_weight(P, None),
            count,
            inputs if bias else None,
        )

    def reduced(self, reduce: Reducer) -> Moments:
        """The same over all samples."""
        parts = (
            self.n, self.cross, self.inputs, self.residuals, self.gram, self.rows, self.gram_n, self.gram_inputs
        )  # fmt: skip
        sums = iter(reduce([part for part in parts if part is not None]))
        return Moments(*(None if part is None else next(sums) for part in parts))  # type: ignore[arg-type]
