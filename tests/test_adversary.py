"""Inputs moved away from their targets: how far, which way, and when."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.datasets import make_blobs, make_classification
from sklearn.preprocessing import StandardScaler

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.holders import local
from nmfnet.linalg.statistics import answers
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.adversary import AUTO_RADIUS, FRESH_EPOCHS, Adversary
from solving import he_weights, input_scaling, prepared

CLASSES = Output("softmax", 0.2)


def network_of(output, activation="relu", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Network(he_weights([6, 9, 8, 3], True, generator, torch.float64), get_activation(activation), True, output)


def pixels(output):
    """A network whose inputs share a unit and are not centred."""
    return replace(network_of(output), inputs=input_scaling(torch.rand(50, 6, dtype=torch.float64) + 1, 1.0))


def batch(output, m=25, seed=0):
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((m, 3)) if output.name == "identity" else np.eye(3)[rng.integers(3, size=m)]
    return torch.tensor(rng.standard_normal((m, 6))), torch.tensor(Y)


def seen(adversary, error, n=100, k=10, shares=None):
    """Let it see a batch with a share of errors, and decide."""
    rng = np.random.default_rng(0)
    y = rng.choice(k, n, p=shares)
    wrong = np.arange(n) < round(error * n)
    outputs = np.eye(k)[np.where(wrong, (y + 1) % k, y)]
    adversary.observe(next(adversary.counts(torch.tensor(outputs), torch.tensor(np.eye(k)[y]))))
    before = adversary.radius
    adversary.decide()
    return adversary.radius != before


@pytest.mark.parametrize("output", ["identity", "softmax", "sigmoid"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_inputs_go_up_the_slope_of_the_loss_by_one_length(output, activation):
    """With near targets the way is that of the gradient, which autograd knows."""
    network = network_of(Output(output, 0.0 if output == "identity" else 0.2), activation)
    X, Y = batch(network.output)
    moved = []
    sweep = prepared(Relaxed(adversarial=0.3, dropout=0.0, tau=1e-7), network)
    forward = sweep._forward

    def spy(X, W, shift=None):
        moved.append(shift if shift is None else shift.clone())
        return forward(X, W, shift)

    sweep._forward = spy
    sweep(X, Y)
    inputs = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(network_of(network.output, activation), inputs, Y), inputs)
    length = 0.3 * float(X.square().sum(1).mean().sqrt())
    torch.testing.assert_close(moved[1], length * slope / slope.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-5)


def loss(network, X, Y):
    return network.output.loss(network.forward(X)[1][-1], Y).sum()


def test_an_update_is_that_of_the_moved_inputs_and_returns_the_outputs_of_the_others():
    network, other = network_of(CLASSES), network_of(CLASSES)
    X, Y = batch(CLASSES)
    sweep = prepared(Relaxed(adversarial=0.2, dropout=0.0), network)
    forward = sweep._forward(X, network.weights)
    A, E = forward.A, sweep.settings.tau * CLASSES.residual(Y, forward.A[-1])
    for layer in (2, 1, 0):
        E = sweep._difference_below(layer, forward.at[layer].columns(E), forward, {})
    moved = X - 0.2 * X.square().sum(1).mean().sqrt() * E / E.norm(dim=1, keepdim=True)
    assert float(loss(network, moved, Y)) > float(loss(network, X, Y))
    torch.testing.assert_close(sweep(X, Y), A[-1])
    prepared(Relaxed(adversarial=0.0, dropout=0.0), other)(moved, Y)
    for W, V in zip(network.weights, other.weights, strict=True):
        torch.testing.assert_close(W, V)


def shifted(adversary, Z, E):
    return answers(local, adversary.shift(Z, E))[0]


def test_no_way_to_go_is_no_step():
    adversary = Adversary(0.1, network_of(CLASSES), Plan())
    Z, E = torch.ones(4, 3), torch.zeros(4, 3)
    assert not shifted(adversary, Z, E.clone()).any()
    E[0] = 1e15
    E[1] = 1e-15  # next to nothing, not stretched to full length
    shift = shifted(adversary, Z, E)
    assert float(shifted(adversary, Z, torch.full((4, 3), 1e-30)).norm(dim=1).max()) == pytest.approx(0.1 * 3**0.5)
    assert float(shift[0].norm()) == pytest.approx(0.1 * 3**0.5) and not shift[1:].abs().gt(1e-20).any()


def test_automatic_radius_begins_where_errors_are_few_and_ends_where_they_become_many():
    adversary = Adversary("auto", pixels(CLASSES), Plan(n_samples=100, n_updates=1000))
    assert not seen(adversary, 0.3) and adversary.radius == 0
    assert seen(adversary, 0.02) and adversary.radius == AUTO_RADIUS
    assert not seen(adversary, 0.1) and adversary.radius == AUTO_RADIUS
    assert seen(adversary, 0.4) and adversary.radius == 0
    assert not seen(adversary, 0.0) and adversary.radius == 0  # for good


def test_automatic_radius_does_not_begin_late():
    """The training error of a network that has seen its samples often says little about others."""
    adversary = Adversary("auto", pixels(CLASSES), Plan(n_samples=100, n_updates=1000))
    for _ in range(FRESH_EPOCHS + 1):
        seen(adversary, 0.1)
    assert not seen(adversary, 0.0) and adversary.radius == 0


def test_few_errors_are_those_of_a_constant_guess_where_one_class_is_frequent():
    adversary = Adversary("auto", pixels(CLASSES), Plan(n_samples=1000, n_updates=1000))
    assert not seen(adversary, 0.03, 1000, 2, [0.97, 0.03])
    assert seen(adversary, 0.0, 1000, 2, [0.97, 0.03])


def test_one_class_is_no_reason_for_an_error():
    adversary = Adversary("auto", pixels(CLASSES), Plan(n_samples=100, n_updates=10))
    seen(adversary, 0.0, k=2, shares=[1.0, 0.0])
    assert adversary.radius == AUTO_RADIUS


@pytest.mark.parametrize(
    ("output", "plan"), [("identity", Plan(n_updates=9)), ("sigmoid", Plan(n_updates=9)), ("softmax", Plan())]
)
def test_automatic_radius_is_of_planned_trainings_on_classes(output, plan):
    adversary = Adversary("auto", pixels(Output(output)), plan)
    assert not seen(adversary, 0.0) and adversary.radius == 0
    assert Adversary(0.2, pixels(Output(output)), plan).radius == 0.2


def radii_of(model, monkeypatch, X, y):
    """Radii while the model is fitted; not those of the small networks that calibrate it."""
    monkeypatch.setattr("nmfnet.training.folds.relative_temperature", lambda *arguments: None)
    found, observe = [], Adversary.observe

    def spy(self, *arguments):
        found.append(self.radius)
        return observe(self, *arguments)

    monkeypatch.setattr(Adversary, "observe", spy)
    model.fit(X, y)
    return found


def test_separate_classes_are_told_from_overlapping_ones(monkeypatch):
    model = NMFNetClassifier((30,), max_iter=20, random_state=0)
    X, y = make_blobs(600, 20, centers=5, random_state=0)
    assert radii_of(model, monkeypatch, X + 20, y)[-1] == AUTO_RADIUS and model.score(X + 20, y) == 1
    assert not any(radii_of(model, monkeypatch, StandardScaler().fit_transform(X), y))  # a table
    X, y = make_classification(600, flip_y=0.2, random_state=0)
    assert not any(radii_of(model, monkeypatch, X + 20, y))


def test_a_trained_network_knows_its_samples_so_that_few_errors_say_nothing(monkeypatch):
    X, y = make_classification(200, flip_y=0.2, random_state=0)
    model = NMFNetClassifier((100,), alpha=0, max_iter=60, tol=0, warm_start=True, random_state=0)
    assert not any(radii_of(model, monkeypatch, X + 20, y)) and model.score(X + 20, y) == 1
    assert not any(radii_of(model, monkeypatch, X + 20, y))


def test_sparse_inputs_are_not_moved(monkeypatch):
    X, y = make_blobs(600, 20, centers=5, random_state=0)
    X = csr_array(X * (np.abs(X) > 5))
    models = [NMFNetClassifier((30,), solver=Relaxed(adversarial=a), max_iter=3, random_state=0) for a in (0.0, 0.5)]
    probabilities = [model.fit(X, y).predict_proba(X) for model in models]
    np.testing.assert_array_equal(*probabilities)


def test_a_number_moves_inputs_of_any_task():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 5))
    y = X @ rng.standard_normal(5)
    still, moved = (
        NMFNetRegressor((20,), solver=Relaxed(adversarial=a), max_iter=30, random_state=0).fit(X, y) for a in (0, 0.2)
    )
    assert still.score(X, y) > 0.99 and 0.9 < moved.score(X, y) < still.score(X, y)
