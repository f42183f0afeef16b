"""States as files have them: plain JSON, and tensors by their names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor


class Flat(NamedTuple):
    """A state of tensors, numbers, text, None, and lists and dicts of them, taken apart.

    Attributes
    ----------
    plain : Any
        As JSON has it, with the names of the tensors.
    tensors : dict of str to Tensor
    """

    plain: Any
    tensors: dict[str, Tensor]


def flat(value: Any, prefix: str = "tensor.") -> Flat:
    """Take a state apart; each tensor is there once, with the order of its memory.

    The order decides on the kernels of products, and these on the last digits.
    """
    tensors: dict[str, Tensor] = {}
    return Flat(_plain(value, tensors, {}, prefix), tensors)


def _plain(value: Any, tensors: dict[str, Tensor], names: dict[int, str], prefix: str) -> Any:
    if type(value) in (int, str) or (type(value) is float and math.isfinite(value)):  # most, in long histories
        return value
    if isinstance(value, Tensor):
        turned = value.ndim == 2 and not value.is_contiguous() and value.T.is_contiguous()
        name = names.setdefault(id(value), f"{prefix}{len(names)}")
        tensors[name] = value.T if turned else value
        return {"$tensor": name, "turned": turned}
    if isinstance(value, dict):
        return {name: _plain(each, tensors, names, prefix) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, tensors, names, prefix) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return value.item() if isinstance(value, np.generic) else value


def whole(plain: Any, tensors: dict[str, Tensor]) -> Any:
    """Inverse of :func:`flat`."""
    if isinstance(plain, dict):
        if "$tensor" in plain:
            tensor, turned = tensors[plain["$tensor"]], plain["turned"]
            if turned and tensor.ndim != 2:
                raise ValueError("a tensor of its state is turned that is no matrix.")
            return tensor.T if turned else tensor
        if "$float" in plain:
            return float(plain["$float"])
        return {name: whole(each, tensors) for name, each in plain.items()}
    return [whole(each, tensors) for each in plain] if isinstance(plain, list) else plain


def names_in(plain: Any) -> Iterator[str]:
    """Names of the tensors of a state."""
    if isinstance(plain, dict):
        if "$tensor" in plain:
            yield plain["$tensor"]
        plain = list(plain.values())
    if isinstance(plain, list):
        for each in plain:
            yield from names_in(each)
