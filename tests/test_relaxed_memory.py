"""What the relaxed sweep writes into and what it leaves alone."""

import copy
import weakref

import pytest
import torch

from nmfnet import linalg
from nmfnet.activations import ACTIVATIONS
from nmfnet.damped_inverse import DampedInverse
from nmfnet.linalg import gram, truncated_svd
from nmfnet.network import Network, he_weights
from nmfnet.outputs import Output
from nmfnet.sparse import picked
from nmfnet.training import Relaxed
from nmfnet.training.solver import Plan


def tensors(sweep):
    return [*sweep.average, *sweep.network.weights, *(mean for each in sweep.inverses for mean in each.velocity)]


def stored(sweep):
    state = sweep.state()
    return [*state["average"], *state["fast"], *(mean for each in state["inverses"] for mean in each["velocity"])]


HANDED_OUT = {
    "lend": lambda sweep: sweep.lend(),
    "state": stored,
    "fork": lambda sweep: tensors(sweep.fork()),
}


def sweep_with(delta=0.2, momentum=0.0, output="identity"):
    weights = he_weights([6, 8, 5, 3], True, torch.Generator().manual_seed(0), torch.float64)
    network = Network(weights, ACTIVATIONS["relu"], True, Output(output))
    settings = Relaxed(delta=delta, momentum=momentum, dropout=0.2, noise=0.0)
    return settings.prepare(network, torch.zeros(1, 6, dtype=torch.float64), Plan(n_samples=400, n_updates=40))


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
    """Three sets of weights: the average, the fast ones, and the memory of the next fast ones."""
    ours, lending = sweep_with(delta), sweep_with(delta)
    average, fast = set(), set()
    for number, (X, Y) in enumerate(batches()):
        ours(X, Y)
        lending(X, Y)
        average |= {W.data_ptr() for W in ours.weights()}
        if number:  # the first ones were the caller's
            fast |= {W.data_ptr() for W in ours.network.weights}
        lending.lend()
    assert len(average) == 3 and len(fast) == 6
    assert all(torch.equal(a, b) for a, b in zip(ours.weights(), lending.weights(), strict=True))


def test_the_list_of_weights_goes_on():
    """The loop holds it as the weights to go back to, which must not be one set more."""
    sweep = sweep_with()
    held = sweep.weights()
    for X, Y in batches():
        sweep(X, Y)
        sweep.lend()
        assert held is sweep.weights()


def test_the_callers_weights_are_left_alone():
    sweep = sweep_with()
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


def test_steps_that_are_not_finite_are_not_taken():
    sweep = sweep_with()
    data = list(batches())
    sweep(*data[0])
    sweep(*data[1])
    before, update = [W.clone() for W in sweep.fork().average], sweep._update

    def spoilt(steps, scales):
        steps[1][0, 0] = float("inf")
        update(steps, scales)

    sweep._update = spoilt
    proven = [torch.lerp(mean, new, sweep.follow) for mean, new in zip(before, sweep.network.weights, strict=True)]
    sweep(*data[2])
    assert sweep.taken_back == 1 and sweep.delta == 0.1
    for weights in (sweep.weights(), sweep.network.weights):
        for ours, known in zip(weights, proven, strict=True):
            torch.testing.assert_close(ours, known)


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
    whole = DampedInverse(1.0, True).solve(Z, E, 0, sample_weight=sample_weight)
    assert torch.equal(Z, copies[0]) and torch.equal(E, copies[1])
    spared = DampedInverse(1.0, True).solve(Z, E, 0, sample_weight=sample_weight, spare=True)
    assert all(torch.equal(a, b) for a, b in zip(spared, whole, strict=True))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weights", [False, True])
def test_right_hand_sides_by_columns(weights, momentum, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    Z, E = (torch.randn(20, k, generator=generator, dtype=torch.float64) for k in (6, 7))
    pull = torch.randn(7, 7, generator=generator, dtype=torch.float64)
    sample_weight = torch.rand(20, generator=generator, dtype=torch.float64) + 0.1 if weights else None
    whole = DampedInverse(1.0, True, momentum).solve(Z, E, 0, pull, 0.1, sample_weight)
    monkeypatch.setattr(DampedInverse, "columns", 3)
    out = torch.empty(7, 7, dtype=torch.float64)
    parts = DampedInverse(1.0, True, momentum).solve(Z, E, 0, pull, 0.1, sample_weight, out)
    assert parts[0] is out
    for ours, theirs in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_gram_matrix_is_left_alone_by_its_factor():
    inverse = DampedInverse(1.0, True)
    Z = torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inverse.solve(Z, Z[:, :2], 0)
    torch.testing.assert_close(inverse.gram, torch.cov(Z.T, correction=0))
    known = torch.linalg.inv(inverse.gram + inverse.ridge * torch.eye(5))
    torch.testing.assert_close(inverse.inverse, known)


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
