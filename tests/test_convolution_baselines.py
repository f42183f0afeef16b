"""Baselines of the convolution benchmark: what their updates are."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.backprop import LocalLosses, Muon, train

HAS_MUON = hasattr(torch.optim, "Muon")


@pytest.fixture
def module():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


@pytest.fixture
def images():
    X = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return X.contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not HAS_MUON, reason="PyTorch 2.9 has Muon")
def test_muon_moves_filters_as_matrices_and_all_else_as_adamw(module, images):
    before = [weight.detach().clone() for weight in module.parameters()]
    muon = Muon(module, rate=0.01, decay=0.0)
    muon.zero_grad()
    module(images).square().sum().backward()
    gradients = [weight.grad.clone() for weight in module.parameters()]
    muon.step()
    moves = [(after - start).detach() for start, after in zip(before, module.parameters(), strict=True)]
    for index in (0, 2):  # filters: directions of about the same length, though those of the gradient are not
        values = torch.linalg.svdvals(moves[index].flatten(1))
        of_gradient = torch.linalg.svdvals(gradients[index].flatten(1))
        assert values[0] / values[-1] < 0.7 * of_gradient[0] / of_gradient[-1]
        assert (moves[index] * gradients[index]).sum() < 0
    for index in (1, 3, 4, 5):  # AdamW's first step is its rate
        moved = gradients[index].abs() > 1e-4
        assert moved.any()
        torch.testing.assert_close(moves[index][moved], -0.01 * gradients[index][moved].sign(), rtol=1e-3, atol=1e-6)


def test_a_layer_with_a_loss_of_its_own_gets_no_gradient_from_above(module, images):
    labels = torch.arange(40) % 5
    network = LocalLosses(module, images[:2], 5)
    network.loss(images, lambda outputs: F.cross_entropy(outputs, labels)).backward()
    found = module[0].weight.grad.clone()
    module.zero_grad()
    F.cross_entropy(network.heads[0](module[1](module[0](images))), labels).backward()
    torch.testing.assert_close(found, module[0].weight.grad)
    torch.testing.assert_close(network(images), module(images))


@pytest.mark.parametrize("method", ["adamw", "sgd", *["muon"] * HAS_MUON, "local"])
def test_baselines_learn(method, images, module):
    labels = (images[:, 0].mean((1, 2)) > 0).long()
    errors = []

    def record(predict):
        with torch.no_grad():
            errors.append(float((predict(images).argmax(1) != labels).float().mean()))

    train(method, module, images, labels, record, 30, 0, 10, 0.01, 0.0, 0.0, None)
    assert len(errors) == 30 and errors[-1] < 0.2
