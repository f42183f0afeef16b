"""Validation sets, early stopping, and the curves in the history."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_squared_error

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed


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


def test_recorded_losses_are_those_of_scikit_learn(parts):
    X, y, X_val, y_val = parts
    model = NMFNetClassifier((20,), solver=Relaxed(label_smoothing=0.0), max_iter=3, random_state=0)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model.history_[-1]["val_loss"] == pytest.approx(log_loss(y_val, model.predict_proba(X_val)))
    target, target_val = X[:, 20] * 50 + 7, X_val[:, 20] * 50 + 7
    regressor = NMFNetRegressor((20,), max_iter=3, random_state=0)
    record = regressor.fit(X, target, X_val=X_val, y_val=target_val).history_[-1]
    error = mean_squared_error(target_val, regressor.predict(X_val))
    assert record["val_error"] == pytest.approx(error)
    assert record["val_loss"] == pytest.approx(error / target.var() / 2)


@pytest.mark.parametrize("given", [True, False])
def test_early_stopping_restores_the_best_weights(given, parts):
    X, y, X_val, y_val = parts
    settings = {"X_val": X_val, "y_val": y_val} if given else {}
    model = NMFNetClassifier((20,), max_iter=30, n_iter_no_change=4, early_stopping=True, random_state=0)
    model.fit(X, y, **settings)
    errors = [record["val_error"] for record in model.history_]
    best = int(np.argmin(errors))
    assert len(errors) == 30 or len(errors) > best + 1
    if given:
        assert 1 - model.score(X_val, y_val) == pytest.approx(errors[best])
        again = NMFNetClassifier((20,), max_iter=30, n_iter_no_change=4, random_state=0).fit(X, y)
        assert again.history_[best]["train_error"] == model.history_[best]["train_error"]  # the same course


def test_the_objective_is_what_the_relaxed_sweep_minimizes():
    """Biases are in no penalty of the relaxed sweep, and losses are of scaled targets."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3))
    y = X @ [1.0, 2.0, 3.0] * 100 + 1000
    settings = {"solver": Relaxed(dropout=0.0, standardize=False), "alpha": 2.0, "random_state": 0}
    first = NMFNetRegressor((), max_iter=2, **settings).fit(X, y)
    fit = ((first.predict(X) - y) ** 2).mean() / 2 / y.var()
    record = first.partial_fit(X, y).history_[-1]  # one batch: measured just before its update
    assert record["train_loss"] == pytest.approx(fit)
    after = first.coefs_[0] / y.std()
    assert record["objective"] - record["train_loss"] == pytest.approx((after**2).sum() / 50)


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
