"""Images of a batch some at a time: the same numbers as of all at once."""

import numpy as np
import pytest
import torch

from nmfnet import NMFNetClassifier, Pinv
from nmfnet.layers import Conv2d, MaxPool2d, Residual, build_layers
from nmfnet.layers.activations import get_activation
from nmfnet.linalg import blocks
from nmfnet.linalg.blocks import Blocks, image_blocks
from nmfnet.linalg.statistics import Moments
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers import Relaxed
from solving import prepared


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def small_blocks(monkeypatch):
    """Three images at a time, of layers that make 4 x 8 x 8 numbers of one."""
    monkeypatch.setattr(blocks, "MOST_NUMBERS", 4 * 64)
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 3 * 4 * 64)


def test_blocks_are_of_large_batches_alone():
    images = torch.empty(100, 0)
    assert image_blocks(images, blocks.MOST_NUMBERS // 100) == [slice(0, 100)]
    parts = image_blocks(images, blocks.MOST_NUMBERS // 90)
    assert [i for part in parts for i in range(100)[part]] == list(range(100))
    assert 1 < max(part.stop - part.start for part in parts) * (blocks.MOST_NUMBERS // 90) <= blocks.BLOCK_NUMBERS
    assert len(image_blocks(images, 10 * blocks.BLOCK_NUMBERS)) == 100  # one by one
    assert image_blocks(torch.empty(100, 0, device="meta"), blocks.MOST_NUMBERS) == [slice(0, 100)]


@pytest.mark.parametrize("weight", [None, normal(10, seed=5).abs()], ids=["alike", "weighted"])
@pytest.mark.parametrize("pool", [MaxPool2d(2), MaxPool2d(3, 2, 1)], ids=["side by side", "overlapping"])
def test_a_layer_by_blocks_is_that_of_the_whole(weight, pool, monkeypatch):
    layers = build_layers([Conv2d(4, 3, padding="same"), pool, 6], 0, 2, True, (2, 8, 8))
    X, W = normal(10, 2 * 64), normal(19, 4, seed=1)
    A, at = layers[0].linearize(X, W)
    E = normal(*A.shape, seed=2)
    columns = at.columns(E)
    assert isinstance(columns, torch.Tensor)
    whole = Moments.of(at.rows, columns, weight, True, True)
    monkeypatch.setattr(blocks, "MOST_NUMBERS", 0)
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 3 * 4 * 64)
    parts, at_parts = layers[0].linearize(X, W)
    in_parts = at_parts.columns(E)
    assert isinstance(in_parts, Blocks)
    assert len(in_parts.slices) == 4
    torch.testing.assert_close(parts, A)
    torch.testing.assert_close(in_parts.whole(), columns)
    for name in ("n", "cross", "inputs", "residuals", "gram"):
        found = getattr(Moments.of(at_parts.rows, in_parts, weight, True, True), name)
        torch.testing.assert_close(found, getattr(whole, name))
    torch.testing.assert_close(at_parts.carry(in_parts, W), at.carry(columns, W))
    onto, skip = normal(10, 2 * 64, seed=3), normal(10, 8, 8, 2, seed=4)
    found = at_parts.carry(in_parts, W, onto=onto.clone(), skip=skip)
    torch.testing.assert_close(found, at.carry(columns, W, onto=onto.clone(), skip=skip))


def test_the_papers_sweep_by_blocks_is_that_of_the_whole(request):
    X, y = normal(20, 2, 8, 8).abs().numpy(), np.arange(20) % 3
    found = []
    for fixture in (None, "small_blocks"):
        if fixture:
            request.getfixturevalue(fixture)
        hidden = Conv2d(4, 3, padding="same"), MaxPool2d(2), 6
        model = NMFNetClassifier(hidden, solver=Pinv(), max_iter=2, batch_size=20, random_state=0).fit(X, y)
        found.append(model.predict_proba(X))
    np.testing.assert_allclose(*found, atol=1e-7)


@pytest.mark.parametrize("skips", [False, True])
def test_updates_by_blocks_are_those_of_the_whole(skips, request):
    same = Conv2d(4, 3, padding="same")
    hidden = [same, *([Residual(same, same)] if skips else [same]), MaxPool2d(2), same, MaxPool2d(2), 6]
    layers = build_layers(hidden, 0, 3, True, (2, 8, 8))
    X, Y = normal(20, 2 * 64), torch.eye(3, dtype=torch.float64)[torch.arange(20) % 3]
    found = []
    for fixture in (None, "small_blocks"):
        if fixture:
            request.getfixturevalue(fixture)
        weights = [normal(layer.n_in + 1, layer.n_out, seed=i) for i, layer in enumerate(layers)]
        output = Output("softmax", 0.1)
        network = Network(weights, get_activation("relu"), output=output, hidden=hidden, input_shape=(2, 8, 8))
        sweep = prepared(Relaxed(dropout=0.2, adversarial=0.1), network, X)
        for _ in range(3):
            sweep(X, Y)
        found.append(sweep.weights())
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    assert not np.allclose(found[0][0], normal(19, 4))  # they have moved
