"""Masks for inputs and hidden activations."""

import pytest
import torch

from nmfnet.linalg.holders import AtHand
from nmfnet.solvers.relaxed.masks import Masks


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masks(p, dtype):
    """Of mean 1, and 0 with the probability asked for, to the nearest 1/256."""
    masks = Masks(1)
    mask = masks(torch.zeros(401, 499, dtype=dtype), p)
    assert mask.shape == (401, 499) and mask.dtype == dtype
    assert len(mask.unique()) == 2
    n, q = mask.numel(), round(256 * p) / 256
    assert float((mask == 0).double().mean()) == pytest.approx(q, abs=5 * (q * (1 - q) / n) ** 0.5)
    assert float(mask.max()) == pytest.approx(1 / (1 - q))  # then the expected value is 1
    for axis in (0, 1):  # no row or column of its own
        spread = (q / (1 - q) / mask.shape[axis]) ** 0.5
        assert float((mask.mean(axis) - 1).abs().max()) < 6 * spread
    assert not torch.equal(mask, masks(mask, p))


def test_masks_come_from_the_seed_alone():
    like = torch.zeros(50, 7)
    state = torch.random.get_rng_state()
    masks = [Masks(seed)(like, 0.5) for seed in (1, 1, 2)]
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("p", [1e-4, 0.998, 0.999, 0.99999])
def test_extreme_probabilities_of_masks(p):
    mask = Masks(0)(torch.zeros(100, 100), p)
    assert mask.isfinite().all() and (mask >= 0).all()


def test_a_fork_goes_on_by_itself():
    masks, like = Masks(3), torch.zeros(20, 5)
    masks(like, 0.5)
    fork = Masks(3)
    fork.restore(masks.state())
    first = masks(like, 0.5)
    masks(like, 0.5)
    assert torch.equal(first, fork(like, 0.5))


def test_the_state_of_the_generator_is_all_the_state():
    """Also where the pool has been made for a larger mask before."""
    masks, like = Masks(3), torch.zeros(20, 5)
    masks(torch.zeros(300, 500), 0.5)
    state = masks.generator.get_state()
    resumed = Masks(3)
    resumed.generator.set_state(state)
    assert torch.equal(masks(like, 0.5), resumed(like, 0.5))


def test_ranks_cut_their_rows_out_of_the_mask_of_the_whole_batch():
    positions = torch.tensor([3, 4, 17, 39])
    whole, rank = Masks(5), Masks(5)
    rank.at_hand = AtHand(positions, 40)
    for shape in ((6,), (4, 4, 3)):
        assert torch.equal(rank(torch.zeros(4, *shape), 0.5), whole(torch.zeros(40, *shape), 0.5)[positions])
    assert torch.equal(rank(torch.zeros(6), 0.5), whole(torch.zeros(6), 0.5))  # of units, the same for all rows
