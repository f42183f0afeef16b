"""What a data set, a task and a solver are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmfnet.layers import Spec

from .objective import Objective

Array = NDArray[Any]
Settings = dict[str, Any]


class Part(NamedTuple):
    """Rows of a data set: X float32 (n, n_features); y labels 0, 1, ... as int64 (n,), or float32 (n, n_outputs)."""

    X: Array
    y: Array


@dataclass(frozen=True)
class Data:
    """A data set in three parts, preprocessed alike for every solver, with statistics of `train` alone."""

    train: Part
    validation: Part
    test: Part
    n_outputs: int

    def for_tuning(self) -> tuple[Part, Part]:
        """What to train on and what to score on while settings are chosen: the test part stays unseen."""
        return self.train, self.validation

    def for_results(self) -> tuple[Part, Part]:
        """What to train on and what to score on once settings are fixed."""
        both = Part(*(np.concatenate(pair) for pair in zip(self.train, self.validation, strict=True)))
        return both, self.test


@dataclass(frozen=True)
class Task:
    """Data, a network and a number of epochs.  Bump `version` when results no longer compare."""

    name: str
    load: Callable[[], Data]
    hidden: tuple[int | Spec, ...]
    epochs: int
    metric: str = "error %"  # or "RMSE", or "squared error" per row, the last two for regression
    linear: tuple[int, ...] = ()  # hidden layers without activation, counted from 0
    tags: tuple[str, ...] = ()
    rungs: tuple[tuple[int, float], ...] | None = None  # of the tuning, where the usual ones cost too much
    version: int = 1
    goals: tuple[float, ...] = ()  # errors whose first time the report tells
    input_shape: tuple[int, ...] | None = None  # channels first, where there are layers of images or sequences

    @property
    def classification(self) -> bool:
        """Whether y holds labels."""
        return self.metric == "error %"

    @property
    def network(self) -> str:
        """The hidden layers, for people to read."""
        return ("-" if self.input_shape is None else ", ").join(map(str, self.hidden))

    def key(self) -> dict[str, Any]:
        """What a stored run was a run of."""
        shape = {} if self.input_shape is None else {"input_shape": list(self.input_shape)}
        return {
            "task": self.name,
            "hidden": [each if isinstance(each, int) else repr(each) for each in self.hidden],
            "epochs": self.epochs,
            "linear": list(self.linear),
            "version": self.version,
            **shape,
        }


@dataclass(frozen=True)
class Problem:
    """All that a solver learns of a task: never the rows it is scored on."""

    train: Part
    hidden: tuple[int | Spec, ...]
    n_outputs: int
    epochs: int
    classification: bool
    linear: tuple[int, ...] = ()
    input_shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Solver:
    """A way to solve a problem.  A file in solvers/ lists its own in SOLVERS.

    Attributes
    ----------
    fit : callable
        ``fit(problem, settings, seed, objective)``; calls ``objective.record(epoch, predict)`` after every
        epoch and stops when that returns False.  ``predict`` maps X to class probabilities, or to targets.
    settings : dict
        Used as they are where nothing was tuned; tuning tries them first.
    space : dict
        Values for tuning, by setting; empty if the solver always runs with its defaults.
    supports : callable
        Whether the solver can run a task.
    version : callable
        Of a task: stored runs of another version are stale.
    """

    name: str
    fit: Callable[[Problem, Settings, int, Objective], None]
    settings: Mapping[str, Any]
    space: Mapping[str, tuple[Any, ...]]
    version: Callable[[Task], str]
    supports: Callable[[Task], bool] = lambda task: True
