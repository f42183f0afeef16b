"""PyTorch's Adam and AdamW, fused."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..objective import Objective
from ..problem import Problem, Settings, Solver
from . import _torch

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def adam(weights: list[Tensor], biases: list[Tensor], settings: Settings) -> Sequence[torch.optim.Optimizer]:
    """All parameters in one group."""
    return [torch.optim.Adam([*weights, *biases], lr=settings["rate"], fused=True)]


def adamw(weights: list[Tensor], biases: list[Tensor], settings: Settings) -> Sequence[torch.optim.Optimizer]:
    """Decay for the weights, none for the biases."""
    groups = [{"params": weights, "weight_decay": settings["decay"]}, {"params": biases, "weight_decay": 0.0}]
    return [torch.optim.AdamW(groups, lr=settings["rate"], fused=True)]


def fit_adam(problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """Adam."""
    _torch.fit(problem, settings, seed, objective, adam)


def fit_adamw(problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """AdamW."""
    _torch.fit(problem, settings, seed, objective, adamw)


SOLVERS = [
    Solver("adam", fit_adam, {**_torch.SETTINGS, "rate": 1e-3}, {**_torch.SPACE, "rate": RATES}, _torch.version),
    Solver(
        "adamw",
        fit_adamw,
        {**_torch.SETTINGS, "rate": 1e-3, "decay": 0.01},
        {**_torch.SPACE, "rate": RATES, "decay": (0.0, 0.01, 0.1, 0.3)},
        _torch.version,
    ),
]
