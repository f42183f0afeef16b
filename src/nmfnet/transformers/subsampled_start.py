"""Tall data start from the components of a sample of their rows, which many cheap passes have found."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmfnet.factorization.acceleration import Problem, alternate

SHARE = 8  # one row in so many
FEWEST, TALL = 2048, 4  # rows that a sample must have, at least, and times the columns
STARTS = 5  # on the sample
HEAT, PASSES = 75, 75  # most passes over it from each start, and from the best of them
ROUGH = 0.1  # relative projected gradient to which the Z of all rows is then found
EVERY, STALLED = 10, 1e-4  # until so many of them lower the objective by less than this share of it


def sample_rows(shape: tuple[int, int], generator: torch.Generator) -> NDArray[np.intp] | None:
    """Rows of a sample of X, in order; None where it would be too small to stand for X.

    Parameters
    ----------
    shape : tuple of int
        Of X.
    generator : torch.Generator
        Draws the rows.
    """
    m, n = shape
    size = m // SHARE
    if size < max(FEWEST, TALL * n):
        return None
    return np.sort(torch.randperm(m, generator=generator)[:size].numpy())


def best_of(problem: Problem, starts: Iterable[tuple[Tensor, Tensor]], max_iter: int) -> Tensor:
    """Components (k, n) of the lowest objective that the starts, Z (k, m) and H (k, n), lead to on the sample.

    Local minima differ by some thousandths.  Passes go on until they gain a hundredth of a percent, which is less than
    what one sample differs from another by.  No start needs more than single precision.
    """
    race = (alternate(problem, Z, H, min(HEAT, SHARE * max_iter), 0.0, Stalled()) for Z, H in starts)
    best = min(race, key=lambda result: result.last.objective)
    return alternate(problem, best.Z, best.H, min(PASSES, SHARE * max_iter), 0.0, Stalled()).H


class Stalled:
    """Tells when passes have stopped paying."""

    def __init__(self) -> None:
        self.objectives: list[float] = []

    def __call__(self, n_iter: int, objective: float) -> bool:
        """Take note of the objective after another pass."""
        self.objectives.append(objective)
        return len(self.objectives) > EVERY and self.objectives[-1 - EVERY] - objective <= STALLED * objective
