"""Awkward data, mini-batches, and what the transformers refuse."""

import numpy as np
import pytest
import scipy.sparse
import sklearn.decomposition
from sklearn.base import clone

from nmfnet import NMF, NonlinearSemiNMF, SemiNMF
from test_decomposition import planted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ALL = [NMF(3), NMF(3, solver="mu"), SemiNMF(3), NonlinearSemiNMF(3)]


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("scale", [1e-40, 1e-25, 1.0, 1e25])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_scale_and_zero_rows_and_columns(model, scale, dtype):
    X = (planted(40, 12, 3) * scale).astype(dtype)
    X[3], X[:, 2] = 0, 0
    model = clone(model).set_params(max_iter=60, random_state=0)
    Z = model.fit_transform(X)
    H = model.components_
    assert np.isfinite(Z).all() and np.isfinite(H).all()
    rebuilt = Z.astype(float) @ H.astype(float)
    assert np.linalg.norm(rebuilt / scale - X.astype(float) / scale) < 0.2 * np.linalg.norm(X.astype(float) / scale)
    assert np.abs(rebuilt[3]).max() <= 1e-3 * X.max()
    np.testing.assert_allclose(model.transform(X), Z, atol=1e-2 * Z.max())


@pytest.mark.parametrize("model", ALL)
def test_zero_data_and_a_rank_above_the_datas(model):
    model = clone(model).set_params(max_iter=200, random_state=0)
    assert np.allclose(model.fit_transform(np.zeros((6, 4))) @ model.components_, 0, atol=1e-6)
    X = planted(6, 4, 2)
    Z = model.set_params(n_components=9, init="random").fit_transform(X)
    assert Z.shape == (6, 9)
    assert np.linalg.norm(X - model.inverse_transform(Z)) < 0.1 * np.linalg.norm(X)


@pytest.mark.parametrize("model", ALL)
def test_arguments_stay_as_they_are_and_may_be_read_only(model):
    X = planted(30, 10, 3)
    X.setflags(write=False)
    before = X.copy()
    clone(model).set_params(max_iter=5).fit(X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("model", [NMF(3), SemiNMF(3), NonlinearSemiNMF(3)])
def test_missing_rows_and_columns(model):
    X = planted(40, 12, 3) + 0.1
    X[4], X[:, 5] = np.nan, np.nan
    Z = clone(model).set_params(random_state=0).fit_transform(X)
    assert np.isfinite(Z).all()


def test_mini_batches_come_close_to_the_whole(tmp_path):
    rng = np.random.default_rng(0)
    X = planted(600, 40, 5) + 0.1 * rng.random((600, 40))
    stored = np.memmap(tmp_path / "X", dtype=X.dtype, mode="w+", shape=X.shape)
    stored[:] = X
    whole = NMF(5, random_state=0).fit(X)
    batches = NMF(5, batch_size=100, random_state=0, max_iter=50).fit(stored)
    theirs = sklearn.decomposition.MiniBatchNMF(5, batch_size=100, random_state=0, max_iter=50).fit(X)
    assert batches.reconstruction_err_ <= 1.03 * whole.reconstruction_err_
    assert batches.reconstruction_err_ <= 1.01 * theirs.reconstruction_err_


@pytest.mark.parametrize("model", ALL)
def test_partial_fit_learns_batch_by_batch(model):
    X = planted(400, 20, 3, seed=2)
    model = clone(model).set_params(random_state=0)
    for _ in range(15):
        for start in range(0, 400, 100):
            model.partial_fit(X[start : start + 100])
    Z = model.transform(X)
    assert model.n_iter_ == 60
    assert np.linalg.norm(X - model.inverse_transform(Z)) < 0.15 * np.linalg.norm(X)


def test_partial_fit_goes_on_from_a_fit():
    X = planted(100, 20, 3) + 0.1
    model = NMF(3, random_state=0, tol=1e-5).fit(X)
    before = model.components_
    model.partial_fit(X)
    np.testing.assert_allclose(model.components_, before, atol=0.01 * before.max())


def test_names_and_shapes():
    X = planted(30, 10, 3)
    model = SemiNMF(3).fit(X)
    assert list(model.get_feature_names_out()) == ["seminmf0", "seminmf1", "seminmf2"]
    assert model.inverse_transform(model.transform(X)).shape == X.shape
    assert NMF().fit(X).components_.shape == (10, 10)
    with pytest.raises(ValueError, match="X must have 3 columns"):
        model.inverse_transform(X)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (NMF(0), "n_components must be an integer of at least 1 or 'auto'"),
        (NMF(2, init="svd"), "init must be None, 'custom' or one of 'random'"),
        (NMF(2, solver="admm"), "solver must be 'cd' or 'mu'"),
        (NMF(2, beta_loss="hinge"), "beta_loss must be 'frobenius' or 'kullback-leibler'"),
        (NMF(2, beta_loss="kullback-leibler"), "needs solver='mu'"),
        (NMF(2, tol=-1), "tol must be a finite number"),
        (NMF(2, max_iter=0), "max_iter must be an integer"),
        (NMF(2, alpha_W=-1), "alpha_W must be"),
        (NMF(2, alpha_H="auto"), "alpha_H must be"),
        (NMF(2, l1_ratio=2), "l1_ratio must be"),
        (NMF(2, batch_size=0), "batch_size must be"),
        (NMF(20, init="nndsvd"), r"needs n_components <= min\(n_samples, n_features\) = 6"),
        (NMF(2, init="custom"), "W is missing"),
        (NonlinearSemiNMF(2, "softplus"), "activation must be one of 'relu', 'leaky_relu'"),
        (NonlinearSemiNMF(2, "logistic"), r"X must lie in \[0.0, 1.0\], the range of activation='logistic'"),
    ],
)
def test_unfit_parameters_are_named(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(planted(20, 6, 2) * 10)


def test_unfit_data_is_named():
    X = planted(20, 6, 2)
    with pytest.raises(ValueError, match=r"Negative values in data passed to NMF: the minimum is -1"):
        NMF(2).fit(X - 1 - X)
    with pytest.raises(ValueError, match="need solver='cd'"):
        NMF(2, solver="mu").fit(np.where(X > 1, np.nan, X), weights=np.ones(X.shape))
    with pytest.raises(ValueError, match=r"weights must have shape \(20,\)"):
        NMF(2).fit(X, weights=np.ones(3))
    with pytest.raises(ValueError, match="weights must be finite and nonnegative"):
        NMF(2).fit(X, weights=-np.ones(20))
    with pytest.raises(ValueError, match="need a dense X"):
        NMF(2).fit(scipy.sparse.csr_array(X), weights=np.ones(X.shape))
    custom = NMF(2, init="custom")
    with pytest.raises(ValueError, match=r"starting factor H must have shape \(2, 6\)"):
        custom.fit_transform(X, W=np.ones((20, 2)), H=np.ones((3, 6)))
    with pytest.raises(ValueError, match="Negative values in data passed to NMF"):
        custom.fit_transform(X, W=-np.ones((20, 2)), H=np.ones((2, 6)))
    with pytest.raises(ValueError, match="full of zeros"):
        custom.fit_transform(X, W=np.zeros((20, 2)), H=np.ones((2, 6)))
    with pytest.warns(RuntimeWarning, match="W and H are ignored"):
        NMF(2).fit_transform(X, W=np.ones((20, 2)), H=np.ones((2, 6)))


def test_later_arrays_are_refused_as_the_first_one_is():
    """Arrays like those of the fit skip scikit-learn's checks: what these refuse must not pass."""
    X = planted(20, 6, 2)
    model = NMF(2, random_state=0).fit(X)
    for call in (model.partial_fit, model.transform):
        with pytest.raises(ValueError, match="contains infinity"):
            call(np.where(X > 1, np.inf, X))
        with pytest.raises(ValueError, match="expecting 6 features"):
            call(X[:, :5])
        with pytest.raises(ValueError, match="0 sample"):
            call(X[:0])
        with pytest.raises(ValueError, match="Negative values in data passed to NMF"):
            call(-X)
    hidden = np.where(np.arange(6) == 3, np.nan, X)
    np.testing.assert_allclose(model.transform(hidden), model.transform(hidden.tolist()))
