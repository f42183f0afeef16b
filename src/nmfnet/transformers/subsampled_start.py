"""Tall data start from the components of a sample of their rows, which many cheap passes have found."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmfnet.factorization.acceleration import Problem, alternate

ROWS_PER_SAMPLED_ROW = 8
MIN_SAMPLED_ROWS, MIN_SAMPLED_ROWS_PER_COLUMN = 2048, 4
STARTS = 5  # on the sample
PASSES_OF_EACH, PASSES_OF_BEST = 75, 75  # most passes over it from each start, and from the best of them
FIRST_Z_TOLERANCE = 0.1  # relative projected gradient to which the Z of all rows is then found
STILL_PASSES, STILL_GAIN = 3, 3e-6  # they have ended where so many of them gain less than this share of the objective
STALLED_PASSES, STALLED_GAIN = 10, 1e-4  # passes end when so many of them gain less than this share of the objective


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
    size = m // ROWS_PER_SAMPLED_ROW
    if size < max(MIN_SAMPLED_ROWS, MIN_SAMPLED_ROWS_PER_COLUMN * n):
        return None
    return np.sort(torch.randperm(m, generator=generator)[:size].numpy())


def best_of(problem: Problem, starts: Iterable[tuple[Tensor, Tensor]], max_iter: int) -> Tensor:
    """Components (k, n) of the lowest objective that the starts, Z (k, m) and H (k, n), lead to on the sample.

    Local minima differ by some thousandths.  Passes go on until they gain a hundredth of a percent, which is less than
    what one sample differs from another by.  No start needs more than single precision.
    """
    each, last = (min(passes, ROWS_PER_SAMPLED_ROW * max_iter) for passes in (PASSES_OF_EACH, PASSES_OF_BEST))
    race = (alternate(problem, Z, H, each, 0.0, Stalled()) for Z, H in starts)
    best = min(race, key=lambda result: result.last.objective)
    return alternate(problem, best.Z, best.H, last, 0.0, Stalled()).H


class Stalled:
    """Tells when passes have stopped paying.

    Parameters
    ----------
    gain : float
        Share of the objective by which ten passes lower it at least while they pay.
    offset : float
        What the objective lacks.

    Attributes
    ----------
    still : bool
        Whether the last three passes gained next to nothing: then there is nothing to come, either.
    """

    def __init__(self, gain: float = STALLED_GAIN, offset: float = 0.0) -> None:
        self.gain, self.offset, self.still = gain, offset, False
        self.objectives: list[float] = []

    def __call__(self, n_iter: int, objective: float) -> bool:
        """Take note of the objective after another pass."""
        self.objectives.append(objective + self.offset)
        self.still = self._gained(STILL_PASSES) <= STILL_GAIN * self.objectives[-1]
        return self.still or self._gained(STALLED_PASSES) <= self.gain * self.objectives[-1]

    def _gained(self, passes: int) -> float:
        """By how much the objective fell in the last passes; infinite where there were fewer."""
        return self.objectives[-1 - passes] - self.objectives[-1] if len(self.objectives) > passes else math.inf
