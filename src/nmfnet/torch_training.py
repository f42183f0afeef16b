"""Training a user's PyTorch module in place, without autograd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from torch import Tensor, nn

from nmfnet._parameters import at_least, resolve
from nmfnet.data.containers import plain, refuse_missing, to_array
from nmfnet.data.labels import label_array
from nmfnet.data.source import InMemory
from nmfnet.errors import DivergenceError
from nmfnet.estimators.images import image_scaling
from nmfnet.estimators.parameters import check_training, values_of_a_sample
from nmfnet.export.conventions import check_trainable
from nmfnet.export.sequential import Layers, layers_of, tensors_of
from nmfnet.linalg import all_finite
from nmfnet.linalg.arrays import as_tensor
from nmfnet.network import Network
from nmfnet.solvers import SOLVERS, Solver
from nmfnet.solvers.relaxed.settings import Relaxed
from nmfnet.torch_modes import plain_tensors
from nmfnet.training import Callback, EpochRecord, FitSettings, PrintLog, fit_network

Kind = Literal["classes", "labels", "real"]


@plain_tensors()
def fit_module(
    module: nn.Sequential,
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
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

    Inputs and real targets are scaled inside, and the scaling is folded into the weights at the end.  A training that
    fails leaves the module as it was.  Layers with ``requires_grad=False`` keep their weights, and those below are
    trained through them.  Parameters stay the same tensors; their `grad` and the flags `training` are left alone, and
    Dropout layers count in evaluation mode, too.

    Parameters
    ----------
    module : torch.nn.Sequential
        Of Linear, Conv1d, Conv2d, activations (ReLU, LeakyReLU, Sigmoid, Tanh, Softplus, Identity, one between two
        layers with weights), MaxPool, AvgPool and AdaptiveAvgPool(1) of 1 or 2 dimensions, Dropout and Flatten;
        nested ones, too.  It gives logits of classes, or Softmax, LogSoftmax or Sigmoid of them.
        Hooks, parametrizations, a `forward` of its own and weights that are shared are refused.
    X : array-like or Tensor of shape (n_samples, ...)
        What the module takes; converted to its dtype.
    y : array-like or Tensor
        Whole numbers (n_samples,): classes 0, 1, ... by their output.  Whole numbers or booleans
        (n_samples, n_outputs): 0/1 for each of several labels; or (n_samples,) where the only output is the logit of
        a label.  Floating-point numbers, (n_samples,) or (n_samples, n_outputs): real targets; in a module with a
        Sigmoid at the end probabilities of labels.
    solver : {"relaxed", "pinv"} or nmfnet.Relaxed or nmfnet.Pinv, default="relaxed"
        "relaxed" takes its masking noise and its dropout from the module's Dropout layers: in front of the first
        layer, and behind the hidden activations.  An instance has its own.
    alpha, l1_ratio, batch_size, max_iter, max_time, tol, n_iter_no_change, random_state, verbose, callbacks
        As in :class:`nmfnet.NMFNetClassifier`.

    Returns
    -------
    list of dict
        An entry for each epoch, as in `history_`.

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
    layers = layers_of(module)
    check_trainable(module, layers.trained)
    chosen = _with_dropout(layers) if solver == "relaxed" else resolve(solver, SOLVERS)
    X_checked, Y, kind = _checked(layers, X, y)
    input_shape = None if layers.ndim is None else tuple(X_checked.shape[1:])
    X_checked = X_checked.flatten(1)
    n, values = len(X_checked), values_of_a_sample(Y.shape[1] if kind == "real" else 0, input_shape)
    settings = FitSettings(
        error=ERRORS[kind],
        batch_size=chosen.default_batch_size(n, values) if isinstance(batch_size, str) else min(n, int(batch_size)),
        max_iter=max_iter,
        max_time=max_time,
        tol=tol,
        n_iter_no_change=n_iter_no_change,
        alpha=float(alpha),
        l1_ratio=float(l1_ratio),
        trained=True,  # nobody knows
        real=kind == "real",
    )
    network = _network(layers, chosen, X_checked, Y, kind, input_shape)
    if kind == "labels" and network.output.name == "identity":
        Y = 2 * Y - 1  # least squares: outputs that are logits change their sign from one label to the other
    generator = torch.Generator().manual_seed(int(check_random_state(random_state).randint(2**31 - 1)))
    network, history = fit_network(
        network,
        chosen,
        InMemory(X_checked, Y),
        settings,
        generator,
        callbacks=[*(callbacks or ()), *([PrintLog()] if verbose else [])],
    )
    _write(layers, network)
    return history


ERRORS: dict[Kind, Any] = {
    "classes": lambda A, Y: (A.argmax(1) != Y.argmax(1)).to(Y.dtype),
    "labels": lambda A, Y: ((A > 0) != (Y > 0.5)).any(1).to(Y.dtype),
    "real": lambda A, Y: (A - Y).square().mean(1),
}


def _with_dropout(layers: Layers) -> Relaxed:
    """The relaxed solver with the module's own dropout."""
    noise, hidden = layers.dropout[0], layers.dropout[1:]
    return Relaxed(noise=noise, dropout=hidden[0] if len(set(hidden)) == 1 else hidden or 0.0)


def _checked(layers: Layers, X: Any, y: Any) -> tuple[Tensor, Tensor, Kind]:
    """Inputs (n, n_0) and targets (n, k) where the module is, and what the targets are."""
    weight = layers.linear[0].weight
    k = int(layers.linear[-1].weight.shape[0])
    X_checked = _tensor(X, "X").to(weight.device, weight.dtype)
    if layers.flatten and X_checked.ndim > 2 and layers.ndim is None:
        X_checked = X_checked.flatten(1)
    _check_shape(layers, X_checked)
    if not all_finite(X_checked):
        raise ValueError(f"X has values that are not finite in {weight.dtype}.")
    targets = _tensor(y if isinstance(y, Tensor) else label_array(refuse_missing(y, "y")), "y").to(weight.device)
    if targets.ndim not in (1, 2) or len(targets) != len(X_checked):
        raise ValueError(f"X has {len(X_checked)} samples, but y the shape {tuple(targets.shape)}.")
    Y, kind = _targets(targets, k, weight.dtype, layers.head is not None and layers.head.kind == "sigmoid")
    wanted = {"classes": "softmax", "labels": "sigmoid"}.get(kind)
    if layers.head is not None and layers.head.kind != wanted:
        raise ValueError(f"module ends with {layers.head.kind}, which does not fit y: its targets are {kind}.")
    return X_checked, Y, kind


def _check_shape(layers: Layers, X: Tensor) -> None:
    """Refuse inputs that the module does not take."""
    first = layers.linear[0]
    if layers.ndim is None:
        assert isinstance(first, nn.Linear)
        wanted: list[Any] = [first.in_features if layers.inputs is None else len(layers.inputs.shift)]
        fits = X.ndim == 2 and X.shape[1] == wanted[0]
    else:
        channels = X.shape[1] if isinstance(first, nn.Linear) or X.ndim < 2 else first.in_channels
        wanted = [channels, *(["height", "width"] if layers.ndim == 2 else ["length"])]
        fits = X.ndim == len(wanted) + 1 and X.shape[1] == channels
    if not fits or not len(X):
        raise ValueError(f"X has shape {tuple(X.shape)}, but module takes (n_samples, {', '.join(map(str, wanted))}).")


def _tensor(data: Any, name: str) -> Tensor:
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


def _targets(y: Tensor, k: int, dtype: torch.dtype, sigmoid: bool) -> tuple[Tensor, Kind]:
    """Targets (n, k), and what they are; `sigmoid`: whether the module ends with one."""
    if y.is_floating_point():
        Y = (y[:, None] if y.ndim == 1 else y).to(dtype)
        if Y.ndim != 2 or Y.shape[1] != k or not all_finite(Y):
            raise ValueError(f"y of shape {tuple(y.shape)} must be finite numbers, one for each of {k} outputs.")
        return Y, "labels" if sigmoid and bool(((Y >= 0) & (Y <= 1)).all()) else "real"
    y = y.long()
    if k == 1 and y.ndim == 1:  # as for BCEWithLogitsLoss
        y = y[:, None]
    if y.ndim == 1:
        if int(y.min()) < 0 or int(y.max()) >= k:
            raise ValueError(
                f"y has whole numbers from {int(y.min())} to {int(y.max())}, which are classes; module has outputs "
                f"for 0 to {k - 1}. Real targets are floating-point numbers."
            )
        return torch.zeros(len(y), k, dtype=dtype, device=y.device).scatter_(1, y[:, None], 1), "classes"
    if y.shape != (len(y), k) or not bool(((y == 0) | (y == 1)).all()):
        raise ValueError(
            f"y of shape {tuple(y.shape)} must have 0 and 1, a column for each of {k} outputs; real targets are "
            "floating-point numbers."
        )
    return y.to(dtype), "labels"


def _network(
    layers: Layers, solver: Solver, X: Tensor, Y: Tensor, kind: Kind, input_shape: tuple[int, ...] | None = None
) -> Network:
    """The module as a network on scaled inputs and targets, which predicts the same."""
    network = layers.network(input_shape).on(X.device)
    network.frozen = layers.frozen
    network.output = solver.output(kind)
    if network.inputs is None:
        # As for real targets: no principal components, which would lose a part of the weights there are; and as for
        # a part of the samples: the weights of columns that are constant here stay.
        if input_shape is None:
            network.inputs = solver.input_scaling(InMemory(X, Y), "real", network.intercept, partial=True)
        else:  # a shift could not be folded into weights, where images are padded with zeros
            network.inputs = image_scaling(
                InMemory(X, Y),
                input_shape,
                lambda pixels: solver.input_scaling(pixels, "real", False, partial=True),
            )
        if network.inputs is not None:
            network.weights[0] = network.unfolded()
    network.targets = solver.target_scaling(InMemory(X, Y), kind, network.intercept)
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
            setattr(wide, name, replace(scaling, shift=scaling.shift.double(), factor=scaling.factor.double()))
    return wide
