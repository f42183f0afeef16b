"""Checks of the estimators' parameters, and what the automatic ones stand for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from nmfnet._parameters import Choice, at_least, between, boolean
from nmfnet.data.augmentation import Augmentation
from nmfnet.estimators.images import hidden_layers
from nmfnet.estimators.ranks import shared_random_state
from nmfnet.layers import Spec, n_weighted
from nmfnet.layers.activations import activations_named
from nmfnet.solvers import PRETRAININGS, SOLVERS
from nmfnet.solvers.registry import SOLVER_METHODS
from nmfnet.training import Callback
from nmfnet.training.folds import MOST_MEMBERS

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet

NUMERIC_ENCODINGS = ("standard", "piecewise", "auto")


def check_parameters(estimator: BaseNMFNet) -> list[int | Spec]:
    """Refuse unfit parameters, naming them; return the hidden layers."""
    sizes: Any = estimator.hidden_layer_sizes
    if isinstance(sizes, str):
        raise ValueError(f"hidden_layer_sizes must be an integer or several, as (100,); got the text {sizes!r}.")
    hidden = hidden_layers(sizes)
    for size in hidden:
        if not isinstance(size, Spec):
            other = None if isinstance(size, Integral) else "a layer of nmfnet.layers"
            at_least("hidden_layer_sizes", size, 1, Integral, otherwise=other)
    check_training(**{name: getattr(estimator, name) for name in TRAINING})
    for name in ("fit_intercept", "early_stopping", "warm_start"):
        boolean(name, getattr(estimator, name))
    if estimator.early_stopping:
        between("validation_fraction", estimator.validation_fraction, 0, 1, open_low=True, open_high=True)
    if estimator.alpha != "auto":
        at_least("alpha", estimator.alpha, 0, Real, otherwise="'auto'")
    if estimator.n_members != "auto":
        at_least("n_members", estimator.n_members, 1, Integral, otherwise="'auto'")
        if int(estimator.n_members) > MOST_MEMBERS:
            raise ValueError(f"n_members must be at most {MOST_MEMBERS}, or 'auto'; got {estimator.n_members}.")
    if estimator.numeric_encoding not in NUMERIC_ENCODINGS:
        names = ", ".join(map(repr, NUMERIC_ENCODINGS))
        raise ValueError(f"numeric_encoding must be one of {names}; got {estimator.numeric_encoding!r}.")
    activations_named(estimator.activation, n_weighted(hidden))
    if estimator.augmentation is not None and not isinstance(estimator.augmentation, Augmentation):
        raise ValueError(f"augmentation must be None or nmfnet.Augmentation(...); got {estimator.augmentation!r}.")
    Choice("pretrain", PRETRAININGS, optional=True).check(estimator.pretrain)
    return [size if isinstance(size, Spec) else int(size) for size in hidden]


TRAINING = ("solver", "l1_ratio", "batch_size", "max_iter", "max_time", "tol", "n_iter_no_change", "callbacks")


def check_training(
    solver: Any, l1_ratio: Any, batch_size: Any, max_iter: Any, max_time: Any, tol: Any, n_iter_no_change: Any,
    callbacks: Any,
) -> None:  # fmt: skip
    """Refuse unfit parameters of any training, naming them."""
    Choice("solver", SOLVERS, methods=SOLVER_METHODS).check(solver)
    between("l1_ratio", l1_ratio, 0, 1)
    if batch_size != "auto":
        at_least("batch_size", batch_size, 1, Integral, otherwise="'auto'")
    at_least("max_iter", max_iter, 1, Integral)
    if max_time is not None:
        at_least("max_time", max_time, 0, Real, otherwise="None")
    at_least("tol", tol, 0, Real)
    if n_iter_no_change != math.inf:
        at_least("n_iter_no_change", n_iter_no_change, 1, Integral, otherwise="np.inf")
    listed = isinstance(callbacks, Sequence) and all(isinstance(callback, Callback) for callback in callbacks)
    if callbacks is not None and not listed:
        raise ValueError(f"callbacks must be None or a sequence of nmfnet.Callback; got {callbacks!r}.")


def positions(input_shape: tuple[int, ...] | None) -> int:
    """In an image or a sequence; 1 of a row of numbers."""
    return 1 if input_shape is None else math.prod(input_shape[1:])


def batch_size(asked: int | str, n: int, default: int) -> int:
    """Most samples in a batch, of `n` in all."""
    if isinstance(asked, str):
        return min(n, default)
    if asked > n:
        warnings.warn(
            f"batch_size={asked} is larger than the {n} training samples; using {n}.", UserWarning, stacklevel=5
        )
    return min(n, int(asked))


def device_for(device: str | torch.device | None, X: Any) -> torch.device:
    """Device to train on, if there is one of that name; None is where X is."""
    if device is None:
        return X.device if isinstance(X, torch.Tensor) else torch.device("cpu")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device={device!r} cannot be used: {str(error).splitlines()[0]}") from None
    return found


def generator_for(random_state: int | np.random.RandomState | None) -> torch.Generator:
    """A generator of our own: torch's global one is left alone."""
    seed = check_random_state(shared_random_state(random_state)).randint(np.iinfo(np.int32).max)
    return torch.Generator().manual_seed(int(seed))
