"""Held-out documents as new ones will be: without the words that nobody has seen."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.data.source import Rows, Source
from nmfnet.linalg.sparse import SparseRows

SAME_LENGTH = 1e-4  # relative difference of the lengths of documents that were scaled to one


def seen_words(source: Source, trained: Source) -> Tensor | None:
    """Of the columns of a sparse source (n,), those that a part that is `trained` on has a value in.

    None where new rows may have values in any column: where the inputs are dense, or not even all rows of the source
    have a value in each, as with hashed words.  A vectorizer has columns for the words of the rows of the fit alone.
    """
    if not source.is_sparse or not bool((_rows_of_columns(source) > 0).all()):
        return None
    return _rows_of_columns(trained) > 0


def of_one_length(source: Source) -> bool:
    """Whether all rows of a sparse source that have values are equally long, whoever holds them."""
    found = [torch.zeros(1, 2, dtype=torch.float64)]
    for block in source.blocks():
        if isinstance(block.X, SparseRows):
            lengths = block.X.lengths()
            lengths = lengths[lengths > 0]
            found.append(torch.stack([lengths, 1 / lengths], 1))
    longest, inverse_of_shortest = source.holders.largest(torch.cat(found).amax(0)).tolist()
    return bool(longest * inverse_of_shortest * (1 - SAME_LENGTH) <= 1)


def without_unseen_words(X: Rows, seen: Tensor | None, one_length: bool) -> Rows:
    """Rows X (m, n) without values in columns that are not `seen` (n,); as long as before if all have `one_length`.

    A vectorizer leaves unseen words out before it scales a document to length 1.
    """
    if seen is None or not isinstance(X, SparseRows):
        return X
    known = X.scaled(seen.to(X.dtype))
    if one_length:
        before, after = X.lengths(), known.lengths()
        known = known.scaled_rows(torch.where(after > 0, before / after, 1.0))
    return known


def _rows_of_columns(source: Source) -> Tensor:
    """Rows (n,) in which each column has a value."""
    found = torch.zeros(source.n_features, dtype=torch.float64)
    for block in source.blocks():
        if isinstance(block.X, SparseRows):
            found += torch.bincount(block.X.columns, minlength=source.n_features)
        else:  # of a sparse source on another device
            found += (block.X != 0).sum(0).cpu()
    return source.holders([found])[0]
