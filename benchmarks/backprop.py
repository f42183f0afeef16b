"""Baselines of convolution.py in PyTorch: AdamW, SGD with momentum, Muon, and losses of the layers' own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM = 0.9  # of SGD, Nesterov's; one-cycle schedules move it between 0.85 and 0.95
HEAD_FEATURES = 2048  # of an image, at most, for a layer's own classifier, by average pooling
WITH_WEIGHTS = (nn.Conv1d, nn.Conv2d, nn.Linear)


class Muon:
    """Muon for hidden weights, those of a convolution as a matrix, and AdamW for biases and the output layer.

    One learning rate serves both: updates of Muon are scaled to the size of AdamW's.
    """

    def __init__(self, module: nn.Sequential, rate: float, decay: float) -> None:
        *hidden, last = [layer for layer in module if isinstance(layer, WITH_WEIGHTS)]
        self.weights = [layer.weight for layer in hidden]
        self.matrices = [nn.Parameter(_matrix(weight.detach())) for weight in self.weights]
        others = [*(layer.bias for layer in hidden), *last.parameters()]
        self.parts = [
            torch.optim.Muon(self.matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, weight_decay=decay),
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.grad = None
        self.parts[1].zero_grad()

    def step(self) -> None:
        """Move all weights: a matrix has the memory of its weights."""
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            assert weight.grad is not None
            matrix.grad = _matrix(weight.grad)
        for part in self.parts:
            part.step()


def _matrix(weight: Tensor) -> Tensor:
    """Weights of a layer as a matrix with a row for each unit; of a channels-last convolution in its own memory."""
    return weight.permute(0, *range(2, weight.ndim), 1).flatten(1)


class LocalLosses(nn.Module):
    """A network whose layers have a linear classifier each, and get no gradient from those above (greedy layers).

    A layer is everything up to the next one with weights.  The last one is the network's own output.
    """

    def __init__(self, module: nn.Sequential, inputs: Tensor, classes: int) -> None:
        super().__init__()
        starts = [i for i, layer in enumerate(module) if isinstance(layer, WITH_WEIGHTS)][1:]
        bounds = [0, *starts, len(module)]
        self.parts = nn.ModuleList([module[a:b] for a, b in pairwise(bounds)])
        self.heads = nn.ModuleList()
        with torch.no_grad():
            for part in self.parts[:-1]:
                inputs = part(inputs)
                self.heads.append(_head(inputs, classes))

    def forward(self, X: Tensor) -> Tensor:
        """Outputs of the network."""
        for part in self.parts:
            X = part(X)
        return X

    def loss(self, X: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Sum of the losses of all layers."""
        losses = []
        for part, head in zip(self.parts, [*self.heads, nn.Identity()], strict=True):
            X = part(X.detach())
            losses.append(loss(head(X)))
        return torch.stack(losses).sum()


def _head(Z: Tensor, classes: int) -> nn.Sequential:
    """A linear classifier of activations, pooled where they are many."""
    pooling: list[nn.Module] = []
    if Z.ndim == 4:
        side = min(Z.shape[2], int((HEAD_FEATURES / Z.shape[1]) ** 0.5))
        pooling = [nn.AdaptiveAvgPool2d(side), nn.Flatten()]
        return nn.Sequential(*pooling, nn.Linear(Z.shape[1] * side**2, classes))
    return nn.Sequential(nn.Flatten(), nn.Linear(Z[0].numel(), classes))


def optimizers(method: str, module: nn.Module, rate: float, decay: float) -> Any:
    """Of a method, and the optimizers in it, which a schedule is for."""
    if method == "muon":
        assert isinstance(module, nn.Sequential)
        muon = Muon(module, rate, decay)
        return muon, muon.parts
    if method == "sgd":
        one: Any = torch.optim.SGD(module.parameters(), rate, MOMENTUM, weight_decay=decay, nesterov=True)
    else:
        one = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay)
    return one, [one]


def train(
    method: str, module: nn.Sequential, X: Tensor, y: Tensor, record: Callable[[Callable[[Tensor], Tensor]], None],
    epochs: int, seed: int, batch: int, rate: float, decay: float, smoothing: float,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None,
) -> None:  # fmt: skip
    """Train a module on images or sequences, and call `record` with its predictions after each epoch."""
    generator = torch.Generator().manual_seed(seed)
    places = tuple(range(2, X.ndim))
    mean, deviation = X.mean((0, *places), keepdim=True), X.std((0, *places), keepdim=True)
    layout = torch.channels_last if X.ndim == 4 else torch.contiguous_format
    scaled = ((X - mean) / deviation).contiguous(memory_format=layout)
    module = module.to(memory_format=layout)
    network: Any = LocalLosses(module, scaled[:2], int(y.max()) + 1) if method == "local" else module
    network = network.to(memory_format=layout)
    optimizer, parts = optimizers(method, network, rate, decay)
    updates = epochs * -(-len(X) // batch)
    schedules = [torch.optim.lr_scheduler.OneCycleLR(part, rate, total_steps=updates) for part in parts]
    for _ in range(epochs):
        network.train()
        for rows in torch.randperm(len(X)).split(batch):
            optimizer.zero_grad()
            inputs, labels = scaled[rows], y[rows]
            if augment is not None:
                inputs = augment(inputs, generator).contiguous(memory_format=layout)

            def loss(outputs: Tensor, labels: Tensor = labels) -> Tensor:
                return F.cross_entropy(outputs, labels, label_smoothing=smoothing)

            (network.loss(inputs, loss) if method == "local" else loss(network(inputs))).backward()
            optimizer.step()
            for schedule in schedules:
                schedule.step()
        network.eval()
        record(lambda part: network((part - mean) / deviation))
