"""Whether sparse columns are the words of documents, or come from a table."""

from __future__ import annotations

from typing import NamedTuple

import torch

from nmfnet.data.source import Source
from nmfnet.linalg.sparse import SparseRows

SURELY_WORDS = 1000  # columns from which on they are; categories of a table are as well off with the rules for words
# Of fewer columns words are those of documents of different lengths, each with few of all words.  Categories of tables
# fill equally many columns in each row, and pixels more of them.
MIN_WORDS, MAX_DENSITY, MIN_VARIATION = 100, 0.15, 0.2


class Stored(NamedTuple):
    """How many values sparse samples store: mean and standard deviation over the samples."""

    mean: float
    deviation: float


def stored_per_row(source: Source) -> Stored:
    """Of all samples; on a GPU, where these are dense, of the values that are not 0."""
    sums = torch.zeros(2, dtype=torch.float64)
    for block in source.blocks():
        X = block.X
        counts = (X.counts if isinstance(X, SparseRows) else X.count_nonzero(1).cpu()).double()
        sums += torch.stack([counts.sum(), counts.square().sum()])
    mean, squares = (source.holders([sums])[0] / max(1, source.n_rows)).tolist()
    return Stored(mean, max(0.0, squares - mean**2) ** 0.5)


def are_words(source: Source) -> bool:
    """Whether the columns of inputs are taken for words."""
    n = source.n_features
    if not source.is_sparse or n < MIN_WORDS or n >= SURELY_WORDS:
        return source.is_sparse and n >= SURELY_WORDS
    stored = stored_per_row(source)
    return stored.mean <= MAX_DENSITY * n and stored.deviation >= MIN_VARIATION * stored.mean
