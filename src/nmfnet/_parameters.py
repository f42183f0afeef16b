"""Checks of parameters whose messages name the parameter and what it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np


def at_least(name: str, value: object, lowest: float, kind: Any, otherwise: str | None = None) -> None:
    """Refuse anything but a number of `kind` that is at least `lowest`."""
    if not isinstance(value, kind) or isinstance(value, bool) or not value >= lowest or value == float("inf"):
        what = "an integer" if kind is not Real else "a finite number"
        also = f" or {otherwise}" if otherwise else ""
        raise ValueError(f"{name} must be {what} of at least {lowest}{also}; got {value!r}.")


def between(
    name: str, value: object, low: float, high: float, open_low: bool = False, open_high: bool = False
) -> None:
    """Refuse anything but a number from `low` to `high`, an open end excluded."""
    inside = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and low <= value <= high
    if not inside or (open_low and value == low) or (open_high and value == high):
        ends = "(" if open_low else "[", ")" if open_high else "]"
        raise ValueError(f"{name} must be a number in {ends[0]}{low}, {high}{ends[1]}; got {value!r}.")


def boolean(name: str, value: object) -> None:
    """Refuse anything but True and False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False; got {value!r}.")


def check_settings(**settings: Any) -> None:
    """Refuse unfit settings of a factorization or a solver: what each may be goes by its name."""
    for name, value in settings.items():
        match name:
            case "l1_ratio":
                between(name, value, 0, 1)
            case "delta" | "delta_x":
                between(name, value, 0, 1, open_high=True)
            case "omega":
                between(name, value, 0, 1, open_low=True)
            case "n_w" | "n_z" | "n_ae" | "n_nmf" | "n_ls" | "batch_size":
                at_least(name, value, 1, Integral)
            case _:
                at_least(name, value, 0, Real)


@dataclass(frozen=True)
class Choice:
    """A parameter that is the name of one of a few settings classes, an instance of one, or an object like these.

    Parameters
    ----------
    name : str
    options : mapping of str to type
    optional : bool, default=False
        Whether it may be None.
    methods : sequence of str, default=()
        What an object of any other class must have to be taken; if there are none, no other class is taken.
    """

    name: str
    options: Mapping[str, type]
    optional: bool = False
    methods: Sequence[str] = ()

    def check(self, value: object) -> None:
        """Refuse any other value."""
        if value is None and self.optional:
            return
        if (isinstance(value, str) and value in self.options) or isinstance(value, tuple(self.options.values())):
            return
        missing = [name for name in self.methods if not hasattr(value, name)]
        if self.methods and not isinstance(value, type) and not missing:
            return
        names = [*map(repr, self.options), *(["None"] if self.optional else [])]
        classes = " or ".join(option.__name__ for option in self.options.values())
        like = ""
        if self.methods and not isinstance(value, type) and hasattr(value, self.methods[0]):
            like = f" {type(value).__name__} has no {', '.join(missing)}."
        raise ValueError(
            f"{self.name} must be {' or '.join(names)}, or an instance of {classes}; got {value!r}.{like}"
        )


def resolve(value: Any, options: Mapping[str, type]) -> Any:
    """From a name to its settings with their defaults; settings stay as they are."""
    return options[value]() if isinstance(value, str) else value


def check_inner(estimator: Any, params: Mapping[str, Any], **named: Mapping[str, Any]) -> None:
    """Refuse parameters of a part, as ``solver__dropout``, where that is a name or None, which has none to set.

    `named` has the classes of the parts, by parameter and name.
    """
    for name, classes in named.items():
        now, inner = params.get(name, getattr(estimator, name)), [key for key in params if key.startswith(f"{name}__")]
        if inner and (now is None or isinstance(now, str)):
            make = classes.get(now or "nmf")
            example = f"{name}={'Relaxed' if make is None else make.__name__}()"
            raise ValueError(f"{inner[0]}: {name} is {now!r}, which has no parameters to set; pass {example}.")
