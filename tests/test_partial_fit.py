"""partial_fit: training that goes on with other samples."""

import copy
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

from nmfnet import NMF, DivergenceError, NMFNetClassifier, NMFNetRegressor, SemiNMF
from nmfnet.solvers import Relaxed
from nmfnet.solvers.relaxed.sweep import RelaxedSweep


@pytest.fixture
def plane():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 5))
    return X, X @ np.arange(1.0, 6.0) + 3


def parts(X, y, k=5):
    return list(zip(np.array_split(X, k), np.array_split(y, k), strict=True))


def test_parts_learn_digits(digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((50,), random_state=0)
    for _ in range(4):
        for X_part, y_part in parts(X, y):
            assert model.partial_fit(X_part, y_part, classes=range(10)) is model
    assert model.score(X_test, y_test) > 0.9
    assert model.n_iter_ == len(model.history_) == 20
    assert [record["epoch"] for record in model.history_] == list(range(1, 21))
    assert np.diff([record["seconds"] for record in model.history_]).min() > 0


def test_the_first_call_needs_the_classes(small):
    X, y = small
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        NMFNetClassifier((3,)).partial_fit(X, y)
    model = NMFNetClassifier((3,)).partial_fit(X[y < 2], y[y < 2], classes=[2, 0, 1])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X).shape == (40, 3)
    model.partial_fit(X, y).partial_fit(X, y, classes=[0, 1, 2])


def test_labels_keep_their_names(small):
    X, y = small
    names = np.array(["b", "a", "c"])[y]
    model = NMFNetClassifier((3,)).partial_fit(X[:3], names[:3], classes=["a", "b", "c"])
    assert set(model.predict(X)) <= {"a", "b", "c"}


@pytest.mark.parametrize("first", [True, False])
def test_other_labels_are_refused(first, small):
    X, y = small
    model = NMFNetClassifier((3,))
    if not first:
        model.partial_fit(X, y, classes=[0, 1, 2])
        with pytest.raises(ValueError, match="not those of the first call"):
            model.partial_fit(X, y, classes=[0, 1, 5])
    with pytest.raises(ValueError, match=r"labels \[3\].*not among the classes"):
        model.partial_fit(X, np.where(y == 2, 3, y), classes=[0, 1, 2])
    assert hasattr(model, "network_") != first


def test_other_columns_are_refused(small):
    X, y = small
    model = NMFNetClassifier((3,)).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :3], y)
    with pytest.raises(ValueError, match="labels of one class, or of several"):
        model.partial_fit(X, np.eye(3, dtype=int)[y])


def test_several_labels(small):
    X, y = small
    Y = np.eye(3, dtype=int)[y]
    model = NMFNetClassifier((3,)).partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)
    assert model.predict(X).shape == (40, 3)


def test_regression(plane):
    X, y = plane
    model = NMFNetRegressor((30,), random_state=0)
    for _ in range(15):
        for X_part, y_part in parts(X, 1e4 * y):
            model.partial_fit(X_part, y_part)
    assert model.score(X, 1e4 * y) > 0.95
    assert model.predict(X).shape == (400,)


def test_it_goes_on_after_fit(digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((50,), max_iter=3, random_state=0).fit(X, y)
    before = model.score(X_test, y_test)
    for _ in range(5):
        model.partial_fit(X, y)
    assert model.n_iter_ == 8
    assert model.score(X_test, y_test) > before - 0.02
    for record in model.history_[3:]:
        assert record["train_error"] < 0.1


@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_the_network_that_it_goes_on_from_is_left_alone(solver, digits):
    X, y = digits[0][:300], digits[2][:300]
    model = NMFNetClassifier((20,), solver=solver, max_iter=2, random_state=0).fit(X, y)
    for _ in range(3):
        weights = model.network_.weights
        copies = [W.clone() for W in weights]
        model.partial_fit(X, y)
        assert all(torch.equal(a, b) for a, b in zip(weights, copies, strict=True))
        assert not torch.equal(model.network_.weights[0], copies[0])


def test_fit_starts_anew(plane):
    X, y = plane
    model = NMFNetRegressor((5,), max_iter=2, random_state=0)
    fresh = clone(model).fit(X, y).predict(X)
    model.partial_fit(X, y)
    np.testing.assert_array_equal(model.fit(X, y).predict(X), fresh)
    assert model.n_iter_ == 2
    assert not hasattr(model, "_sweep")


def test_the_same_random_state_gives_the_same_model(digits):
    X, _, y, _ = digits
    models = [NMFNetClassifier((10,), batch_size=60, solver=Relaxed(noise=0.2), random_state=3) for _ in range(2)]
    for model in models:
        for X_part, y_part in parts(X, y):
            model.partial_fit(X_part, y_part, classes=range(10))
    for a, b in zip(models[0].coefs_, models[1].coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_a_failing_call_leaves_the_model_unchanged(error, plane, monkeypatch):
    """So much so that the next call does what it would have done without it."""
    X, y = plane
    course, finish = [], RelaxedSweep._finish
    for fails in (False, True):
        model = NMFNetRegressor((10,), batch_size=20, random_state=0).partial_fit(X, y)
        before, state = model.predict(X), dict(vars(model))
        if fails:
            batches = itertools.count(1)

            def third_fails(sweep, batches=batches):
                if next(batches) == 3:
                    raise error
                finish(sweep)

            with monkeypatch.context() as patch:
                patch.setattr(RelaxedSweep, "_finish", third_fails)
                with pytest.raises(type(error)):
                    model.partial_fit(X, -y)
            assert vars(model) == state
            np.testing.assert_array_equal(model.predict(X), before)
            assert model.n_iter_ == 1
        course.append(model.partial_fit(X, y).predict(X))
    np.testing.assert_array_equal(*course)


def test_what_needs_all_samples_is_refused(plane):
    X, y = np.abs(plane[0]), plane[1]
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        NMFNetRegressor((3,), early_stopping=True).partial_fit(X, y)
    model = NMFNetRegressor((3,), pretrain="nmf", max_iter=1)
    with pytest.raises(ValueError, match="pretrain needs all samples, which partial_fit has not"):
        model.partial_fit(X, y)
    assert model.fit(X, y).partial_fit(X, y).n_iter_ == 2


def test_numbers_that_overflow_leave_the_model_as_it_was(plane):
    """It can go on afterwards."""
    X, y = (array.astype(np.float32) for array in plane)
    model = NMFNetRegressor((10,), solver=Relaxed(standardize=False), random_state=0)
    for _ in range(20):
        model.partial_fit(X, y)
    before, score = model.predict(X), model.score(X, y)
    with pytest.raises(DivergenceError, match="partial_fit"):
        model.partial_fit(X * np.float32(1e30), y)
    np.testing.assert_array_equal(model.predict(X), before)
    for _ in range(5):
        model.partial_fit(X, y)
    assert model.score(X, y) > score - 0.05


@pytest.mark.parametrize("duplicate", [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy])
def test_a_copy_goes_on(duplicate, digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((50,), random_state=0)
    for _ in range(12):
        for X_part, y_part in parts(X, y, 2):
            model.partial_fit(X_part, y_part, classes=range(10))
            before = model.predict_proba(X_test)
            model = duplicate(model)
            np.testing.assert_array_equal(model.predict_proba(X_test), before)
    assert model.score(X_test, y_test) > 0.9
    assert model.n_iter_ == 24


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_single_samples_after_a_fit(dtype, alpha, digits, request):
    """One sample says nothing about the Gram matrix; it must not wreck what was learned."""
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((20,), alpha=alpha, random_state=0).fit(X.astype(dtype), y)
    before, size = model.score(X_test, y_test), max(np.abs(W).max() for W in model.coefs_)
    request.getfixturevalue("bounded")  # from here on
    for i in range(5):
        model.partial_fit(X[i : i + 1].astype(dtype), y[i : i + 1])
    assert model.score(X_test, y_test) > before - 0.3
    assert max(np.abs(W).max() for W in model.coefs_) < 10 * size


def test_it_follows_targets_that_change(plane):
    """A loss that climbs since the data changed must not stop the training for good."""
    X, y = plane
    model = NMFNetRegressor((30,), random_state=0)
    for _ in range(60):
        model.partial_fit(X, y)
    for _ in range(150):
        model.partial_fit(X, -y + 3)
    assert model.score(X, -y + 3) > 0.8


@pytest.mark.parametrize("first", [1, 5])
def test_a_first_call_that_tells_nothing_of_the_inputs(first):
    """All its samples are the same: what varies later is learned nevertheless."""
    rng = np.random.default_rng(0)
    X = (rng.random((600, 3)) < 0.3).astype(float)
    y = X @ [1.0, 2.0, 3.0]
    X[:first] = 0
    model = NMFNetRegressor((20,), random_state=0).partial_fit(X[:first], y[:first])
    for _ in range(20):  # the unit of the targets is not known from one sample: the outputs have to grow into it
        for X_part, y_part in parts(X[first:], y[first:], 10):
            model.partial_fit(X_part, y_part)
    assert model.score(X, y) > 0.8


def test_tiny_batches_learn(digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((30,), random_state=0)
    model.partial_fit(X[:100], y[:100], classes=range(10))
    for X_part, y_part in parts(X[100:], y[100:], 200):
        model.partial_fit(X_part, y_part)
    assert model.score(X_test, y_test) > 0.9


def test_another_network_is_refused(small):
    X, y = small
    model = NMFNetRegressor((3,)).partial_fit(X, y)
    with pytest.raises(ValueError, match="3-1 units"):
        model.set_params(hidden_layer_sizes=(4,)).partial_fit(X, y)
    with pytest.raises(ValueError, match="no bias"):
        model.set_params(hidden_layer_sizes=(3,), fit_intercept=False).partial_fit(X, y)


@pytest.mark.parametrize("model", [NMFNetClassifier((2,)), NMFNetRegressor((2,)), NMF(2), SemiNMF(2)])
@pytest.mark.parametrize("path", ["rows.npy", Path("rows.npy")])
def test_paths_are_refused(model, path):
    extra = {"classes": [0, 1]} if isinstance(model, NMFNetClassifier) else {}
    with pytest.raises(ValueError, match=r"X is the path 'rows\.npy', which only fit takes: pass samples"):
        model.partial_fit(path, [0, 1], **extra)
