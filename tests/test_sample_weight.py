"""Weights of samples and classes: 0 is the row left out, 2 is the row twice."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss

from nmfnet import NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv, Relaxed, nonlinear_least_squares
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from solving import input_scaling, solved

EXACT = [Relaxed(dropout=0.0), Relaxed(dropout=0.0, standardize=False), Pinv(), Pinv(first_layer="batch", n_w=3)]
solvers = pytest.mark.parametrize("solver", EXACT, ids=str)


@pytest.fixture
def weighted():
    """X, y and integer weights, zeros among them, and the rows they repeat."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 6)), np.arange(60) % 3
    weight = rng.integers(0, 4, 60)
    return X, y, weight, np.repeat(np.arange(60), weight)


@solvers
@pytest.mark.parametrize("penalty", [{"alpha": 0}, {"alpha": 0.5}, {"alpha": 0.1, "l1_ratio": 0.5}])
@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_weights_are_repetitions(Estimator, solver, penalty, weighted):
    """Exactly, where a batch holds all rows and nothing is drawn at random for a row."""
    X, y, weight, repeated = weighted
    model = Estimator((8, 5), solver=solver, random_state=0, **penalty)
    one = model.fit(X, y, sample_weight=weight).predict(X)
    history, coefs = model.history_, model.coefs_
    model.fit(X[repeated], y[repeated])
    np.testing.assert_allclose(one, model.predict(X), rtol=1e-6, atol=1e-9)
    for a, b in zip(coefs, model.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    for a, b in zip(history, model.history_, strict=True):
        assert a["objective"] == pytest.approx(b["objective"])
        assert a["train_error"] == pytest.approx(b["train_error"])


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"pretrain": "nmf"}, {"batch_size": 9}])
def test_a_weight_of_zero_leaves_the_row_out(settings, weighted):
    """Bit by bit, with dropout, batches, pre-training and a held-out set."""
    X, y, weight, _ = weighted
    X, weight = np.abs(X), 1.0 * (weight > 0)
    kept = weight > 0
    X[~kept] = 100.0
    model = NMFNetClassifier((8,), random_state=0, **settings)
    weights = model.fit(X, y, sample_weight=weight).coefs_
    for a, b in zip(weights, model.fit(X[kept], y[kept], sample_weight=np.ones(kept.sum())).coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_equal_weights_are_none(Estimator, small):
    X, y = small
    plain = Estimator((4,), alpha=0.3, random_state=0).fit(X, y)
    ones = Estimator((4,), alpha=0.3, random_state=0).fit(X, y, sample_weight=1)
    np.testing.assert_allclose(plain.coefs_[0], ones.coefs_[0], rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_the_weights_does_not_matter(scale, weighted):
    X, y, weight, _ = weighted
    model = NMFNetClassifier((8,), alpha=0, random_state=0)  # the penalty is against their sum
    expected = model.fit(X.astype(np.float32), y, sample_weight=weight).coefs_[0]
    found = model.fit(X.astype(np.float32), y, sample_weight=weight * scale).coefs_[0]
    np.testing.assert_allclose(found, expected, atol=0.01)  # rounding, which training amplifies


def test_in_small_batches_weights_count_on_average(weighted):
    """Heavier samples are fitted better, with the default settings too."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 3))
    y = rng.integers(0, 2, 400)  # cannot be fitted well, but half of it can
    heavy = X[:, 0] > 0
    y[heavy] = X[heavy, 1] * X[heavy, 2] > 0
    model = NMFNetClassifier((30,), batch_size=50, random_state=0)

    def loss(sample_weight):
        model.fit(X, y, sample_weight=sample_weight)
        return log_loss(y[heavy], model.predict_proba(X[heavy]))

    plain = loss(None)
    assert loss(np.where(heavy, 10, 1)) < 0.8 * plain
    assert model.score(X[heavy], y[heavy]) > 0.95


@solvers
def test_weights_of_partial_fit(solver, weighted):
    X, y, weight, _ = (np.concatenate([part, part]) for part in weighted)  # enough rows for whole updates
    repeated = np.repeat(np.arange(len(y)), weight)
    one, two = (NMFNetClassifier((8,), solver=solver, random_state=0) for _ in range(2))
    for _ in range(3):
        one.partial_fit(X, y, classes=[0, 1, 2], sample_weight=weight)
        two.partial_fit(X[repeated], y[repeated], classes=[0, 1, 2])
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X), rtol=1e-6)


def test_weights_of_the_validation_set(weighted):
    X, y, weight, repeated = weighted
    model = NMFNetClassifier((8,), random_state=0, max_iter=4)
    one = model.fit(X, y, X_val=X, y_val=y, sample_weight_val=weight).history_
    two = model.fit(X, y, X_val=X[repeated], y_val=y[repeated]).history_
    for a, b in zip(one, two, strict=True):
        assert a["val_error"] == pytest.approx(b["val_error"]) and a["val_loss"] == pytest.approx(b["val_loss"])


def test_score_takes_weights(weighted):
    X, y, weight, repeated = weighted
    for model in (NMFNetClassifier((8,), random_state=0), NMFNetRegressor((8,), random_state=0)):
        model.fit(X, y)
        assert model.score(X, y, sample_weight=weight) == pytest.approx(model.score(X[repeated], y[repeated]))


def test_class_weights_multiply_the_weights(weighted):
    X, y, weight, _ = weighted
    model = NMFNetClassifier((8,), random_state=0)
    expected = model.fit(X, y, sample_weight=weight * np.array([1.0, 0.5, 3.0])[y]).coefs_[0]
    model.set_params(class_weight={0: 1.0, 1: 0.5, 2: 3.0})
    np.testing.assert_allclose(model.fit(X, y, sample_weight=weight).coefs_[0], expected)


def test_balanced_classes_weigh_the_same(weighted):
    X, y, weight, _ = weighted
    y = np.array(["a", "b", "c"])[y]
    totals = {name: weight[y == name].sum() for name in "abc"}
    model = NMFNetClassifier((8,), class_weight="balanced", random_state=0)
    found = model.fit(X, y, sample_weight=weight).coefs_[0]
    model.set_params(class_weight={name: sum(totals.values()) / (3 * total) for name, total in totals.items()})
    np.testing.assert_allclose(found, model.fit(X, y, sample_weight=weight).coefs_[0])


def test_balanced_classes_help_the_rare_one():
    X, y = make_classification(1000, 10, weights=[0.95], flip_y=0.1, random_state=0)
    recall = {}
    for class_weight in (None, "balanced"):
        model = NMFNetClassifier((20,), class_weight=class_weight, random_state=0).fit(X[:500], y[:500])
        recall[class_weight] = (model.predict(X[500:])[y[500:] == 1] == 1).mean()
    assert recall["balanced"] > recall[None] + 0.1


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(40), "sample_weight must have a weight that is not zero"),
        (-np.ones(40), "sample_weight must not be negative"),
        (np.ones(39), r"sample_weight.shape is \(39,\)"),
        (np.ones((40, 1)), r"sample_weight.shape is \(40, 1\)"),
        (np.full(40, np.nan), "sample_weight contains NaN"),
        (np.full(40, np.inf), "sample_weight contains infinity"),
    ],
)
def test_bad_weights(weight, message, small):
    with pytest.raises(ValueError, match=message):
        NMFNetClassifier((3,)).fit(*small, sample_weight=weight)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("heavy", "class_weight must be a dict, 'balanced' or None"),
        ({0: -1.0}, "class_weight must hold finite, nonnegative weights"),
        ({0: 1.0, 7: 1.0}, "class"),
    ],
)
def test_bad_class_weights(class_weight, message, small):
    with pytest.raises(ValueError, match=message):
        NMFNetClassifier((3,), class_weight=class_weight).fit(*small)


def test_class_weights_where_they_mean_nothing(small):
    X, y = small
    Y = np.column_stack([y == 0, y != 1]).astype(int)
    with pytest.raises(ValueError, match="class_weight is for one class"):
        NMFNetClassifier((3,), class_weight="balanced").fit(X, Y)
    with pytest.raises(ValueError, match="partial_fit"):
        NMFNetClassifier((3,), class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    NMFNetClassifier((3,), class_weight={0: 2.0, 1: 1.0, 2: 1.0}).partial_fit(X, y, classes=[0, 1, 2])


@pytest.mark.parametrize("wide", [4096, 1], ids=["primal", "dual"])
def test_weighted_steps_of_either_form(wide, monkeypatch):
    monkeypatch.setattr(DampedLeastSquares, "primal_max_features", wide)
    rng = np.random.default_rng(0)
    Z, E = torch.tensor(rng.random((6, 40))), torch.tensor(rng.standard_normal((6, 3)))
    weight = torch.tensor([1, 3, 1, 2, 1, 1])
    pull = torch.tensor(rng.standard_normal((41, 3)))
    one = solved(DampedLeastSquares(0.5, True), Z, E, 0, pull, 0.1, weight.double())
    two = solved(DampedLeastSquares(0.5, True), *(A.repeat_interleave(weight, 0) for A in (Z, E)), 0, pull, 0.1)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b)


def test_weighted_scaling():
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.standard_normal((300, 3)) @ rng.standard_normal((3, 150)) * 0.1 + 1)
    weight = torch.tensor(rng.integers(1, 4, 300))
    one, two = input_scaling(X, 0.9, sample_weight=weight), input_scaling(X.repeat_interleave(weight, 0), 0.9)
    assert one.projects
    torch.testing.assert_close(one.shift, two.shift)
    torch.testing.assert_close(one.factor[:, :3].abs(), two.factor[:, :3].abs())


@pytest.mark.parametrize("penalty", [{}, {"alpha": 0.5}, {"alpha": 0.5, "l1_ratio": 0.5}])
def test_weighted_least_squares(penalty):
    rng = np.random.default_rng(0)
    Z, T, W = (torch.tensor(rng.standard_normal(shape)) for shape in ((30, 4), (30, 2), (4, 2)))
    weight = torch.tensor(rng.integers(1, 4, 30))
    settings = {"activation": "tanh", "n_iter": 5, **penalty}
    one = nonlinear_least_squares(T, Z, W, sample_weight=weight.double(), **settings)
    two = nonlinear_least_squares(*(A.repeat_interleave(weight, 0) for A in (T, Z)), W, **settings)
    torch.testing.assert_close(one.W, two.W)
    torch.testing.assert_close(one.A, Z @ one.W)


def test_pretraining_draws_by_weight():
    """Samples of next to no weight are not seen."""
    rng = np.random.default_rng(0)
    X, y = rng.random((80, 5)), np.arange(80) % 2
    weight = np.where(np.arange(80) < 40, 1, 1e-12)
    X_other = np.where(weight[:, None] < 1, 7.0, X)
    model = NMFNetClassifier((3,), solver="pinv", pretrain=NMFPretraining(n_ae=2), random_state=0)
    layers = [model.set_params(max_time=0).fit(data, y, sample_weight=weight).coefs_[0] for data in (X, X_other)]
    np.testing.assert_allclose(*layers, atol=1e-3)
