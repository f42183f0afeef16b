"""Input that is wrong, or at the edge of it: the error names it, or the answer is right."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone

import nmfnet
from nmfnet import (
    NMF,
    DivergenceError,
    NMFAutoencoder,
    NMFNetClassifier,
    NMFNetRegressor,
    NMFPretraining,
    NonlinearSemiNMF,
    SemiNMF,
    nmf,
    nonlinear_semi_nmf,
    semi_nmf,
)
from nmfnet.linalg import singular_basis, truncated_svd

ESTIMATORS = [NMFNetClassifier, NMFNetRegressor]
both = pytest.mark.parametrize("Estimator", ESTIMATORS)


@both
def test_infinity_is_refused(Estimator, small):
    X, y = small
    X_bad = X.copy()
    X_bad[3, 2] = np.inf
    for bad in (X_bad, torch.tensor(X_bad)):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            Estimator().fit(bad, y)
        with pytest.raises(ValueError, match="Input X contains infinity"):
            Estimator().fit(X, y).predict(bad)


@both
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_that_are_nan_or_infinite_are_refused(Estimator, small, bad):
    X, y = small
    y_bad = y.astype(float)
    y_bad[3] = bad
    with pytest.raises(ValueError, match=r"Input y contains (NaN|infinity)"):
        Estimator().fit(X, y_bad)


@both
def test_wrong_shapes_are_refused(Estimator, small):
    X, y = small
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Estimator().fit(X, y[:-1])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        Estimator().fit(X[:0], y[:0])
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        Estimator().fit(X[:, :0], y)
    with pytest.raises(ValueError, match="Expected 2D array"):
        Estimator().fit(X[:, 0], y)
    with pytest.raises(ValueError, match="expecting 5 features"):
        Estimator(max_iter=1).fit(X, y).predict(X[:, :4])


@both
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("pretrain", [None, "nmf"])
def test_one_sample(Estimator, fit_intercept, pretrain):
    X, settings = np.array([[1.0, 2.0]]), {"fit_intercept": fit_intercept, "pretrain": pretrain, "random_state": 0}
    exact = Estimator((3,), solver="pinv", **settings).fit(X, np.array([7]))
    assert exact.predict(X) == pytest.approx(7)
    relaxed = Estimator((3,), **settings).fit(X, np.array([7]))
    assert np.isfinite(relaxed.predict(X)).all()
    if fit_intercept:
        assert relaxed.predict(X) == pytest.approx(7, rel=0.05)


def test_one_class(small):
    X, _ = small
    model = NMFNetClassifier((3,)).fit(X, np.full(40, "only"))
    assert set(model.predict(X)) == {"only"}
    np.testing.assert_allclose(model.predict_proba(X), 1)


@both
@pytest.mark.parametrize("value", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("pretrain", [None, "nmf"])
def test_constant_features(Estimator, small, value, pretrain):
    X, y = small
    model = Estimator((6,), random_state=0, pretrain=pretrain).fit(np.column_stack([X, np.full(40, value)]), y)
    assert all(np.isfinite(W).all() for W in model.coefs_)
    constant = Estimator((6,), random_state=0, pretrain=pretrain).fit(np.full((40, 3), value), y)
    assert np.isfinite(constant.predict(np.full((40, 3), value))).all()


@both
def test_zero_hidden_layers_and_a_hidden_layer_of_1(Estimator, small):
    X, y = small
    for sizes, shapes in (((), 1), (1, 2), ((1,), 2), ((4, 1), 3)):
        model = Estimator(sizes, random_state=0).fit(X, y)
        assert len(model.coefs_) == shapes
        assert np.isfinite(model.predict(X)).all()


@both
def test_a_batch_larger_than_the_data_is_clipped_with_a_warning(Estimator, small):
    X, y = small
    with pytest.warns(UserWarning, match=r"batch_size=1000 is larger than the 40 training samples"):
        model = Estimator((4,), batch_size=1000, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = Estimator((4,), batch_size=40, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], same.coefs_[0])


@both
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "adam"}, "solver must be 'relaxed' or 'pinv', or an instance of Relaxed or Pinv; got 'adam'"),
        ({"pretrain": "pca"}, "pretrain must be 'nmf' or None, or an instance of NMFPretraining; got 'pca'"),
        ({"activation": "swish"}, "activation must be one of 'relu'"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be an integer of at least 1; got 0"),
        ({"hidden_layer_sizes": (3, 2.5)}, "hidden_layer_sizes must be an integer"),
        ({"hidden_layer_sizes": "10"}, "hidden_layer_sizes must be an integer"),
        ({"hidden_layer_sizes": None}, "hidden_layer_sizes"),
        ({"alpha": -1}, "alpha must be a finite number of at least 0"),
        ({"alpha": float("nan")}, "alpha"),
        ({"l1_ratio": 2}, r"l1_ratio must be a number in \[0, 1\]"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1 or 'auto'"),
        ({"batch_size": "all"}, "batch_size"),
        ({"max_iter": 0}, "max_iter"),
        ({"max_iter": True}, "max_iter"),
        ({"tol": -1}, "tol"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"early_stopping": True, "validation_fraction": 1}, r"validation_fraction must be a number in \(0, 1\)"),
        ({"fit_intercept": 2}, "fit_intercept must be True or False"),
        ({"early_stopping": "no"}, "early_stopping must be True or False"),
        ({"callbacks": [1]}, "callbacks must be None or a sequence of nmfnet.Callback"),
        ({"device": "abacus"}, "device='abacus' cannot be used"),
    ],
)
def test_bad_parameters_are_named(Estimator, small, parameters, message):
    with pytest.raises(ValueError, match=message):
        Estimator(**parameters).fit(*small)


@both
@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_of_any_scale_without_bias(Estimator, small, scale, dtype):
    """Without the column of ones, which does not scale along, only rounding tells scales apart."""
    X, y = small
    settings = {"fit_intercept": False, "random_state": 0, "max_iter": 2, "alpha": 0}  # which would fit a constant
    plain = Estimator((6,), **settings).fit(X.astype(dtype), y)
    scaled = Estimator((6,), **settings).fit((X * scale).astype(dtype), y)
    agreement = np.corrcoef(plain.predict(X), scaled.predict(X * scale))[0, 1]
    assert agreement > 0.95


@both
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e15])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_of_any_scale_give_finite_weights(Estimator, small, scale, dtype):
    X, y = small
    model = Estimator((6,), random_state=0).fit((X * scale).astype(dtype), y)
    assert all(np.isfinite(W).all() for W in [*model.coefs_, *model.intercepts_])


def test_overflow_is_a_named_error():
    X = np.linspace(1e36, 3e38, 30, dtype=np.float32).reshape(10, 3)
    with pytest.raises((DivergenceError, ValueError), match=r"non-finite|infinity|large"):
        NMFNetRegressor((5,), solver="pinv").fit(X, np.linspace(-3e38, 3e38, 10, dtype=np.float32))


def outcome(call):
    """What a call returns, or None where it says that numbers left their range, and what to do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except DivergenceError as error:
        assert "Scale" in str(error)
        return None


# Squares overflow, sums overflow, squares vanish, the numbers themselves are subnormal.
EDGES = {
    np.float64: (1.7e308, 1e308, 1e155, 1e-155, 1e-308, 5e-324),
    np.float32: (3.4e38, 1e38, 1e20, 1e-20, 1e-38, 1e-45),
}
edges = pytest.mark.parametrize(
    ("dtype", "size"), [(dtype, size) for dtype, sizes in EDGES.items() for size in sizes], ids=str
)


@both
@edges
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_the_edges_of_the_range(Estimator, dtype, size, solver, small):
    """Of inputs, and of real targets of one sign and of both: the answer is finite, or the error is named."""
    X, y = (part.astype(dtype) for part in small)
    settings = {"solver": solver, "max_iter": 2, "random_state": 0}
    given = [(X * dtype(size), y)]
    if Estimator is NMFNetRegressor:
        given += [(X, y / 2 * dtype(size)), (X, (y - 1) * dtype(size))]
    for X_given, y_given in given:
        for pretrain in (None, NMFPretraining(n_ae=1, n_nmf=1, n_ls=1)):
            model = Estimator((4,), pretrain=pretrain, **settings)
            found = outcome(lambda model=model, X=X_given, y=y_given: model.fit(X, y).predict(X))
            assert found is None or np.isfinite(found).all()


@edges
@pytest.mark.parametrize("factorize", [nmf, semi_nmf, nonlinear_semi_nmf])
def test_functions_at_the_edges_of_the_range(factorize, dtype, size, generator):
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.random((20, 1)) @ rng.random((1, 6)))
    given = (X * size).to(torch.float32 if dtype == np.float32 else torch.float64)
    found = outcome(lambda: factorize(given, 2, generator=generator))
    if found is not None:
        rebuilt = (found.Z.double() / size**0.5) @ (found.W.double() / size**0.5)
        X = given.double() / size
        assert (rebuilt - X).norm() <= 0.1 * X.norm()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@edges
@pytest.mark.parametrize(
    "model",
    [
        *(NMF(2), NMF(2, solver="mu"), NMF(2, solver="mu", beta_loss="kullback-leibler"), NMF(2, batch_size=10)),
        *(SemiNMF(2), NonlinearSemiNMF(2), NMFAutoencoder(3, max_iter=1, pretrain=NMFPretraining(n_ae=2))),
    ],
    ids=str,
)
def test_transformers_at_the_edges_of_the_range(model, dtype, size):
    """Subnormal numbers have few digits left, and the largest ones no room for what is added to them."""
    rng = np.random.default_rng(0)
    X = (rng.random((20, 1)) @ rng.random((1, 6)) / 2 * dtype(size)).astype(dtype)
    model = clone(model).set_params(random_state=0)
    Z = outcome(lambda: model.fit_transform(X))
    if Z is not None:
        assert (
            np.isfinite(Z).all() and np.isfinite(model.components_).all() and not np.isnan(model.reconstruction_err_)
        )
        if size > np.finfo(dtype).tiny:
            assert np.abs(model.inverse_transform(Z) / size - X / size).max() < 0.1


def test_decompositions_that_fail_name_the_cause(monkeypatch):
    def fail(*args, **kwargs):
        raise torch.linalg.LinAlgError("linalg.svd: The algorithm failed to converge")

    for name in ("svd", "eigh"):
        monkeypatch.setattr(torch.linalg, name, fail)
    for dtype in (torch.float32, torch.float64):
        for decompose in (truncated_svd, lambda Z: singular_basis([Z])):
            with pytest.raises(DivergenceError, match="numbers overflowed"):
                decompose(torch.ones(5, 3, dtype=dtype))


def test_long_doubles_as_labels(small, tmp_path):
    X, y = small
    y = y + np.longdouble(2) ** 60  # which float64 does not tell apart
    model = NMFNetClassifier((3,), max_iter=2, alpha=np.longdouble(0.1), random_state=0).fit(X, y)
    assert model.predict(X).dtype == np.longdouble
    model.save(tmp_path / "model")
    loaded = nmfnet.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.classes_, np.unique(y))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
