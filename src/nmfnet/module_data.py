"""Samples as PyTorch's users have them: tensors or batches of a loader, targets in the conventions of its losses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse import issparse
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nmfnet.data.containers import plain, refuse_missing, to_array
from nmfnet.data.labels import label_array
from nmfnet.linalg import all_finite
from nmfnet.linalg.arrays import as_tensor

Task = Literal["auto", "classification", "multilabel", "regression"]
Kind = Literal["classes", "labels", "real"]
KINDS: dict[str, Kind] = {"classification": "classes", "multilabel": "labels", "regression": "real"}
HEADS = {"classes": "softmax", "labels": "sigmoid"}  # that a module may end with


def gathered(X: Any, y: Any, names: tuple[str, str] = ("X", "y")) -> tuple[Any, Any]:
    """Inputs and targets, from what was passed, or from all batches of a loader, which are then in memory."""
    if y is not None:
        if isinstance(X, (DataLoader, Dataset)):
            raise ValueError(f"{names[0]}, a {type(X).__name__}, gives the targets, too: leave out {names[1]}.")
        return X, y
    is_loader = isinstance(X, Iterable) and not isinstance(X, (Tensor, np.ndarray, Mapping, str, bytes))
    if not is_loader or issparse(X) or hasattr(X, "columns"):
        how = f"DataLoader({names[0]}, batch_size=...)" if isinstance(X, Dataset) else "a DataLoader"
        raise ValueError(f"{names[1]} is missing: pass it, or as {names[0]} {how} or another iterable of batches.")
    inputs, targets = [], []
    for batch in X:
        if not (isinstance(batch, Sequence) and len(batch) == 2):
            what = f"{len(batch)} things" if isinstance(batch, Sequence) else f"a {type(batch).__name__}"
            raise ValueError(
                f"{names[0]} must give batches of (inputs, targets); got {what}. A generator can pick these two: "
                f"((batch[...], batch[...]) for batch in {names[0]})."
            )
        inputs.append(tensor_of(batch[0], names[0]))
        targets.append(target_tensor(batch[1], names[1]))
    if not inputs:
        raise ValueError(f"{names[0]} gave no batches.")
    try:
        return torch.cat(inputs), torch.cat(targets)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"The batches of {names[0]} do not fit together: {error}") from error


def target_tensor(y: Any, name: str) -> Tensor:
    """Targets as a tensor."""
    return tensor_of(y if isinstance(y, Tensor) else label_array(refuse_missing(y, name)), name)


def tensor_of(data: Any, name: str) -> Tensor:
    """Numbers as a dense tensor."""
    if isinstance(data, Tensor):
        if data.is_complex() or data.layout != torch.strided or data.is_meta:
            raise ValueError(f"{name} must be a dense tensor of real numbers; got {data.dtype}, {data.layout}.")
        return data.detach()
    if issparse(data):
        raise ValueError(f"{name} must be dense; got a sparse matrix: pass {name}.toarray().")
    array = np.asarray(to_array(plain(data)))
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers; got an array of dtype {array.dtype}: convert it, as with astype.")
    return as_tensor(array)


def targets_of(y: Tensor, k: int, dtype: torch.dtype, head: str | None, task: Task) -> tuple[Tensor, Kind]:
    """Targets (n, k), and what they are.

    Parameters
    ----------
    y : Tensor of shape (n,) or (n, k)
    k : int
        Outputs of the module.
    dtype : torch.dtype
    head : {"softmax", "sigmoid"} or None
        What the module ends with.
    task : {"auto", "classification", "multilabel", "regression"}

    Raises
    ------
    ValueError
        If `y` is none of the conventions, or fits two of them and nothing tells which.
    """
    if not y.is_floating_point():
        y = y.long()  # PyTorch compares no unsigned numbers
    kind = _kind(y, k, head) if task == "auto" else KINDS[task]
    if HEADS.get(kind) != head and head is not None:
        raise ValueError(f"module ends with {head}, which does not fit y: its targets are {kind}.")
    if kind == "classes":
        return _classes(y, k, dtype), kind
    Y = (y[:, None] if y.ndim == 1 else y).to(dtype)
    if Y.shape[1] != k or not all_finite(Y):
        numbers = not y.is_floating_point() and Y.shape[1] == 1
        hint = " Numbers of classes have the shape (n,): y[:, 0]." if numbers else ""
        raise ValueError(f"y of shape {tuple(y.shape)} must be finite numbers, one for each of {k} outputs.{hint}")
    if kind == "labels" and not bool(((Y >= 0) & (Y <= 1)).all()):
        raise ValueError(
            f"y must have 0 and 1, or probabilities, in a column for each of {k} outputs; real targets are "
            "floating-point numbers."
        )
    return Y, kind


def _kind(y: Tensor, k: int, head: str | None) -> Kind:
    """What targets are: whole numbers (n,) are classes, one-hot rows too, and floating-point numbers mostly real."""
    column = y.ndim == 1 or y.shape[1] == 1
    binary = bool(((y == 0) | (y == 1)).all())
    if not y.is_floating_point():
        if y.ndim == 1:
            return "labels" if k == 1 else "classes"
        return "classes" if head != "sigmoid" and is_one_hot(y) else "labels"
    if head == "sigmoid":
        return "labels" if bool(((y >= 0) & (y <= 1)).all()) else "real"
    if head == "softmax":
        return "classes" if y.ndim == 2 or bool((y == y.round()).all()) else "real"
    if not binary or (column and k > 1):
        return "real"
    if column:
        raise ValueError(
            "y has floating-point numbers that all are 0 or 1: pass task='multilabel' where the module's output is a "
            "logit, as for BCEWithLogitsLoss, or task='regression'."
        )
    return "classes" if is_one_hot(y) else "labels"


def is_one_hot(y: Tensor) -> bool:
    """Whether every row of y (n, k) has a single 1 and otherwise 0, with two columns at least."""
    return y.ndim == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all()) and bool((y.sum(1) == 1).all())


def _classes(y: Tensor, k: int, dtype: torch.dtype) -> Tensor:
    """Shares (n, k) of classes, from their numbers (n,) or probabilities (n, k), as CrossEntropyLoss takes them."""
    if y.ndim == 2 and y.shape[1] == k > 1:
        Y = y.to(dtype)
        if not bool((Y >= 0).all()) or not torch.allclose(Y.sum(1), Y.new_ones(len(Y)), atol=1e-3):
            raise ValueError(f"y of shape {tuple(y.shape)} must have probabilities of the classes, whose sum is 1.")
        return Y
    if y.ndim != 1 or k < 2:
        raise ValueError(f"y of shape {tuple(y.shape)} has no classes for the {k} outputs of module.")
    number = y.long()
    if not bool((number == y).all()):
        raise ValueError("y must be whole numbers, the classes, or have a column of probabilities for each of them.")
    if int(number.min()) < 0 or int(number.max()) >= k:
        low, high = float(y.min()), float(y.max())
        raise ValueError(
            f"y has whole numbers from {low:g} to {high:g}, which are classes; module has outputs for 0 to {k - 1}. "
            "Real targets are floating-point numbers."
        )
    return torch.zeros(len(y), k, dtype=dtype, device=y.device).scatter_(1, number[:, None], 1)
