"""Replacement of components, against dense references."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.datasets import load_digits

from nmfnet import NMF
from nmfnet.factorization.acceleration import alternate
from nmfnet.factorization.data import DenseData, SparseData
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.transformers.component_replacement import (
    most_useful,
    replace_components,
    replacement_pays,
    residual_parts,
)

CPU = torch.device("cpu")


def topics(count=6, size=100, n=90, seed=0):
    """Blocks of a few words each, in rows of their own, as a sparse matrix of count * size rows."""
    rng = np.random.default_rng(seed)
    blocks = [rng.random((size, n)) * (rng.random((size, n)) < 0.3) for _ in range(count)]
    return scipy.sparse.csr_array(scipy.sparse.block_diag(blocks, format="csr"))


def objective(X, Z, H):
    return float(np.square(X.toarray() - np.asarray(Z).T @ np.asarray(H)).sum()) / 2


def block_factors(count, size, n, of):
    """Factors with one component for each block in `of`."""
    Z, H = (
        torch.zeros(len(of), count * size, dtype=torch.float64),
        torch.zeros(len(of), count * n, dtype=torch.float64),
    )
    for row, block in enumerate(of):
        Z[row, block * size : (block + 1) * size] = 0.4 + 0.01 * row
        H[row, block * n : (block + 1) * n] = 0.4
    return Z, H


def test_a_topic_that_was_missed_takes_the_place_of_a_copy():
    X = topics()
    data = SparseData(X, CPU)
    problem = partial(LeastSquares, data, penalties=Penalties(0, 0, 0, 0))
    Z, H = block_factors(6, 100, 90, [0, 1, 2, 3, 4, 4])  # nothing for the last block
    stuck = alternate(problem(6), Z.clone(), H.clone(), 100, 0.0)
    found = replace_components(problem, data, (Z, H), 100)
    best = alternate(problem(6), *block_factors(6, 100, 90, range(6)), 100, 0.0)
    end = alternate(problem(6), *found, 100, 0.0)
    assert stuck.last.objective > 1.04 * best.last.objective
    assert end.last.objective <= (1 + 1e-3) * best.last.objective


@pytest.mark.parametrize("seed", range(3))
def test_factors_are_nonnegative_and_no_worse_than_the_passes_alone(seed):
    X = topics(seed=seed)
    data = SparseData(X, CPU)
    problem = partial(LeastSquares, data, penalties=Penalties(0, 0, 0, 0))
    generator = torch.Generator().manual_seed(seed)
    Z, H = (torch.rand(7, size, generator=generator, dtype=torch.float64) for size in X.shape)
    alone = alternate(problem(7), Z.clone(), H.clone(), 5, 0.0)
    found = replace_components(problem, data, (Z, H), 5)
    assert [factor.shape for factor in found] == [(7, 600), (7, 540)]
    assert all((factor >= 0).all() for factor in found)
    assert objective(X, *found) <= alone.last.objective * (1 + 1e-12)


def test_an_exchange_that_does_not_pay_is_taken_back(monkeypatch):
    data = SparseData(topics(), CPU)
    problem = partial(LeastSquares, data, penalties=Penalties(0, 0, 0, 0))
    Z, H = block_factors(6, 100, 90, range(6))
    alone = alternate(problem(6), Z.clone(), H.clone(), 5, 0.0)
    monkeypatch.setattr(
        "nmfnet.transformers.component_replacement.most_useful", lambda Z, H, k: [0] * k
    )  # copies of one topic
    found = replace_components(problem, data, (Z, H), 5)
    torch.testing.assert_close(found, (alone.Z, alone.H))


def test_residual_parts_lower_the_loss():
    X = topics()
    Z, H = block_factors(6, 100, 90, [0, 1, 2, 3])
    U, V = residual_parts(SparseData(X, CPU), Z, H, 2)
    assert U.shape == (2, 600) and V.shape == (2, 540)
    assert (U >= 0).all() and (V >= 0).all()
    more = objective(X, torch.cat([Z, U]), torch.cat([H, V]))
    assert more < objective(X, Z, H)
    residual = X.toarray() - Z.numpy().T @ H.numpy()
    largest = np.linalg.svd(np.maximum(residual, 0), compute_uv=False)[0]
    sizes = [float(u.norm() * v.norm()) for u, v in zip(U, V, strict=True)]
    assert 0.5 * largest < sizes[0] < 1.5 * largest
    assert sizes[0] >= sizes[1]


def test_nothing_is_left_of_data_that_are_fitted_exactly():
    Z, H = block_factors(6, 100, 90, range(6))
    X = scipy.sparse.csr_array((Z.T @ H).numpy())
    U, V = residual_parts(SparseData(X, CPU), Z, H, 2)
    assert float((U.T @ V).abs().max()) < 1e-6
    zero = scipy.sparse.csr_array((600, 540))
    U, V = residual_parts(SparseData(zero, CPU), torch.zeros_like(Z), torch.zeros_like(H), 2)
    assert len(U) == len(V) == 0


def test_what_costs_least_is_left_out():
    """By least squares in Z or H alone, whichever makes up better for it."""
    rng = np.random.default_rng(0)
    Z, H = rng.random((5, 30)), rng.random((5, 20))
    Z[3] *= 1e-3  # next to nothing
    Z[4] = Z[1] + 1e-2 * rng.random(30)  # nearly a copy

    def cost(all_of_them, kept):
        full = Z[all_of_them].T @ H[all_of_them]
        over_H = np.linalg.lstsq(Z[kept].T, full, rcond=None)[1].sum()
        over_Z = np.linalg.lstsq(H[kept].T, full.T, rcond=None)[1].sum()
        return min(over_H, over_Z)

    rest = list(range(5))
    for k in (4, 3, 2, 1):
        costs = {left: cost(rest, [i for i in rest if i != left]) for left in rest}
        rest.remove(min(costs, key=costs.get))
        assert most_useful(torch.tensor(Z), torch.tensor(H), k) == rest
    assert 3 not in most_useful(torch.tensor(Z), torch.tensor(H), 4)


def test_only_large_sparse_data_and_more_than_a_few_components_are_worth_it():
    large = SparseData(scipy.sparse.random(600, 600, 0.01, format="csr"), CPU)
    assert (
        replacement_pays(large, 12, 1) and not replacement_pays(large, 10, 1) and not replacement_pays(large, 400, 200)
    )
    assert not replacement_pays(SparseData(scipy.sparse.random(600, 60, 0.1, format="csr"), CPU), 12, 200)
    dense = DenseData(torch.rand(60, 40))
    assert replacement_pays(dense, 12, 200) and replacement_pays(dense, 26, 200)
    assert not replacement_pays(dense, 10, 200)  # components
    assert not replacement_pays(dense, 28, 200)  # half as many more are more than there are columns
    assert not replacement_pays(dense, 12, 20)  # passes


@pytest.mark.parametrize("scale", [1e-170, 1.0, 1e150])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_estimator(dtype, scale):
    if dtype == np.float32:
        scale = scale**0.1
    X = (topics() * scale).astype(dtype)
    model = NMF(6, random_state=0, max_iter=50)
    Z = model.fit_transform(X)
    assert Z.dtype == model.components_.dtype == dtype and np.isfinite(Z).all()
    best = alternate(
        LeastSquares(SparseData(topics(), CPU), 6, Penalties(0, 0, 0, 0)),
        *block_factors(6, 100, 90, range(6)),
        100,
        0.0,
    ).last.objective
    left = X.toarray().astype(float) / scale - (Z.astype(float) / scale) @ model.components_.astype(float)
    assert np.square(left).sum() / 2 <= 1.01 * best
    np.testing.assert_array_equal(Z, NMF(6, random_state=0, max_iter=50).fit_transform(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_data_of_many_components_end_lower_for_it(dtype, monkeypatch):
    X = load_digits().data.astype(dtype)
    model = NMF(15, random_state=2)
    Z = model.fit_transform(X)
    assert Z.dtype == dtype
    monkeypatch.setattr("nmfnet.transformers.initialization.replacement_pays", lambda *given: False)
    assert model.objective_ < 0.995 * NMF(15, random_state=2).fit(X).objective_


def test_weights_of_samples_and_a_start_of_ones_own_go_without():
    X, ones = topics(), np.ones(600)
    plain = NMF(6, random_state=0, max_iter=20).fit(X).reconstruction_err_
    weighted = NMF(6, random_state=0, max_iter=20).fit(X, weights=ones).reconstruction_err_
    assert plain <= 1.05 * weighted
