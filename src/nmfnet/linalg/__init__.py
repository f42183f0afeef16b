"""Products, decompositions and least-squares solvers: the linear algebra under everything."""

from nmfnet.linalg.decompositions import (
    TruncatedSVD,
    float64_blocks,
    gram,
    naming_overflow,
    pseudo_inverse,
    singular_basis,
    truncated_svd,
)
from nmfnet.linalg.products import (
    affine,
    all_finite,
    check_finite,
    column_parts,
    inner_product,
    weighted,
    weighted_mean,
    with_ones,
)

__all__ = [
    "TruncatedSVD",
    "affine",
    "all_finite",
    "check_finite",
    "column_parts",
    "float64_blocks",
    "gram",
    "inner_product",
    "naming_overflow",
    "pseudo_inverse",
    "singular_basis",
    "truncated_svd",
    "weighted",
    "weighted_mean",
    "with_ones",
]
