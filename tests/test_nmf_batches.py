"""The Kullback-Leibler divergence and the Frobenius norm in mini-batches, beside scikit-learn's."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import torch
from scipy.special import kl_div
from sklearn.decomposition import MiniBatchNMF

from nmfnet import NMF
from test_decomposition import reference_objective

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CPU = torch.device("cpu")
KL = {"solver": "mu", "beta_loss": "kullback-leibler"}
both = pytest.mark.parametrize("sparse", [False, True])


def counts(m=600, n=40, k=5, seed=0):
    """Poisson counts of a planted rank."""
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(1, 1, (m, k)) @ rng.gamma(1, 1, (k, n))).astype(float)


def start_of(X, k, seed=0):
    rng, size = np.random.default_rng(seed), (X.mean() / k) ** 0.5
    m, n = X.shape
    return size * np.abs(rng.standard_normal((m, k))), size * np.abs(rng.standard_normal((k, n)))


def error(X, H, loss):
    """Of the best coefficients for these components."""
    settings = KL if loss != "frobenius" else {}
    model = NMF(len(H), init="custom", max_iter=1, **settings)
    model.fit_transform(X, W=np.ones((X.shape[0], len(H))), H=H)
    model.components_ = H
    A = model.transform(X) @ H
    X = X.toarray() if scipy.sparse.issparse(X) else X
    return np.linalg.norm(X - A) if loss == "frobenius" else np.sqrt(2 * kl_div(X, np.maximum(A, 1e-7)).sum())


def topics(m=300, n=150, k=6):
    """Sparse counts of words that most batches do not have."""
    rng = np.random.default_rng(0)
    words = rng.gamma(0.1, 1, (k, n)) * np.arange(1, n + 1) ** -0.8
    return scipy.sparse.csr_matrix(
        rng.poisson(40 * rng.dirichlet(np.full(k, 0.2), m) @ (words / words.sum(1)[:, None])) * 1.0
    )


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
@pytest.mark.parametrize(("name", "k", "size"), [("counts", 5, 10), ("counts", 5, 50), ("topics", 6, 10)])
def test_online_steps_are_no_worse_than_scikit_learns_epoch_by_epoch(loss, name, k, size):
    X = counts(300) if name == "counts" else topics()
    W, H = start_of(X, k)
    settings = {**(KL if loss != "frobenius" else {}), "init": "custom", "random_state": 0}
    ours = NMF(k, **settings)
    theirs = MiniBatchNMF(k, init="custom", batch_size=size, beta_loss=loss, random_state=0)
    for _ in range(3):
        for i in range(0, X.shape[0], size):
            for model in (ours, theirs):
                model.partial_fit(X[i : i + size], W=W[i : i + size].copy(), H=H.copy())
        assert error(X, ours.components_, loss) <= 1.01 * error(X, theirs.components_, loss)


@pytest.mark.parametrize("size", [10, 32])
def test_small_batches_end_near_a_fit(size):
    X = counts(300)
    whole = NMF(5, random_state=0, **KL).fit(X)
    model = NMF(5, batch_size=size, max_iter=25, random_state=0, **KL)
    Z = model.fit_transform(X)
    assert model.reconstruction_err_ <= 1.03 * whole.reconstruction_err_
    assert (Z @ model.components_).max() <= 2 * X.max()


@both
def test_partial_fit_goes_on_after_a_fit(sparse):
    """Half of the rows, and words that only the others have."""
    X = counts(300, 30)
    X[:150, 25:] = 0
    given_X = scipy.sparse.csr_matrix(X) if sparse else X
    model = NMF(5, random_state=0, **KL).fit(given_X[:150])
    for _ in range(8):
        for i in range(0, 300, 50):
            model.partial_fit(given_X[i : i + 50])
    best = NMF(5, random_state=0, **KL).fit(X)
    assert error(X, model.components_, "kullback-leibler") <= 1.1 * best.reconstruction_err_
    assert (model.components_[:, 25:].sum(0) > 0).all()


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_a_stream_that_changes_again_and_again_does_not_drive_the_scale_of_components(loss):
    """Steps that go too far, and what is remembered of other rows, must not multiply each other."""
    X = counts(300, 30)
    X[:150, 25:] = 0
    model = NMF(5, random_state=0, **(KL if loss != "frobenius" else {}))
    sums = []
    for _ in range(12):
        for i in range(0, 300, 50):
            model.partial_fit(X[i : i + 50])
        sums.append(model.components_.sum(1))
    assert (np.max(sums, 0) <= 3 * np.min(sums, 0)).all()


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_streams_of_sparse_rows_are_those_of_dense_ones(loss):
    X = topics(120, 60, 4)
    W, H = start_of(X, 4)
    settings = {"init": "custom", **(KL if loss != "frobenius" else {})}
    sparse, dense = NMF(4, **settings), NMF(4, **settings)
    for i in [*range(0, 120, 30), 0]:
        sparse.partial_fit(X[i : i + 30], W=W[i : i + 30], H=H)
        dense.partial_fit(X[i : i + 30].toarray(), W=W[i : i + 30], H=H)
    within = 0.02 if loss == "frobenius" else 1e-6  # to which tolerance the Z of a batch is found
    scale = dense.components_.max()
    np.testing.assert_allclose(sparse.components_, dense.components_, atol=within * scale, rtol=0)


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_penalties_count_for_the_batches_that_are_remembered(loss):
    """One batch again and again is a fit, however much is remembered."""
    X = counts(60, 20)
    W, H = start_of(X, 3)
    penalty = {"alpha_W": 0.05, "l1_ratio": 0.3}
    settings = {"init": "custom", **penalty, **(KL if loss != "frobenius" else {})}
    best = NMF(3, max_iter=2000, tol=1e-7, **settings)
    best.fit_transform(X, W=W, H=H)
    for forget in (0.0, 0.6):
        model = NMF(3, forget_factor=forget, **settings)
        for _ in range(100):
            model.partial_fit(X, W=W, H=H)
        Z = model.transform(X)
        assert reference_objective(X, Z, model.components_, model, loss) <= 1.02 * best.objective_


@both
def test_batches_of_zeros_leave_the_components(sparse):
    """Five rows of one component each, then rows of nothing: whichever come first, mostly all components are found."""
    parts = np.random.default_rng(0).random((5, 12)) * np.kron(np.eye(5, 6), np.ones((1, 2)))
    X = np.vstack([parts, np.zeros((10, 12))])
    given_X = scipy.sparse.csr_matrix(X) if sparse else X
    models = [NMF(5, batch_size=3, max_iter=100, random_state=seed, **KL) for seed in range(3)]
    found = [np.allclose(model.inverse_transform(model.fit_transform(given_X)), X, atol=1e-4) for model in models]
    assert sum(found) >= 2
    zeros = np.zeros((4, 12))
    Z = NMF(5, random_state=0, **KL).partial_fit(zeros).transform(X)
    assert np.isfinite(Z).all()


def test_regressors_of_zeros_explain_nothing():
    X = counts(20, 8)
    model = NMF(3, random_state=0, **KL).fit(X)
    model.components_[:] = 0
    np.testing.assert_array_equal(model.transform(X), 0)
