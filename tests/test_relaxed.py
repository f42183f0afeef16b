"""The relaxed sweep: against its literal transcription, and what is known of its limits."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge
from torch.nn import functional

from nmfnet import NMFNetRegressor
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers import Relaxed
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.safeguard import Safeguard
from references import relaxed as reference
from solving import he_weights, input_scaling, prepared, target_scaling

both_biases = pytest.mark.parametrize("bias", [False, True])
SMOOTHING = {"identity": 0.0, "softmax": 0.2, "sigmoid": 0.3}


def targets(rng, output, m, k):
    if output == "softmax":
        return np.eye(k)[rng.integers(k, size=m)]
    return (rng.random((m, k)) < 0.4).astype(float) if output == "sigmoid" else rng.standard_normal((m, k))


def network_of(weights, activation="relu", output="identity", bias=True):
    weights = [torch.tensor(W) for W in weights]
    return Network(weights, get_activation(activation), bias, Output(output, SMOOTHING[output]))


def random_weights(rng, sizes, bias):
    return [rng.standard_normal((a + bias, b)) / a**0.5 for a, b in itertools.pairwise(sizes)]


def assert_same_course(
    problem, hidden, n_batches, delta=None, sizes=(40, 33), seed=0, shift=0.0, spoilt=(), shares=()
):
    """Both go through some batches; weights and averages agree after each.  Returns the final states.

    The averages by a copy: to ask for them lets the newest weights in.  Before `spoilt` batches these are 10 times
    what they were.
    """
    rng = np.random.default_rng(seed)
    weights = random_weights(rng, (6, *hidden, 3), problem.bias)
    network = network_of(weights, problem.activation, problem.output, problem.bias)
    settings = Relaxed(
        delta=problem.delta if delta is None else delta, tau=problem.tau, damping=problem.damping,
        noise=0.0, dropout=0.0, momentum=problem.momentum, averaging=problem.averaging,
        label_smoothing=problem.smoothing,
    )  # fmt: skip
    plan = Plan(problem.alpha, problem.l1_ratio, problem.n_samples, problem.n_updates)
    sweep = prepared(settings, network, plan=plan)
    state = reference.start(weights, problem)
    for number in range(n_batches):
        m = sizes[number % len(sizes)]
        X, Y = rng.standard_normal((m, 6)) + 0.5, targets(rng, problem.output, m, 3) + shift * number
        if number in spoilt:
            state = dataclasses.replace(state, fast=[10 * W for W in state.fast])
            network.weights[:] = [torch.tensor(W) for W in state.working]
        expected = reference.forward(problem, state.working, X)[1][-1]
        share = shares[number % len(shares)] if shares else 1.0
        outputs = sweep(torch.tensor(X), torch.tensor(Y), share=share)
        np.testing.assert_allclose(outputs.numpy(), expected, rtol=0, atol=1e-9)
        state = reference.update(problem, state, X, Y, share)
        for found, known in ((network.weights, state.working), (copy.deepcopy(sweep).weights(), state.average)):
            for ours, theirs in zip(found, known, strict=True):
                np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-10 * max(1, np.abs(theirs).max()))
    return sweep, state


@pytest.mark.parametrize("output", ["identity", "softmax", "sigmoid"])
@both_biases
@pytest.mark.parametrize("activation", ["relu", "tanh", "softplus"])
@pytest.mark.parametrize("hidden", [(7,), (8, 5), (8, 6, 5)])
def test_updates(output, bias, activation, hidden):
    problem = reference.Problem(activation, output, bias, SMOOTHING[output])
    assert_same_course(problem, hidden, 3)


@both_biases
@pytest.mark.parametrize("output", ["identity", "softmax", "sigmoid"])
def test_updates_without_a_hidden_layer(output, bias):
    assert_same_course(reference.Problem("relu", output, bias, SMOOTHING[output]), (), 5)


@both_biases
def test_a_long_course_with_an_anchor_and_a_falling_step(bias):
    """Beyond the early updates, where the Gram matrix stays for several batches, and past the plan's end."""
    problem = reference.Problem(
        "relu", "softmax", bias, 0.2, delta=0.2, tau=0.2, damping=0.3, averaging=3.0, n_updates=30
    )
    sweep, _ = assert_same_course(problem, (8, 5), 33)
    assert sweep.averaging.anchor == pytest.approx(0.75)


@both_biases
@pytest.mark.parametrize("output", ["identity", "softmax"])
def test_momentum(output, bias):
    problem = reference.Problem(
        "relu", output, bias, SMOOTHING[output], delta=0.02, momentum=0.9, alpha=0.3, n_samples=50
    )
    assert_same_course(problem, (8, 5), 30)


@both_biases
@pytest.mark.parametrize("n_updates", [None, 20])
def test_shares_of_updates(bias, n_updates):
    problem = reference.Problem("relu", "softmax", bias, 0.2, delta=0.03, momentum=0.6, n_updates=n_updates)
    growing = (2, 3, 3, 10, 20, 40, 64, 70)
    sweep, state = assert_same_course(problem, (8, 5), 24, sizes=growing, shares=(0.1, 0.25, 0.5, 1.0))
    assert sweep.schedule.updates == pytest.approx(state.updates)


def test_auto_delta_is_that_of_the_plan():
    problem = reference.Problem("tanh", "softmax", True, 0.2, delta=0.1, n_updates=300)
    assert_same_course(problem, (8,), 5, delta="auto")


def test_large_batches_refresh_the_gram_matrix_every_time():
    problem = reference.Problem("relu", "identity", True)
    assert_same_course(problem, (5,), 25, sizes=(5200, 5001))


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
@both_biases
def test_penalties(l1_ratio, bias):
    problem = reference.Problem("relu", "softmax", bias, 0.2, alpha=30.0, l1_ratio=l1_ratio, n_samples=200)
    assert_same_course(problem, (8, 5), 4)


def test_steps_are_rejected():
    problem = reference.Problem("relu", "identity", True, delta=0.04)
    sweep, state = assert_same_course(problem, (6,), 15, spoilt=(6, 8, 10))
    assert sweep.retries == 3
    assert sweep.schedule.delta == state.delta == 0.04 / 8


def test_steps_are_not_rejected_for_what_the_data_do():
    """The targets run away, so that the loss climbs whatever the steps are."""
    problem = reference.Problem("relu", "identity", True, delta=0.1)
    sweep, _ = assert_same_course(problem, (6,), 24, shift=2.0)
    assert sweep.safeguard.first > 100  # begun anew with the larger ones
    assert sweep.retries == 0 and sweep.schedule.delta == 0.1


def test_scaled_inputs_and_targets():
    """A sweep on scaled data is that of the scaled data; the outputs come back in the targets' unit."""
    rng = np.random.default_rng(1)
    X, Y = torch.tensor(rng.random((50, 6)) * 7 + 3), torch.tensor(rng.random((50, 2)) * 100 - 20)
    weights = random_weights(rng, (6, 5, 2), True)
    inputs, scale = input_scaling(X, 1.0), target_scaling(Y)
    plain, scaled = network_of(weights), dataclasses.replace(network_of(weights), inputs=inputs, targets=scale)
    expected = prepared(Relaxed(dropout=0.0), plain)(inputs(X), scale(Y))
    outputs = prepared(Relaxed(dropout=0.0), scaled)(X, Y)
    torch.testing.assert_close(outputs, scale.inverse(expected))
    for a, b in zip(plain.weights, scaled.weights, strict=True):
        torch.testing.assert_close(a, b)


def test_a_sweep_never_writes_into_data():
    rng = np.random.default_rng(0)
    network = network_of(random_weights(rng, (6, 5, 2), True))
    X, Y = torch.tensor(rng.random((30, 6))), torch.tensor(rng.random((30, 2)))
    for noise in (0.0, 0.2):
        sweep, copies = prepared(Relaxed(noise=noise, dropout=0.2), network, X), (X.clone(), Y.clone())
        for _ in range(6):
            sweep(X, Y)
        assert torch.equal(X, copies[0]) and torch.equal(Y, copies[1])


# Limits.


@pytest.mark.parametrize("alpha", [0.0, 50.0])
@both_biases
def test_without_a_hidden_layer_it_is_linear_regression(alpha, bias):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 4))
    y = X @ np.arange(1.0, 5.0) + rng.standard_normal(300) + (5 if bias else 0)
    y = y - (0 if bias else y.mean())
    solver = Relaxed(dropout=0.0, standardize=False, damping=0.1)
    model = NMFNetRegressor(
        (), solver=solver, alpha=alpha, fit_intercept=bias, batch_size=300, max_iter=500, tol=0,
        n_iter_no_change=1000, random_state=0,
    ).fit(X, y)  # fmt: skip
    expected = Ridge(alpha, fit_intercept=bias) if alpha else LinearRegression(fit_intercept=bias)
    known = expected.fit(X, y).predict(X)
    assert np.sqrt(np.mean((model.predict(X) - known) ** 2)) < 0.01 * known.std()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "softplus", "logistic"])
@pytest.mark.parametrize("output", ["identity", "softmax", "sigmoid"])
def test_residuals_tend_to_the_backpropagated_errors(activation, output, monkeypatch):
    rng = np.random.default_rng(3)
    network = network_of(random_weights(rng, (6, 9, 8, 3), True), activation, output)
    X, Y = torch.tensor(rng.standard_normal((25, 6))), torch.tensor(targets(rng, output, 25, 3))
    residuals, collect = [], DampedLeastSquares.collect

    def spy(self, Z, E, *others):
        residuals.insert(0, E.clone())  # from the output layer down
        return collect(self, Z, E, *others)

    monkeypatch.setattr(DampedLeastSquares, "collect", spy)
    f, A = getattr(functional, {"logistic": "sigmoid"}.get(activation, activation)), []
    for W in network.weights:
        Z = f(A[-1]) if A else X
        A.append((Z @ W[:-1] + W[-1]).requires_grad_())
    errors = torch.autograd.grad(network.output.loss(A[-1], Y).sum(), A)
    tau = 1e-7
    prepared(Relaxed(dropout=0.0, tau=tau), network)(X, Y)
    for layer, error in enumerate(errors):
        torch.testing.assert_close(residuals[layer] / tau, -error, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("output", ["identity", "softmax", "sigmoid"])
@pytest.mark.parametrize("seed", range(3))
def test_small_steps_on_all_samples_decrease_the_loss(activation, output, seed):
    rng = np.random.default_rng(seed)
    network = network_of(random_weights(rng, (6, 9, 8, 3), True), activation, output)
    X, Y = torch.tensor(rng.standard_normal((60, 6))), torch.tensor(targets(rng, output, 60, 3))
    sweep = prepared(Relaxed(dropout=0.0, delta=0.002), network)
    losses = [float(network.output.loss(sweep(X, Y), Y).mean()) for _ in range(30)]
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("bad", ["inputs", "targets"])
def test_an_update_that_can_go_nowhere_leaves_finite_weights(bad):
    """All inputs the same, or nothing left to fit."""
    rng = np.random.default_rng(0)
    network = network_of(random_weights(rng, (6, 9, 3), True))
    X = torch.zeros(20, 6, dtype=torch.float64) if bad == "inputs" else torch.tensor(rng.random((20, 6)))
    Y = network.predict(X)
    sweep = prepared(Relaxed(dropout=0.0), network, plan=Plan(alpha=1.0, n_samples=20))
    for _ in range(6):
        sweep(X, Y)
    assert network.is_finite() and all(W.isfinite().all() for W in sweep.weights())


# The safeguard.


def test_safeguard():
    safeguard = Safeguard()
    assert safeguard.accepts(2.0)
    assert safeguard.accepts(3.9)  # up to twice the lowest
    assert not any(safeguard.accepts(loss) for loss in (4.1, float("nan"), float("inf")))
    assert safeguard.accepts(0.01) and safeguard.accepts(3.9)  # only what is observed counts
    for _ in range(60):
        safeguard.observe(0.01)
    assert safeguard.accepts(0.49)  # a quarter of the first above the lowest
    assert not safeguard.accepts(0.6)


def test_a_safeguard_that_begins_with_a_number_that_is_none():
    safeguard = Safeguard()
    assert not safeguard.accepts(float("nan"))
    assert safeguard.accepts(1.0) and not safeguard.accepts(2.1)


# Settings.


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("delta", [0, -0.1, 1.1, "large", None, True, float("nan")]),
        ("tau", [0, 2, "far"]),
        ("damping", [-1, float("inf"), "high"]),
        ("noise", [-0.1, 1, 1.5, "much", None]),
        ("dropout", [-0.1, 1, "much"]),
        ("adversarial", [-0.1, 1, "much"]),
        ("momentum", [-0.1, 1, "much"]),
        ("averaging", [-1, None]),
        ("standardize", [1, "yes", None]),
        ("explained_variance", [0, 1.1, "auto"]),
        ("label_smoothing", [-0.1, 1]),
    ],
)
def test_unfit_settings_are_refused(name, values, small):
    for value in values:
        with pytest.raises(ValueError, match=name):
            Relaxed(**{name: value})
        solver = Relaxed().set_params(**{name: value})
        with pytest.raises(ValueError, match=name):
            NMFNetRegressor((3,), solver=solver).fit(*small)


def test_settings_are_scikit_learns():
    solver = Relaxed(delta=0.1, noise=0.2)
    assert clone(solver) == solver and clone(solver) is not solver
    model = NMFNetRegressor(solver=solver).set_params(solver__tau=0.3)
    assert model.solver.tau == 0.3
    assert Relaxed() == Relaxed(**Relaxed().get_params())


def test_weights_start_at_hes_size():
    W = he_weights((400, 300, 10), True, torch.Generator().manual_seed(0), torch.float64, last=0.1)
    assert float(W[0][:-1].var()) == pytest.approx(2 / 400, rel=0.05)
    assert float(W[1][:-1].var()) == pytest.approx(0.01 * 2 / 300, rel=0.1)
    assert all((weights[-1] == 0).all() for weights in W)
