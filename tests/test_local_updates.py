"""Updates that ranks make by their own samples: all end alike, send little, and learn as much."""

import numpy as np
import pytest
import torch

from nmfnet import NMFNetClassifier, Relaxed
from nmfnet.data.source import InMemory
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.holders import local
from nmfnet.linalg.statistics import reduced_symmetric
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.local_updates import LocalSweep
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
        assert other["history"] == first["history"]
        for W, V in zip(first["weights"], other["weights"], strict=True):
            np.testing.assert_array_equal(W, V)
    return first


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (2, {}),
        (3, {"every": 2, "early_stopping": True}),
        (2, {"shares": [3, 600]}),  # no rows of most batches
        (2, {"kind": "sparse"}),
    ],
)
def test_all_ranks_end_alike_and_learn(pool, size, options):
    assert alike(pool.values("local_updates", size, **options))["error"] < 0.1


def test_far_less_is_sent(pool):
    exact, apart = (pool.values("local_updates", 2, every=every)[0] for every in (0, 4))
    # 4 updates an epoch: one mean in 16 bits in place of four sums in 32, of weights and of Gram matrices; a part is
    # of the outputs that losses are recorded of, and of what both send before the first epoch.
    assert apart["bytes"] < exact["bytes"] / 2
    assert apart["error"] < exact["error"] + 0.03


def test_a_rank_that_diverges_goes_back_alone(pool):
    assert alike(pool.values("one_diverges", 2, call=30, every=3))["error"] < 0.1


def test_a_small_network_that_diverges_on_one_rank_is_left_out_by_all(pool):
    found = alike(pool.values("one_diverges", 2, call=20, every=0))  # of the networks that the temperature is from
    assert found["error"] < 0.1 and found["temperature"] is None


def test_a_training_goes_on_from_a_checkpoint_between_two_means(pool, tmp_path):
    whole, resumed = zip(*pool.values("local_updates_resumed", 2, folder=str(tmp_path)), strict=True)
    first, second = alike(whole), alike(resumed)
    assert second["error"] < 0.1 and len(second["history"]) == 6
    assert second["history"][:4] == first["history"][:4]  # 16 of 24 updates; the checkpoint is of the seventeenth


def test_one_process_has_no_local_updates(pool):
    exact, apart = (pool.values("local_updates", 1, every=every)[0] for every in (0, 4))
    for W, V in zip(exact["weights"], apart["weights"], strict=True):
        np.testing.assert_array_equal(W, V)


@pytest.mark.parametrize("value", [-1, 1.5, "auto", True])
def test_unfit_numbers_are_named(value):
    with pytest.raises(ValueError, match="local_updates must be an integer of at least 0"):
        NMFNetClassifier(solver=Relaxed(local_updates=value))


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


class Twins:
    """As if another rank had the same samples and made the same updates."""

    rank, size = 0, 2

    def __call__(self, sums):
        return [2 * each for each in sums]


def test_ranks_go_on_from_the_mean_of_their_averages():
    """Of two ranks that do the same, it is what one of them has, but for the 16 bits of a difference."""
    rng = np.random.default_rng(0)
    X, Y = torch.tensor(rng.standard_normal((60, 5))), torch.tensor(rng.standard_normal((60, 2)))
    generator = torch.Generator().manual_seed(0)
    weights = he_weights([5, 8, 2], True, generator, torch.float64)
    settings, plan = Relaxed(dropout=0.0, adversarial=0.0), Plan(n_samples=120, n_updates=20, batch_size=60)
    networks = [Network([W.clone() for W in weights], get_activation("relu"), True) for _ in range(2)]
    resolved = settings.resolved(networks[0], plan, InMemory(X, Y))
    alone = RelaxedSweep(resolved, networks[0], plan, None)
    apart = LocalSweep(resolved, networks[1], plan, None, Twins(), 3)
    for _ in range(3):
        alone(X, Y)
        apart(X, Y)
    assert apart.updates == 0  # they have met
    for W, V, start in zip(alone.weights(), apart.weights(), weights, strict=True):
        change = W - start
        assert change.abs().max() > 1e-3
        torch.testing.assert_close(V - start, change, rtol=2**-8, atol=0)
    for W, mean in zip(apart.network.weights, apart.averaging.mean, strict=True):
        assert torch.equal(W, mean)
