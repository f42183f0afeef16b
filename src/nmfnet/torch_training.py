"""Training a user's PyTorch module in place, without autograd."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from torch import Tensor, nn

from nmfnet._parameters import at_least, boolean, resolve
from nmfnet.data.sharded import Sharded
from nmfnet.data.source import InMemory
from nmfnet.distributed import now, refuse_differences, together
from nmfnet.errors import DivergenceError
from nmfnet.estimators.images import image_scaling
from nmfnet.estimators.parameters import check_training, positions
from nmfnet.estimators.ranks import refuse_in_ranks, shared_random_state, source_of
from nmfnet.export.conventions import check_trainable
from nmfnet.export.sequential import Layers, layers_of, tensors_of
from nmfnet.linalg import all_finite
from nmfnet.module_data import KINDS, Kind, Task, gathered, target_tensor, targets_of, tensor_of
from nmfnet.network import Network
from nmfnet.solvers import SOLVERS, Solver
from nmfnet.solvers.relaxed.settings import Relaxed
from nmfnet.torch_modes import plain_tensors
from nmfnet.training import Callback, EpochRecord, FitSettings, PrintLog, fit_network


@plain_tensors()
@together()
def fit_module(
    module: nn.Sequential,
    X: ArrayLike | Tensor | Iterable[Any],
    y: ArrayLike | Tensor | None = None,
    *,
    task: Task = "auto",
    X_val: ArrayLike | Tensor | Iterable[Any] | None = None,
    y_val: ArrayLike | Tensor | None = None,
    early_stopping: bool = False,
    solver: str | Solver = "relaxed",
    alpha: float = 0.0,
    l1_ratio: float = 0.0,
    batch_size: int | str = "auto",
    max_iter: int = 20,
    max_time: float | None = None,
    tol: float = 1e-4,
    n_iter_no_change: float = 10,
    random_state: int | np.random.RandomState | None = None,
    verbose: bool = False,
    callbacks: Sequence[Callback] | None = None,
) -> list[EpochRecord]:
    """Train a PyTorch module in place, from the weights it has, without autograd.

    You need not scale inputs or regression targets: this is done inside, and the scaling is folded into the weights at
    the end.  A training that fails leaves the module as it was.  Layers with ``requires_grad=False`` keep their
    weights, and the layers below them are trained.  Parameters stay the same tensors.  Their `grad` and the flags
    `training` do not change.  Dropout layers are used in evaluation mode, too.

    Parameters
    ----------
    module : torch.nn.Sequential
        Made of Linear, Conv1d, Conv2d, activations (ReLU, LeakyReLU, Sigmoid, Tanh, Softplus, Identity, one between
        two layers with weights), MaxPool, AvgPool and AdaptiveAvgPool(1) of 1 or 2 dimensions, Dropout and Flatten;
        nested ones, too.  Its outputs are logits; Softmax, LogSoftmax or Sigmoid may follow.  A module with hooks,
        parametrizations, a `forward` of its own or shared weights is refused.
    X : array-like or Tensor of shape (n_samples, ...), or DataLoader, or iterable of batches
        Inputs of the module; they are converted to its dtype.  A DataLoader, or another iterable of batches (inputs,
        targets), takes the place of `X` and `y`.  It is read once, and all samples are then in memory.
    y : array-like or Tensor, optional
        Targets, in the conventions of PyTorch's losses:

        - whole numbers (n_samples,): classes, by the number of their output (CrossEntropyLoss);
        - one-hot rows (n_samples, n_outputs), or probabilities if the module ends in Softmax: classes, too;
        - other rows of 0 and 1, or probabilities if it ends in Sigmoid: several labels a sample (BCEWithLogitsLoss);
        - whole numbers 0 and 1 for a module with one output: two classes (BCEWithLogitsLoss);
        - other floating-point numbers, (n_samples,) or (n_samples, n_outputs): regression (MSELoss).
    task : {"auto", "classification", "multilabel", "regression"}, default="auto"
        What `y` is.  Needed if the values leave it open, as floating-point 0 and 1 for a module with one output do.
    X_val, y_val : like X and y, optional
        A validation set, whose loss and error are recorded.
    early_stopping : bool, default=False
        Whether the module ends with the weights of the epoch with the lowest validation loss.
    solver : {"relaxed", "pinv"} or nmfnet.Relaxed or nmfnet.Pinv, default="relaxed"
        With "relaxed", the module's Dropout layers give the probabilities: the one in front of the first layer that of
        masked inputs, those behind hidden activations that of dropout.  An instance has its own settings.
    alpha : float, default=0
        As in :class:`nmfnet.NMFNetClassifier`, but there is no "auto".
    l1_ratio, batch_size, max_iter, max_time, tol, n_iter_no_change, random_state, verbose, callbacks
        As in :class:`nmfnet.NMFNetClassifier`.

    Returns
    -------
    list of dict
        An entry for each epoch, as in `history_`.  Losses are those of the module's outputs: cross-entropy for
        classification, mean squared error for regression.

    Raises
    ------
    TypeError, ValueError
        If the module has other layers, or X and y do not fit it.
    DivergenceError
        If the first epoch already ends with non-finite weights, or if those at the end overflow with the scaling in
        them.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from nmfnet import fit_module
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> module = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Dropout(0.1), nn.Linear(100, 10))
    >>> history = fit_module(module, X, y, random_state=0)
    >>> accuracy = (module.eval()(torch.tensor(X).float()).argmax(1).numpy() == y).mean()
    >>> bool(accuracy > 0.98)
    True
    """
    check_training(solver, l1_ratio, batch_size, max_iter, max_time, tol, n_iter_no_change, callbacks)
    at_least("alpha", alpha, 0, Real)
    _check_task(task, early_stopping, X_val, y_val)
    layers = layers_of(module)
    check_trainable(module, layers.trained)
    chosen = _with_dropout(layers) if solver == "relaxed" else resolve(solver, SOLVERS)
    refuse_in_ranks(solver)
    X_checked, Y, kind = _checked(layers, X, y, task)
    refuse_differences(**{"kind of y (see `task`)": kind, "shape of a sample": tuple(X_checked.shape[1:])})
    input_shape = None if layers.ndim is None else tuple(X_checked.shape[1:])
    source = source_of(InMemory(X_checked.flatten(1), Y))
    settings = FitSettings(
        error=ERRORS[kind],
        batch_size=_batch_size(batch_size, chosen, source, kind, input_shape),
        max_iter=max_iter,
        max_time=max_time,
        tol=tol,
        n_iter_no_change=n_iter_no_change,
        alpha=float(alpha),
        l1_ratio=float(l1_ratio),
        early_stopping=early_stopping,
        trained=True,  # nobody knows
        real=kind == "real",
    )
    network = _network(layers, chosen, source, kind, input_shape)
    validation: InMemory | Sharded | None = None
    if X_val is not None:
        X_held_out, Y_held_out, _ = _checked(layers, X_val, y_val, TASKS[kind], "_val")
        if input_shape is not None and tuple(X_held_out.shape[1:]) != input_shape:
            raise ValueError(f"X_val has images of {tuple(X_held_out.shape[1:])}, but X of {input_shape}.")
        validation = source_of(InMemory(X_held_out.flatten(1), _fitted(Y_held_out, kind, network)))
    seed = int(check_random_state(shared_random_state(random_state)).randint(2**31 - 1))
    generator = torch.Generator().manual_seed(seed)
    fitted = fit_network(
        network,
        chosen,
        source.with_targets(_fitted(Y, kind, network)),
        settings,
        generator,
        validation=validation,
        callbacks=[*(callbacks or ()), *([PrintLog()] if verbose and not now().rank else [])],
    )
    _write(layers, fitted.network)
    return fitted.history


TASKS: dict[Kind, Task] = {"classes": "classification", "labels": "multilabel", "real": "regression"}
ERRORS: dict[Kind, Any] = {
    "classes": lambda A, Y: (A.argmax(1) != Y.argmax(1)).to(Y.dtype),
    "labels": lambda A, Y: ((A > 0) != (Y > 0.5)).any(1).to(Y.dtype),
    "real": lambda A, Y: (A - Y).square().mean(1),
}


def _check_task(task: str, early_stopping: bool, X_val: Any, y_val: Any) -> None:
    """Refuse what does not say what to learn, or what to stop by."""
    boolean("early_stopping", early_stopping)
    if task not in ("auto", *KINDS):
        raise ValueError(f"task must be one of 'auto', {', '.join(map(repr, KINDS))}; got {task!r}.")
    if (early_stopping and X_val is None) or (X_val is None and y_val is not None):
        raise ValueError("early_stopping and y_val need a validation set: pass X_val.")


def _batch_size(
    given: int | str, solver: Solver, source: InMemory | Sharded, kind: Kind, input_shape: tuple[int, ...] | None
) -> int:
    n, k = source.n_rows, source.n_outputs
    real_values = k if kind == "real" else 0
    asked = solver.default_batch_size(n, real_values, positions(input_shape)) if isinstance(given, str) else int(given)
    return min(n, asked)


def _fitted(Y: Tensor, kind: Kind, network: Network) -> Tensor:
    """Targets as they are fitted: logits by least squares change their sign from one label to the other."""
    return 2 * Y - 1 if kind == "labels" and network.output.name == "identity" else Y


def _with_dropout(layers: Layers) -> Relaxed:
    """The relaxed solver with the module's own dropout."""
    noise, hidden = layers.dropout[0], layers.dropout[1:]
    return Relaxed(noise=noise, dropout=hidden[0] if len(set(hidden)) == 1 else hidden or 0.0)


def _checked(layers: Layers, X: Any, y: Any, task: Task = "auto", suffix: str = "") -> tuple[Tensor, Tensor, Kind]:
    """Inputs (n, n_0) and targets (n, k) where the module is, and what the targets are; `suffix` of their names."""
    weight, names = layers.linear[0].weight, (f"X{suffix}", f"y{suffix}")
    inputs, targets = gathered(X, y, names)
    X_checked = tensor_of(inputs, names[0]).to(weight.device, weight.dtype)
    if layers.input_shape is not None and math.prod(X_checked.shape[1:]) == math.prod(layers.input_shape):
        X_checked = X_checked.reshape(-1, *layers.input_shape)  # rows, of which the module makes images
    if layers.flatten and X_checked.ndim > 2 and layers.ndim is None:
        X_checked = X_checked.flatten(1)
    _check_shape(layers, X_checked, names[0])
    if not all_finite(X_checked):
        raise ValueError(f"{names[0]} has values that are not finite in {weight.dtype}.")
    found = target_tensor(targets, names[1]).to(weight.device)
    if found.ndim not in (1, 2) or len(found) != len(X_checked):
        raise ValueError(f"{names[0]} has {len(X_checked)} samples, but {names[1]} the shape {tuple(found.shape)}.")
    k, head = int(layers.linear[-1].weight.shape[0]), None if layers.head is None else layers.head.kind
    try:
        Y, kind = targets_of(found, k, weight.dtype, head, task)
    except ValueError as error:
        raise ValueError(f"{names[1]}: {error}" if suffix else str(error)) from None
    return X_checked, Y, kind


def _check_shape(layers: Layers, X: Tensor, name: str) -> None:
    """Refuse inputs that the module does not take."""
    first = layers.linear[0]
    if layers.ndim is None:
        assert isinstance(first, nn.Linear)
        wanted: list[Any] = [first.in_features if layers.inputs is None else layers.inputs.scaling().n_in]
        fits = X.ndim == 2 and X.shape[1] == wanted[0]
    else:
        channels = X.shape[1] if isinstance(first, nn.Linear) or X.ndim < 2 else first.in_channels
        wanted = [channels, *(["height", "width"] if layers.ndim == 2 else ["length"])]
        fits = X.ndim == len(wanted) + 1 and X.shape[1] == channels
    if not fits or not len(X):
        raise ValueError(
            f"{name} has shape {tuple(X.shape)}, but module takes (n_samples, {', '.join(map(str, wanted))})."
        )


def _network(
    layers: Layers,
    solver: Solver,
    source: InMemory | Sharded,
    kind: Kind,
    input_shape: tuple[int, ...] | None = None,
) -> Network:
    """The module as a network on scaled inputs and targets, which predicts the same."""
    network = layers.network(input_shape).on(source.device)
    network.frozen = layers.frozen
    network.output = replace(solver.output(kind), temperature=1.0)  # losses are those of the module's own outputs
    if network.inputs is None:
        # As for real targets: no principal components, which would lose a part of the weights there are; and as for
        # a part of the samples: the weights of columns that are constant here stay.
        if input_shape is None:
            network.inputs = solver.input_scaling(source, "real", network.intercept, partial=True)
        else:  # a shift could not be folded into weights, where images are padded with zeros
            network.inputs = image_scaling(
                source,
                input_shape,
                lambda pixels: solver.input_scaling(pixels, "real", False, partial=True),
            )
        if network.inputs is not None:
            network.weights[0] = network.unfolded()
    network.targets = solver.target_scaling(source, kind, network.intercept)
    if network.targets is not None:
        W = network.weights[-1].clone()
        if network.intercept:
            W[-1] -= network.targets.shift
        network.weights[-1] = W * network.targets.factor
    return network


def _write(layers: Layers, network: Network) -> None:
    """Move the weights into the module, all at once; those of frozen layers are left alone."""
    wide = _wide(network)
    if layers.inputs is not None:  # a module of its own
        wide.inputs = None
    old, new = [], []
    for number, (layer, (W, b)) in enumerate(zip(layers.linear, wide.folded(), strict=True)):
        if number not in network.frozen:
            old += tensors_of(layer)
            shaped = (W.T.reshape(layer.weight.shape), b)[: len(tensors_of(layer))]
            new += [tensor.to(network.dtype) for tensor in shaped]
    if not all(map(all_finite, new)):
        raise DivergenceError("With the scaling of X and y in them the weights overflow. Scale X and y before.")
    with torch.no_grad():
        torch._foreach_copy_(old, new)  # one call, in which there is no Ctrl-C


def _wide(network: Network) -> Network:
    """In float64, where folding costs no digits."""
    wide = replace(network, weights=[W.double() for W in network.weights])
    for name in ("inputs", "targets"):
        scaling = getattr(network, name)
        if scaling is not None:
            setattr(wide, name, scaling.changed(Tensor.double))
    return wide
