"""The transformers: what they minimize, that they never go up, and that they find what was planted."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import sklearn.decomposition
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from nmfnet import NMF, NonlinearSemiNMF, SemiNMF
from nmfnet.factorization.acceleration import alternate
from nmfnet.factorization.coordinate_descent import CoordinateDescent, Coordinates, Tiles, Workspace
from nmfnet.factorization.data import DenseData, SparseData
from nmfnet.factorization.initialization import leading_vectors, nndsvd
from nmfnet.factorization.kullback_leibler import KullbackLeibler
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.factorization.surrogate import Surrogate
from nmfnet.layers.activations import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CPU = torch.device("cpu")


def planted(m=60, n=25, k=4, zeros=0.4, seed=0, signed=False):
    """Return X = Z H of rank k with sparse factors."""
    rng = np.random.default_rng(seed)
    Z = rng.random((m, k)) * (rng.random((m, k)) > zeros)
    H = rng.standard_normal((k, n)) if signed else rng.random((k, n)) * (rng.random((k, n)) > zeros)
    return Z @ H


def reference_objective(X, Z, H, model, loss="frobenius"):
    """Return the objective as scikit-learn's documentation states it, in float64."""
    A = Z.astype(float) @ H.astype(float)
    X = np.asarray(X.todense() if scipy.sparse.issparse(X) else X, dtype=float)
    if loss == "frobenius":
        value = ((X - A) ** 2).sum() / 2
    else:
        value = scipy.special.kl_div(X, A).sum()
    (m, n), r = X.shape, model.l1_ratio
    alpha_H = model.alpha_W if model.alpha_H == "same" else model.alpha_H
    for alpha, F in ((model.alpha_W * n, Z), (alpha_H * m, H)):
        value += alpha * (r * np.abs(F).sum() + (1 - r) * (F**2).sum() / 2)
    return value


@given(k=st.integers(1, 23), c=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_blocked_descent_is_the_plain_cycle(k, c, seed):
    rng = np.random.default_rng(seed)
    H, F, P = rng.standard_normal((k, 30)), rng.random((k, c)), rng.standard_normal((k, c))
    G = H @ H.T
    kernel = CoordinateDescent(k, c, torch.empty(3, k * c, dtype=torch.float64))
    kernel.F.copy_(torch.from_numpy(F)), kernel.P.copy_(torch.from_numpy(P))
    kernel.sweep(Coordinates(k, kernel.F).fill(torch.from_numpy(G)), 2)
    for _ in range(2):
        for j in range(k):
            F[j] = np.maximum(F[j] + (P[j] - G[j] @ F) / G[j, j], 0)
    np.testing.assert_allclose(kernel.F.numpy(), F, atol=1e-9 * (1 + np.abs(F).max()))


def test_pivoting_is_nonnegative_least_squares():
    rng = np.random.default_rng(0)
    H, X = rng.standard_normal((8, 20)), rng.standard_normal((15, 20))
    kernel = CoordinateDescent(8, 15, torch.empty(3, 8 * 15, dtype=torch.float64))
    kernel.F.zero_(), kernel.P.copy_(torch.from_numpy(H @ X.T))
    kernel.pivot(Coordinates(8, kernel.F).fill(torch.from_numpy(H @ H.T)), torch.arange(15))
    expected = np.stack([scipy.optimize.nnls(H.T, x)[0] for x in X])
    np.testing.assert_allclose(kernel.F.numpy().T, expected, atol=1e-9)


def problems(X, k, seed):
    """Yield every loss with its steps on this nonnegative matrix."""
    rng = np.random.default_rng(seed)
    dense, some = DenseData(X, CPU), Penalties(0.02, 0.1, 0.3, 0.05)
    rows, entries = torch.tensor(rng.random(len(X)) * 2), torch.tensor(rng.random(X.shape))
    holes = X.copy()
    holes[rng.random(X.shape) < 0.3] = np.nan
    yield "plain", LeastSquares(dense, k, Penalties())
    yield "penalties", LeastSquares(dense, k, some)
    yield "signed", LeastSquares(dense, k, some, signed=True)
    yield "signed, ridge", LeastSquares(dense, k, Penalties(0, 0.1, 0, 0.5), signed=True, row_weights=rows)
    yield "mu", LeastSquares(dense, k, some, multiplicative=True)
    yield "sparse", LeastSquares(SparseData(scipy.sparse.csr_array(X), CPU), k, some, row_weights=rows)
    yield "holes", Surrogate(DenseData(holes, CPU), k, some)
    yield "weights", Surrogate(dense, k, some, weights=entries, row_weights=rows)
    yield "relu", Surrogate(DenseData(holes, CPU), k, some, signed=True, activation=ACTIVATIONS["relu"])
    scaled = DenseData(X / max(X.max(), 1e-300), CPU)
    for name in ("logistic", "tanh", "leaky_relu"):
        yield name, Surrogate(scaled, k, Penalties(), signed=True, activation=ACTIVATIONS[name])
    yield "kl", KullbackLeibler(dense, k, some, row_weights=rows)
    yield "kl, sparse", KullbackLeibler(SparseData(scipy.sparse.csr_array(X), CPU), k, some)


@given(
    m=st.integers(1, 25), n=st.integers(1, 12), k=st.integers(1, 14),
    scale=st.integers(-3, 3).map(lambda x: 10.0**x), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_no_objective_ever_increases(m, n, k, scale, seed):
    rng = np.random.default_rng(seed)
    X = rng.random((m, n)) * (rng.random((m, n)) > 0.4) * scale
    for name, problem in problems(X, k, seed):
        Z, H = torch.tensor(rng.random((k, m))), torch.tensor(rng.random((k, n)))
        seen = []
        alternate(problem, Z, H, 12, 0.0, lambda _, objective, seen=seen: seen.append(objective))
        rises = np.diff(seen) / (abs(seen[0]) + scale**2 * X.size)
        assert len(rises) == 0 or rises.max() <= 1e-12, name


@pytest.mark.parametrize("penalty", [{}, {"alpha_W": 1e-3, "l1_ratio": 0.5}, {"alpha_W": 0.0, "alpha_H": 1e-2}])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_the_objective_is_the_stated_one(penalty, sparse, loss):
    X = planted() + 0.05 * np.random.default_rng(1).random((60, 25))
    given_X = scipy.sparse.csr_array(X * (X > 0.5)) if sparse else X
    solver = "cd" if loss == "frobenius" else "mu"
    model = NMF(4, solver=solver, beta_loss=loss, max_iter=30, random_state=0, **penalty)
    Z = model.fit_transform(given_X)
    H = model.components_
    expected = reference_objective(given_X, Z, H, model, loss)
    np.testing.assert_allclose(model.objective_, expected, rtol=1e-9)
    plain = NMF(4)  # without penalties
    np.testing.assert_allclose(
        model.reconstruction_err_, np.sqrt(2 * reference_objective(given_X, Z, H, plain, loss)), rtol=1e-7
    )


def test_it_ends_as_low_as_scikit_learn():
    X = planted(200, 50, 8, seed=3) + 0.1 * np.random.default_rng(3).random((200, 50))
    theirs = sklearn.decomposition.NMF(8, init="nndsvda", max_iter=2000, tol=1e-6, random_state=0).fit(X)
    ours = NMF(8, max_iter=1000, tol=1e-6, random_state=0).fit(X)
    assert ours.reconstruction_err_ <= 1.005 * theirs.reconstruction_err_


def test_kullback_leibler_ends_as_low_as_scikit_learn():
    X = planted(80, 30, 4, seed=4) + 0.1 * np.random.default_rng(3).random((80, 30))
    settings = {"solver": "mu", "beta_loss": "kullback-leibler", "max_iter": 400, "tol": 1e-6, "random_state": 0}
    theirs = sklearn.decomposition.NMF(4, init="nndsvda", **settings).fit(X)
    ours = NMF(4, **settings).fit(X)
    sparse = NMF(4, **settings).fit(scipy.sparse.csr_array(X))
    assert ours.reconstruction_err_ <= 1.01 * theirs.reconstruction_err_
    np.testing.assert_allclose(sparse.reconstruction_err_, ours.reconstruction_err_, rtol=1e-3)


@pytest.mark.parametrize("model", [NMF(4), NMF(40), SemiNMF(4), NMF(4, alpha_W=1e-3, l1_ratio=0.5)])
def test_the_criterion_is_the_relative_projected_gradient(model):
    X = planted(120, 50, 6) + 0.1 * np.random.default_rng(0).random((120, 50))
    model.set_params(tol=1e-4, max_iter=5000, random_state=0)
    Z = model.fit_transform(X)
    H, alpha = model.components_, model.alpha_W
    l1 = alpha * model.l1_ratio
    l2 = alpha - l1
    A = Z @ H - X
    grad_Z = A @ H.T + 50 * (l1 + l2 * Z)
    grad_H = Z.T @ A + 120 * (l1 + l2 * H)
    grad_Z[(Z == 0) & (grad_Z > 0)] = 0
    if not model.signed:
        grad_H[(H == 0) & (grad_H > 0)] = 0
    assert model.n_iter_ < 5000
    assert np.linalg.norm(grad_Z) <= 1.5e-4 * np.linalg.norm(X @ H.T - 50 * l1)
    assert np.linalg.norm(grad_H) <= 1.5e-4 * np.linalg.norm(Z.T @ X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [NMF, SemiNMF])
def test_a_planted_factorization_is_recovered(kind, dtype):
    X = planted(seed=5, signed=kind is SemiNMF).astype(dtype)
    model = kind(4, tol=1e-6, max_iter=3000, random_state=0)
    Z = model.fit_transform(X)
    assert Z.dtype == dtype and model.components_.dtype == dtype and Z.min() >= 0
    assert np.linalg.norm(X - model.inverse_transform(Z)) <= 1e-3 * np.linalg.norm(X)


@pytest.mark.parametrize("activation", ["relu", "logistic", "tanh", "leaky_relu"])
def test_a_planted_nonlinear_factorization_is_recovered(activation):
    rng = np.random.default_rng(6)
    A = torch.tensor((rng.random((150, 3)) * (rng.random((150, 3)) > 0.3)) @ rng.standard_normal((3, 30)))
    X = ACTIVATIONS[activation](A).numpy()
    model = NonlinearSemiNMF(3, activation, tol=0, max_iter=1500, random_state=0)
    Z = model.fit_transform(X)
    assert Z.min() >= 0
    assert np.linalg.norm(X - model.inverse_transform(Z)) <= 1e-2 * np.linalg.norm(X)
    # The same data is beyond a linear factorization of this rank.
    if activation == "relu":
        assert SemiNMF(3, random_state=0).fit(X).reconstruction_err_ > 10 * model.reconstruction_err_


def test_the_matching_loss_is_above_the_squared_error_and_touches_it_at_zero():
    _, rng = None, np.random.default_rng(0)
    for name in ("relu", "leaky_relu", "logistic", "tanh", "identity"):
        f = ACTIVATIONS[name]
        A, B = (torch.tensor(rng.standard_normal((50, 4)) * 2) for _ in range(2))
        X = f(B)
        loss = f.matching_loss(X, A)
        assert (loss >= (X - f(A)).square() / 2 - 1e-12).all()
        assert f.matching_loss(X, B).abs().max() < 1e-12
        A.requires_grad_()
        gradient = torch.autograd.grad(f.matching_loss(X, A).sum(), A)[0]
        torch.testing.assert_close(gradient, f(A.detach()) - X)


@pytest.mark.parametrize("rank", [10])
def test_hidden_entries_of_a_planted_matrix_are_predicted(rank):
    X = planted(300, 80, rank, zeros=0.2, seed=7)
    hidden = np.random.default_rng(0).random(X.shape) < 0.2
    model = NMF(rank, tol=1e-6, max_iter=3000, random_state=0)
    Z = model.fit_transform(np.where(hidden, np.nan, X))
    error = (X - model.inverse_transform(Z))[hidden]
    assert np.linalg.norm(error) <= 1e-3 * np.linalg.norm(X[hidden])


def test_weights_of_samples_are_repetitions():
    X = planted(30, 12, 3) + 0.1
    counts = np.array([1, 2, 3] * 10)
    start = {"W": np.ones((30, 3)) * [[1, 0.5, 0.2]], "H": np.random.default_rng(0).random((3, 12))}
    settings = {
        "init": "custom",
        "max_iter": 5000,
        "tol": 1e-8,
        "alpha_W": 1e-3,
        "alpha_H": 1e-3 / 30,
        "l1_ratio": 0.5,
    }
    weighted = NMF(3, **settings)
    repeated = NMF(3, **{**settings, "alpha_H": 1e-3 / 60})  # the penalty is times n_samples
    weighted.fit_transform(X, **start, weights=counts)
    again = {"W": np.repeat(start["W"], counts, axis=0), "H": start["H"]}
    repeated.fit_transform(np.repeat(X, counts, axis=0), **again)
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-3)
    np.testing.assert_allclose(weighted.objective_, repeated.objective_, rtol=1e-6)


def test_an_entry_of_weight_zero_is_a_missing_one():
    X = planted(40, 15, 3) + 0.1
    hidden = np.random.default_rng(0).random(X.shape) < 0.2
    settings = {"init": "random", "max_iter": 30, "tol": 0, "random_state": 0}
    by_nan, by_weight = NMF(3, **settings), NMF(3, **settings)
    start = {"W": np.full((40, 3), 0.5), "H": np.random.default_rng(0).random((3, 15))}
    by_nan.set_params(init="custom").fit_transform(np.where(hidden, np.nan, X), **start)
    by_weight.set_params(init="custom").fit_transform(np.where(hidden, 7.0, X), **start, weights=1.0 - hidden)
    np.testing.assert_allclose(by_nan.components_, by_weight.components_, rtol=1e-8)


@pytest.mark.parametrize(
    "model",
    [NMF(4), NMF(4, solver="mu"), NMF(4, solver="mu", beta_loss="kullback-leibler"), SemiNMF(4), NMF(4, batch_size=32),
     NonlinearSemiNMF(4)],
)  # fmt: skip
def test_transform_returns_what_fit_transform_returned(model):
    X = planted(100, 40, 4) + 0.05 * np.random.default_rng(0).random((100, 40))
    Z = model.set_params(random_state=0).fit_transform(X)
    np.testing.assert_allclose(model.transform(X), Z, atol=2e-3 * Z.max())
    np.testing.assert_allclose(model.transform(X[:7]), Z[:7], atol=2e-3 * Z.max())


@pytest.mark.parametrize("solver", [{}, {"solver": "mu", "beta_loss": "kullback-leibler"}])
@pytest.mark.parametrize("data", ["digits", "rank 1", "constant", "rank 4"])
def test_transform_returns_what_fit_transform_returned_for_dependent_components(solver, data):
    """Of many solutions both take the same; with 50 components, two of those of the digits are alike."""
    rng = np.random.default_rng(0)
    X, k = {
        "digits": (load_digits().data, 50),
        "rank 1": (np.outer(rng.random(60), rng.random(20)), 4),
        "constant": (np.full((30, 8), 3.0), 4),
        "rank 4": (planted(60, 20, 4), 20),
    }[data]
    model = NMF(k, random_state=0, max_iter=20 if solver else 200, **solver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        Z = model.fit_transform(X)
    np.testing.assert_allclose(model.transform(X), Z, atol=2e-3 * Z.max())


def test_transform_is_nonnegative_least_squares():
    X = planted(50, 30, 5) + 0.1
    model = NMF(5, random_state=0).fit(X)
    expected = np.stack([scipy.optimize.nnls(model.components_.T, x)[0] for x in X])
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-3 * expected.max())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_and_dense_take_the_same_steps(signed, dtype):
    X = (planted(80, 30, 5) * (np.random.default_rng(0).random((80, 30)) > 0.7)).astype(dtype)
    rng, found = np.random.default_rng(1), []
    start = [torch.tensor(rng.random(shape).astype(dtype)) for shape in ((5, 80), (5, 30))]
    for data in (DenseData(X, CPU), SparseData(scipy.sparse.csc_matrix(X), CPU)):
        problem = LeastSquares(data, 5, Penalties(), signed=signed)
        problem.z_sweeps = problem.h_sweeps = 2
        found.append(alternate(problem, start[0].clone(), start[1].clone(), 6, 0.0))
    tolerance = {"rtol": 0, "atol": 1e-9 if dtype == np.float64 else 1e-2}
    torch.testing.assert_close(found[0].Z, found[1].Z, **tolerance)
    torch.testing.assert_close(found[0].H, found[1].H, **tolerance)


def test_sparse_data_is_never_made_dense():
    rng = np.random.default_rng(0)
    places = rng.integers(200_000, size=50_000), rng.integers(300_000, size=50_000)
    X = scipy.sparse.coo_array((rng.random(50_000), places), shape=(200_000, 300_000))  # 480 GB if dense
    model = NMF(3, init="random", max_iter=3, random_state=0)
    assert model.fit_transform(X).shape == (200_000, 3)
    X = X.tocsr()[:2000]
    assert NMF(2, init="random", solver="mu", beta_loss="kullback-leibler", max_iter=2).fit(X).objective_ > 0


def test_leading_vectors_are_those_of_the_svd():
    X = planted(80, 30, 6) + 0.01 * np.random.default_rng(0).random((80, 30))
    US, V = leading_vectors(DenseData(X, CPU), 4, torch.Generator().manual_seed(0), rounds=8)
    _, s, Vt = np.linalg.svd(X, full_matrices=False)
    np.testing.assert_allclose(US.norm(dim=1).numpy(), s[:4], rtol=1e-4)
    np.testing.assert_allclose(np.abs((V.numpy() * Vt[:4]).sum(1)), 1, atol=1e-3)


def test_nndsvd_is_scikit_learns():
    from sklearn.decomposition._nmf import _initialize_nmf

    X = planted(60, 25, 5) + 0.1
    expected = _initialize_nmf(X, 4, "nndsvd", random_state=0)
    Z, H = nndsvd(DenseData(X, CPU), 4, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(Z.numpy().T @ H.numpy(), expected[0] @ expected[1], atol=0.05 * X.max())


def test_tiles_cover_every_column():
    like = torch.empty(0, dtype=torch.float64)
    for columns in (1, 511, 512, 5000):
        slices = [s for s, _ in Tiles(columns, Workspace(200, columns, like))]
        assert slices[0].start == 0 and slices[-1].stop == columns
        assert all(a.stop == b.start for a, b in itertools.pairwise(slices))


def test_max_iter_too_small_is_said():
    X = planted() + 0.1
    with pytest.warns(ConvergenceWarning, match="max_iter=2 passes"):
        NMF(4, max_iter=2).fit(X)


def test_some_columns_are_swept_as_all_are_and_the_others_stay():
    generator = torch.Generator().manual_seed(0)
    A, B = (torch.rand(30, n, generator=generator, dtype=torch.float64) for n in (12, 7))
    coordinates, kernels = Coordinates(12, A).fill(A.T @ A), []
    for _ in range(2):
        kernel = CoordinateDescent(12, 7, A.new_empty(3, 12 * 7))
        kernel.F.fill_(0.1)
        kernel.P.copy_(A.T @ B)
        kernels.append(kernel)
    some = torch.tensor([1, 4, 6])
    kernels[0].sweep(coordinates, 3)
    kernels[1].sweep_some(coordinates, some, 3)
    expected = torch.full_like(kernels[0].F, 0.1)
    expected[:, some] = kernels[0].F[:, some]
    torch.testing.assert_close(kernels[1].F, expected)
