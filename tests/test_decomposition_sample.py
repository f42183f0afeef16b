"""Tall data start from a sample of their rows."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.decomposition import NMF as TheirNMF

from nmfnet import NMF, NonlinearSemiNMF, SemiNMF
from nmfnet.transformers.subsampled_start import Stalled, sample_rows

ROWS, COLUMNS, RANK = 17_000, 12, 3


@pytest.fixture(scope="module")
def tall():
    rng = np.random.default_rng(0)
    Z, H = rng.gamma(0.5, 1, (ROWS, RANK)), rng.gamma(0.5, 1, (RANK, COLUMNS))
    return Z @ H + 0.05 * rng.random((ROWS, COLUMNS))


@pytest.fixture(scope="module")
def best(tall):
    return TheirNMF(RANK, init="nndsvda", max_iter=500, random_state=0).fit(tall).reconstruction_err_


def test_a_sample_is_of_tall_data_alone():
    draw = torch.Generator().manual_seed(0)
    assert sample_rows((16_000, 10), draw) is None  # too few rows
    assert sample_rows((40_000, 2000), draw) is None  # not tall
    rows = sample_rows((40_000, 1000), draw)
    assert len(rows) == 5000
    assert (np.diff(rows) > 0).all()
    assert rows[-1] < 40_000


def test_passes_on_the_sample_stop_where_they_gain_nothing():
    stalled = Stalled()
    assert not any(stalled(n, 1.0 - 0.01 * n) for n in range(1, 30))
    assert any(stalled(n, 0.7) for n in range(30, 42))


def test_a_few_passes_are_enough(tall, best):
    ours = NMF(RANK, max_iter=8, tol=0, random_state=0).fit(tall)
    assert ours.n_iter_ == 8
    assert ours.reconstruction_err_ <= 1.001 * best


@pytest.mark.parametrize("init", ["random", "nndsvd"])
def test_every_start_goes_through_the_sample_and_is_repeatable(tall, best, init):
    first, again = (NMF(RANK, init=init, max_iter=12, tol=0, random_state=1).fit(tall) for _ in range(2))
    assert np.array_equal(first.components_, again.components_)
    assert first.reconstruction_err_ <= 1.005 * best


def test_sparse_missing_and_weighted_data(tall):
    whole = NMF(RANK, random_state=0).fit(tall)
    sparse = NMF(RANK, random_state=0).fit(scipy.sparse.csr_matrix(tall))
    assert sparse.reconstruction_err_ == pytest.approx(whole.reconstruction_err_, rel=5e-3)
    holes = np.where(np.random.default_rng(1).random(tall.shape) < 0.1, np.nan, tall)
    model = NMF(RANK, max_iter=300, random_state=0)
    hidden = np.isnan(holes)
    wrong = (model.inverse_transform(model.fit_transform(holes)) - tall)[hidden]
    assert np.linalg.norm(wrong) <= 0.1 * np.linalg.norm(tall[hidden])
    weights = np.repeat([1.0, 0.0], [ROWS // 2, ROWS - ROWS // 2])
    half = NMF(RANK, random_state=0).fit(tall[: ROWS // 2])
    weighted = NMF(RANK, random_state=0).fit(tall, weights=weights)
    assert weighted.reconstruction_err_ == pytest.approx(half.reconstruction_err_, rel=5e-3)


@pytest.mark.parametrize("Model", [SemiNMF, NonlinearSemiNMF])
def test_factors_of_any_sign(tall, best, Model):
    model = Model(RANK, max_iter=50, random_state=0)
    Z = model.fit_transform(tall)
    assert model.reconstruction_err_ <= 1.01 * best
    assert np.allclose(model.transform(tall), Z, atol=1e-2 * Z.max())


def test_what_no_row_of_the_sample_shows_is_found_in_the_whole():
    rng = np.random.default_rng(0)
    X = np.zeros((ROWS, COLUMNS))
    X[:, :6] = rng.random((ROWS, 2)) @ rng.random((2, 6))
    rows = sample_rows(X.shape, NMF(RANK, random_state=0)._generator())
    others = np.setdiff1d(np.arange(ROWS), rows)[:5]
    X[others, 6:] = 100 * rng.random(6)
    model = NMF(RANK, tol=1e-8, max_iter=1000, random_state=0).fit(X)
    assert model.reconstruction_err_ <= 1e-2 * np.linalg.norm(X)


def test_the_penalties_of_the_sample_are_those_of_the_whole(tall):
    settings = {"alpha_W": 1e-3, "alpha_H": 1e-3, "l1_ratio": 0.5}
    started = NMF(RANK, random_state=0, max_iter=10, tol=0, **settings).fit(tall)
    rng = np.random.default_rng(0)
    custom = NMF(RANK, init="custom", max_iter=300, **settings)
    custom.fit_transform(tall, W=rng.random((ROWS, RANK)), H=rng.random((RANK, COLUMNS)))
    assert started.objective_ <= 1.005 * custom.objective_
