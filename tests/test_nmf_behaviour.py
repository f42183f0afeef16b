"""What users of scikit-learn's NMF rely on: starts, shapes, dtypes, penalties, sparse data, mini-batches."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.decomposition import NMF as TheirNMF

from nmfnet import NMF, SemiNMF
from nmfnet.factorization.data import DenseData
from nmfnet.factorization.initialization import starting_factors
from test_decomposition import planted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
STARTS = ["random", "nndsvd", "nndsvda", "nndsvdar"]
SOLVERS = [{"solver": "cd"}, {"solver": "mu"}, {"solver": "mu", "beta_loss": "kullback-leibler"}]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=["cd", "mu", "kl"])
every_start = pytest.mark.parametrize("init", STARTS)


def gaussian(*shape, seed=42):
    return np.abs(np.random.default_rng(seed).standard_normal(shape))


def start(X, k, init):
    Z, H = starting_factors(DenseData(X), k, init, torch.Generator().manual_seed(0))
    return Z.T.numpy(), H.numpy()


@every_start
def test_starting_factors_are_nonnegative(init):
    for shape in ((10, 10), (30, 8), (8, 30)):
        assert all((F >= 0).all() for F in start(gaussian(*shape), 5, init))


@pytest.mark.parametrize("signed", [False, True])
def test_the_product_of_random_factors_is_as_large_as_the_data(signed):
    X = 7 * gaussian(60, 50) - (20 if signed else 0)
    rng = torch.Generator().manual_seed(0)
    products = [
        Z.T @ H for Z, H in (starting_factors(DenseData(X), 4, "random", rng, signed=signed) for _ in range(30))
    ]
    assert all(bool((P >= 0).all()) != signed for P in products)
    found = torch.stack(products)
    if signed:
        assert float(found.square().mean()) == pytest.approx(float(np.square(X).mean()), rel=0.1)
    else:  # 2 / pi is the squared mean of half-normal numbers
        assert float(found.mean()) == pytest.approx(2 / np.pi * float(X.mean()), rel=0.1)


def test_nndsvd_is_near_and_its_variants_differ_where_it_is_zero():
    X = gaussian(10, 10)
    Z, H = start(X, 10, "nndsvd")
    assert np.linalg.norm(Z @ H - X) <= 2 * np.linalg.norm(X - X.mean())
    for init in STARTS[2:]:
        for plain, filled in zip((Z, H), start(X, 10, init), strict=True):
            np.testing.assert_allclose(filled[plain != 0], plain[plain != 0])
            assert (filled[plain == 0] > 0).all()


@every_solver
@every_start
@pytest.mark.parametrize("penalty", [{}, {"alpha_W": 0.1, "l1_ratio": 0.0}, {"alpha_W": 0.1, "l1_ratio": 0.7}])
def test_factors_are_nonnegative(solver, init, penalty):
    X = np.c_[5.0 - np.arange(1, 6), 5.0 + np.arange(1, 6)]
    model = NMF(2, init=init, random_state=0, **solver, **penalty)
    Z = model.fit_transform(X)
    assert (Z >= 0).all() and (model.components_ >= 0).all()


@every_solver
@every_start
def test_a_small_matrix_is_fitted(solver, init):
    if solver == {"solver": "mu"} and init == "nndsvd":
        pytest.skip("zeros stay zeros: it is warned of")
    X = gaussian(6, 5, seed=1)
    assert NMF(5, init=init, random_state=0, max_iter=1000, tol=1e-5, **solver).fit(X).reconstruction_err_ < 0.1


@every_solver
def test_an_exact_product_is_found_and_new_rows_of_it_transformed(solver):
    rng = np.random.default_rng(42)
    W, H = rng.random((40, 4)) * (rng.random((40, 4)) > 0.5), rng.random((4, 20)) * (rng.random((4, 20)) > 0.5)
    model = NMF(4, random_state=0, max_iter=3000, tol=1e-7, **solver).fit(W @ H)
    assert model.reconstruction_err_ < 0.1
    new = np.abs(rng.standard_normal((10, 4))) @ H
    np.testing.assert_allclose(model.inverse_transform(model.transform(new)), new, atol=0.1 * new.max())


@every_solver
def test_a_custom_start_is_used(solver):
    X, W, H = gaussian(6, 5, seed=0), gaussian(6, 4, seed=1), gaussian(4, 5, seed=2)
    model = NMF(4, init="custom", max_iter=1, tol=0, **solver)
    first, second = model.fit_transform(X, W=W, H=H), clone(model).fit_transform(X, W=W, H=2 * H)
    assert np.abs(first - second).max() > 1e-3
    assert NMF(init="custom", **solver).fit_transform(X, W=W, H=H).shape == (6, 4)  # the rank is that of H


@every_solver
@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_array])
def test_sparse_and_dense_agree(solver, container):
    X = gaussian(12, 10)
    X[:, 2 * np.arange(5)] = 0
    dense = NMF(5, random_state=0, tol=1e-3, max_iter=300, **solver)
    sparse = clone(dense)
    Z, Z_sparse = dense.fit_transform(X), sparse.fit_transform(container(X))
    np.testing.assert_allclose(Z_sparse, Z, atol=1e-4 * Z.max())
    np.testing.assert_allclose(sparse.components_, dense.components_, atol=1e-4 * dense.components_.max())
    np.testing.assert_allclose(dense.transform(container(X[:3])), dense.transform(X[:3]), atol=1e-6)


@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_l1_makes_zeros_and_l2_shrinks(solver):
    X = gaussian(12, 5)
    settings = {"n_components": 3, "solver": solver, "random_state": 0, "max_iter": 1000}
    plain, l1, l2 = (
        NMF(**settings, **penalty)
        for penalty in ({}, {"alpha_W": 0.1, "l1_ratio": 1.0}, {"alpha_W": 0.1, "l1_ratio": 0.0})
    )
    Z, Z1, Z2 = (model.fit_transform(X) for model in (plain, l1, l2))
    zeros = [(F < 1e-10).sum() for F in (Z, plain.components_, Z1, l1.components_)]
    assert zeros[2] + zeros[3] > zeros[0] + zeros[1]

    def size(Z, model):
        return np.linalg.norm(Z) ** 2 + np.linalg.norm(model.components_) ** 2

    assert size(Z2, l2) < size(Z, plain)


def test_rows_and_columns_of_zeros_do_not_upset_the_divergence():
    X = gaussian(10, 6)
    X[:5], X[:, 1] = 0, 0
    model = NMF(3, solver="mu", beta_loss="kullback-leibler", init="random", random_state=0, max_iter=50)
    Z = model.fit_transform(X)
    assert np.isfinite(Z).all() and np.isfinite(model.components_).all() and np.isfinite(model.reconstruction_err_)
    assert np.abs(Z[:5]).max() < 1e-6


@every_solver
@pytest.mark.parametrize(("given", "kept"), [(np.float32, np.float32), (np.float64, np.float64), (int, np.float64)])
def test_the_dtype_is_kept(solver, given, kept):
    X = (10 * gaussian(20, 15)).astype(given)
    model = NMF(3, random_state=0, max_iter=50, **solver)
    assert model.fit_transform(X).dtype == model.transform(X).dtype == model.components_.dtype == kept


@every_solver
def test_float32_and_float64_agree(solver):
    X = gaussian(50, 7)
    Z32, Z64 = (NMF(3, random_state=0, tol=1e-3, **solver).fit_transform(X.astype(t)) for t in ("f4", "f8"))
    np.testing.assert_allclose(Z32, Z64, atol=5e-3 * Z64.max())


def test_multiplicative_steps_from_zeros_are_warned_of():
    with pytest.warns(UserWarning, match="zeros of init='nndsvd' stay zeros"):
        NMF(2, solver="mu", init="nndsvd", max_iter=2).fit(gaussian(8, 5))


def test_verbose_prints_each_pass(capsys):
    NMF(2, max_iter=3, tol=0, random_state=0, verbose=1).fit(gaussian(8, 5))
    assert "pass 1, objective" in capsys.readouterr().out


def test_partial_fit_from_the_same_start_is_a_fit_by_batches():
    """With one batch an epoch, nothing is forgotten differently; but fit begins each Z where the last epoch ended."""
    X = gaussian(100, 5)
    W, H = gaussian(100, 3, seed=1), gaussian(3, 5, seed=2)
    settings = {"n_components": 3, "init": "custom", "batch_size": 100, "random_state": 0, "max_iter": 12, "tol": 0}
    whole, parts = NMF(**settings), NMF(**settings)
    whole.fit_transform(X, W=W, H=H)
    for _ in range(12):
        parts.partial_fit(X, W=W, H=H)
    assert whole.n_iter_ == parts.n_iter_ == 12
    np.testing.assert_allclose(parts.components_, whole.components_, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("penalty", [{}, {"alpha_W": 1e-2, "l1_ratio": 0.5}])
def test_both_solvers_of_semi_nmf_never_rise_and_fit(penalty):
    X = planted(60, 20, 3, signed=True) + 0.05 * np.random.default_rng(0).standard_normal((60, 20))
    ends = []
    for solver in ("cd", "mu"):
        model, seen = SemiNMF(3, solver=solver, tol=0, max_iter=400, verbose=1, random_state=0, **penalty), []
        model._announce = lambda _, value, seen=seen: seen.append(value)
        Z = model.fit_transform(X)
        assert (Z >= 0).all() and np.diff(seen).max() <= 1e-10 * seen[0]
        np.testing.assert_allclose(model.transform(X), Z, atol=2e-3 * Z.max())
        ends.append(model.objective_)
    assert max(ends) < 0.2 * (X**2).sum() / 2  # penalties included


def test_l1_and_l2_on_a_signed_factor_end_where_the_subgradient_vanishes():
    X = planted(40, 8, 3, signed=True)
    model = SemiNMF(3, alpha_W=0.02, alpha_H=0.02, l1_ratio=0.5, tol=1e-6, max_iter=1000, random_state=0)
    Z = model.fit_transform(X)
    H, strength = model.components_, 0.01 * 40
    gradient = Z.T @ (Z @ H - X) + strength * H
    assert (H != 0).any()
    np.testing.assert_allclose(gradient[H != 0], -strength * np.sign(H[H != 0]), atol=1e-3 * strength)
    assert (np.abs(gradient[H == 0]) <= 1.001 * strength).all()


@pytest.mark.parametrize("penalty", [{"alpha_W": 0.02, "l1_ratio": 0.3}, {"alpha_W": 0.02, "alpha_H": 0.05}])
def test_penalized_multiplicative_steps_are_scikit_learns(penalty):
    rng = np.random.default_rng(0)
    X, W, H = rng.random((30, 12)), rng.random((30, 4)), rng.random((4, 12))
    settings = {"n_components": 4, "solver": "mu", "init": "custom", "max_iter": 5, "tol": 0, **penalty}
    ours, theirs = NMF(**settings), TheirNMF(**settings)
    ours.fit_transform(X, W=W.copy(), H=H.copy())
    theirs.fit_transform(X, W=W.copy(), H=H.copy())
    np.testing.assert_allclose(ours.components_, theirs.components_, rtol=1e-10)
