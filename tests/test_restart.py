"""Components that have died begin anew."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF as TheirNMF

from nmfnet import NMF, SemiNMF, nmf, semi_nmf
from nmfnet.factorization.data import DenseData, SparseData
from nmfnet.factorization.passes import Penalties
from nmfnet.factorization.restart import revived
from test_decomposition import reference_objective

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CPU = torch.device("cpu")
PENALTY = {"alpha_W": 1e-3, "l1_ratio": 1.0}


def digits(rows=None):
    return load_digits().data[:rows] / 16


def dead(Z, H):
    return int((~(Z.any(0) & H.any(1))).sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha", [1e-3, 3e-3])
def test_digits_keep_sixteen_parts_with_a_lower_objective_than_scikit_learns(alpha, seed):
    X = digits()
    settings = {"alpha_W": alpha, "l1_ratio": 1.0, "max_iter": 300, "random_state": seed}
    model = NMF(16, **settings)
    Z = model.fit_transform(X)
    assert dead(Z, model.components_) == 0
    theirs = TheirNMF(16, init="nndsvda", **settings)
    W = theirs.fit_transform(X)
    assert model.objective_ <= reference_objective(X, W, theirs.components_, model)


@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize(
    "settings",
    [{}, {"solver": "mu"}, {"tol": 0, "max_iter": 100}, {"solver": "mu", "beta_loss": "kullback-leibler"}],
    ids=["cd", "mu", "no tolerance", "kl"],
)
def test_every_solver_and_container(settings, container):
    X = digits(400)
    model = NMF(12, random_state=0, **{"max_iter": 300, **PENALTY, **settings})
    Z = model.fit_transform(container(X))
    assert dead(Z, model.components_) == 0


def test_missing_entries():
    X = digits(400)
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    model = NMF(12, random_state=0, max_iter=300, **PENALTY)
    assert dead(model.fit_transform(X), model.components_) == 0


def test_a_start_without_a_component_finds_it():
    """Not only under a penalty."""
    rng = np.random.default_rng(0)
    X = np.kron(np.eye(3), rng.random((20, 1)) @ rng.random((1, 10)))
    W, H = np.kron(np.eye(3), np.ones((20, 1))), np.kron(np.eye(3), np.ones((1, 10)))
    W[:, 2], H[2] = 0, 0
    for kind in (NMF, SemiNMF):
        model = kind(3, init="custom", max_iter=500)
        model.fit_transform(X, W=W, H=H)
        assert model.reconstruction_err_ <= 1e-3 * np.linalg.norm(X)


def test_functions_on_tensors():
    X = torch.tensor(digits(400))
    m, n = X.shape
    settings = {"l1_ratio": 1.0, "n_iter": 300, "generator": torch.Generator().manual_seed(0)}
    found = nmf(X, 12, alpha_Z=3e-3 * n, alpha_H=3e-3 * m, **settings)
    assert dead(found.Z.numpy(), found.W.numpy()) == 0
    signed = semi_nmf(X - X.mean(0), 8, alpha_Z=2e-3 * n, alpha_W=2e-3 * m, **settings)
    assert dead(signed.Z.numpy(), signed.W.numpy()) == 0


@pytest.mark.parametrize("signed", [False, True])
def test_new_components_are_residuals_of_badly_fitted_rows(signed):
    rng = np.random.default_rng(0)
    X = rng.random((40, 15)) * (rng.random((40, 15)) < 0.4)
    X[7] = 5 * np.eye(15)[2]
    Z, H = torch.tensor(rng.random((4, 40)) / 4), torch.tensor(rng.random((4, 15)))
    Z[1], H[3] = 0, 0
    found = []
    for data in (DenseData(X, CPU), SparseData(scipy.sparse.csr_array(X), CPU)):
        new = revived(data, lambda A: A, Z.clone(), H.clone(), Penalties(2.0, 0, 3.0, 0), signed)
        assert new is not None
        z, h = (F.numpy() for F in new)
        R = X - (Z.T @ H).numpy()
        worst = h[1] / np.linalg.norm(h[1])
        expected = R[7] if signed else np.maximum(R[7], 0)
        np.testing.assert_allclose(worst, expected / np.linalg.norm(expected), atol=1e-12)
        for r in (1, 3):
            size = np.linalg.norm(h[r])
            np.testing.assert_allclose(z[r] * size, np.maximum(R @ (h[r] / size), 0), atol=1e-12)
            np.testing.assert_allclose(2.0 * z[r].sum(), 3.0 * np.abs(h[r]).sum())  # the least penalty for the product
        np.testing.assert_array_equal(z[[0, 2]], Z[[0, 2]])
        np.testing.assert_array_equal(h[[0, 2]], H[[0, 2]])
        found.append(new)
    if not signed:
        torch.testing.assert_close(found[0], found[1])


def test_nothing_begins_anew_where_nothing_is_dead_or_left():
    X = np.outer(np.arange(1.0, 9), np.arange(1.0, 5))
    Z, H = torch.zeros(2, 8).double(), torch.zeros(2, 4).double()
    Z[0], H[0] = torch.arange(1.0, 9), torch.arange(1.0, 5)
    data = DenseData(X, CPU)
    assert revived(data, lambda A: A, Z, H, Penalties(), False) is None
    assert revived(data, lambda A: A, Z + 1, H + 1, Penalties(), False) is None
