"""Ranks that send numbers of a few bits: all end alike, send little, and learn as much."""

import numpy as np
import pytest
import torch

from nmfnet import NMFNetClassifier, Relaxed
from nmfnet.data.source import InMemory
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.holders import local
from nmfnet.linalg.rounding import BLOCK, decoded, encoded
from nmfnet.linalg.statistics import reduced_symmetric
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.rounded import RoundedSweep
from nmfnet.solvers.relaxed.sweep import RelaxedSweep
from ranks import Pool
from solving import he_weights


@pytest.fixture(scope="module")
def pool():
    pool = Pool()
    yield pool
    pool.close()


def alike(found):
    """Check that all ranks have the same numbers, and return those of the first."""
    first, *others = found
    for other in others:
        assert other["history"] == first["history"] and other["temperature"] == first["temperature"]
        for W, V in zip(first["weights"], other["weights"], strict=True):
            np.testing.assert_array_equal(W, V)
    return first


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (2, {}),
        (3, {"bits": 8, "early_stopping": True}),
        (2, {"shares": [3, 600]}),  # no rows of most batches
        (2, {"kind": "sparse"}),
        (2, {"kind": "images", "max_iter": 2}),
        (2, {"fit_intercept": False}),
    ],
)
def test_all_ranks_end_alike_and_learn(pool, size, options):
    assert alike(pool.values("rounded", size, **options))["error"] < 0.1


def test_few_bits_send_less_and_lose_little(pool):
    exact, eight, two = (alike(pool.values("rounded", 2, bits=bits)) for bits in (0, 8, 2))
    # A part is of the outputs that losses are recorded of, and of what all send before the first epoch.
    assert two["bytes"] < eight["bytes"] < 0.7 * exact["bytes"]
    assert max(eight["error"], two["error"]) < exact["error"] + 0.03


def test_an_update_that_is_not_finite_is_rolled_back_by_all(pool):
    assert alike(pool.values("not_finite", 2, batch=40))["error"] < 0.1


def test_a_small_network_that_diverges_on_one_rank_is_left_out_by_all(pool):
    found = alike(pool.values("one_diverges", 2, call=20))  # of the networks that the temperature is from
    assert found["error"] < 0.1 and found["temperature"] is None


def test_a_training_goes_on_from_a_checkpoint(pool, tmp_path):
    whole, resumed = zip(*pool.values("rounded_resumed", 2, folder=str(tmp_path)), strict=True)
    first, second = alike(whole), alike(resumed)
    assert second["history"] == first["history"] and len(second["history"]) == 6
    assert all(map(np.array_equal, first["weights"], second["weights"]))


def test_one_process_rounds_nothing(pool):
    exact, few = (pool.values("rounded", 1, bits=bits)[0] for bits in (0, 4))
    for W, V in zip(exact["weights"], few["weights"], strict=True):
        np.testing.assert_array_equal(W, V)


@pytest.mark.parametrize("value", [-1, 1, 2.5, 3, 16, "auto", True])
def test_unfit_numbers_are_named(value):
    with pytest.raises(ValueError, match="message_bits must be 0, 2, 4 or 8"):
        NMFNetClassifier(solver=Relaxed(message_bits=value))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("bits", "most"), [(2, 0.14), (4, 0.02), (8, 1e-3)])
def test_rounding_loses_a_known_share_of_numbers(bits, most, dtype):
    values = torch.randn(3, 4 * BLOCK, generator=torch.Generator().manual_seed(0), dtype=dtype)
    values[0] **= 3  # a few are large
    values[1] *= 1e-6  # each block has a step of its own
    values[2, :BLOCK] = 0
    code = encoded(values, bits)
    assert code.dtype == torch.uint8 and code.shape == (3, 4 * (BLOCK * bits // 8 + 2))
    rounded = decoded(code, bits, dtype)
    assert rounded.dtype == dtype and not rounded[2, :BLOCK].any()
    error = (rounded - values).square().sum(1) / values.square().sum(1)
    assert error.max() < most


def test_numbers_that_are_not_finite_stay_so():
    values = torch.ones(1, 2 * BLOCK)
    values[0, 3] = torch.inf
    rounded = decoded(encoded(values, 4), 4, torch.float32)
    assert not rounded[0, :BLOCK].isfinite().all() and rounded[0, BLOCK:].isfinite().all()


class One:
    """Holds all samples, but rounds their sums as one of several would."""

    rank, size = 0, 1

    def __call__(self, sums):
        return list(sums)

    def swapped(self, rows):
        return rows

    def gathered(self, rows, counts):
        return rows


@pytest.mark.parametrize(("bits", "first", "later"), [(8, 0.02, 0.05), (4, 0.2, 0.2), (2, 0.8, 0.7)])
@pytest.mark.parametrize("intercept", [True, False])
def test_steps_are_those_of_exact_sums_but_for_rounding(bits, first, later, intercept):
    """Also where inputs vary a thousand times as much in some directions as in others."""
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.standard_normal((600, 30)) * np.logspace(0, -3, 30) + intercept, dtype=torch.float32)
    Y = torch.tensor(np.tanh(rng.standard_normal((30, 4)).T @ np.diag(np.logspace(0, 2, 30)) @ X.numpy().T).T).float()
    start = he_weights([30, 40, 4], intercept, torch.Generator().manual_seed(0), torch.float32)
    networks = [Network([W.clone() for W in start], get_activation("relu"), intercept) for _ in range(2)]
    plan = Plan(n_samples=600, n_updates=20, batch_size=150)
    resolved = Relaxed(dropout=0.0, adversarial=0.0).resolved(networks[0], plan, InMemory(X, Y))
    exact = RelaxedSweep(resolved, networks[0], plan)
    rounded = RoundedSweep(resolved, networks[1], plan, None, One(), bits)
    for update in range(4):
        rows = slice(150 * update, 150 * (update + 1))
        exact(X[rows], Y[rows])
        rounded(X[rows], Y[rows])
        for W, V, begun in zip(networks[0].weights, networks[1].weights, start, strict=True):
            difference = torch.linalg.vector_norm(W - V) / torch.linalg.vector_norm(W - begun)
            assert 0 < difference < (later if update else first)


def test_a_triangle_is_sent_of_a_symmetric_matrix():
    A = torch.randn(20, 7, dtype=torch.float64)
    G, sent = A.T @ A, []

    def twice(sums):
        sent.extend(sums)
        return [2 * each for each in sums]

    doubled, n = reduced_symmetric(G.clone(), [torch.tensor(20.0)], twice)
    torch.testing.assert_close(doubled, 2 * G)
    assert n == 40 and sum(each.numel() for each in sent) < 49
    assert reduced_symmetric(G, [], local)[0] is G
