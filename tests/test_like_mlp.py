"""What scikit-learn tests its MLP estimators for, where it is behaviour: of ours."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import LabelBinarizer, StandardScaler

from nmfnet import Callback, DivergenceWarning, NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.layers.activations import ACTIVATIONS

ESTIMATORS = [NMFNetClassifier, NMFNetRegressor]
both = pytest.mark.parametrize("Estimator", ESTIMATORS)
solvers = pytest.mark.parametrize("solver", ["relaxed", "pinv"])


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_two_classes_are_learned_with_every_activation(activation, digits):
    X, _, y, _ = digits
    two = y < 2
    X_train, X_test, y_train, y_test = train_test_split(X[two], y[two], random_state=0)
    model = NMFNetClassifier((20,), activation=activation, max_iter=10, random_state=0).fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.97
    P = model.predict_proba(X_test)
    assert P.shape == (len(X_test), 2)
    assert roc_auc_score(y_test, P[:, 1]) > 0.99


@solvers
def test_log_probabilities_are_those_of_the_probabilities(solver, iris):
    X, y = iris
    model = NMFNetClassifier((10,), solver=solver, max_iter=10, random_state=0).fit(X, y)
    P = model.predict_proba(X)
    np.testing.assert_allclose(P.sum(1), 1)
    assert P.min() >= 0 and P.max() <= 1
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(model.predict_log_proba(X), np.log(P))


def test_probabilities_are_as_good_as_those_of_an_mlp(digits):
    X, X_test, y, y_test = digits
    ours = NMFNetClassifier((50,), solver=Relaxed(label_smoothing=0.05), max_iter=30, random_state=0).fit(X, y)
    with pytest.warns(ConvergenceWarning):
        theirs = MLPClassifier((50,), max_iter=60, random_state=0).fit(X, y)
    assert log_loss(y_test, ours.predict_proba(X_test)) < log_loss(y_test, theirs.predict_proba(X_test))


@solvers
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_several_labels(solver, form):
    X, Y = make_multilabel_classification(300, n_features=20, random_state=0, return_indicator=True)
    model = NMFNetClassifier((50,), solver=solver, max_iter=30, random_state=0).fit(X, form(Y))
    predicted = model.predict(X)
    assert sparse.issparse(predicted) == sparse.issparse(form(Y))
    predicted = predicted.toarray() if sparse.issparse(predicted) else predicted
    assert (predicted == Y).mean() > 0.8
    assert model.predict_proba(X).shape == model.decision_function(X).shape == Y.shape
    assert model.out_activation_ == ("logistic" if solver == "relaxed" else "identity")
    assert set(np.unique(predicted)) <= {0, 1}


@solvers
def test_several_targets_have_their_own_scale(solver):
    X, Y = make_regression(200, 5, n_targets=2, random_state=0)
    Y = Y * [1.0, 1e4] + [0.0, -1e6]
    model = NMFNetRegressor((50,), max_iter=200, random_state=0).fit(X, Y)
    assert model.predict(X).shape == (200, 2)
    assert model.score(X, Y) > 0.95
    one = NMFNetRegressor((50,), solver=solver, random_state=0).fit(X, Y[:, 0])
    assert one.predict(X).shape == (200,)


def test_parts_do_as_well_as_the_whole(iris):
    """In time: without an end steps are small."""
    X, y = iris
    model = NMFNetClassifier((20,), random_state=0)
    for epoch in range(80):
        model.partial_fit(X, y, classes=[0, 1, 2] if epoch == 0 else None)
    whole = NMFNetClassifier((20,), random_state=0, max_iter=20).fit(X, y)
    assert model.n_iter_ == 80
    assert model.score(X, y) > whole.score(X, y) - 0.03


def test_parts_of_a_regression():
    X, y = make_regression(200, 5, random_state=0)
    model = NMFNetRegressor((20,), random_state=0)
    for _ in range(60):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :3], y)


def test_partial_fit_wants_the_classes_once(iris):
    X, y = iris
    model = NMFNetClassifier((5,), random_state=0)
    with pytest.raises(ValueError, match="classes must be passed"):
        model.partial_fit(X, y)
    model.partial_fit(X[:10], y[:10], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="not those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="labels"):
        model.partial_fit(X, y + 1)


@both
def test_partial_fit_after_fit_goes_on(Estimator, iris):
    X, y = iris
    model = Estimator((10,), random_state=0).fit(X, y)
    before = model.score(X, y)
    assert model.partial_fit(X, y).score(X, y) > before - 0.05
    assert model.n_iter_ == 21


def test_a_warm_start_needs_the_same_classes(iris):
    X, y = iris
    model = NMFNetClassifier((5,), warm_start=True, max_iter=2, random_state=0).fit(X, y)
    for other in (np.where(y == 2, 3, y), np.where(y == 2, 1, y), y.astype(str)):
        with pytest.raises(ValueError, match="warm_start=True goes on with the classes"):
            model.fit(X, other)
    model.fit(X[::-1], y[::-1])


@both
def test_a_warm_start_counts_on(Estimator, iris):
    X, y = iris
    model = Estimator((5,), warm_start=True, max_iter=3, random_state=0)
    for calls in (1, 2, 3):
        model.fit(X, y)
        assert model.n_iter_ == 3 * calls
    assert model.set_params(warm_start=False).fit(X, y).n_iter_ == 3


@both
def test_early_stopping_holds_out_samples_and_can_be_turned_off(Estimator, iris):
    X, y = iris
    model = Estimator((20,), early_stopping=True, max_iter=200, n_iter_no_change=5, random_state=0).fit(X, y)
    assert model.n_iter_ < 200
    assert all("val_error" in record for record in model.history_)
    model.set_params(early_stopping=False, max_iter=3).fit(X, y)
    assert not any("val_error" in record for record in model.history_)


def test_the_held_out_samples_have_every_class():
    X, y = np.random.default_rng(0).random((100, 3)), np.repeat([0, 1], [80, 20])
    seen = []

    class Look(Callback):
        def on_fit_begin(self, network, max_iter):
            seen.append(network.sizes)

    settings = {"early_stopping": True, "validation_fraction": 0.1, "max_iter": 1, "callbacks": [Look()]}
    model = NMFNetClassifier((3,), **settings, random_state=0).fit(X, y)
    assert seen == [[3, 3, 2]]
    assert model.history_[0]["val_error"] * 10 == pytest.approx(round(model.history_[0]["val_error"] * 10))


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
@both
def test_sparse_and_dense_learn_alike(Estimator, form, digits):
    X, X_test, y, y_test = digits
    model = Estimator((30,), max_iter=20, random_state=0)
    dense = model.fit(X, y).score(X_test, y_test)
    assert model.fit(form(X), y).score(form(X_test), y_test) > dense - 0.05


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept(Estimator, dtype, iris):
    X, y = iris[0].astype(dtype), iris[1]
    model = Estimator((5,), max_iter=2, random_state=0).fit(X, y)
    assert {W.dtype for W in (*model.coefs_, *model.intercepts_)} == {np.dtype(dtype)}
    for method in ("predict_proba", "transform", "decision_function"):
        if hasattr(model, method):
            assert getattr(model, method)(X).dtype == dtype


@both
def test_float32_predicts_as_float64_does(Estimator, iris):
    X, y = iris
    one, two = (Estimator((5,), max_iter=10, random_state=0).fit(X.astype(d), y) for d in (np.float32, np.float64))
    method = "predict_proba" if Estimator is NMFNetClassifier else "predict"
    for model in (one, two):
        found = getattr(model, method)(X.astype(np.float32)), getattr(model, method)(X)
        np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-4)


def test_an_end_by_max_iter_is_none_of_a_failure(iris):
    """The averaged weights are meant to be good wherever the training ends: no ConvergenceWarning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        NMFNetClassifier((5,), max_iter=1, random_state=0).fit(*iris)


def test_an_interrupt_warns_and_keeps_what_was_learned(iris):
    class Interrupt(Callback):
        def on_batch_end(self, batch, n_batches):
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model = NMFNetClassifier((5,), callbacks=[Interrupt()], random_state=0).fit(*iris)
    assert model.predict(iris[0]).shape == (150,)


def test_numbers_that_overflow_are_reported():
    X = np.array([[1e300, 1], [-1e300, 2], [1e300, 3], [-1e300, 5.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        model = NMFNetRegressor((3,), random_state=0).fit(X, [1.0, 2.0, 3.0, 4.0])
    assert np.isfinite(model.predict(X)).all()


def test_indicators_of_classes_are_classes_of_their_own(iris):
    """Indicators of one class a sample are trained as several labels, and learned as well."""
    X, y = iris
    Y = LabelBinarizer().fit_transform(y)
    model = NMFNetClassifier((20,), max_iter=50, random_state=0).fit(X, Y)
    assert (model.predict_proba(X).argmax(1) == y).mean() > 0.93


def test_a_constant_target_and_one_sample():
    X = np.random.default_rng(0).random((20, 3))
    np.testing.assert_allclose(NMFNetRegressor((3,), random_state=0).fit(X, np.full(20, 7.0)).predict(X), 7, rtol=0.02)
    assert NMFNetRegressor((3,), random_state=0).fit(X[:1], [2.0]).predict(X[:1]).shape == (1,)
    assert (NMFNetClassifier((3,), random_state=0).fit(X, np.full(20, "a")).predict(X) == "a").all()


@both
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("hidden_layer_sizes", -1), ("hidden_layer_sizes", (3, 0)), ("hidden_layer_sizes", 1.5), ("max_iter", 0),
        ("max_iter", 2.5), ("alpha", -1), ("tol", -1e-4), ("n_iter_no_change", 0), ("batch_size", 0),
        ("batch_size", "most"), ("validation_fraction", 1.0), ("activation", "step"), ("solver", "adam"),
        ("early_stopping", "yes"), ("warm_start", 2), ("device", "abacus"), ("l1_ratio", 2), ("max_time", -1),
        ("callbacks", [print]), ("pretrain", "dreams"), ("fit_intercept", None), ("random_state", "seed"),
    ],
)  # fmt: skip
def test_unfit_parameters_are_named(Estimator, parameter, value, iris):
    model = Estimator(early_stopping=True).set_params(**{parameter: value})
    with pytest.raises(ValueError, match=parameter if parameter != "random_state" else "seed"):
        model.fit(*iris)
