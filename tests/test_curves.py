"""The names that scikit-learn's MLP estimators have for the course of a fit, and its other conventions."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

import nmfnet
from nmfnet import NMFNetClassifier, NMFNetRegressor, fit_module
from nmfnet.callbacks import Callback, EarlyStopping

NAMES = ["loss_curve_", "loss_", "best_loss_", "validation_scores_", "best_validation_score_", "t_", "n_iter_"]
both = pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
solvers = pytest.mark.parametrize("solver", ["relaxed", "pinv"])


def seen(model):
    return {name: getattr(model, name) for name in NAMES}


@solvers
@both
def test_the_course_of_a_fit(Estimator, solver, small):
    model = Estimator((4,), solver=solver, alpha=0.1, max_iter=5, batch_size=10, random_state=0).fit(*small)
    objectives = [record["objective"] for record in model.history_]
    assert seen(model) == {
        "loss_curve_": objectives, "loss_": objectives[-1], "best_loss_": min(objectives), "validation_scores_": None,
        "best_validation_score_": None, "t_": 5 * 40, "n_iter_": 5,
    }  # fmt: skip


class Predictions(Callback):
    def __init__(self, X):
        self.X, self.outputs = torch.as_tensor(X), []

    def on_epoch_end(self, network, record):
        self.outputs.append(network.predict(self.X).numpy())


@pytest.mark.parametrize("weighted", [False, True])
@solvers
@both
def test_scores_of_the_validation_set(Estimator, solver, weighted, small):
    X, y = small
    weight = np.arange(1.0, 11.0) if weighted else None
    log = Predictions(X[:10])
    model = Estimator((4,), solver=solver, early_stopping=True, max_iter=6, callbacks=[log], random_state=0)
    model.fit(X, y, X_val=X[:10], y_val=y[:10], sample_weight_val=weight)
    if Estimator is NMFNetClassifier:
        expected = [accuracy_score(y[:10], A.argmax(1), sample_weight=weight) for A in log.outputs]
    else:
        expected = [r2_score(y[:10], A[:, 0], sample_weight=weight) for A in log.outputs]
    assert model.validation_scores_ == pytest.approx(expected)
    assert model.best_validation_score_ == model.validation_scores_[model.best_epoch_ - 1]
    assert model.score(X[:10], y[:10], weight) == pytest.approx(model.best_validation_score_)
    assert model.best_loss_ is None and model.t_ == 6 * 40
    assert model.loss_ == model.loss_curve_[-1] == model.history_[-1]["objective"]


@both
def test_a_validation_set_that_only_watches(Estimator, small):
    X, y = small
    model = Estimator((4,), max_iter=3, random_state=0).fit(X, y, X_val=X, y_val=y)
    assert model.validation_scores_ is None and model.best_loss_ == min(model.loss_curve_)


@both
def test_held_out_samples_do_not_count(Estimator, small):
    model = Estimator((4,), early_stopping=True, validation_fraction=0.25, max_iter=3, random_state=0).fit(*small)
    assert model.t_ == 3 * 30 and len(model.validation_scores_) == 3


def test_scores_of_several_labels_and_targets(small):
    X, y = small
    several = np.column_stack([y == 0, y > 0]).astype(int)
    model = NMFNetClassifier((4,), early_stopping=True, max_iter=4, random_state=0).fit(
        X, several, X_val=X, y_val=several
    )
    assert model.score(X, several) == model.best_validation_score_
    model = NMFNetRegressor((4,), early_stopping=True, max_iter=4, random_state=0).fit(
        X, X[:, :2], X_val=X, y_val=X[:, :2]
    )
    assert model.score(X, X[:, :2]) == pytest.approx(model.best_validation_score_)


def test_a_score_that_is_not_defined_is_nan(small, tmp_path):
    X, y = small
    model = NMFNetRegressor((4,), early_stopping=True, max_iter=3, random_state=0).fit(X, y, X_val=X[:1], y_val=y[:1])
    model.save(tmp_path / "model")
    for each in (model, nmfnet.load(tmp_path / "model")):
        assert len(each.validation_scores_) == 3 and all(map(math.isnan, each.validation_scores_))
        assert math.isnan(each.best_validation_score_)


@pytest.mark.parametrize("early_stopping", [False, True])
@both
def test_the_course_is_kept(Estimator, early_stopping, small, tmp_path):
    model = Estimator((4,), early_stopping=early_stopping, max_iter=3, random_state=0).fit(*small)
    model.save(tmp_path / "model")
    model.set_params(early_stopping=not early_stopping)  # is for the next fit
    for again in (nmfnet.load(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert seen(again) == seen(model)
    assert (model.validation_scores_ is None) != early_stopping
    fresh = clone(model)
    assert not any(hasattr(fresh, name) for name in NAMES)


@both
def test_the_course_goes_on(Estimator, small, tmp_path):
    model = Estimator((4,), warm_start=True, max_iter=3, random_state=0).fit(*small)
    first = model.loss_curve_
    model.fit(*small)
    assert model.loss_curve_[:3] == first and len(model.loss_curve_) == model.n_iter_ == 6 and model.t_ == 240
    model.partial_fit(small[0][:10], small[1][:10])
    assert len(model.loss_curve_) == 7 and model.t_ == 250 and model.loss_ == model.history_[-1]["objective"]
    model.save(tmp_path / "model")
    again = nmfnet.load(tmp_path / "model").partial_fit(small[0][:5], small[1][:5])
    assert again.t_ == 255 and again.loss_curve_[:-1] == model.loss_curve_
    assert model.set_params(warm_start=False).fit(*small).t_ == 120
    assert model.set_params(warm_start=True, early_stopping=True).fit(*small).best_loss_ is None
    assert len(model.validation_scores_) == 3 and len(model.loss_curve_) == 6


@both
def test_rows_that_are_trained_on_are_counted(Estimator, small):
    weight = np.r_[np.zeros(15), np.full(25, 3.0)]
    model = Estimator((4,), max_iter=2, random_state=0).fit(*small, sample_weight=weight)
    assert model.t_ == 2 * 25
    model = Estimator((4,), max_iter=5, batch_size=10, max_time=0, random_state=0).fit(*small)
    assert model.t_ == 10 and model.n_iter_ == 1


def test_a_model_that_was_not_trained_or_long_ago(small):
    module = torch.nn.Sequential(torch.nn.Linear(5, 3))
    model = NMFNetClassifier.from_torch(module)
    assert model.loss_curve_ == [] and model.t_ == model.n_iter_ == 0
    assert not any(hasattr(model, name) for name in ("loss_", "best_loss_", "validation_scores_"))
    assert isinstance(model._repr_html_(), str)
    model.fit(*small)
    for record in model.history_:
        del record["n_samples"]
    assert not hasattr(model, "t_") and len(model.loss_curve_) == model.n_iter_


@both
def test_no_epoch_without_progress_ends_the_training(Estimator, small, tmp_path):
    model = Estimator((4,), tol=1e9, n_iter_no_change=np.inf, max_iter=15, random_state=0)
    for each in (clone(model), pickle.loads(pickle.dumps(model)), clone(model).set_params(early_stopping=True)):
        assert each.fit(*small).n_iter_ == 15
    model.fit(*small).save(tmp_path / "model")
    again = nmfnet.load(tmp_path / "model")
    assert again.n_iter_no_change == np.inf and again.fit(*small).n_iter_ == 15
    assert model.set_params(n_iter_no_change=3).fit(*small).n_iter_ == 4
    search = GridSearchCV(Estimator((4,), tol=1e9, max_iter=12), {"n_iter_no_change": [np.inf, float("inf")]}, cv=2)
    assert search.fit(*small).best_estimator_.n_iter_ == 12
    for unfit in (-np.inf, np.nan, 2.5, None):
        with pytest.raises(ValueError, match=r"n_iter_no_change must be an integer of at least 1 or np\.inf"):
            model.set_params(n_iter_no_change=unfit).fit(*small)


def test_no_epoch_without_progress_ends_what_else_trains(small):
    module = torch.nn.Sequential(torch.nn.Linear(5, 3))
    assert len(fit_module(module, *small, tol=1e9, n_iter_no_change=np.inf, max_iter=12)) == 12
    stop = EarlyStopping("objective", patience=np.inf, min_delta=1e9)
    assert NMFNetClassifier((3,), max_iter=14, n_iter_no_change=14, callbacks=[stop]).fit(*small).n_iter_ == 14
    with pytest.raises(ValueError, match="patience must be at least 1"):
        EarlyStopping(patience=np.nan)


CONTAINERS = [
    sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix, sparse.coo_array, sparse.lil_matrix, sparse.dok_array,
    sparse.bsr_array, sparse.dia_matrix,
]  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
@solvers
def test_sparse_labels_for_sparse_targets(container, solver, tmp_path):
    X, Y = make_multilabel_classification(60, random_state=0)
    model = NMFNetClassifier((5,), solver=solver, max_iter=5, random_state=0).fit(X, container(Y))
    theirs = MLPClassifier((5,), max_iter=1, solver="sgd", random_state=0).partial_fit(
        X, container(Y), classes=range(5)
    )
    model.save(tmp_path / "model")
    dense = clone(model).fit(X, Y)
    for each in (model, nmfnet.load(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        predicted = each.predict(X)
        assert type(predicted) is type(theirs.predict(X)) and predicted.dtype == np.int64
        np.testing.assert_array_equal(predicted.toarray(), dense.predict(X))
        assert each.score(X, container(Y)) == dense.score(X, Y)
    assert isinstance(dense.predict(X), np.ndarray) and isinstance(model.predict_proba(X), np.ndarray)
    assert isinstance(model.predict(torch.as_tensor(X)), torch.Tensor)
    assert isinstance(model.fit(X, Y).predict(X), np.ndarray)
    if "sparse_interface" not in get_config():  # scikit-learn 1.9 has it
        return
    with config_context(sparse_interface="sparray"):
        assert isinstance(dense.fit(X, container(Y)).predict(X), sparse.csr_array)


def test_sparse_targets_in_parts_and_with_a_validation_set():
    X, Y = make_multilabel_classification(60, random_state=0)
    model = NMFNetClassifier((5,), random_state=0).partial_fit(X, sparse.csr_array(Y), classes=range(5))
    assert sparse.issparse(model.partial_fit(X, Y).predict(X))
    model = NMFNetClassifier((5,), random_state=0).partial_fit(X, Y, classes=range(5))
    assert not sparse.issparse(model.partial_fit(X, sparse.csr_array(Y)).predict(X))
    model = NMFNetClassifier((5,), early_stopping=True, max_iter=3, random_state=0)
    model.fit(X, sparse.csr_array(Y), sample_weight=np.arange(60.0), X_val=X, y_val=Y)
    assert sparse.issparse(model.predict(X))
    assert isinstance(NMFNetRegressor((5,), max_iter=2).fit(X, sparse.csr_array(Y * 1.0)).predict(X), np.ndarray)


@pytest.mark.parametrize("labels", [["few", "many"], [10, 20], [False, True]])
def test_the_class_that_is_too_small_to_hold_out_is_named(labels):
    X, y = np.random.default_rng(0).random((20, 3)), np.array(labels)[[1] * 19 + [0]]
    with pytest.raises(ValueError, match=rf"Classes with too few members are: \[.*{labels[0]}.*\]"):
        NMFNetClassifier((3,), early_stopping=True).fit(X, y)
