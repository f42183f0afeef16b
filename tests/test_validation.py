"""Validation sets, early stopping, and the curves in the history."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss, mean_squared_error

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.training import EpochRecord
from nmfnet.training.state import Best


@pytest.fixture
def parts(digits):
    X, X_val, y, y_val = digits
    return X[:600], y[:600], X_val[:200], y_val[:200]


def test_a_validation_set_of_ones_own_is_recorded_and_changes_nothing(parts):
    X, y, X_val, y_val = parts
    model = NMFNetClassifier((20,), max_iter=5, random_state=0)
    alone = model.fit(X, y).coefs_[0]
    model.fit(X, y, X_val=X_val, y_val=y_val)
    np.testing.assert_array_equal(model.coefs_[0], alone)
    assert model.history_[-1]["val_error"] == pytest.approx(1 - model.score(X_val, y_val))
    assert {"train_loss", "train_error", "val_loss", "val_error", "objective"} <= set(model.history_[0])


@pytest.mark.parametrize("solver", ["relaxed", Relaxed(label_smoothing=0.0)])
def test_recorded_losses_are_those_of_scikit_learn(solver, parts):
    """Of the weights that predict, after the epoch; without dropout, smoothing or scaling of targets."""
    X, y, X_val, y_val = parts
    model = NMFNetClassifier((20,), solver=solver, max_iter=3, random_state=0).fit(X, y, X_val=X_val, y_val=y_val)
    for part, X_part, y_part in (("train", X, y), ("val", X_val, y_val)):
        assert model.history_[-1][f"{part}_loss"] == pytest.approx(log_loss(y_part, model.predict_proba(X_part)))
        assert model.history_[-1][f"{part}_error"] == pytest.approx(1 - model.score(X_part, y_part))
    target, target_val = X[:, 20] * 50 + 7, X_val[:, 20] * 50 + 7
    regressor = NMFNetRegressor((20,), max_iter=3, random_state=0)
    record = regressor.fit(X, target, X_val=X_val, y_val=target_val).history_[-1]
    for part, X_part, y_part in (("train", X, target), ("val", X_val, target_val)):
        error = mean_squared_error(y_part, regressor.predict(X_part))
        assert record[f"{part}_loss"] == record[f"{part}_error"] == pytest.approx(error)


def test_recorded_losses_of_several_labels_and_of_least_squares(parts):
    X, y, X_val, y_val = parts
    Y, Y_val = (np.column_stack([each % 2, each > 4, each == 3]).astype(int) for each in (y, y_val))
    model = NMFNetClassifier((20,), max_iter=3, random_state=0).fit(X, Y, X_val=X_val, y_val=Y_val)
    P = model.predict_proba(X_val)
    assert model.history_[-1]["val_loss"] == pytest.approx(np.mean([log_loss(Y_val[:, k], P[:, k]) for k in range(3)]))
    model = NMFNetClassifier((20,), solver="pinv", max_iter=3, random_state=0).fit(X, y, X_val=X_val, y_val=y_val)
    outputs = model.decision_function(X_val)
    assert model.history_[-1]["val_loss"] == pytest.approx(((outputs - np.eye(10)[y_val]) ** 2).mean())


def test_losses_in_training_are_of_some_rows_where_there_are_many(monkeypatch, parts):
    X, y, *_ = parts
    whole = NMFNetClassifier((20,), max_iter=3, random_state=0).fit(X, y)
    monkeypatch.setattr("nmfnet.training.scoring.MOST_SAMPLED", 400)
    monkeypatch.setattr("nmfnet.training.scoring.FEWEST_SAMPLED", 200)
    some = NMFNetClassifier((20,), max_iter=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(some.coefs_[0], whole.coefs_[0])
    losses = [model.history_[-1]["train_loss"] for model in (some, whole)]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.3)
    assert 200 * some.history_[-1]["train_error"] == pytest.approx(round(200 * some.history_[-1]["train_error"]))


@pytest.mark.parametrize("given", [True, False])
def test_early_stopping_restores_the_best_weights(given, parts):
    X, y, X_val, y_val = parts
    settings = {"X_val": X_val, "y_val": y_val} if given else {}
    model = NMFNetClassifier((20,), max_iter=30, n_iter_no_change=4, early_stopping=True, random_state=0)
    model.fit(X, y, **settings)
    keys = [(record["val_loss"], record["val_error"]) for record in model.history_]
    best = keys.index(min(keys))
    assert model.best_epoch_ == best + 1
    assert len(keys) == 30 or len(keys) > best + 1
    if given:
        assert log_loss(y_val, model.predict_proba(X_val)) == pytest.approx(keys[best][0])
        assert 1 - model.score(X_val, y_val) == pytest.approx(keys[best][1])
        again = NMFNetClassifier((20,), max_iter=30, n_iter_no_change=4, random_state=0).fit(X, y)
        assert again.history_[best]["train_error"] == model.history_[best]["train_error"]  # the same course
        assert again.best_epoch_ is None


def test_of_epochs_with_the_same_error_the_one_with_the_least_loss_is_kept():
    """Not the earliest, whose weights have hardly begun."""
    X, y = load_iris(return_X_y=True)
    model = NMFNetClassifier((20,), early_stopping=True, random_state=0).fit(X, y)
    tied = [r["epoch"] for r in model.history_ if r["val_error"] == min(r["val_error"] for r in model.history_)]
    assert model.best_epoch_ in tied and model.best_epoch_ > tied[0]


def test_ties_of_the_loss_are_decided_by_the_error():
    best = Best(0.0, "val_loss")
    for epoch, (loss, error) in enumerate([(1.0, 0.3), (0.5, 0.2), (0.5, 0.1), (0.5, 0.1), (np.nan, 0.0)], 1):
        best.add(EpochRecord(epoch=epoch, val_loss=loss, val_error=error), [torch.full((1,), float(epoch))])
    assert best.epoch == 3 and float(best.weights[0]) == 3 and best.epochs_without_progress == 3


def test_the_objective_is_what_the_relaxed_sweep_minimizes():
    """Biases are in no penalty of the relaxed sweep, and losses are of scaled targets."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3))
    y = X @ [1.0, 2.0, 3.0] * 100 + 1000
    settings = {"solver": Relaxed(dropout=0.0, standardize=False), "alpha": 2.0, "random_state": 0}
    first = NMFNetRegressor((), max_iter=2, **settings).fit(X, y)
    fit = ((first.predict(X) - y) ** 2).mean() / 2 / y.var()
    record = first.partial_fit(X, y).history_[-1]  # one batch: measured just before its update
    after = first.coefs_[0] / y.std()
    assert record["objective"] == pytest.approx(fit + (after**2).sum() / 50)
    assert record["train_loss"] == pytest.approx(((first.predict(X) - y) ** 2).mean())


def test_a_validation_set_must_fit(parts):
    X, y, X_val, y_val = parts
    model = NMFNetClassifier((5,), max_iter=1)
    with pytest.raises(ValueError, match="X_val and y_val go together"):
        model.fit(X, y, X_val=X_val)
    with pytest.raises(ValueError, match="X_val and y_val go together"):
        model.fit(X, y, sample_weight_val=np.ones(3))
    with pytest.raises(ValueError, match="X_val, y_val: X has 5 features"):
        model.fit(X, y, X_val=X_val[:, :5], y_val=y_val)
    with pytest.raises(ValueError, match=r"X_val, y_val: y has the labels \[77\]"):
        model.fit(X, y, X_val=X_val, y_val=np.where(y_val == 3, 77, y_val))
    with pytest.raises(ValueError, match="sample_weight_val must not be negative"):
        model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=-np.ones(200))
    with pytest.raises(ValueError, match="y has 2 targets a sample; the model has 1"):
        NMFNetRegressor((5,), max_iter=1).fit(X, y, X_val=X_val, y_val=np.ones((200, 2)))


def test_a_changed_network_is_explained():
    X, y = np.random.default_rng(0).random((20, 3)), np.arange(20) % 2
    model = NMFNetClassifier((3,)).partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="partial_fit goes on with a network of 3-3-2 units"):
        model.set_params(hidden_layer_sizes=(4,)).partial_fit(X, y)
    with pytest.raises(ValueError, match="warm_start=True goes on with a network of 3-3-2 units"):
        model.set_params(warm_start=True).fit(X, y)
