"""The search for a start in compressed data."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.datasets import load_digits

from nmfnet import NMF
from nmfnet.factorization.data import DenseData, LowRankData, SparseData
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.transformers.compressed_start import (
    CompressedSearch,
    compress,
    compressed_rank,
    compression_pays,
    few_passes_pay,
)

CPU = torch.device("cpu")
KL = {"solver": "mu", "beta_loss": "kullback-leibler"}


def factors(k, m, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(k, size, generator=generator, dtype=torch.float64) for size in (m, n))


def test_low_rank_data_are_the_product_of_their_factors():
    A, B = factors(4, 30, 20)
    low, dense = LowRankData(A, B), DenseData(A.T @ B)
    assert low.shape == dense.shape == (30, 20) and low.entries == 4 * 50
    F, H = factors(3, 30, 20, seed=1)
    rows, weights = slice(5, 17), torch.rand(30, dtype=torch.float64)
    products = [torch.empty(3, 12, dtype=torch.float64) for _ in range(2)]
    low.project(rows, H, products[0]), dense.project(rows, H, products[1])
    torch.testing.assert_close(*products)
    sums = [torch.ones(3, 20, dtype=torch.float64) for _ in range(2)]
    low.add_products(rows, F[:, rows], sums[0]), dense.add_products(rows, F[:, rows], sums[1])
    torch.testing.assert_close(*sums)
    for name, given in (("times", H.T), ("transposed_times", F.T)):
        torch.testing.assert_close(getattr(low, name)(given), getattr(dense, name)(given))
    torch.testing.assert_close(low.column_squares(), dense.column_squares())
    assert low.mean() == pytest.approx(dense.mean())
    assert low.squares(None) == pytest.approx(dense.squares(None))
    assert low.squares(weights) == pytest.approx(dense.squares(weights))


@pytest.mark.parametrize("make", [DenseData, lambda X: SparseData(scipy.sparse.csr_array(X.numpy()), CPU)])
def test_data_of_low_rank_are_compressed_without_loss(make):
    A, B = factors(5, 60, 40)
    X = A.T @ B
    low = LowRankData(*compress(make(X), 3, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(low.A.T @ low.B, X)


def test_compression_is_for_data_that_become_smaller_by_it():
    wide = DenseData(torch.rand(300, 200))
    assert compressed_rank(wide, 12) == 34 and compressed_rank(wide, 150) == 200
    assert compression_pays(wide, 12)
    assert not compression_pays(SparseData(scipy.sparse.random(3000, 3000, 1e-3, format="csr"), CPU), 20)
    assert compression_pays(SparseData(scipy.sparse.random(300, 300, 0.2, format="csr"), CPU), 12)


def test_sparse_data_are_compressed_to_a_multiple_of_eight_vectors():
    sparse = SparseData(scipy.sparse.random(300, 200, 0.2, format="csr"), CPU)
    assert [compressed_rank(sparse, k) for k in (10, 11, 20, 40, 150)] == [32, 32, 56, 96, 200]


def test_few_components_begin_in_compressed_data_where_these_are_sparse_and_smaller():
    sparse = SparseData(scipy.sparse.random(300, 200, 0.2, format="csr"), CPU)
    sparser = SparseData(scipy.sparse.random(3000, 3000, 1e-2, format="csr"), CPU)
    assert few_passes_pay(sparse, 10) and not few_passes_pay(sparse, 11)
    assert not few_passes_pay(sparser, 10)
    assert not few_passes_pay(DenseData(torch.rand(300, 200)), 10)


@pytest.mark.parametrize(("k", "searched"), [(5, False), (12, True)])
def test_few_components_of_sparse_data_are_not_replaced(k, searched, monkeypatch):
    X = scipy.sparse.random(600, 520, 0.3, format="csr", random_state=0)
    called = []
    for name in ("way", "search"):
        plain = getattr(CompressedSearch, name)
        monkeypatch.setattr(CompressedSearch, name, lambda self, n=name, f=plain: called.append(n) or f(self))
    model = NMF(k, random_state=0).fit(X)
    assert called == ["search" if searched else "way"]
    assert np.isfinite(model.objective_) and (model.components_ >= 0).all()


def test_few_components_of_sparse_data_end_where_those_of_the_same_dense_data_do():
    X = load_digits().data
    sparse, dense = (NMF(5, tol=1e-6, random_state=0).fit(A) for A in (scipy.sparse.csr_array(X), X))
    assert sparse.objective_ == pytest.approx(dense.objective_, rel=1e-4)


@pytest.mark.parametrize(("noise", "late"), [(0.0, True), (30.0, False)])
def test_nothing_is_replaced_late_where_compression_leaves_out_much(noise, late, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.gamma(0.2, 1, (300, 40)) @ rng.gamma(0.2, 1, (40, 200)) + noise * (rng.random((300, 200)) < 0.05)
    data, passes = DenseData(torch.from_numpy(X)), []
    vectors = compress(data, 12, torch.Generator().manual_seed(0))
    search = CompressedSearch(vectors, Penalties(), data.squares(None), factors(12, *data.shape))
    plain = CompressedSearch._replaced
    monkeypatch.setattr(CompressedSearch, "_replaced", lambda *given: passes.append(given[-1]) or plain(*given))
    search.search()
    assert passes == ([5, 5, 10] if late else [5, 5])


@pytest.mark.parametrize("penalties", [Penalties(), Penalties(0.5, 0.1, 0.5, 0.1)])
def test_a_search_ends_no_higher_than_its_first_way(penalties):
    data = DenseData(torch.from_numpy(load_digits().data))
    vectors = compress(data, 15, torch.Generator().manual_seed(0))
    search = CompressedSearch(vectors, penalties, data.squares(None), factors(15, *data.shape))
    problem = LeastSquares(search.data, 15, penalties)
    ends = [problem.sweep(Z.clone(), H, Z.clone()).objective for Z, H in (search.way(), search.search())]
    assert ends[1] <= ends[0] * (1 + 1e-9)
    assert all(bool((F >= 0).all()) and bool(F.isfinite().all()) for F in search.search())


def test_a_search_leaves_its_start_as_it_is():
    data = DenseData(torch.rand(50, 40, dtype=torch.float64))
    start = factors(12, 50, 40)
    copies = [F.clone() for F in start]
    CompressedSearch(compress(data, 12, torch.Generator()), Penalties(), data.squares(None), start).search()
    torch.testing.assert_close(list(start), copies)


def test_easy_data_are_not_searched_for_long(monkeypatch):
    A, B = factors(12, 80, 60)
    data = DenseData(A.T @ B + 0.01)
    vectors = compress(data, 12, torch.Generator().manual_seed(0))
    search = CompressedSearch(vectors, Penalties(), data.squares(None), (A, B))
    search.lost = 1e9  # next to which nothing is gained
    monkeypatch.setattr("nmfnet.transformers.compressed_start.replaced", lambda *given: pytest.fail("searched"))
    search.search()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:Maximum number")
def test_the_divergence_is_soon_low_from_least_squares(dtype, monkeypatch):
    X = load_digits().data[:600].astype(dtype)
    found = NMF(15, random_state=0, max_iter=5, **KL).fit(X)
    monkeypatch.setattr("nmfnet.transformers.initialization.compression_pays", lambda *given: False)
    plain = NMF(15, random_state=0, max_iter=5, **KL).fit(X)
    assert found.components_.dtype == dtype
    assert found.objective_ < 0.9 * plain.objective_


def test_zeros_of_the_least_squares_start_do_not_stay():
    """A word that only one component has at the start may be in all of them at the end."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.csr_array(rng.poisson(rng.gamma(0.3, 1, (600, 6)) @ rng.gamma(0.3, 1, (6, 200))).astype(float))
    model = NMF(6, random_state=0, **KL).fit(X)
    A = model.transform(X) @ model.components_
    assert np.isfinite(model.objective_) and (A[X.toarray() > 0] > 0).all()


@pytest.mark.parametrize("alpha_H", ["same", 0.0, 0.5])
@pytest.mark.parametrize("settings", [{}, {"solver": "mu"}, KL], ids=["cd", "mu", "divergence"])
@pytest.mark.parametrize(("dtype", "scale"), [(np.float64, 1e-200), (np.float64, 1e-300), (np.float32, 1e-30)])
def test_penalties_on_data_next_to_nothing_make_zeros(settings, dtype, scale, alpha_H):
    X = (np.random.default_rng(0).random((30, 12)) * scale).astype(dtype)
    model = NMF(3, alpha_W=0.1, alpha_H=alpha_H, l1_ratio=0.5, random_state=0, **settings)
    Z = model.fit_transform(X)
    assert np.isfinite(Z).all() and np.isfinite(model.components_).all()
    assert np.isfinite(model.reconstruction_err_)
    if alpha_H != 0.0:
        assert np.abs(Z @ model.components_).max() <= 1e-3 * scale


def test_the_divergence_is_that_of_the_data_whatever_their_scale():
    X = np.random.default_rng(0).random((40, 15))
    plain, large = (NMF(3, tol=1e-6, random_state=0, **KL).fit(X * scale) for scale in (1.0, 2.0**500))
    assert large.objective_ / 2.0**500 == pytest.approx(plain.objective_, rel=1e-6)
    assert large.reconstruction_err_ / 2.0**250 == pytest.approx(plain.reconstruction_err_, rel=1e-6)


def test_last_passes_go_on_where_single_precision_ends():
    A, B = (F.float() for F in factors(6, 120, 90))  # an exact fit: what passes gain are rounding errors
    data = DenseData(A.T @ B)
    vectors = compress(data, 6, torch.Generator().manual_seed(0))
    search = CompressedSearch(vectors, Penalties(), data.squares(None), (A, B))
    Z, H = search._last(A.clone(), B.clone())
    assert Z.dtype == H.dtype == torch.float64
    X = (vectors[0].T @ vectors[1]).double()
    losses = [float((X - F.double().T @ G.double()).square().sum()) for F, G in ((Z, H), (A, B))]
    assert losses[0] <= losses[1]
