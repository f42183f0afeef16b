"""What the relaxed sweep writes into and what it leaves alone."""

import copy
import weakref

import pytest
import torch

from nmfnet import linalg
from nmfnet.layers.activations import ACTIVATIONS
from nmfnet.linalg import gram, truncated_svd
from nmfnet.linalg.damped_inverse import DampedInverse
from nmfnet.linalg.sparse import picked
from nmfnet.network import Network
from nmfnet.network.initialization import he_weights
from nmfnet.network.outputs import Output
from nmfnet.solvers import Relaxed
from nmfnet.solvers.base import Plan
from solving import solved


def held(inverses):
    return [tensor for each in inverses for tensor in (each["gram"], each["inverse"], *each["velocity"])]


def tensors(sweep):
    return [*sweep.average, *sweep.network.weights, *held(vars(each) for each in sweep.inverses)]


def stored(sweep):
    state = sweep.state()
    return [*state["average"], *state["working"], *held(state["inverses"])]


def average_to_be(sweep):
    """If the next batch goes well."""
    return [torch.lerp(old, new, sweep.follow) for old, new in zip(sweep.average, sweep.network.weights, strict=True)]


HANDED_OUT = {
    "lend": lambda sweep: sweep.lend(),
    "state": stored,
    "fork": lambda sweep: tensors(sweep.fork()),
}


def sweep_with(delta=0.2, momentum=0.0, output="identity", trained=False):
    weights = he_weights([6, 8, 5, 3], True, torch.Generator().manual_seed(0), torch.float64)
    network = Network(weights, ACTIVATIONS["relu"], True, Output(output))
    settings = Relaxed(delta=delta, momentum=momentum, dropout=0.2, noise=0.0)
    plan = Plan(n_samples=400, n_updates=40, trained=trained)
    return settings.prepare(network, torch.zeros(1, 6, dtype=torch.float64), plan)


def batches(n=12, m=30):
    generator = torch.Generator().manual_seed(1)
    for _ in range(n):
        X = torch.randn(m, 6, generator=generator, dtype=torch.float64)
        yield X, X[:, :3] + X[:, 3:].abs()


@pytest.mark.parametrize("delta", [0.2, 0.04])  # with and without an anchor
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("way", HANDED_OUT)
def test_what_was_handed_out_stays(way, momentum, delta):
    sweep, kept = sweep_with(delta, momentum), []
    for X, Y in batches():
        sweep(X, Y)
        now = HANDED_OUT[way](sweep)
        kept.append((now, copy.deepcopy(now)))
    for now, then in kept:
        assert all(torch.equal(a, b) for a, b in zip(now, then, strict=True))


@pytest.mark.parametrize("delta", [0.2, 0.04])
def test_weights_that_nobody_holds_are_written_into(delta):
    """Two sets of weights: the average, and those that batches go through."""
    ours, lending = sweep_with(delta), sweep_with(delta)
    average, working = set(), set()
    for X, Y in batches():
        ours(X, Y)
        lending(X, Y)
        average |= {W.data_ptr() for W in ours.weights()}
        working |= {W.data_ptr() for W in ours.network.weights}
        lending.state()
    assert len(average) == len(working) == 3
    assert all(torch.equal(a, b) for a, b in zip(ours.weights(), lending.weights(), strict=True))


def test_the_list_of_weights_goes_on():
    """The loop holds it as the weights to go back to, which must not be one set more."""
    sweep = sweep_with()
    held = sweep.weights()
    for X, Y in batches():
        sweep(X, Y)
        sweep.lend()
        assert held is sweep.weights()


def test_weights_that_were_trained_before_are_left_alone():
    """They may be those of another model, or of a module."""
    sweep = sweep_with(trained=True)
    first = list(sweep.network.weights)
    copies = [W.clone() for W in first]
    for X, Y in batches():
        sweep(X, Y)
    assert all(torch.equal(a, b) for a, b in zip(first, copies, strict=True))


@pytest.mark.parametrize("delta", [0.2, 0.04])
def test_a_fork_and_its_origin_do_not_share_memory_to_write_into(delta):
    sweep = sweep_with(delta, momentum=0.9)
    data = list(batches())
    for X, Y in data[:3]:
        sweep(X, Y)
    alone, fork = copy.deepcopy(sweep), sweep.fork()
    for X, Y in data[3:]:
        fork(-X, Y)
        for each in (sweep, alone):
            each(X, Y)
    assert all(torch.equal(a, b) for a, b in zip(tensors(sweep), tensors(alone), strict=True))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_steps_that_are_not_finite_are_not_taken(layer):
    sweep = sweep_with()
    data = list(batches())
    sweep(*data[0])
    sweep(*data[1])
    steps = sweep.inverses[layer].steps

    def spoilt(*args):
        for part, D, moved in steps(*args):
            D[0, 0] = float("inf")
            yield part, D, moved

    sweep.inverses[layer].steps = spoilt
    proven = average_to_be(sweep)
    sweep(*data[2])
    assert sweep.taken_back == 1 and sweep.delta == 0.1
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
        patched.setattr(sweep.inverses[layer], "steps", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sweep(*data[4])
    for ours, known in zip(sweep.weights(), proven, strict=True):
        torch.testing.assert_close(ours, known)
    for X, Y in data[5:]:
        sweep(X, Y)
    assert sweep.taken_back == 0
    assert all(W.isfinite().all() for W in sweep.weights())


def test_weights_through_which_a_batch_went_badly_never_enter_the_average():
    sweep = sweep_with(output="softmax")
    data = [(X, torch.eye(3, dtype=X.dtype)[Y.argmax(1)]) for X, Y in batches()]
    for X, Y in data[:6]:
        sweep(X, Y)
    before = [W.clone() for W in sweep.fork().average]
    for W in sweep.network.weights:
        W *= 10
    sweep(*data[6])
    assert sweep.taken_back == 1
    for weights in (sweep.weights(), sweep.network.weights):
        assert all(torch.equal(ours, known) for ours, known in zip(weights, before, strict=True))


@pytest.mark.parametrize("way", HANDED_OUT)
def test_going_back_leaves_what_was_handed_out(way):
    sweep = sweep_with()
    for X, Y in batches(5):
        sweep(X, Y)
    now = HANDED_OUT[way](sweep)
    then = copy.deepcopy(now)
    sweep._take_back()
    assert all(torch.equal(a, b) for a, b in zip(now, then, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(sweep.network.weights, sweep.average, strict=True))


def test_a_large_loss_is_that_of_the_steps_if_either_the_average_or_no_outputs_have_less():
    sweep = sweep_with()
    sweep.dropout, sweep.watch.first = 0.0, 1.0
    X, _ = next(batches())
    sweep.average[-1][-1] += 100
    Y = sweep.network.with_weights(sweep.average).predict(X)
    assert sweep._astray(10.0, X, Y, None)  # less by the average, though no outputs have more
    assert not sweep._astray(0.2, X, Y, None)
    assert sweep._astray(10.0, X, 0 * Y, None)  # the other way round
    assert not sweep._astray(0.2, X, 0 * Y, None)
    assert sweep.worst == 1.0
    nothing = float(Y.square().sum(1).mean()) / 2
    sweep.average[-1][-1] += 1e6  # far from both
    assert sweep._astray(7 * nothing, X, Y, None) and sweep.worst == pytest.approx(7)
    assert not sweep._astray(13 * nothing, X, Y, None)  # no news
    assert sweep._astray(15 * nothing, X, Y, None)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_inputs_without_a_scaling_are_not_written_into(noise, monkeypatch):
    monkeypatch.setattr(DampedInverse, "_dual_is_cheaper", lambda *_: True)  # the form that centres in place
    sweep = sweep_with()
    sweep.noise = noise
    for X, Y in batches(3):
        before = X.clone(), Y.clone()
        sweep(X, Y)
        assert torch.equal(X, before[0]) and torch.equal(Y, before[1])


@pytest.mark.parametrize("form", ["primal", "dual"])
@pytest.mark.parametrize("weights", [False, True])
def test_a_step_from_memory_to_spare(form, weights, monkeypatch):
    monkeypatch.setattr(DampedInverse, "_dual_is_cheaper", lambda *_: form == "dual")
    generator = torch.Generator().manual_seed(0)
    Z, E = (torch.randn(20, k, generator=generator, dtype=torch.float64) for k in (30, 7))
    sample_weight = torch.rand(20, generator=generator, dtype=torch.float64) + 0.1 if weights else None
    copies = Z.clone(), E.clone()
    whole = solved(DampedInverse(1.0, True), Z, E, 0, sample_weight=sample_weight)
    assert torch.equal(Z, copies[0]) and torch.equal(E, copies[1])
    spared = solved(DampedInverse(1.0, True), Z, E, 0, sample_weight=sample_weight, spare=True)
    assert all(torch.equal(a, b) for a, b in zip(spared, whole, strict=True))


@pytest.mark.parametrize("form", ["primal", "dual"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weights", [False, True])
def test_steps_and_right_hand_sides_by_columns(weights, momentum, form, monkeypatch):
    monkeypatch.setattr(DampedInverse, "_dual_is_cheaper", lambda *_: form == "dual")
    generator = torch.Generator().manual_seed(0)
    Z, E = (torch.randn(20, k, generator=generator, dtype=torch.float64) for k in (6, 11))
    pull = torch.randn(7, 11, generator=generator, dtype=torch.float64)
    sample_weight = torch.rand(20, generator=generator, dtype=torch.float64) + 0.1 if weights else None
    whole, parts = DampedInverse(1.0, True, momentum), DampedInverse(1.0, True, momentum)
    parts.columns, parts.units = 3, 4
    assert parts.parts(6, 11) == [slice(0, 3), slice(3, 7), slice(7, 11)]
    for update in range(3):
        D, moved = solved(whole, Z, E, update, pull, 0.1, sample_weight)
        ours, length = solved(parts, Z, E, update, pull, 0.1, sample_weight)
        torch.testing.assert_close(ours, D)
        torch.testing.assert_close(length, moved)
        E = E.roll(1, 0)


def test_parts_of_a_step():
    """A set of weights in part: less than that of wide layers, whose inputs may be many, too."""
    inverse = DampedInverse(1.0, True)
    assert inverse.parts(784, 2048) == [slice(0, 2048)]
    assert inverse.parts(784, 2049) == [slice(0, 1024), slice(1024, 2049)]
    assert [part.stop - part.start for part in inverse.parts(20_000, 512)] == [102, 102, 103, 102, 103]
    assert inverse.parts(10**6, 100) == [slice(0, 50), slice(50, 100)]


def test_steps_are_relative_part_by_part():
    weights = he_weights([6, 9, 3], True, torch.Generator().manual_seed(0), torch.float64)
    network = Network([W.clone() for W in weights], ACTIVATIONS["relu"], True, Output("softmax"))
    settings = Relaxed(delta=0.05, dropout=0.0, noise=0.0, damping=1e-8)
    sweep = settings.prepare(network, torch.zeros(1, 6, dtype=torch.float64), Plan(n_samples=400, n_updates=40))
    sweep.inverses[0].units = 4
    X, Y = next(batches())
    sweep(X, torch.eye(3, dtype=X.dtype)[Y.argmax(1)])
    Z = torch.cat([X, torch.ones(len(X), 1, dtype=X.dtype)], 1)
    before, moved = Z @ weights[0], Z @ (network.weights[0] - weights[0])
    for part in (slice(0, 3), slice(3, 6), slice(6, 9)):
        assert float(moved[:, part].norm() / before[:, part].norm()) == pytest.approx(0.05, rel=1e-5)


def test_a_gram_matrix_is_left_alone_by_its_factor():
    inverse = DampedInverse(1.0, True)
    Z = torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    solved(inverse, Z, Z[:, :2], 0)
    torch.testing.assert_close(inverse.gram, torch.cov(Z.T, correction=0))
    known = torch.linalg.inv(inverse.gram + inverse.ridge * torch.eye(5))
    torch.testing.assert_close(inverse.inverse, known)


def test_gram_matrices_that_nobody_holds_are_written_into():
    ours, lending, places = DampedInverse(1.0, True), DampedInverse(1.0, True), []
    for update in range(8):  # of which every other one makes new ones
        Z = torch.randn(30, 5, generator=torch.Generator().manual_seed(update), dtype=torch.float64)
        if update == 4:
            fork = ours.fork()
        D, moved = solved(ours, Z, Z[:, :2], update)
        lending.fork()
        other, length = solved(lending, Z, Z[:, :2], update)
        assert torch.equal(D, other) and torch.equal(moved, length)
        places.append({ours.gram.data_ptr(), ours.inverse.data_ptr()})
    assert places[0] == places[3] == {fork.gram.data_ptr(), fork.inverse.data_ptr()}
    assert places[4] == places[7] and not places[4] & places[3]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_place_or_not(name):
    f, A = ACTIVATIONS[name], torch.linspace(-3, 3, 20)
    before = A.clone()
    Z = f(A)
    assert torch.equal(A, before) and Z.data_ptr() != A.data_ptr()
    assert torch.equal(Z, f.f_(A))


def test_picked_rows():
    X, rows = torch.arange(12.0).view(4, 3), torch.tensor([2, 0, 2])
    assert torch.equal(picked(X, rows), X[rows])


def test_wide_matrices_are_converted_by_fewer_rows(monkeypatch):
    Z = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    G, U = gram(Z), truncated_svd(Z).U
    monkeypatch.setattr(linalg, "MOST_NUMBERS", 24)
    assert [len(block) for block in linalg.float64_blocks(Z)] == [3] * 16 + [2]
    torch.testing.assert_close(gram(Z), G)
    torch.testing.assert_close(truncated_svd(Z).U.abs(), U.abs())


def test_the_first_pass_gives_its_memory_back_before_the_second():
    weights = he_weights([6, 8, 3], True, torch.Generator().manual_seed(0), torch.float64)
    network = Network(weights, ACTIVATIONS["relu"], True, Output("softmax"))
    plan = Plan(n_samples=400, n_updates=40)
    sweep = Relaxed(adversarial=0.1, dropout=0.2).prepare(network, torch.zeros(1, 6), plan)
    forward, held, alive = sweep._forward, [], []

    def watched(X, W, shift=None):
        alive.append([each() is not None for each in held])
        Z, A, kept = forward(X, W, shift)
        # The outputs are returned; a view of the pool is all that a mask is.
        held[:] = [weakref.ref(each) for each in [*Z[1:], *A[:-1]]]
        return Z, A, kept

    sweep._forward = watched
    X = torch.randn(30, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sweep(X, torch.eye(3, dtype=torch.float64)[X[:, :3].argmax(1)])
    assert alive == [[], [False, False]]
