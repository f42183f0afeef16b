"""PyTorch's SGD with Nesterov's momentum, fused."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..objective import Objective
from ..problem import Problem, Settings, Solver
from . import _torch


def sgd(weights: list[Tensor], biases: list[Tensor], settings: Settings) -> Sequence[torch.optim.Optimizer]:
    """Decay for the weights, none for the biases."""
    groups = [{"params": weights, "weight_decay": settings["decay"]}, {"params": biases, "weight_decay": 0.0}]
    return [torch.optim.SGD(groups, lr=settings["rate"], momentum=0.9, nesterov=True, fused=True)]


def fit(problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """SGD."""
    _torch.fit(problem, settings, seed, objective, sgd)


SOLVERS = [
    Solver(
        "sgd",
        fit,
        {**_torch.SETTINGS, "rate": 0.1, "decay": 0.0},
        {**_torch.SPACE, "rate": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), "decay": (0.0, 1e-5, 1e-4, 5e-4)},
        _torch.version,
    )
]
