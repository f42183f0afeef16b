"""`nmfnet plan`: what it counts is what is done and sent."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.flop_counter import FlopCounterMode

from nmfnet import Callback, NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.estimators.untrained import untrained
from nmfnet.layers import Conv2d
from nmfnet.linalg.statistics import triangle, triangle_numbers
from nmfnet.planning import (
    Backpropagation,
    Epoch,
    LayerSizes,
    Message,
    Part,
    Task,
    Wire,
    factorizations,
    memory,
    messages,
    moved_numbers,
    products,
)
from ranks import Pool

SMALL = Task((LayerSizes(64, 40), LayerSizes(40, 10)), rows=1000, batch_size=100, epochs=5, n_features=64)


class FirstUnit:
    """Rates of a machine on which an operation, a number and a call take one second each."""

    def product(self, product):
        return product.operations / product.times

    def factorization(self, n):
        return n**3

    def moving(self, numbers, of):
        return numbers

    def calls(self, layers, updates):
        return updates

    def step(self, layers):
        return 1


def planned(model, X, y):
    network, source, solver, plan, held_out = untrained(model, X, y)
    return Task.of(network, solver.resolved(network, plan, source), source, plan, model.max_iter, held_out)


def by_part(found):
    total = {}
    for each in found:
        total[each.part] = total.get(each.part, 0) + each.operations
    return total


def test_products_by_hand():
    found = by_part(products(SMALL))
    assert found["Forward"] == found["Right-hand sides"] == 2 * 1000 * (64 * 40 + 40 * 10)
    assert found["Residuals"] == 2 * 1000 * 40 * 10  # down to the hidden layer
    assert found["Steps"] == 2 * 10 * (64 * 64 * 40 + 40 * 40 * 10)
    # 50 updates: 0, 2, ..., 18 of the first 20, and every tenth: 0, 10, 20, 30, 40.
    assert found["Gram matrices"] == pytest.approx(13 / 5 * 2 * 100 * (64**2 + 40**2))
    assert factorizations(SMALL) == [(64, 13 / 5), (40, 13 / 5)]


def test_ranks_divide_what_is_of_samples_and_repeat_what_is_of_weights():
    alone, shared = by_part(products(SMALL)), by_part(products(SMALL, 4))
    assert shared["Steps"] == alone["Steps"]
    for part in ("Forward", "Residuals", "Right-hand sides", "Gram matrices"):
        assert shared[part] == alone[part] / 4


class Operations(Callback):
    """Operations of each epoch, as PyTorch counts them."""

    def __init__(self):
        def added(self_shape, a, b, out_shape=None, **_):
            return 2 * a[0] * a[1] * b[1]

        self.mapping, self.epochs = {torch.ops.aten.addmm_: added}, []

    def on_epoch_begin(self, epoch):
        self.counter = FlopCounterMode(display=False, custom_mapping=self.mapping)
        self.counter.__enter__()

    def on_epoch_end(self, network, record):
        self.counter.__exit__(None, None, None)
        self.epochs.append(self.counter.get_total_flops())


@pytest.mark.parametrize(
    ("cls", "solver", "width"),
    [
        (NMFNetClassifier, {"adversarial": 0}, 64),
        (NMFNetClassifier, {"adversarial": 0.1, "noise": 0.1}, 64),
        (NMFNetRegressor, {}, 64),
        (NMFNetClassifier, {"adversarial": 0}, 1100),  # one earlier batch
        (NMFNetClassifier, {"adversarial": 0}, 4200),  # samples
        (NMFNetRegressor, {}, 1100),  # one Gram matrix for all batches
    ],
)
def test_operations_are_those_that_are_counted(cls, solver, width):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, width)) * (1 + np.arange(width))  # columns of different units
    y = X[:, 0] > 0 if cls is NMFNetClassifier else X[:, 0]
    counted = Operations()
    model = cls((30, 20), solver=Relaxed(explained_variance=1.0, **solver), max_iter=3, batch_size=100, random_state=0,
                alpha=0.1, callbacks=[counted])  # fmt: skip
    task = planned(model, X.astype(np.float32), y)
    model.fit(X.astype(np.float32), y)
    total = sum(each.operations for each in products(task))
    if task.layers[0].form == "dual":  # PyTorch does not count what is solved with triangles
        total -= sum(each.operations for each in products(task) if each.part == "Steps" and each.n == each.m == 100)
    assert np.mean(counted.epochs) == pytest.approx(total, rel=0.02)


@pytest.fixture(scope="module")
def pool():
    pool = Pool()
    yield pool
    pool.close()


@pytest.mark.parametrize(
    ("size", "options"),
    [(2, {}), (3, {"early_stopping": True}), (2, {"hidden": [8]}), (3, {"message_bits": 4, "hidden": [100, 60]})],
)
def test_messages_are_those_that_are_sent(pool, size, options):
    found = pool.values("counted", size, **options)[0]
    planned = [Message(*each) for each in found["planned"]]
    refreshed = sum(each.bytes for each in planned if each.part == "Gram matrices")
    for count, _ in found["epochs"]:
        assert count == sum(each.times for each in planned)
    # Gram matrices are sent more in the first epochs than in later ones.
    sent = [each for _, each in found["epochs"]]
    without = sum(each.bytes for each in planned) - refreshed
    assert without < min(sent) * 1.03 and max(sent) < 1.05 * (without + 2 * refreshed)


def test_a_triangle_has_as_many_numbers_as_are_sent():
    for n in (1, 2, 7, 30):
        assert triangle_numbers(n) == triangle(torch.eye(n)).numel()


def test_bytes_by_hand():
    sent = {each.part: each for each in messages(SMALL, 2)}
    numbers = 65 * 41 + 41 * 11 + 2 + 5  # of the loss, and of lengths
    assert numbers < 4096 and sent["Right-hand sides"] == ("Right-hand sides", 10, 8 * 10 * numbers)  # in float64
    assert sent["Gram matrices"].bytes == pytest.approx(4 * 13 / 5 * (64 * 65 / 2 + 40 * 41 / 2))
    moving = {each.part: each for each in messages(SMALL.with_adversary(), 2)}  # the loss goes with these
    assert moving["Adversarial inputs"] == ("Adversarial inputs", 10, 8 * 10 * 6)
    assert moving["Right-hand sides"].bytes == 8 * 10 * (numbers - 2)
    assert messages(SMALL, 1) == []


def test_bytes_of_few_bits_by_hand():
    task = replace(SMALL, message_bits=4, layers=(LayerSizes(64, 100), LayerSizes(100, 10)))
    sent = {each.part: each for each in messages(task, 2)}
    blocks = 50 + 8  # of 128 numbers with a step of 16 bits, in equal parts for both ranks
    assert sent["Right-hand sides"] == ("Right-hand sides", 20, 10 * blocks * (64 + 2))
    assert sent["Means and lengths"] == ("Means and lengths", 10, 10 * 8 * (65 + 100 + 101 + 10 + 2 + 5))


def test_backpropagation_by_hand():
    of = Backpropagation(SMALL, 128, 4)
    assert of.steps == 8 and of.weights == 65 * 40 + 41 * 10
    assert sum(each.operations for each in of.products) == 2 * 250 * (2 * (64 * 40 + 40 * 10) + 40 * 10)
    assert of.messages == [("Gradients", 8, 8 * 4 * of.weights)]
    assert Backpropagation(SMALL, 128, 1024).at_work == 128 and Backpropagation(SMALL, 128, 1).messages == []


def test_seconds_of_messages():
    wire = Wire(bandwidth=100.0, latency=1.0)
    assert wire.seconds([Message("a", 3, 200)], 4) == 2 * 0.75 * 200 / 100 + 3 * 2 * 2
    assert wire.seconds([Message("a", 3, 200)], 1) == 0


def test_seconds_are_those_of_the_parts():
    epoch = Epoch(SMALL, 2)
    parts = epoch.parts(FirstUnit(), Wire())
    assert parts["Forward"] == Part(2 * 500 * 2960, 2 * 500 * 2960)
    assert parts["Calls"].seconds == 10
    assert epoch.total(FirstUnit(), Wire()).seconds == pytest.approx(sum(each.seconds for each in parts.values()))
    assert parts["Messages"].messages == sum(each.times for each in epoch.messages)


def test_memory_by_hand():
    held = memory(SMALL, 2)
    assert held["Samples"] == 4 * 500 * 74 and held["Gram matrices"] == 4 * 2 * (64**2 + 40**2)
    assert held["Order of all rows"] == 16_000 and "Order of all rows" not in memory(SMALL)


def test_convolutions_are_refused():
    X, y = load_digits(return_X_y=True)
    model = NMFNetClassifier([Conv2d(3, 3)], input_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="A plan is for dense inputs and fully-connected layers"):
        planned(model, X, y)


def test_adversarial_inputs_pass_over_units_and_inputs_once_more():
    moved = replace(SMALL, adversarial=True)
    assert SMALL.with_adversary() == moved
    more = moved_numbers(moved) - moved_numbers(SMALL)
    of_units, of_inputs = (
        moved_numbers(replace(moved, layers=layers)) - moved_numbers(replace(SMALL, layers=layers)) - more
        for layers in ((LayerSizes(64, 41), LayerSizes(41, 10)), (LayerSizes(65, 40), LayerSizes(40, 10)))
    )
    # 10 updates of 100 rows an epoch; nothing is moved at the 10 outputs
    assert of_units > 0 and of_inputs > 0 and more == pytest.approx(40 * of_units + 64 * of_inputs)


def test_inputs_are_projected_for_batches_and_for_recorded_losses():
    projects = replace(SMALL, n_features=144)
    assert projects.projects and not SMALL.projects
    alone, projected = by_part(products(SMALL)), by_part(products(projects))
    assert projected["Components of inputs"] == 2 * 1000 * 144 * 64
    recorded = SMALL.recorded + SMALL.validation
    assert projected["Recorded losses"] - alone["Recorded losses"] == pytest.approx(2 * recorded * 144 * 64)
