"""The Kullback-Leibler divergence: its steps against references in float64, what it ends at, zeros, mini-batches."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import kl_div
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF as TheirNMF

from nmfnet import NMF
from nmfnet.factorization.acceleration import alternate
from nmfnet.factorization.data import DenseData, SparseData
from nmfnet.factorization.entries import Side, sparse_slices
from nmfnet.factorization.kullback_leibler import KullbackLeibler
from nmfnet.factorization.passes import Penalties
from nmfnet.factorization.poisson import Regressors, descend_, diagonal_step, point_at, rescale_, residuals, solve_
from nmfnet.factorization.steps import Pass

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CPU = torch.device("cpu")
KL = {"solver": "mu", "beta_loss": "kullback-leibler"}


def counts(m=600, n=40, k=5, seed=0):
    """Poisson counts of a planted rank."""
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(1, 1, (m, k)) @ rng.gamma(1, 1, (k, n))).astype(float)


def as_data(X, sparse):
    return SparseData(scipy.sparse.csr_array(X), CPU) if sparse else DenseData(X, CPU)


def loss_of_row(f, x, G, l1, l2):
    """One regression's objective, as documented."""
    a = G.T @ f
    with np.errstate(divide="ignore"):
        return a.sum() - (x[x > 0] * np.log(a[x > 0])).sum() + l1 * f.sum() + l2 * (f @ f) / 2


def regressions(sparse=False, l1=0.3, l2=0.2, m=30, n=20, k=4, seed=0):
    """Some regressions: X, G, the coefficients F (k, m), the tile, its totals, and the regressors."""
    rng = np.random.default_rng(seed)
    X, G, F = rng.poisson(2, (m, n)) * rng.random((m, n)), rng.random((k, n)), rng.random((k, m))
    data = as_data(X, sparse)
    side = Side(data)
    ((_, tile),) = list(side)
    G_laid_out, F = data.laid_out(torch.tensor(G)), data.laid_out(torch.tensor(F))
    by = Regressors(G_laid_out, torch.tensor(G.sum(1, keepdims=True) + l1), l2, 1e-14)
    return X, G, F, tile, side.totals, by


both = pytest.mark.parametrize("sparse", [False, True])


@both
def test_the_gradient_is_that_of_the_objective(sparse):
    X, G, F, tile, _, by = regressions(sparse)
    found = point_at(tile, F, by).gradient.numpy()
    for i, x in enumerate(X):
        f = F[:, i].numpy().copy()
        expected = scipy.optimize.approx_fprime(f, loss_of_row, 1e-7, x, G, 0.3, 0.2)
        np.testing.assert_allclose(found[:, i], expected, atol=1e-4)


def test_the_transpose_is_left_before_the_last_solution():
    X = counts(60, 20)
    problem = KullbackLeibler(as_data(X, True), 5, Penalties())
    Z, H = (problem.data.laid_out(torch.rand(5, side, dtype=torch.float64)) for side in X.shape)
    problem.step(Z, H, Z)
    assert "features" in vars(problem) and "columns" in vars(problem.data)
    problem.sweep(Z, H, Z, until=1e-3)
    assert "features" not in vars(problem) and "columns" not in vars(problem.data)


@both
def test_some_rows_in_the_same_memory_or_in_their_own(sparse):
    X, _, _, tile, *_ = regressions(sparse)
    mask = torch.arange(len(X)) % 3 == 0
    own, same = tile.some(mask), tile.some(mask, instead=True)
    assert same.scratch.data_ptr() == tile.scratch.data_ptr() != own.scratch.data_ptr()
    assert own.memory[0].data_ptr() == tile.memory[0].data_ptr()
    torch.testing.assert_close(own.sums(own.values), torch.from_numpy(X.sum(1))[mask])
    changed = tile.values.clone()
    tile.put(-own.values, mask, changed)
    torch.testing.assert_close(tile.sums(changed), torch.from_numpy(np.where(mask, -1, 1) * X.sum(1)))


@both
def test_the_step_is_newtons_with_the_diagonal(sparse):
    X, G, F, tile, _, by = regressions(sparse)
    reach = torch.linspace(0.1, 1, len(X), dtype=torch.float64)
    at = point_at(tile, F, by)
    found = diagonal_step(tile, F, at, by, reach).numpy()
    f = F.numpy()
    A = f.T @ G
    gradient = G.sum(1)[:, None] + 0.3 + 0.2 * f - G @ (X / A).T
    curvature = (G**2) @ (X / A**2).T + 0.2
    np.testing.assert_allclose(found, np.maximum(-reach.numpy() * gradient / curvature, -f), rtol=1e-10)


@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_columns_are_scaled_by_the_best_factor_and_zeros_begin_anew(l2):
    X, G, F, _, totals, by = regressions(l2=l2)
    F[:, 0] = 0
    before = F.clone()
    rescale_(F, totals, by)
    before[:, 0] = 1
    for i, x in enumerate(X):
        best = scipy.optimize.minimize_scalar(
            lambda s, i=i, x=x: loss_of_row(s * before[:, i].numpy(), x, G, 0.3, l2), bounds=(1e-3, 50)
        ).x
        np.testing.assert_allclose(F[:, i], best * before[:, i], rtol=1e-5)


@given(seed=st.integers(0, 2**31), scale=st.integers(-4, 4), sparse=st.booleans())
def test_no_regression_is_worse_after_a_step(seed, scale, sparse):
    X, G, F, tile, totals, by = regressions(sparse, seed=seed, k=1 + seed % 7)
    F.mul_(10.0**scale)
    F[torch.rand(F.shape, generator=torch.Generator().manual_seed(seed)) < 0.3] = 0
    reach = torch.ones_like(totals)
    for _ in range(3):
        before = [loss_of_row(F[:, i].numpy().copy(), x, G, 0.3, 0.2) for i, x in enumerate(X)]
        descend_(tile, F, totals, by, reach)
        after = [loss_of_row(F[:, i].numpy().copy(), x, G, 0.3, 0.2) for i, x in enumerate(X)]
        assert (F >= 0).all() and F.isfinite().all()
        for a, b, x in zip(after, before, X, strict=True):
            assert not a > b + 1e-9 * (1 + x.sum())


@both
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (1.0, 0.5)])
def test_solutions_are_those_of_a_general_solver(sparse, l1, l2):
    X, G, F, tile, totals, by = regressions(sparse, l1, l2, m=12)
    solve_(tile, F, totals, by, 1e-9)
    for i, x in enumerate(X):
        bounds = [(1e-12, None)] * len(G)
        best = scipy.optimize.minimize(
            loss_of_row, np.ones(len(G)), (x, G, l1, l2), bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-10}
        ).fun
        assert loss_of_row(F[:, i].numpy().copy(), x, G, l1, l2) <= best + 1e-7 * abs(best)
    assert residuals(F, point_at(tile, F, by).gradient, totals, by).max() <= 1e-8
    assert (F == 0).any()  # exactly


@both
def test_numerators_and_the_bound_that_online_steps_minimize(sparse):
    X, rng = counts(30, 20), np.random.default_rng(1)
    weights, Z, H = rng.random(30) + 0.5, rng.random((4, 30)), rng.random((4, 20))
    data, p = as_data(X, sparse), Penalties(0.1, 0.2, 0.3, 0.4)
    problem, out = KullbackLeibler(data, 4, p, row_weights=torch.tensor(weights)), torch.zeros(4, 30).double()
    done = problem.sweep(torch.tensor(Z), torch.tensor(H), out)
    Z, X = out.numpy(), weights[:, None] * X
    A = Z.T @ H
    Q = H * (Z @ (X / A))
    np.testing.assert_allclose(done.Q, Q, rtol=1e-9)
    np.testing.assert_allclose(done.S[:, 0], Z @ weights, rtol=1e-9)
    found = problem.h_step(torch.tensor(H), Pass(done.Q, done.S, 0.0, 0.0)).numpy()
    S = (Z @ weights)[:, None]
    gradient = S + 0.3 + 0.4 * found - Q / found
    np.testing.assert_allclose(gradient, 0, atol=1e-8 * S.max())


@both
def test_one_pass_is_the_same_dense_and_sparse_and_its_objective_that_of_the_factors(sparse):
    X, rng = counts(50, 30), np.random.default_rng(0)
    Z, H = torch.tensor(rng.random((3, 50))), torch.tensor(rng.random((3, 30)))
    found = []
    for data in (as_data(X, False), as_data(X, True)):
        z, h = data.laid_out(Z.clone()), data.laid_out(H.clone())
        step = KullbackLeibler(data, 3, Penalties()).step(z, h, z)
        np.testing.assert_allclose(step.objective, kl_div(X, z.numpy().T @ H.numpy()).sum(), rtol=1e-10)
        found.append((z, h))
    torch.testing.assert_close(found[0], found[1])


@given(rows=st.integers(1, 40), size=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_slices_of_sparse_rows_are_all_of_them(rows, size, seed):
    counts_of_rows = np.random.default_rng(seed).integers(0, 12, rows)
    crow = torch.tensor(np.concatenate([[0], np.cumsum(counts_of_rows)]))
    slices = sparse_slices(crow, size)
    assert slices[0].start == 0 and slices[-1].stop == rows
    assert all(a.stop == b.start for a, b in itertools.pairwise(slices))
    for s in slices:
        entries = int(crow[s.stop] - crow[s.start]) + s.stop - s.start
        assert entries < size + 13 or s.stop - s.start == 1


# What fits end at.


@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("init", ["nndsvda", "random"])
def test_a_fit_ends_as_low_as_scikit_learns_in_fewer_passes(container, init):
    X = container(load_digits().data[:500])
    ours = NMF(10, init=init, random_state=0, **KL).fit(X)
    theirs = TheirNMF(10, init=init, random_state=0, **KL).fit(X)
    assert ours.reconstruction_err_ <= theirs.reconstruction_err_
    seen = []
    again = NMF(10, init=init, random_state=0, max_iter=theirs.n_iter_ // 3, verbose=1, **KL)
    again._announce = lambda _, objective: seen.append(objective)
    again.fit(X)
    assert np.sqrt(2 * min(seen)) <= theirs.reconstruction_err_


@pytest.mark.parametrize("tol", [1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_the_criterion_of_mu_ends_no_worse_than_scikit_learns(tol, loss):
    X = counts(200, 30)
    settings = {"solver": "mu", "beta_loss": loss, "tol": tol, "max_iter": 2000, "init": "nndsvda", "random_state": 0}
    ours, theirs = NMF(5, **settings).fit(X), TheirNMF(5, **settings).fit(X)
    assert ours.reconstruction_err_ <= (1 + 1e-3) * theirs.reconstruction_err_


def test_data_without_any_count_are_factorized_at_once():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = NMF(2, solver="mu", beta_loss="kullback-leibler", random_state=0).fit(np.zeros((10, 5)))
    assert model.n_iter_ < 20 and not model.components_.any() and model.reconstruction_err_ == 0


def test_zeros_are_zeros_where_counts_have_blocks():
    rng = np.random.default_rng(0)
    X = scipy.sparse.block_diag([rng.poisson(3, (30, 20)) for _ in range(5)]).toarray()
    model = NMF(5, random_state=0, **KL)
    Z, H = model.fit_transform(X), model.components_
    theirs = TheirNMF(5, init="nndsvda", random_state=0, **KL)
    theirs.fit(X)
    for F in (Z, H):
        assert (F[F > 0] > 1e-12 * F.max()).all()
        assert (F == 0).mean() >= 0.75
    assert (H == 0).mean() >= (theirs.components_ == 0).mean() - 0.01


@pytest.mark.parametrize("init", ["nndsvd", "custom"])
def test_zeros_of_the_start_are_left(init):
    X = counts(60, 20)
    start = {}
    if init == "custom":
        W, H = np.random.default_rng(0).random((60, 5)), np.eye(5, 20)
        start = {"W": W, "H": H}
    model = NMF(5, init=init, max_iter=500, random_state=0, **KL)
    Z = model.fit_transform(X, **start)
    best = NMF(5, max_iter=500, random_state=0, **KL).fit(X)
    assert kl_div(X, np.maximum(Z @ model.components_, 1e-300)).sum() <= 1.1 * best.objective_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("penalty", [{}, {"alpha_W": 1e-2, "l1_ratio": 0.5}])
def test_transform_is_what_fit_transform_returned(dtype, container, penalty):
    X = container(load_digits().data[:200].astype(dtype))
    model = NMF(12, random_state=0, max_iter=20, **KL, **penalty)
    Z = model.fit_transform(X)
    atol = (2e-2 if dtype == np.float32 else 1e-3) * Z.max()
    np.testing.assert_allclose(model.transform(X), Z, atol=atol)
    np.testing.assert_allclose(model.transform(X[:7]), Z[:7], atol=atol)


def test_words_that_no_component_has_do_not_matter():
    X = counts(50, 20)
    X[:, 3] = 0
    model = NMF(3, random_state=0, **KL).fit(X)
    new = X[:5].copy()
    expected = model.transform(new)
    new[:, 3] = 7
    Z = model.transform(new)
    assert np.isfinite(Z).all()
    assert Z.sum() >= expected.sum()


def test_single_precision_first_does_not_show():
    """Large float64 data: most passes are in single precision, the result is not."""
    rng = np.random.default_rng(0)
    X = rng.random((700, 4)) @ rng.random((4, 200))
    problem = KullbackLeibler(DenseData(X, CPU), 4, Penalties())
    assert problem.single_first
    model = NMF(4, tol=1e-7, max_iter=3000, random_state=0, **KL).fit(X)
    assert model.components_.dtype == np.float64
    assert model.objective_ < 1e-9 * X.sum()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_results_do_not_depend_on_the_scale(scale):
    X = counts(80, 20)
    found = []
    for factor in (1.0, scale):
        data = DenseData(X * factor, CPU)
        rng = np.random.default_rng(0)
        Z, H = (torch.tensor(rng.random((3, side)) * factor**0.5) for side in X.shape)
        end = alternate(KullbackLeibler(data, 3, Penalties()), Z, H, 15, 0.0)
        found.append(end.last.objective / factor)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
