"""Updates that nobody looks at: on a GPU a look waits until all is computed, so that only one of some is looked at."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from nmfnet import NMFNetClassifier, NMFNetRegressor
from nmfnet.linalg.cholesky import cholesky_inverse, damped_cholesky
from nmfnet.linalg.gram_solver import GramSolver
from nmfnet.solvers.relaxed.looks import LOOK_INTERVAL, Looks
from nmfnet.stateful import copied
from test_relaxed_parts import batches, sweep_with, tensors


@pytest.fixture(autouse=True)
def seldom(monkeypatch):
    """As on a GPU."""
    monkeypatch.setattr(Looks, "at_hand", ())


def classes(n):
    return [(X, torch.eye(3, dtype=X.dtype)[Y.argmax(1)]) for X, Y in batches(n)]


def finite(*sets_of_weights):
    return all(bool(W.isfinite().all()) for weights in sets_of_weights for W in weights)


def test_one_of_some_updates_is_looked_at_and_the_first_of_new_losses():
    sweep, looked_at = sweep_with(), []
    for X, Y in batches(2 * LOOK_INTERVAL):
        sweep(X, Y)
        looked_at.append(sweep.looks.now)
    assert np.flatnonzero(looked_at).tolist() == [0, LOOK_INTERVAL]
    sweep.safeguard.reset()
    sweep(X, Y)
    assert sweep.looks.now


@pytest.mark.parametrize("endless", [True, False])
def test_where_numbers_are_at_hand_and_in_streams_every_update_is_looked_at(monkeypatch, endless):
    assert Looks(torch.device("cpu"), True).interval == 1
    assert Looks(torch.device("cpu"), False).interval == LOOK_INTERVAL
    monkeypatch.undo()
    assert Looks(torch.device("cpu"), endless).interval == 1
    assert Looks(torch.device("cuda"), endless).interval == (1 if endless else LOOK_INTERVAL)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("number", [1, LOOK_INTERVAL - 1, LOOK_INTERVAL + 2])
def test_weights_that_are_not_finite_are_set_back_at_once_and_found_at_the_next_look(monkeypatch, number, momentum):
    delta = 0.04 if momentum else 0.2
    sweep, data = sweep_with(delta, momentum), list(batches(3 * LOOK_INTERVAL))
    for X, Y in data[:number]:
        sweep(X, Y)
    before, steps = [W.clone() for W in sweep.averaging.mean], sweep.solvers[1].steps

    def spoilt(*args):
        for step in steps(*args):
            step.D[0, 0] = float("nan")
            yield step

    with monkeypatch.context() as patched:
        patched.setattr(sweep.solvers[1], "steps", spoilt)
        outputs = sweep(*data[number])
    assert finite(sweep.network.weights, sweep.averaging.mean, [outputs]) and sweep.retries == 0
    assert not all(map(torch.equal, before, sweep.averaging.mean))  # the weights from before have entered
    for X, Y in data[number + 1 :]:
        assert finite([sweep(X, Y)], sweep.network.weights, sweep.averaging.mean)
    assert sweep.retries == 1 and sweep.schedule.delta == delta / 2
    assert finite(sweep.weights())


def test_weights_through_which_a_batch_goes_badly_do_not_enter_the_average():
    sweep, data = sweep_with(output="softmax"), classes(2 * LOOK_INTERVAL)
    for X, Y in data[:6]:
        sweep(X, Y)
    before = [W.clone() for W in sweep.averaging.mean]
    for W in sweep.network.weights:
        W *= 10
    for X, Y in data[6:LOOK_INTERVAL]:
        sweep(X, Y)
        assert not sweep.looks.now and sweep.schedule.rejected == 0
        assert all(map(torch.equal, sweep.averaging.mean, before))
    assert all(map(torch.equal, sweep.weights(), before))  # what a training would end with
    sweep(*data[LOOK_INTERVAL])
    assert sweep.schedule.rejected == 1 and sweep.schedule.delta == 0.1
    assert all(map(torch.equal, sweep.network.weights, before))


def test_a_batch_that_is_unlike_others_keeps_one_iterate_from_the_average():
    sweep, data = sweep_with(), list(batches(LOOK_INTERVAL))
    for X, Y in data[:5]:
        sweep(X, Y)
    before = [W.clone() for W in sweep.averaging.mean]
    sweep(data[5][0], 100 * data[5][1])
    assert all(map(torch.equal, sweep.averaging.mean, before))
    sweep(*data[6])
    assert not any(map(torch.equal, sweep.averaging.mean, before)) and sweep.retries == 0


def test_training_ends_with_finite_weights_whatever_happens(monkeypatch):
    """Each third step of a layer is none."""
    X, y = load_digits(return_X_y=True)
    steps, calls = GramSolver.steps, []

    def spoilt(self, *args):
        for step in steps(self, *args):
            calls.append(1)
            if len(calls) % 3 == 0:
                step.D.fill_(float("inf"))
            yield step

    monkeypatch.setattr(GramSolver, "steps", spoilt)
    model = NMFNetClassifier((20,), max_iter=3, batch_size=64, random_state=0).fit(X / 16, y)
    assert finite(model.network_.weights)
    assert np.isfinite([record["objective"] for record in model.history_]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sound", [True, False])
def test_factors_and_inverses_that_nobody_looks_at(dtype, sound):
    A = torch.randn(9, 6, dtype=dtype, generator=torch.Generator().manual_seed(0))
    G = A.T @ A if sound else -(A.T @ A)
    L, ridge, retries = damped_cholesky(G, torch.tensor(0.1, dtype=dtype), looks=False)
    inverse = cholesky_inverse(L, looks=False)
    known = torch.linalg.inv(G + ridge * torch.eye(6, dtype=dtype)) if sound else torch.zeros_like(G)
    torch.testing.assert_close(inverse, known)
    assert retries == 0 and inverse.data_ptr() == L.data_ptr()
    nothing = damped_cholesky(G * torch.nan, ridge, looks=False)[0]
    assert not cholesky_inverse(nothing, looks=False).any()


def test_a_factorization_that_fails_unseen_moves_no_weights_and_is_repeated_at_the_next_look(monkeypatch):
    sweep, data = sweep_with(dropout=0.0), list(batches(LOOK_INTERVAL + 1))
    sweep(*data[0])
    cholesky = torch.linalg.cholesky_ex

    def failing(A, *, out):
        cholesky(A, out=out)
        out[1].fill_(1)

    before = [W[:-1].clone() for W in sweep.network.weights]
    with monkeypatch.context() as patched:
        patched.setattr(torch.linalg, "cholesky_ex", failing)
        sweep.schedule.updates = 2.0  # at which matrices are factorized
        sweep(*data[1])
    anchor = sweep.averaging.anchor
    assert anchor and sweep.retries == 0
    for W, old, mean in zip(sweep.network.weights, before, sweep.averaging.mean, strict=True):
        assert float((W[:-1] - old).norm()) <= float((mean[:-1] - old).norm())  # nothing but the pull to the average
    sweep.schedule.updates = float(LOOK_INTERVAL)
    sweep(*data[2])
    assert sweep.looks.now and sweep.retries == 3
    assert all(bool(solver.primal.inverse.diagonal().all()) for solver in sweep.solvers)


def test_inputs_that_grow_are_seen_at_the_next_look():
    sweep, data = sweep_with(), list(batches(LOOK_INTERVAL + 1))
    for number, (X, Y) in enumerate(data):
        if number == LOOK_INTERVAL - 1:
            sweep.solvers[1].primal.input_rms /= 100
            since = sweep.solvers[1].primal.gram.clone()
        sweep(X, Y)
        if number == LOOK_INTERVAL - 1:
            assert torch.equal(since, sweep.solvers[1].primal.gram)
    assert not torch.equal(since, sweep.solvers[1].primal.gram)


@pytest.mark.parametrize("number", [5, LOOK_INTERVAL + 3])
def test_a_training_goes_on_from_its_state_between_two_looks(number):
    data = list(batches(2 * LOOK_INTERVAL + 4))
    sweep, other = sweep_with(momentum=0.5), sweep_with(momentum=0.5)
    for X, Y in data[:number]:
        sweep(X, Y)
    data[number] = data[number][0], 100 * data[number][1]  # is no good
    sweep(*data[number])
    stored = copied(sweep.state())
    alone = copy.deepcopy(stored)
    other.restore(stored)
    for X, Y in data[number + 1 :]:
        sweep(X, Y)
        other(X, Y)
    assert all(map(torch.equal, sweep.weights(), other.weights()))
    assert all(map(torch.equal, tensors(stored), tensors(alone)))


def test_a_state_of_an_earlier_version_has_no_looks():
    sweep, other = sweep_with(), sweep_with()
    sweep(*next(batches()))
    state = copied(sweep.state())
    del state["looks"]
    other.restore(state)
    assert all(map(torch.equal, sweep.weights(), other.weights()))


@pytest.mark.parametrize("real", [False, True])
def test_results_are_much_the_same(monkeypatch, real):
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = X[:1200] / 16, X[1200:] / 16, y[:1200], y[1200:]

    def error():
        if real:
            model = NMFNetRegressor((30,), max_iter=10, random_state=0).fit(X[:, :60], X[:, 60])
            return 1 - model.score(X_test[:, :60], X_test[:, 60])
        return 1 - NMFNetClassifier((50, 30), max_iter=10, random_state=0).fit(X, y).score(X_test, y_test)

    of_seldom = error()
    monkeypatch.undo()
    assert of_seldom <= error() + 0.02
