"""Adam after a stacked autoencoder that is trained by Adam, layer after layer: the paper's comparison."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH, RATE = 100, 1e-3


def layers(sizes: list[int], generator: torch.Generator) -> list[nn.Linear]:
    """Fully-connected layers with weights as He et al. (2015) have them, and zero biases."""
    made = []
    for n_in, n_out in pairwise(sizes):
        layer = nn.Linear(n_in, n_out)
        with torch.no_grad():
            layer.weight.normal_(0, (2 / n_in) ** 0.5, generator=generator)
            layer.bias.zero_()
        made.append(layer)
    return made


def forward(network: list[nn.Linear], X: Tensor) -> Tensor:
    """Outputs (m, k) by ReLU layers and a linear one."""
    for layer in network[:-1]:
        X = torch.relu(layer(X))
    outputs: Tensor = network[-1](X)
    return outputs


def pretrain(network: list[nn.Linear], X: Tensor, epochs: int, rate: float, generator: torch.Generator) -> None:
    """Have each hidden layer in turn reconstruct its inputs (Bengio et al., 2007)."""
    for layer in network[:-1]:
        (decoder,) = layers([layer.out_features, layer.in_features], generator)
        optimizer = torch.optim.Adam([*layer.parameters(), *decoder.parameters()], lr=rate, fused=True)
        for _ in range(epochs):
            for rows in torch.randperm(len(X), generator=generator).split(BATCH):
                inputs = X[rows]
                _step(optimizer, F.mse_loss(decoder(torch.relu(layer(inputs))), inputs))
        with torch.no_grad():
            X = torch.relu(layer(X))


def train_epoch(
    network: list[nn.Linear], optimizer: torch.optim.Optimizer, X: Tensor, y: Tensor, generator: torch.Generator
) -> None:
    """One pass over the data in random order."""
    for rows in torch.randperm(len(X), generator=generator).split(BATCH):
        _step(optimizer, F.cross_entropy(forward(network, X[rows]), y[rows]))


def adam(network: list[nn.Linear]) -> torch.optim.Optimizer:
    """Adam for all parameters."""
    return torch.optim.Adam([p for layer in network for p in layer.parameters()], lr=RATE, fused=True)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
