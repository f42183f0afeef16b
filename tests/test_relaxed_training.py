"""Whole fits with the relaxed solver: invariance, stopping at any time, odd data."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning

from nmfnet import Callback, NMFNetClassifier, NMFNetRegressor
from nmfnet.layers.activations import ACTIVATIONS
from nmfnet.solvers import Relaxed

SHORT = {"hidden_layer_sizes": (30,), "max_iter": 8, "random_state": 0}
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True)
def bounded(monkeypatch):
    """Fail where a factorization is tried for ever."""
    cholesky, failures = torch.linalg.cholesky_ex, []

    def counted(*args, **kwargs):
        result = cholesky(*args, **kwargs)
        failures.extend([1] * int((result.info > 0).sum()))
        assert len(failures) < 500, "factorized for ever"
        return result

    monkeypatch.setattr(torch.linalg, "cholesky_ex", counted)


def images(m=600, seed=0):
    """Two classes of 144 smooth pixels."""
    rng = np.random.default_rng(seed)
    basis = np.sin(np.outer(np.arange(1, 13), np.linspace(0, 3, 144)))
    y = rng.integers(2, size=m)
    return (rng.standard_normal((m, 12)) + 1.2 * y[:, None]) @ basis / 12 + 0.02 * rng.standard_normal((m, 144)), y


def test_it_is_the_default(small):
    model = NMFNetClassifier(max_iter=1).fit(*small)
    assert model.solver == NMFNetRegressor().solver == "relaxed"
    assert model.network_.output.name == "softmax"


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_every_activation_learns_digits(activation, digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier(**SHORT, activation=activation).fit(X, y)
    assert model.score(X_test, y_test) > 0.9


def test_without_biases(digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier(**SHORT, fit_intercept=False).fit(X, y)
    assert model.score(X_test, y_test) > 0.9
    assert not any(b.any() for b in model.intercepts_)


def test_several_labels_are_learned():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 6))
    Y = (np.stack([X[:, 0] + X[:, 1], X[:, 2] * X[:, 3], X[:, 4]], 1) > 0).astype(int)
    model = NMFNetClassifier((40,), max_iter=60, random_state=0).fit(X, Y)
    assert (model.predict(X) == Y).mean() > 0.93
    P = model.predict_proba(X)
    assert ((P > 0) & (P < 1)).all()
    np.testing.assert_array_equal(P > 0.5, Y * 0 + model.predict(X))


@pytest.mark.parametrize("penalty", [{"alpha": 100.0}, {"alpha": 20.0, "l1_ratio": 1.0}])
def test_penalties_shrink_weights(penalty, digits):
    X, X_test, y, y_test = digits
    settings = {**SHORT, "solver": Relaxed(dropout=0.0)}
    plain, shrunk = (NMFNetClassifier(**settings, **more).fit(X, y) for more in ({}, penalty))
    for a, b in zip(shrunk.coefs_, plain.coefs_, strict=True):
        assert np.abs(a).sum() < np.abs(b).sum()
    assert shrunk.score(X_test, y_test) > 0.85


def test_dropout_learns(digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier(**SHORT, solver=Relaxed(dropout=0.3, noise=0.1)).fit(X, y)
    assert model.score(X_test, y_test) > 0.85


# Invariance.


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-6), (np.float32, 0.1)])
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_unit_of_the_inputs_does_not_matter(dtype, atol, factor, digits):
    for X, y in ((digits[0].astype(dtype), digits[2]), tuple(a.astype(dtype) for a in images())):
        near, far = (NMFNetClassifier(**SHORT).fit(data, y).predict_proba(data) for data in (X, (X * dtype(factor))))
        np.testing.assert_allclose(far, near, rtol=0, atol=atol)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@pytest.mark.parametrize("rules", [{"tol": 0, "n_iter_no_change": 100}, {}])
def test_the_unit_of_real_targets_does_not_matter(factor, rules):
    """Nor for when to stop."""
    X, y = load_diabetes(return_X_y=True)
    near, far = (
        NMFNetRegressor((20,), max_iter=25, random_state=0, **rules).fit(X, targets) for targets in (y, y * factor)
    )
    np.testing.assert_allclose(far.predict(X), factor * near.predict(X), rtol=1e-4)
    assert far.n_iter_ == near.n_iter_


def test_an_offset_of_the_inputs_does_not_matter():
    """Masked inputs, too, must not depend on where zero is."""
    X, y = images()
    scores = [NMFNetClassifier(**SHORT).fit(X + offset, y).score(X + offset, y) for offset in (0, 100)]
    assert min(scores) > 0.95


def test_features_twice_in_another_order_or_constant(digits):
    X, X_test, y, y_test = digits
    order = np.random.default_rng(0).permutation(64)
    scores = []
    for change in (
        lambda X: X,
        lambda X: np.hstack([X, X]),
        lambda X: X[:, order],
        lambda X: np.hstack([X, np.full((len(X), 60), 0.7)]),
    ):
        model = NMFNetClassifier(**SHORT).fit(change(X), y)
        scores.append(model.score(change(X_test), y_test))
    assert np.ptp(scores) < 0.03
    assert min(scores) > 0.93


def test_noise_masks_images_and_spares_tables(digits):
    def noise(X, y):
        return NMFNetClassifier((5,), max_iter=1, random_state=0).fit(X, y).network_.inputs, X

    from nmfnet.solvers.relaxed.defaults import auto_noise

    assert auto_noise(noise(*images())[0]) > 0
    assert auto_noise(noise(digits[0], digits[2])[0]) == 0


# Stopping at any time.


class StopAfter(Callback):
    def __init__(self, epochs):
        self.epochs, self.networks = epochs, []

    def on_epoch_end(self, network, record):
        self.networks.append(network)
        if record["epoch"] == self.epochs:
            raise KeyboardInterrupt


def test_an_interrupted_training_is_as_good_as_a_shorter_one(digits):
    X, X_test, y, y_test = digits
    hook = StopAfter(10)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        stopped = NMFNetClassifier((50,), max_iter=20, random_state=0, callbacks=[hook]).fit(X, y)
    planned = NMFNetClassifier((50,), max_iter=10, random_state=0).fit(X, y)
    assert stopped.n_iter_ == 10 == len(hook.networks)
    assert stopped.score(X_test, y_test) > planned.score(X_test, y_test) - 0.02
    assert stopped.network_.is_finite()
    shown = hook.networks[-1].predict(torch.tensor(X_test)).numpy()
    np.testing.assert_array_equal(shown, stopped.network_.predict(torch.tensor(X_test)).numpy())
    np.testing.assert_array_equal(shown.argmax(1), stopped.predict(X_test))


def test_no_time_is_one_batch(digits):
    X, _, y, _ = digits
    model = NMFNetClassifier((50,), max_time=0, random_state=0).fit(X, y)
    assert model.n_iter_ == 1
    assert model.network_.is_finite()
    assert 0 < model.history_[0]["train_error"] <= 1


def test_max_time_ends_a_training(digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier(
        (50,), max_time=0.5, max_iter=100_000, tol=0, n_iter_no_change=10**6, random_state=0
    ).fit(X, y)  # fmt: skip
    assert 1 <= model.n_iter_ < 100_000
    assert model.score(X_test, y_test) > 0.5
    assert model.history_[-1]["seconds"] >= 0.5


@pytest.mark.parametrize(
    ("name", "values"), [("max_time", [-1, "long", float("nan"), float("inf")]), ("alpha", [-1, None])]
)
def test_unfit_parameters_are_refused(name, values, small):
    for value in values:
        with pytest.raises(ValueError, match=name):
            NMFNetClassifier(**{name: value}).fit(*small)


# Steps that are too large.


def test_an_absurd_step_is_taken_back(digits):
    X, X_test, y, y_test = digits
    solver = Relaxed(delta=1.0)
    model = NMFNetClassifier((40,) * 6, solver=solver, max_iter=10, random_state=0).fit(X, y)
    assert model.network_.is_finite()
    assert sum(record.get("retries", 0) for record in model.history_) > 0
    assert all(record["retries"] > 0 for record in model.history_ if "retries" in record)
    assert model.score(X_test, y_test) > 0.5


def test_outliers_are_not_taken_for_steps_that_go_astray():
    """Targets of heavy tails, whose batches differ by orders of magnitude."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 5))
    y = np.exp(1.5 * X[:, 0] + X[:, 1])
    model = NMFNetRegressor((50,), batch_size=32, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.6


def test_samples_one_by_one(recwarn):
    """A batch of one sample is a share of an update, made with the samples before it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 4))
    y = X @ np.arange(1.0, 5.0)
    model = NMFNetRegressor((20,), batch_size=1, max_iter=5, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.8 and not recwarn.list


def test_eight_samples_are_enough(digits, recwarn):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((30,), batch_size=8, max_iter=5, random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.95 and not recwarn.list


# Odd data.


def odd_data():
    rng = np.random.default_rng(0)
    yield "constant", np.full((60, 4), 0.3), np.arange(60) % 3
    yield "one sample", rng.random((1, 4)), [1]
    yield "two samples", rng.random((2, 4)), [0, 1]
    yield "one class", rng.random((30, 4)), np.ones(30)
    yield "wide", rng.standard_normal((20, 300)), np.arange(20) % 3
    yield "heavy tails", rng.standard_cauchy((300, 8)), np.arange(300) % 2
    for power in (-30, 30):
        yield f"1e{power}", rng.random((40, 4)) * 10.0**power, np.arange(40) % 2
        yield f"pixels 1e{power}", images(200)[0] * 10.0**power, images(200)[1]


@dtypes
@pytest.mark.parametrize(("name", "X", "y"), [pytest.param(*case, id=case[0]) for case in odd_data()])
@pytest.mark.parametrize("hidden", [(), (9, 7)])
def test_odd_data(dtype, name, X, y, hidden):
    X = X.astype(dtype)
    for solver in (Relaxed(), Relaxed(dropout=0.2, noise=0.2)):
        model = NMFNetClassifier(hidden, solver=solver, max_iter=5, random_state=0).fit(X, y)
        P = model.predict_proba(X)
        assert P.dtype == dtype and np.isfinite(P).all()
        assert all(W.dtype == dtype and np.isfinite(W).all() for W in (*model.coefs_, *model.intercepts_))
        assert np.isfinite([record["objective"] for record in model.history_]).all()
    targets = np.asarray(y, dtype) * dtype(X.flat[0])
    predicted = NMFNetRegressor(hidden, max_iter=5, random_state=0).fit(X, targets).predict(X)
    assert predicted.dtype == dtype and np.isfinite(predicted).all()


@dtypes
def test_constant_inputs_unscaled(dtype):
    X, y = np.full((60, 4), 0.3, dtype), np.arange(60) % 3
    model = NMFNetClassifier((9, 7), solver=Relaxed(standardize=False), max_iter=5, random_state=0).fit(X, y)
    assert model.network_.is_finite()


@pytest.mark.parametrize("hidden", [(), (9,)])
def test_constant_inputs_give_the_frequencies_of_the_classes(hidden):
    y = np.repeat([0, 2], [10, 50])
    model = NMFNetClassifier(hidden, max_iter=50, random_state=0).fit(np.ones((60, 4)), y)
    assert model.predict(np.ones((1, 4))) == 2
    np.testing.assert_allclose(model.predict_proba(np.ones((1, 4))), [[1 / 6, 5 / 6]], atol=0.1)
