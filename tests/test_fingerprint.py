"""Checksums of data: a resumed training must be of the same rows, in the same order."""

import numpy as np
import pytest
import scipy.sparse
import torch

from nmfnet.data.source import InMemory
from nmfnet.linalg.sparse import SparseRows
from nmfnet.training.fingerprint import digest


class InSmallBlocks(InMemory):
    block_numbers = 40  # two rows or so


def source(X, kind, weight=None, Source=InMemory):
    Y = torch.arange(30, dtype=torch.float64 if X.dtype == np.float64 else torch.float32)[:, None]
    rows = torch.from_numpy(X) if kind == "dense" else SparseRows(scipy.sparse.csr_matrix(X))
    return Source(rows, Y, weight)


@pytest.fixture(params=[np.float32, np.float64])
def X(request):
    rng = np.random.default_rng(0)
    return (rng.random((30, 12)) * (rng.random((30, 12)) < 0.3)).astype(request.param)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_blocks_do_not_matter(X, kind):
    assert digest(source(X, kind)) == digest(source(X, kind, Source=InSmallBlocks))


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_every_change_shows(X, kind):
    number, swapped, moved, doubled = (
        X.copy(),
        X.copy(),
        X.copy(),
        X.astype(np.float64 if X.dtype == np.float32 else np.float32),
    )
    place = tuple(np.argwhere(X)[7])
    number[place] = np.nextafter(number[place], np.inf, dtype=X.dtype)
    swapped[[3, 4]] = X[[4, 3]]
    row = next(i for i in range(30) if X[i, 5] and not X[i, 6])
    moved[row, [5, 6]] = X[row, [6, 5]]  # the same values, in another column
    weight = torch.ones(30, dtype=torch.from_numpy(X).dtype)
    weight[2] = 2
    found = {digest(source(each, kind)) for each in (X, number, swapped, moved, doubled)}
    found |= {digest(source(X, kind, weight)), digest(source(X, kind, weight.flip(0)))}
    assert len(found) == 7
