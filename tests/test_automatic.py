"""What "auto" stands for in the relaxed solver."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nmfnet import Callback, NMFNetClassifier
from nmfnet.data.scaling import Scaling
from nmfnet.data.source import InMemory
from nmfnet.data.words import stored_per_row
from nmfnet.layers import Conv2d, MaxPool2d, build_layers
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers import Relaxed
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.defaults import (
    MAX_DELTA,
    STREAM_DROPOUT,
    UNANCHORED_DELTA,
    auto_alpha,
    auto_damping,
    auto_delta,
    auto_dropout,
    auto_momentum,
    auto_noise,
    auto_tau,
)
from solving import he_weights, prepared


def network_of(sizes, output="softmax", inputs=None):
    """Random weights (a, b) for each a, b in a row of the sizes."""
    weights = he_weights(sizes, False, torch.Generator().manual_seed(0), torch.float64)
    return Network(weights, get_activation("relu"), False, Output(output), inputs)


def scaling(*shape):
    """By column, or to components."""
    return Scaling(torch.zeros(shape[0]), torch.ones(*shape))


def test_momentum_is_for_real_targets_or_few_updates_of_large_batches():
    large = [
        auto_momentum("softmax", Plan(n_updates=n, batch_size=size))
        for n, size in ((45, 20_000), (20, 20_000), (45, 1000), (600, 20_000))
    ]
    assert large == [0.7, 0.5, 0.0, 0.0]
    assert auto_momentum("softmax", Plan()) == 0
    assert [auto_momentum("identity", Plan(n_updates=n)) for n in (1, 20, 200, None)] == pytest.approx(
        [0, 0.5, 0.9, 0.9]
    )


def test_momentum_goes_with_smaller_steps():
    assert auto_delta(200, 0.9) == pytest.approx(0.4 * auto_delta(200, 0.0))


def test_real_targets_are_nearer():
    assert [auto_tau(output) for output in ("identity", "softmax", "sigmoid")] == [0.01, 0.1, 0.1]


def test_dropout_follows_weights_for_each_target_value():
    """weights / (weights + values), of at most 0.3 / sqrt(layers), half for real targets; less than 1 % is none."""
    for output, most in (("softmax", 0.3 / 2**0.5), ("sigmoid", 0.3 / 2**0.5), ("identity", 0.15 / 2**0.5)):
        network = network_of([3, 4, 2], output)  # 20 weights
        shares = [auto_dropout(network, Plan(n_samples=n, n_updates=9)) / most for n in (1, 10, 10**6)]
        assert shares == pytest.approx([20 / 22, 0.5, 0])
        assert auto_dropout(network, Plan(n_samples=10**6)) == STREAM_DROPOUT


def test_delta_lies_between_limits():
    assert auto_delta(None, 0.0) == auto_delta(10**6, 0.0) == UNANCHORED_DELTA
    assert auto_delta(1, 0.0) == MAX_DELTA
    deltas = [auto_delta(n, 0.0) for n in range(1, 1000, 10)]
    assert deltas == sorted(deltas, reverse=True)


def test_penalty_is_of_tables_and_grows_with_the_inputs_of_a_unit():
    columns = scaling(8)
    assert auto_alpha(network_of([8, 8, 8], inputs=columns)) == pytest.approx(0.07 * 8)
    assert auto_alpha(network_of([8, 16, 2], inputs=columns)) == pytest.approx(0.07 * (8 * 16 + 16 * 2) / 18)
    assert auto_alpha(network_of([8, 8, 8], "identity", columns)) == pytest.approx(0.02 * 8)
    pixels = Scaling(torch.full((8,), 3.0), torch.full((8,), 0.25))
    for inputs in (scaling(20, 8), pixels, None):
        assert auto_alpha(network_of([8, 8, 8], inputs=inputs)) == 0


def test_noise_is_for_inputs_that_tell_about_each_other():
    assert auto_noise(None) == auto_noise(scaling(200)) == 0
    assert auto_noise(scaling(200, 100)) == pytest.approx(0)
    assert auto_noise(scaling(200, 20)) == pytest.approx(2 * auto_noise(scaling(200, 60)))
    assert 0 < auto_noise(scaling(200, 60)) < auto_noise(scaling(200, 1)) < 0.5


def test_batch_size():
    sizes = [Relaxed.default_batch_size(n) for n in (1, 50, 200, 1000, 10**4, 10**5, 10**6)]
    assert sizes[:3] == [1, 50, 200]
    assert [Relaxed.default_batch_size(n, 784) for n in (1, 50, 200, 10**4, 10**6)] == [1, 50, 100, 250, 500]
    assert Relaxed.default_batch_size(10**4, 3) == sizes[4] == Relaxed.default_batch_size(10**4, 0, 40)
    images = [Relaxed.default_batch_size(n, 0, 784) for n in (1, 50, 200, 10**4, 10**6)]
    assert images == [1, 50, 100, 125, 125]
    assert sizes == sorted(sizes) and sizes[-1] <= 10_000


def test_the_sweep_takes_them_unless_it_is_told_otherwise():
    network, plan = network_of([3, 40, 2], "identity"), Plan(n_samples=50, n_updates=400)
    auto = prepared(Relaxed(), network, plan=plan).settings
    assert auto.momentum == auto_momentum("identity", plan)
    assert auto.tau == auto_tau("identity") and auto.noise == auto_noise(None)
    assert auto.delta == auto_delta(400, auto.momentum) and auto.dropout == auto_dropout(network, plan) > 0
    told = Relaxed(delta=0.02, tau=0.3, noise=0.2, dropout=0.4, momentum=0.1)
    told = prepared(told, network, plan=plan).settings
    assert [told.delta, told.tau, told.noise, told.dropout, told.momentum] == [0.02, 0.3, 0.2, 0.4, 0.1]


def convolutional(hidden, output="softmax", shape=(1, 10, 10)):
    layers = build_layers(hidden, math.prod(shape), 3, True, shape)
    weights = [layer.initial(torch.Generator(), torch.float32) for layer in layers]
    return Network(weights, get_activation("relu"), output=Output(output), hidden=hidden, input_shape=shape)


def test_long_trainings_of_convolutions_have_shorter_steps():
    """Of 30 epochs or more by the root of the number of updates, of 15 or less not at all."""
    assert [auto_delta(n, 0.0, 1.0) for n in (1, 300, 1000)] == [auto_delta(n, 0.0) for n in (1, 300, 1000)]
    assert auto_delta(4000, 0.0, 1.0) == pytest.approx(UNANCHORED_DELTA / 2)
    assert auto_delta(None, 0.0, 1.0) == UNANCHORED_DELTA
    network = convolutional([Conv2d(4, 3), 8])

    def delta(network, epochs):
        plan = Plan(n_samples=100 * 4000 / epochs, n_updates=4000, batch_size=100)
        return prepared(Relaxed(momentum=0.0), network, plan=plan).settings.delta

    for epochs, share in ((1, 1.0), (15, 1.0), (22.5, 0.5**0.5), (30, 0.5), (400, 0.5)):
        assert delta(network, epochs) == pytest.approx(share * UNANCHORED_DELTA)
    for other in (network_of([3, 4, 2], "softmax"), convolutional(network.hidden, "identity")):
        assert delta(other, 400) == UNANCHORED_DELTA


def test_long_trainings_of_convolutions_have_more_masks():
    """From 15 epochs on: of numbers as if there were more weights, and of channels where these are many."""
    network = convolutional([Conv2d(4, 3), Conv2d(64, 3), Conv2d(4, 3), 8])
    weights = sum(W.numel() for W in network.weights)

    def shares(epochs, n=1000):
        return auto_dropout(network, Plan(n_samples=n, n_updates=epochs * n // 100, batch_size=100))

    for epochs, times, masked in ((1, 1, 0), (15, 1, 0), (24, 1.6, 0.06), (30, 2, 0.1), (300, 20, 0.1)):
        dense = 0.3 * times * weights / (times * weights + 3000)
        assert shares(epochs) == pytest.approx((0, masked, dense, dense))
    plans = [Plan(n_samples=1000, n_updates=n, batch_size=100) for n in (10, 10_000)]
    for other in (network_of([3, 4, 2], "softmax"), convolutional(network.hidden, "identity")):
        assert auto_dropout(other, plans[0]) == auto_dropout(other, plans[1])


def test_convolutions_have_no_dropout_in_front_of_them_and_smaller_batches():
    hidden = [Conv2d(4, 3), MaxPool2d(2), Conv2d(4, 3), 8]
    network = convolutional(hidden)
    assert auto_dropout(network, Plan(n_samples=1, n_updates=9)) == (0.0, *[pytest.approx(0.3, rel=0.02)] * 2)
    assert auto_dropout(network, Plan()) == (0.0, STREAM_DROPOUT, STREAM_DROPOUT)
    X = np.random.default_rng(0).random((2000, 1, 10, 10), dtype=np.float32)
    sizes = []
    for model, data in ((NMFNetClassifier(hidden), X), (NMFNetClassifier((4,)), X[:, 0, 0])):
        counted = Counted()
        model.set_params(max_iter=1, callbacks=[counted]).fit(data, np.arange(2000) % 3)
        sizes.append(counted.n_batches)
    assert sizes == [20, 10]


class Counted(Callback):
    n_batches = 0

    def __sklearn_clone__(self):
        return self

    def on_batch_end(self, batch, n_batches):
        self.n_batches = n_batches


def text_plan(n=2000):
    return Plan(n_samples=n, n_updates=200, batch_size=200)


@pytest.mark.parametrize(
    ("columns", "n", "damping"),
    [
        (60, 2000, 15),  # the categories of a table
        (1200, 2000, 300),
        (8000, 2000, 500),
        (8000, 6000, 250),  # many documents
        (8000, 10**9, 1),
    ],
)
def test_the_damping_of_words(columns, n, damping):
    network = network_of([columns, 5, 3])
    assert auto_damping(network, True, text_plan(n)) == damping
    assert auto_damping(network, False, text_plan(n)) == 1
    assert auto_damping(network_of([columns, 5, 3], "identity"), True, text_plan(n)) == 1
    assert auto_damping(network_of([columns, 3]), True, text_plan(n)) == 8


def test_the_damping_of_a_stream_is_that_of_its_columns():
    assert auto_damping(network_of([8000, 5, 3]), True, Plan(n_samples=5)) == 500
    assert auto_damping(network_of([8000, 3]), True, Plan(n_samples=5)) == 8


@pytest.mark.parametrize(("words", "noise"), [(0, 0), (3, 0), (5, 0), (10, 0.25), (50, 0.45)])
def test_words_of_long_documents_are_masked(words, noise):
    alike = scaling(2000)
    rare_ones_larger = replace(alike, factor=torch.linspace(1, 2, 2000, dtype=alike.factor.dtype))
    assert auto_noise(rare_ones_larger, words) == pytest.approx(noise)
    assert auto_noise(alike, words) == 0  # which held-out documents have chosen


def documents(columns, n=40):
    X = csr_array(np.tile(np.arange(columns) % 4 == 0, (n, 1)).astype(float))
    return InMemory(SparseRows(X), torch.eye(4, dtype=torch.float64)[torch.arange(n) % 4])


@pytest.mark.parametrize(
    ("columns", "output", "noise", "first"),
    [(1200, "softmax", 0.5 * (1 - 5 / 300), 40 / 1200), (1200, "identity", 0, 1), (900, "sigmoid", 0, 40 / 900)],
)
def test_the_start_of_words(columns, output, noise, first):
    """Of real targets, and of fewer columns, as tables have them, nothing is masked."""
    network = network_of([columns, 5, 4], output)
    before = network.weights[0].clone()
    source = documents(columns)
    sweep = Relaxed().prepare(network, source, Plan(n_samples=len(source.Y), n_updates=200, batch_size=40))
    assert sweep.settings.noise == pytest.approx(noise)
    torch.testing.assert_close(network.weights[0], first * before)


def test_rare_words_are_scaled_up_where_all_documents_are_known():
    X = np.zeros((40, 1200))
    X[:, 0], X[:10, 1], X[0, 2:-1] = 1, 1, 1  # in all documents, a quarter of them, one; the last word in none
    source = InMemory(SparseRows(csr_array(X)), torch.zeros(40, 2, dtype=torch.float64))
    inputs = Relaxed().input_scaling(source, "classes", True, False)
    ratios = inputs.factor / inputs.factor[0]
    np.testing.assert_allclose(ratios[[1, 2, 3]], [4**0.25, 40**0.25, 40**0.25])
    assert inputs.factor[-1] == 0 and not inputs.by_column  # which would mean a penalty
    scaled = inputs(source.X).dense()[:, :-1]
    assert float(scaled.square().mean()) == pytest.approx(1)
    streams = Relaxed().input_scaling(source, "classes", True, True)
    targets = Relaxed().input_scaling(source, "real", True, False)
    narrow = InMemory(SparseRows(csr_array(X[:, :90])), source.Y)
    table = Relaxed().input_scaling(narrow, "labels", True, False)
    for alike in (streams, targets, table):
        assert len(alike.factor[alike.factor != 0][:90].unique()) == 1 and not alike.by_column


def test_random_weights_of_words_are_small_with_many_documents_too():
    network = network_of([1200, 5, 4])
    before = network.weights[0].clone()
    Relaxed().prepare(network, documents(1200), Plan(n_samples=5000, n_updates=200, batch_size=200))
    torch.testing.assert_close(network.weights[0], 0.1 * before)


def test_stored_values_are_counted():
    assert stored_per_row(documents(1200)) == (300, 0)
    assert stored_per_row(InMemory(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.zeros(2, 1))) == (1.5, 0.5)
