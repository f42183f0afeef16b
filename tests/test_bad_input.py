"""Input that is wrong, or at the edge of it: the error names it, or the answer is right."""

import warnings

import numpy as np
import pytest

from nmfnet import DivergenceError, NMFNetClassifier, NMFNetRegressor

ESTIMATORS = [NMFNetClassifier, NMFNetRegressor]
both = pytest.mark.parametrize("Estimator", ESTIMATORS)


@both
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(Estimator, small, bad):
    X, y = small
    X_bad = X.copy()
    X_bad[3, 2] = bad
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        Estimator().fit(X_bad, y)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        Estimator().fit(X, y).predict(X_bad)
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
