"""Backpropagation as fast as PyTorch does it on a CPU: the baselines of adam.py, sgd.py and muon.py.

No DataLoader and no module: a step is a gather, a mask, the products, and a fused optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..objective import Objective, Predict
from ..problem import Array, Problem, Settings, Task
from . import _images

VERSION = "1"  # bump when a run would come out differently
STEPS = 20  # at least so many an epoch, whatever the batch size: small tables need them

# What every optimizer tunes; the others' spaces add to it.
SPACE: dict[str, tuple[Any, ...]] = {
    "batch": (128, 256, 512, 1024),
    "schedule": ("one-cycle", "cosine"),
    "noise": (0.0, 0.2, 0.3),
    "dropout": (0.0, 0.2, 0.3),
    "smoothing": (0.0, 0.1),  # of the labels; without effect in regression
}
SETTINGS: Settings = {"batch": 128, "schedule": "one-cycle", "noise": 0.0, "dropout": 0.0, "smoothing": 0.0}

MakeOptimizers = Callable[[list[Tensor], list[Tensor], Settings], Sequence[torch.optim.Optimizer]]


def version(task: Task) -> str:
    """Version of these solvers: their results also depend on PyTorch's, which each run stores."""
    return VERSION


def initial(fans: Sequence[tuple[int, int]], generator: torch.Generator) -> tuple[list[Tensor], list[Tensor]]:
    """Return weights (n_out, n_in) as He et al. (2015), the output layer without the factor 2, and zero biases."""
    weights, biases = [], []
    for layer, (n_in, n_out) in enumerate(fans):
        gain = 1 if layer == len(fans) - 1 else 2
        weights.append((torch.randn(n_out, n_in, generator=generator) * (gain / n_in) ** 0.5).requires_grad_())
        biases.append(torch.zeros(n_out, requires_grad=True))
    return weights, biases


def keep_mask(shape: Sequence[int], p: float, generator: torch.Generator) -> Tensor:
    """1 / (1 - p) with probability 1 - p and 0 otherwise, p rounded to a multiple of 1/256.

    A byte of randomness an entry, drawn eight at a time: several times faster than bernoulli_.
    """
    n = math.prod(shape)
    threshold = round(256 * p)
    words = torch.empty(-(-n // 8), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    keep = words.view(torch.uint8)[:n].view(*shape) >= threshold
    return keep.to(torch.float32).mul_(256 / (256 - threshold))


def rate_factor(schedule: str, done: float) -> float:
    """Share of the peak rate when a fraction `done` of all steps is behind.

    "one-cycle" (Smith and Topin, 2017) climbs for 30 % of the steps, "cosine" for 2 %; both fall to 0.
    """
    climb = {"one-cycle": 0.3, "cosine": 0.02}[schedule]
    if done < climb:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * done / climb)) / 2
    return (1 + math.cos(math.pi * (done - climb) / (1 - climb))) / 2


def forward(
    X: Tensor,
    weights: list[Tensor],
    biases: list[Tensor],
    linear: Sequence[int],
    mask: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Outputs (m, n_outputs); `mask` drops out after every hidden layer that has an activation."""
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        X = F.linear(X, W, b)
        if layer < len(weights) - 1 and layer not in linear:
            X = torch.relu(X)
            X = X if mask is None else mask(X)
    return X


def uphill(X: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Steps of length 1 for inputs (m, n) up the slope of the loss (Goodfellow, Shlens, Szegedy, 2015)."""
    X.requires_grad_()
    (slope,) = torch.autograd.grad(loss(X), X)
    return F.normalize(slope, dim=1)


def outputs_of(problem: Problem) -> Callable[..., Tensor]:
    """Function of inputs, weights, biases and a mask."""
    if problem.input_shape is None:
        return partial(forward, linear=problem.linear)
    return partial(_images.forward, problem=problem)


def predictor(weights: list[Tensor], biases: list[Tensor], problem: Problem) -> Predict:
    """From arrays to probabilities or targets."""

    @torch.no_grad()
    def predict(X: Array) -> Array:
        blocks = torch.from_numpy(X).split(4096 if problem.input_shape is None else _images.BLOCK)
        outputs = torch.cat([outputs_of(problem)(block, weights, biases) for block in blocks])
        found: Array = (outputs.softmax(1) if problem.classification else outputs).numpy()
        return found

    return predict


def fit(problem: Problem, settings: Settings, seed: int, objective: Objective, make: MakeOptimizers) -> None:
    """Train by backpropagation with the optimizers that `make` builds."""
    X = torch.from_numpy(np.ascontiguousarray(problem.train.X))
    y = torch.from_numpy(problem.train.y)
    generator = torch.Generator().manual_seed(seed)
    weights, biases = initial(_images.fans(problem), generator)
    optimizers = make(weights, biases, settings)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    criterion = (
        partial(F.cross_entropy, label_smoothing=settings["smoothing"]) if problem.classification else F.mse_loss
    )
    noise, dropout = settings["noise"], settings["dropout"]
    drop = (lambda Z: Z * keep_mask(Z.shape, dropout, generator)) if dropout else None
    masked = (lambda Z: Z.mul_(keep_mask(Z.shape, noise, generator))) if noise else (lambda Z: Z)
    outputs = partial(outputs_of(problem), weights=weights, biases=biases, mask=drop)
    reach = settings.get("reach", 0.0)
    length = float((X - X.mean(0)).square().sum(1).mean().sqrt()) if reach else 0.0
    predict = predictor(weights, biases, problem)
    batch = min(settings["batch"], max(1, len(X) // STEPS))
    per_epoch = len(X) // batch
    for epoch in range(problem.epochs):
        order = torch.randperm(len(X), generator=generator)
        for step in range(per_epoch):  # rows left over take part in another epoch
            rows = order[step * batch : (step + 1) * batch]
            inputs, targets = masked(X.index_select(0, rows)), y.index_select(0, rows)
            if reach:  # with a mask of its own, which is better than keeping the first one
                ascent = uphill(inputs, lambda Z, Y=targets: criterion(outputs(Z), Y))
                inputs = masked(X.index_select(0, rows)).add_(ascent, alpha=reach * length)
            loss = criterion(outputs(inputs), targets)
            loss.backward()
            factor = rate_factor(settings["schedule"], (epoch * per_epoch + step) / (problem.epochs * per_epoch))
            for group in groups:
                group["lr"] = settings["rate"] * factor
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        if not objective.record(epoch + 1, predict, (epoch + 1) * per_epoch):
            return
