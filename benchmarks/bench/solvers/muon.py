"""PyTorch's Muon for hidden weights, AdamW for the rest (Jordan et al., 2024).

"muon" leaves the first and the last layer to AdamW, as PyTorch's documentation has it; "muon-first" takes the
first layer as well, whose orthogonalization costs more than everything else.  Updates are scaled to AdamW's size
(Liu et al., 2025), so that one rate serves both.  Batches are at least 256: the cost of an orthogonalization does
not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..objective import Objective
from ..problem import Problem, Settings, Solver
from . import _torch


def make(first: int) -> _torch.MakeOptimizers:
    """Muon from layer `first` up to the last but one, AdamW for the others."""

    def muon(weights: list[Tensor], biases: list[Tensor], settings: Settings) -> Sequence[torch.optim.Optimizer]:
        hidden, others = weights[first:-1], [*weights[:first], *weights[max(first, len(weights) - 1) :]]
        decay = settings["decay"]
        groups = [{"params": others, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}]
        optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=settings["rate"], fused=True)]
        if hidden:
            optimizers.append(
                torch.optim.Muon(hidden, lr=settings["rate"], weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            )
        return optimizers

    return muon


def fit(problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """Muon between the first and the last layer."""
    _torch.fit(problem, settings, seed, objective, make(1))


def fit_first(problem: Problem, settings: Settings, seed: int, objective: Objective) -> None:
    """Muon for all but the last layer."""
    _torch.fit(problem, settings, seed, objective, make(0))


SETTINGS: Settings = {**_torch.SETTINGS, "batch": 512, "rate": 3e-3, "decay": 0.01}
SPACE = {
    **_torch.SPACE,
    "batch": (256, 512, 1024),
    "rate": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    "decay": (0.0, 0.01, 0.1, 0.3),
}
SOLVERS = [
    Solver("muon", fit, SETTINGS, SPACE, _torch.version),
    Solver("muon-first", fit_first, SETTINGS, SPACE, _torch.version),
]
