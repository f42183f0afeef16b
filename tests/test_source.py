"""Sources of samples: a subset is as the samples copied would be, and scalings are those of all blocks."""

import pytest
import scipy.sparse
import torch

from nmfnet.data.scaling import input_scaling, target_scaling
from nmfnet.data.source import InMemory
from nmfnet.linalg.sparse import SparseRows

kinds = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
weights = pytest.mark.parametrize("weighted", [False, True])


def source_of(sparse, weighted, n=300, n_features=7):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(n, n_features, generator=generator, dtype=torch.float64) * torch.arange(1, n_features + 1)
    Y = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    weight = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1 if weighted else None
    X = SparseRows(scipy.sparse.csr_array((X * (X > 0)).numpy())) if sparse else X
    return InMemory(X, Y, weight).normalized()[0]


def dense(X):
    return X.dense() if isinstance(X, SparseRows) else X


@kinds
@weights
def test_a_subset_is_the_samples_copied(sparse, weighted):
    source, rows = source_of(sparse, weighted), torch.arange(3, 250, 4)
    part = source.subset(rows)
    weight = None if source.weight is None else source.weight[rows]
    copied = InMemory(source.X[rows], source.Y[rows], weight)
    assert (part.n_rows, part.n_features, part.is_sparse) == (copied.n_rows, copied.n_features, sparse)
    part, copied = part.normalized()[0], copied.normalized()[0]
    for size in (10, 1000):
        generators = [torch.Generator().manual_seed(1) for _ in range(2)]
        pairs = zip(part.batches(size, generators[0]), copied.batches(size, generators[1]), strict=True)
        for one, two in [*pairs, *zip(part.blocks(), copied.blocks(), strict=True)]:
            assert torch.equal(dense(one.X), dense(two.X)) and torch.equal(one.Y, two.Y)
            assert one.weight is two.weight is None or torch.equal(one.weight, two.weight)


@kinds
@weights
@pytest.mark.parametrize("share", [1.0, 0.9])
def test_scalings_are_the_same_from_blocks_of_any_size(sparse, weighted, share, monkeypatch):
    """Those of pixels, too, whose principal components are of every few rows."""
    source = source_of(sparse, weighted, 700, 150)
    if not sparse:
        source.X[:, 1:] = 0.01 * source.X[:, 1:] / torch.arange(2, 151) + source.X[:, :1]  # nearly one direction
        monkeypatch.setattr("nmfnet.data.first_reading.COVARIANCE_ROWS", 100)
    whole = input_scaling(source, share), target_scaling(source)
    assert whole[0].projects == (share < 1 and not sparse)
    monkeypatch.setattr(InMemory, "block_numbers", 1)  # 64 rows then
    for one, two in zip(whole, (input_scaling(source, share), target_scaling(source)), strict=True):
        torch.testing.assert_close(one.shift, two.shift, rtol=1e-12, atol=1e-14)
        factors = [each.factor @ each.factor.T if each.projects else each.factor for each in (one, two)]
        torch.testing.assert_close(*factors, rtol=1e-6, atol=1e-9)
