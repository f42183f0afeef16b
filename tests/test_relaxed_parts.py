"""The parts of the relaxed sweep: schedule, averaging, safeguard, rollback, state."""

import copy

import pytest
import torch

from nmfnet.layers.activations import get_activation
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers import Relaxed
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.averaging import MIN_NEWEST_WEIGHT, Averaging
from nmfnet.solvers.relaxed.schedule import Schedule
from nmfnet.stateful import copied
from solving import he_weights, prepared


def tensors(state):
    """All tensors in a state."""
    if isinstance(state, torch.Tensor):
        return [state]
    values = state.values() if isinstance(state, dict) else state if isinstance(state, (list, tuple)) else ()
    return [tensor for value in values for tensor in tensors(value)]


def average_to_be(sweep):
    """If the next batch goes well."""
    averaging, working = sweep.averaging, sweep.network.weights
    return [torch.lerp(old, new, averaging.pending) for old, new in zip(averaging.mean, working, strict=True)]


def sweep_with(delta=0.2, momentum=0.0, output="identity", dropout=0.2, damping=1.0):
    weights = he_weights([6, 8, 5, 3], True, torch.Generator().manual_seed(0), torch.float64)
    network = Network(weights, get_activation("relu"), True, Output(output))
    settings = Relaxed(delta=delta, momentum=momentum, dropout=dropout, noise=0.0, damping=damping)
    return prepared(settings, network, plan=Plan(n_samples=400, n_updates=40))


def batches(n=12, m=30):
    generator = torch.Generator().manual_seed(1)
    for _ in range(n):
        X = torch.randn(m, 6, generator=generator, dtype=torch.float64)
        yield X, X[:, :3] + X[:, 3:].abs()


# Schedule and averaging.


@pytest.mark.parametrize(
    ("share", "numbers"),
    [(1.0, [0, 1, 2, 3, 4, 5]), (0.5, [0, None, 1, None, 2, None]), (0.25, [0, None, None, None, 1])],
)
def test_an_update_begins_once_however_many_batches_it_has(share, numbers):
    schedule, found = Schedule(0.2, 100), []
    for _ in numbers:
        found.append(schedule.begin(share))
        schedule.accept()
    assert found == numbers


def test_the_step_falls_linearly_over_the_plan_and_stays_0_after_it():
    schedule, shares = Schedule(0.2, 4), []
    for _ in range(6):
        schedule.begin(1.0)
        shares.append(schedule.step)
        schedule.accept()
    assert shares == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_a_rejected_update_halves_the_step_for_good():
    schedule = Schedule(0.2, 10)
    schedule.reject()
    schedule.accept()
    assert schedule.delta == 0.1 and schedule.updates == 2 and schedule.rejected == 1


def test_the_average_weighs_iterates_by_a_power_of_their_number():
    """With a step that needs no anchor, the working weights are the iterates."""
    schedule = Schedule(0.01, 100)
    averaging, working = Averaging([torch.zeros(1)], 2.0, schedule), [torch.zeros(1)]
    for number in range(1, 60):
        working[0].fill_(number)
        averaging.announce()
        schedule.accept()
        averaging.update(working)
    numbers = torch.arange(1.0, 60)
    assert float(averaging.mean[0]) == pytest.approx(float((numbers**3).sum() / (numbers**2).sum()), rel=0.02)


def test_the_newest_iterate_enters_once():
    averaging, working = Averaging([torch.zeros(2)], 8.0, Schedule(0.01, 100)), [torch.ones(2)]
    averaging.update(working)
    assert not averaging.mean[0].any()  # nothing was announced
    averaging.announce()
    for _ in range(2):
        averaging.update(working)
        assert torch.equal(averaging.mean[0], torch.ones(2))  # the first iterate is all there is


def test_an_average_without_an_end_follows_changes():
    schedule = Schedule(0.01, None)
    averaging = Averaging([torch.zeros(1)], 8.0, schedule)
    schedule.updates = 10**6
    assert averaging.newest_weight == MIN_NEWEST_WEIGHT


@pytest.mark.parametrize("delta", [0.2, 0.04])  # with and without an anchor
def test_two_sets_of_weights_are_written_into(delta):
    """The average, and the working weights; nothing that users passed."""
    sweep = sweep_with(delta)
    places = [W.data_ptr() for W in [*sweep.weights(), *sweep.network.weights]]
    for X, Y in batches():
        sweep(X, Y)
    assert places == [W.data_ptr() for W in [*sweep.weights(), *sweep.network.weights]]


# Rejected updates.


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_steps_that_are_not_finite_are_not_taken(layer, monkeypatch):
    sweep = sweep_with()
    data = list(batches())
    sweep(*data[0])
    sweep(*data[1])
    steps = sweep.solvers[layer].steps

    def spoilt(*args):
        for step in steps(*args):
            step.D[0, 0] = float("inf")
            yield step

    monkeypatch.setattr(sweep.solvers[layer], "steps", spoilt)
    proven = average_to_be(sweep)
    sweep(*data[2])
    assert sweep.schedule.rejected == sweep.retries == 1 and sweep.schedule.delta == 0.1
    for weights in (sweep.weights(), sweep.network.weights):
        for ours, known in zip(weights, proven, strict=True):
            torch.testing.assert_close(ours, known)


@pytest.mark.parametrize("layer", [0, 1])
def test_an_update_that_ends_half_way_leaves_the_average_as_it_was(layer, monkeypatch):
    """And the next batch finds weights that it can go through."""
    sweep = sweep_with()
    data = list(batches())
    for X, Y in data[:4]:
        sweep(X, Y)
    proven = average_to_be(sweep)
    with monkeypatch.context() as patched:
        patched.setattr(sweep.solvers[layer], "steps", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sweep(*data[4])
    for ours, known in zip(sweep.weights(), proven, strict=True):
        torch.testing.assert_close(ours, known)
    for X, Y in data[5:]:
        sweep(X, Y)
    assert sweep.schedule.rejected == 0
    assert all(W.isfinite().all() for W in sweep.weights())


def test_weights_through_which_a_batch_went_badly_never_enter_the_average():
    sweep = sweep_with(output="softmax")
    data = [(X, torch.eye(3, dtype=X.dtype)[Y.argmax(1)]) for X, Y in batches()]
    for X, Y in data[:6]:
        sweep(X, Y)
    before = [W.clone() for W in sweep.averaging.mean]
    for W in sweep.network.weights:
        W *= 10
    sweep(*data[6])
    assert sweep.schedule.rejected == 1
    for weights in (sweep.weights(), sweep.network.weights):
        assert all(torch.equal(ours, known) for ours, known in zip(weights, before, strict=True))


def test_a_large_loss_is_that_of_the_steps_if_either_the_average_or_no_outputs_have_less():
    sweep = sweep_with(dropout=0.0)
    sweep.safeguard.first = 1.0
    X, _ = next(batches())
    average, drawn = sweep.averaging.mean, sweep.masks.state()
    average[-1][-1] += 100
    Y = sweep.network.with_weights(average).predict(X)

    def diverged(loss, Y):
        return sweep._diverged(loss, X, Y, None, drawn)

    assert diverged(10.0, Y)  # less by the average, though no outputs have more
    assert not diverged(0.2, Y)
    assert diverged(10.0, 0 * Y)  # the other way round
    assert not diverged(0.2, 0 * Y)
    assert sweep.safeguard.worst_ratio == 1.0
    nothing = float(Y.square().sum(1).mean()) / 2
    average[-1][-1] += 1e6  # far from both
    assert diverged(7 * nothing, Y) and sweep.safeguard.worst_ratio == pytest.approx(7)
    assert not diverged(13 * nothing, Y)  # no news
    assert diverged(15 * nothing, Y)


# State.


@pytest.mark.parametrize("delta", [0.2, 0.04])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_sweep_goes_on_from_its_state(momentum, delta):
    data = list(batches())
    sweep, other = sweep_with(delta, momentum), sweep_with(delta, momentum)
    for X, Y in data[:5]:
        sweep(X, Y)
    stored = copied(sweep.state())
    alone = copy.deepcopy(stored)
    other.restore(stored)
    for X, Y in data[5:]:
        sweep(X, Y)
        other(X, Y)
    assert all(map(torch.equal, sweep.weights(), other.weights()))
    assert all(map(torch.equal, tensors(stored), tensors(alone)))  # a state that was restored is left alone


# Parts of wide layers.


def test_steps_are_relative_part_by_part():
    weights = he_weights([6, 9, 3], True, torch.Generator().manual_seed(0), torch.float64)
    network = Network([W.clone() for W in weights], get_activation("relu"), True, Output("softmax"))
    settings = Relaxed(delta=0.05, dropout=0.0, noise=0.0, damping=1e-8)
    sweep = prepared(settings, network, plan=Plan(n_samples=400, n_updates=40))
    sweep.solvers[0].part_outputs = 4
    X, Y = next(batches())
    sweep(X, torch.eye(3, dtype=X.dtype)[Y.argmax(1)])
    Z = torch.cat([X, torch.ones(len(X), 1, dtype=X.dtype)], 1)
    before, moved = Z @ weights[0], Z @ (network.weights[0] - weights[0])
    for part in (slice(0, 3), slice(3, 6), slice(6, 9)):
        assert float(moved[:, part].norm() / before[:, part].norm()) == pytest.approx(0.05, rel=1e-5)
