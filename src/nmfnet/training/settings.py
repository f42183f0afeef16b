"""The frozen description of a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

ErrorFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
ScoreFunction: TypeAlias = Callable[[Tensor, Tensor, Tensor | None], float]


@dataclass(frozen=True)
class FitSettings:
    """What a fit needs to know besides network, solver and data, named as in :class:`nmfnet.NMFNetClassifier`.

    Attributes
    ----------
    error : callable
        (outputs, targets) -> the error of each sample, shape (m,).
    alpha : float or "auto"
        "auto" is the solver's default for the network, or what held-out rows say.
    auto_alpha : bool
        Whether a number in its place was found that way.
    early_stopping : bool
        Whether the validation set, where there is one, decides.
    trained : bool
        Whether the network has been trained before.
    score : callable, optional
        (outputs, targets, weights) of the validation set -> what is recorded of it.
    real : bool
        Whether targets are real: errors then have their unit, squared.
    """

    error: ErrorFunction
    batch_size: int
    max_iter: int = 20
    max_time: float | None = None  # seconds
    tol: float = 1e-4
    n_iter_no_change: float = 10
    alpha: float | Literal["auto"] = 0.0
    auto_alpha: bool = False
    l1_ratio: float = 0.0
    early_stopping: bool = True
    trained: bool = False
    score: ScoreFunction | None = None
    real: bool = False
