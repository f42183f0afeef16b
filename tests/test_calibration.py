"""Probabilities are calibrated by themselves: how sure they are, what stays as it was, where the temperature goes."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.metrics import log_loss
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import nmfnet
from nmfnet import NMFNetClassifier, NMFNetRegressor
from nmfnet.network.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE, fitted_temperature, output_rms
from nmfnet.network.outputs import Output
from nmfnet.training.calibration import halves

SOFTMAX, SIGMOID = Output("softmax", 0.2), Output("sigmoid", 0.2)


def test_clear_classes_are_sure_and_noisy_ones_are_not(digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((100,), random_state=0).fit(X, y)
    assert log_loss(y_test, model.predict_proba(X_test)) < 0.06
    X, y = make_classification(1200, 20, n_informative=8, flip_y=0.3, random_state=0)
    model = NMFNetClassifier((100,), random_state=0).fit(X[:600], y[:600])
    P = model.predict_proba(X[600:])
    powers = [P ** (1 / t) for t in np.geomspace(0.2, 5, 60)]
    best = min(log_loss(y[600:], each / each.sum(1, keepdims=True)) for each in powers)
    assert log_loss(y[600:], P) < 1.03 * best  # of all temperatures, found with the labels


def test_labels_are_the_same_and_so_is_the_course(monkeypatch):
    X, y = load_breast_cancer(return_X_y=True)
    model = NMFNetClassifier((20,), max_iter=4, random_state=0).fit(X, y)
    monkeypatch.setattr("nmfnet.estimators.fitting.relative_temperature", lambda *_: None)
    plain = NMFNetClassifier((20,), max_iter=4, random_state=0).fit(X, y)
    assert model.temperature_ > 0 and plain.temperature_ is None
    np.testing.assert_array_equal(model.decision_function(X), plain.decision_function(X))
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    A = model.decision_function(X)  # of two classes the difference
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-A / model.temperature_)), atol=1e-12)


@pytest.mark.parametrize("output", [SOFTMAX, SIGMOID], ids=lambda each: each.name)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_has_the_least_cross_entropy(output, weighted):
    """The row that is added weighs little among thousands; compared with a search."""
    rng = torch.Generator().manual_seed(0)
    A = torch.randn(4000, 3, generator=rng, dtype=torch.float64)
    softmax = output.name == "softmax"
    P = (A / 0.4).softmax(1) if softmax else (A / 0.4).sigmoid()
    drawn = P.multinomial(1, generator=rng)[:, 0] if softmax else torch.bernoulli(P, generator=rng)
    Y = torch.eye(3, dtype=A.dtype)[drawn] if softmax else drawn
    weight = 1 + torch.rand(4000, generator=rng, dtype=A.dtype) if weighted else None
    w = torch.ones(4000, dtype=A.dtype) if weight is None else weight

    def loss(t):
        if softmax:
            return float(cross_entropy(A / t, Y, reduction="none") @ w)
        return float(binary_cross_entropy_with_logits(A / t, Y, reduction="none").sum(1) @ w)

    found = fitted_temperature(output, A, Y, weight)
    grid = np.geomspace(0.2, 0.8, 400)
    assert found == pytest.approx(grid[np.argmin([loss(t) for t in grid])], rel=0.01)
    assert found == pytest.approx(0.4, rel=0.1)


def test_temperatures_at_the_ends():
    Y = torch.eye(3, dtype=torch.float64)[torch.arange(300) % 3]
    A = 2 * Y - 1
    sure = fitted_temperature(SOFTMAX, A, Y)
    assert MIN_TEMPERATURE <= sure < 0.5 and fitted_temperature(SOFTMAX, A[:30], Y[:30]) > sure  # few rows tell less
    assert fitted_temperature(SOFTMAX, -A, Y) == fitted_temperature(SOFTMAX, A * 0, Y) == MAX_TEMPERATURE
    assert output_rms(SOFTMAX, A + 100) == pytest.approx(output_rms(SOFTMAX, A))


def test_halves_have_as_many_rows_of_each_class():
    Y = torch.eye(4)[torch.tensor([0] * 20 + [1] * 6 + [2] * 3 + [3])]
    first, second = halves(Y, torch.Generator().manual_seed(0))
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(30))
    assert (Y[first].sum(0) - Y[second].sum(0)).abs().max() <= 1


@pytest.mark.parametrize("labels", ["classes", "several"])
def test_where_the_temperature_goes(labels, tmp_path, small):
    X, y = small
    y = y if labels == "classes" else np.column_stack([y == 0, X[:, 0] > 0.5]).astype(int)
    model = NMFNetClassifier((4,), max_iter=3, random_state=0).fit(X, y)
    P = model.predict_proba(X)
    model.save(tmp_path / "model")
    for other in (nmfnet.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert other.temperature_ == model.temperature_
        np.testing.assert_array_equal(other.predict_proba(X), P)
    module = model.to_torch()
    np.testing.assert_allclose(module(torch.as_tensor(X)).detach().numpy(), P, atol=1e-12)
    back = NMFNetClassifier.from_torch(module)
    assert back.temperature_ == model.temperature_
    np.testing.assert_allclose(back.predict_proba(X), P, atol=1e-12)
    temperature = model.temperature_
    model.partial_fit(X, y)
    assert model.temperature_ == temperature


def test_where_there_is_none(small):
    X, y = small
    assert NMFNetClassifier((4,), solver="pinv", max_iter=2).fit(X, y).temperature_ is None
    assert NMFNetClassifier((4,)).partial_fit(X, y, classes=[0, 1, 2]).temperature_ is None
    few = NMFNetClassifier((4,), max_iter=2).fit(X[:6], y[:6])
    assert few.temperature_ is None and np.isfinite(few.predict_proba(X)).all()
    assert not hasattr(NMFNetRegressor((4,), max_iter=2).fit(X, X[:, 0]), "temperature_")


def test_all_kinds_of_data(small):
    X, y = small
    w = np.arange(1.0, 41.0)
    for data in (X, X.astype(np.float32), csr_array(X), torch.as_tensor(X)):
        model = NMFNetClassifier((4,), max_iter=2, random_state=0).fit(data, y, sample_weight=w)
        assert 0 < model.temperature_ < np.inf
    one = NMFNetClassifier((4,), max_iter=2, random_state=0).fit(X, np.zeros(40))  # a single class
    np.testing.assert_allclose(one.predict_proba(X), 1)
    rare = np.where(np.arange(40) == 7, 9, y)  # a class of one sample
    assert np.isfinite(NMFNetClassifier((4,), max_iter=2, random_state=0).fit(X, rare).predict_proba(X)).all()


def test_a_training_that_is_resumed_has_the_same_temperature(tmp_path, digits):
    X, _, y, _ = digits
    whole = NMFNetClassifier((10,), max_iter=4, random_state=0).fit(X[:300], y[:300])

    class Ends(nmfnet.Callback):
        def on_epoch_end(self, network, record):
            return record["epoch"] == 2

    settings = {"hidden_layer_sizes": (10,), "max_iter": 4, "random_state": 0}
    NMFNetClassifier(**settings, callbacks=[nmfnet.Checkpoint(tmp_path), Ends()]).fit(X[:300], y[:300])
    again = NMFNetClassifier(**settings, callbacks=[nmfnet.Checkpoint(tmp_path, resume=True)]).fit(X[:300], y[:300])
    assert again.temperature_ == whole.temperature_ and len(again.history_) == 4


def test_the_small_networks_are_silent_and_keep_to_the_time(small):
    """No warning of theirs, no callback; Ctrl-C in them ends the fit."""
    X, y = small
    seen = []

    class Log(nmfnet.Callback):
        def on_batch_end(self, batch, n_batches):
            seen.append(batch)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = NMFNetClassifier((4,), max_iter=3, max_time=1e-9, callbacks=[Log()], random_state=0).fit(X, y)
    assert len(seen) == 1 and model.temperature_ > 0


def test_ctrl_c_before_the_first_epoch_is_not_swallowed(monkeypatch, small):
    from nmfnet.solvers.relaxed.sweep import RelaxedSweep

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(RelaxedSweep, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        NMFNetClassifier((4,), max_iter=3).fit(*small)
