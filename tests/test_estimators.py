import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from nmfnet import NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv
from nmfnet.estimators.classes import project_onto_simplex
from nmfnet.layers.activations import ACTIVATIONS

ESTIMATORS = [NMFNetClassifier, NMFNetRegressor]
both = pytest.mark.parametrize("Estimator", ESTIMATORS)


@pytest.mark.parametrize("pretrain", [None, "nmf"])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_digits(digits, pretrain, fit_intercept):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((100, 50), pretrain=pretrain, fit_intercept=fit_intercept, random_state=0)
    assert model.fit(X.astype(np.float32), y).score(X_test.astype(np.float32), y_test) > 0.95


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_learns(digits, activation):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((60,), activation=activation, random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.9


def test_regression():
    X, y = make_regression(400, 8, noise=1, random_state=0)
    assert NMFNetRegressor((30,), random_state=0, alpha=1e-3).fit(X, y).score(X, y) > 0.95


def test_attributes_are_those_of_mlp(digits):
    X, _, y, _ = digits
    ours = NMFNetClassifier((20, 10), max_iter=3, random_state=0).fit(X, y)
    with pytest.warns(ConvergenceWarning):
        theirs = MLPClassifier((20, 10), max_iter=2, random_state=0).fit(X, y)
    assert [W.shape for W in ours.coefs_] == [W.shape for W in theirs.coefs_]
    assert [b.shape for b in ours.intercepts_] == [b.shape for b in theirs.intercepts_]
    assert ours.n_layers_ == theirs.n_layers_ and ours.n_outputs_ == theirs.n_outputs_
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert ours.n_iter_ == 3 == len(ours.history_)
    assert ours.out_activation_ == theirs.out_activation_ == "softmax"
    assert NMFNetClassifier((4,), solver="pinv", max_iter=1).fit(X, y).out_activation_ == "identity"
    Z = X
    for W, b in zip(ours.coefs_[:-1], ours.intercepts_[:-1], strict=True):
        Z = np.maximum(Z @ W + b, 0)
    np.testing.assert_array_equal((Z @ ours.coefs_[-1] + ours.intercepts_[-1]).argmax(1), ours.predict(X))


@both
def test_the_dtype_of_the_data_is_kept(Estimator, small):
    X, y = small
    for dtype in (np.float32, np.float64):
        model = Estimator((4,), max_iter=2).fit(X.astype(dtype), y)
        assert {W.dtype for W in model.coefs_} == {np.dtype(dtype)}


@both
def test_the_same_seed_gives_the_same_weights_and_leaves_global_state_alone(Estimator, small):
    X, y = small
    torch.manual_seed(1)
    np.random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    one, two = (Estimator((4, 3), batch_size=9, pretrain="nmf", random_state=3).fit(X, y) for _ in range(2))
    for a, b in zip(one.coefs_, two.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])
    other = Estimator((4, 3), batch_size=9, pretrain="nmf", random_state=4).fit(X, y)
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])


def test_no_bias(small):
    X, y = small
    model = NMFNetClassifier((4,), fit_intercept=False).fit(X, y)
    assert [W.shape for W in model.coefs_] == [(5, 4), (4, 3)]
    assert not any(b.any() for b in model.intercepts_)


def test_labels_of_any_kind():
    X, y = make_classification(200, n_classes=3, n_informative=5, random_state=0)
    for labels in (np.array(["a", "b", "c"]), np.array([-1, 5, 1000]), np.array([0.0, 1.0, 2.0])):
        model = NMFNetClassifier((50,), alpha=0, random_state=0).fit(X, labels[y])
        assert model.score(X, labels[y]) > 0.9
        assert set(model.predict(X)) <= set(labels)


def test_probabilities(digits):
    X, X_test, y, _ = digits
    model = NMFNetClassifier((50,), random_state=0).fit(X, y)
    P = model.predict_proba(X_test)
    assert P.min() >= 0
    np.testing.assert_allclose(P.sum(1), 1)
    np.testing.assert_array_equal(model.classes_[P.argmax(1)], model.predict(X_test))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X_test)), P)


def test_projection_onto_the_simplex_is_the_nearest_point():
    rng = np.random.default_rng(0)
    V = rng.normal(size=(50, 4)) * 2
    P = project_onto_simplex(V)
    np.testing.assert_allclose(P.sum(1), 1)
    others = rng.dirichlet(np.ones(4), size=2000)
    nearest = ((V[:, None] - others) ** 2).sum(2).min(1)
    assert (((V - P) ** 2).sum(1) <= nearest + 1e-12).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_projection_of_huge_outputs(dtype):
    P = project_onto_simplex(np.array([[3e7, 0, 1], [1e17, 0, -1e17], [-1e30, -1e30, 0]], dtype=dtype))
    np.testing.assert_array_equal(P, [[1, 0, 0], [1, 0, 0], [0, 0, 1]])


def test_multilabel():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6))
    Y = (X[:, :3] + X[:, 3:] > 0).astype(int)
    model = NMFNetClassifier((40,), random_state=0).fit(X, Y)
    assert (model.predict(X) == Y).mean() > 0.9
    assert model.predict_proba(X).shape == Y.shape


def test_multi_output_regression():
    X, Y = make_regression(200, 6, n_targets=3, random_state=0)
    model = NMFNetRegressor((20,), random_state=0).fit(X, Y)
    assert model.predict(X).shape == (200, 3)
    assert model.score(X, Y) > 0.95


def test_warm_start_goes_on(digits):
    X, _, y, _ = digits
    settings = {"solver": "pinv", "random_state": 0, "n_iter_no_change": 100}
    whole = NMFNetClassifier((20,), max_iter=4, **settings).fit(X, y)
    model = NMFNetClassifier((20,), max_iter=2, warm_start=True, **settings).fit(X, y)
    first = model.history_[-1]["objective"]
    model.fit(X, y)
    assert model.n_iter_ == 4
    assert [record["epoch"] for record in model.history_] == [1, 2, 3, 4]
    assert model.history_[-1]["objective"] < first
    for a, b in zip(model.coefs_, whole.coefs_, strict=True):  # one batch an epoch: the order does not matter
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_warm_start_with_other_data_is_refused(small):
    X, y = small
    model = NMFNetClassifier((4,), warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start=True goes on with the classes"):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match="warm_start=True goes on with a network"):
        model.set_params(hidden_layer_sizes=(5,)).fit(X, y)


def test_held_out_rows_do_not_touch_the_weights():
    from sklearn.utils import check_random_state

    rng = np.random.default_rng(0)
    X, y = rng.random((60, 4)), rng.random(60)
    settings = {"early_stopping": True, "validation_fraction": 0.2, "max_iter": 1, "random_state": 0}
    model = NMFNetRegressor((5,), pretrain="nmf", **settings).fit(X, y)
    held_out = train_test_split(np.arange(60), test_size=0.2, random_state=check_random_state(0))[1]
    X_other, y_other = X.copy(), y.copy()
    X_other[held_out], y_other[held_out] = 9.0, -9.0
    other = NMFNetRegressor((5,), pretrain="nmf", **settings).fit(X_other, y_other)
    for a, b in zip(model.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert other.history_[0]["val_error"] > 10 * model.history_[0]["val_error"]


def test_the_objective_in_the_history_has_the_penalty():
    X, y = make_regression(50, 3, random_state=0)
    settings = {"solver": "pinv", "alpha": 2.0, "fit_intercept": False, "random_state": 0}
    model = NMFNetRegressor((), max_iter=2, **settings).fit(X, y)
    first = NMFNetRegressor((), max_iter=1, **settings).fit(X, y)
    fit = ((first.predict(X) - y) ** 2).sum() / 2
    penalty = 2.0 * (model.coefs_[0] ** 2).sum() / 2
    assert model.history_[1]["objective"] == pytest.approx((fit + penalty) / 50)


def test_training_stops_by_its_tolerance():
    X, y = make_regression(100, 3, random_state=0)
    settings = {"max_iter": 200, "n_iter_no_change": 3, "random_state": 0}
    quick, patient = (NMFNetRegressor((10,), tol=tol, **settings).fit(X, y).n_iter_ for tol in (1e9, 0.0))
    assert quick == 4 < patient


@both
def test_a_warm_start_does_not_pretrain_again(Estimator, small, capsys):
    X, y = small
    model = Estimator((4,), pretrain="nmf", warm_start=True, verbose=True, max_iter=1).fit(X, y)
    assert "Pre-training" in capsys.readouterr().out
    model.fit(X, y)
    assert "Pre-training" not in capsys.readouterr().out


@pytest.mark.parametrize("Estimator", [NMFNetClassifier])
def test_a_validation_split_that_cannot_be_made_names_its_parameters(Estimator):
    with pytest.raises(ValueError, match=r"early_stopping=True with validation_fraction=0\.1"):
        Estimator(early_stopping=True).fit([[1.0], [2.0], [3.0]], [0, 1, 2])


def test_few_samples_for_the_width(digits):
    """Where a batch has about as many samples as a layer has units, the threshold delta has to help."""
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((100,), random_state=0).fit(X[:100], y[:100])
    assert model.score(X_test, y_test) > 0.6
    paper = NMFNetClassifier((100,), solver=Pinv(delta=1e-14), random_state=0).fit(X[:100], y[:100])
    assert model.score(X_test, y_test) > paper.score(X_test, y_test)


def test_a_warm_start_owes_nothing_to_the_best_of_the_last_fit():
    X, y = make_regression(200, 5, random_state=0)
    settings = {"random_state": 0, "warm_start": True, "max_iter": 5}
    model = NMFNetRegressor((10,), early_stopping=True, **settings).fit(X, y)
    before = model.coefs_[0].copy()
    model.set_params(early_stopping=False).fit(X, 100 * y)
    assert model.n_iter_ == 10
    assert not np.array_equal(before, model.coefs_[0])
    assert model.score(X, 100 * y) > 0.9


@both
def test_a_refused_fit_leaves_the_model_as_it_was(Estimator, small):
    X, y = small
    model = Estimator((4,), random_state=0).fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match="nonnegative"):
        model.set_params(pretrain="nmf").fit(-np.ones((30, 7)), np.arange(30) % 2 + 50)
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.n_features_in_ == 5


@both
def test_tensors_are_trained_in_their_dtype(Estimator, small):
    X, y = (torch.from_numpy(a) for a in small)
    model = Estimator((4,), random_state=0).fit(X.float(), y)
    assert model.coefs_[0].dtype == np.float32
    np.testing.assert_array_equal(model.predict(X.float()), model.predict(X.float().numpy()))


def test_sparse_targets(small):
    from scipy.sparse import csr_matrix

    X, y = small
    Y = np.column_stack([y == 0, y != 1]).astype(int)
    dense, sparse = (NMFNetClassifier((4,), random_state=0).fit(X, T) for T in (Y, csr_matrix(Y)))
    np.testing.assert_array_equal(dense.coefs_[0], sparse.coefs_[0])


def test_early_stopping_restores_the_best_epoch(digits):
    X, _, y, _ = digits
    model = NMFNetClassifier((30,), early_stopping=True, random_state=0, max_iter=15, batch_size=300).fit(X, y)
    errors = [record["val_error"] for record in model.history_]
    from sklearn.utils import check_random_state

    _, X_val, _, y_val = train_test_split(X, y, test_size=0.1, random_state=check_random_state(0), stratify=y)
    assert 1 - model.score(X_val, y_val) == pytest.approx(min(errors))


def test_clone_pickle_pipeline_and_grid_search(digits):
    X, X_test, y, _ = digits
    model = NMFNetClassifier((20,), solver=Pinv(n_w=3), pretrain=NMFPretraining(n_ae=2), random_state=0, max_iter=3)
    assert clone(model).get_params() == model.get_params()
    model.fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X_test), model.predict(X_test))
    pipeline = make_pipeline(MinMaxScaler(), NMFNetClassifier(solver=Pinv(), max_iter=4, random_state=0))
    grid = {"nmfnetclassifier__hidden_layer_sizes": [(10,), (30,)], "nmfnetclassifier__solver__n_w": [2, 3]}
    assert GridSearchCV(pipeline, grid, cv=2).fit(X[:300], y[:300]).best_score_ > 0.8


def test_verbose_prints_a_line_per_epoch(small, capsys):
    X, y = small
    NMFNetClassifier((4, 3), max_iter=2, pretrain="nmf", verbose=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Pre-training layer 1 of 2", "Pre-training layer 2 of 2"]
    assert lines[2].startswith("epoch 1, objective = ")
    assert len(lines) == 4
