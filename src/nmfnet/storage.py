"""Model files: safetensors with a JSON header.  Nothing in a file is ever executed."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from sklearn.utils.validation import check_is_fitted

from nmfnet.activations import activations_named
from nmfnet.errors import ModelFileError
from nmfnet.estimators import NMFNetClassifier, NMFNetRegressor
from nmfnet.estimators.base import BaseNMFNet
from nmfnet.network import Network
from nmfnet.outputs import Output
from nmfnet.scaling import Scaling
from nmfnet.training import PRETRAININGS, SOLVERS

FORMAT_VERSION = 2  # version 1 had neither output functions nor scalings
ESTIMATORS = {"NMFNetClassifier": NMFNetClassifier, "NMFNetRegressor": NMFNetRegressor}
SETTINGS = {cls.__name__: cls for cls in (*SOLVERS.values(), *PRETRAININGS.values())}
NOT_SAVED = ("callbacks",)
SCALINGS = ("inputs", "targets")
TOO_MUCH = (ArithmeticError, MemoryError, RecursionError)


def save(estimator: BaseNMFNet, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file: weights, parameters, classes, history.

    Callbacks are left out, and a RandomState is saved as None.  The file is written under
    another name first and renamed, so that an interrupted write leaves the old file whole.

    Parameters
    ----------
    estimator : NMFNetClassifier or NMFNetRegressor
    path : path-like

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If the file could not be loaded again, as with labels that are neither numbers nor text.
    """
    check_is_fitted(estimator)
    header = {
        "format": "nmfnet",
        "format_version": FORMAT_VERSION,
        "estimator": type(estimator).__name__,
        "parameters": {k: _plain(v) for k, v in estimator.get_params(deep=False).items() if k not in NOT_SAVED},
        "network": {
            "activation": estimator.network_.activation_names,
            "intercept": estimator.network_.intercept,
            "output": estimator.network_.output.name,
            "label_smoothing": estimator.network_.output.smoothing,
        },
        "state": _plain(estimator._get_state()),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(estimator.network_).items()}
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.absolute().parent} to save the model in.")
    text = json.dumps(header, allow_nan=False)
    try:
        _rebuild(json.loads(text), dict(tensors))
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"This model could not be loaded again: {error}") from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary, metadata={"nmfnet": text})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _tensors(network: Network) -> dict[str, torch.Tensor]:
    """All tensors of a network by their names in the file."""
    tensors = {f"weight.{i}": W for i, W in enumerate(network.weights, 1)}
    for name in SCALINGS:
        scaling = getattr(network, name)
        if scaling is not None:
            tensors |= {f"{name}.shift": scaling.shift, f"{name}.factor": scaling.factor}
    return tensors


def _plain(value: Any) -> Any:
    """A value as JSON holds it; settings become their class name and parameters."""
    if type(value) in SETTINGS.values():
        return {"settings": type(value).__name__, **_plain(value.get_params())}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    if value is None or isinstance(value, np.random.RandomState):
        return None
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model that :meth:`save` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    NMFNetClassifier or NMFNetRegressor
        Fitted; on the CPU.

    Raises
    ------
    ModelFileError
        If the file is missing, corrupt, or not a model of this package.
    """
    if os.path.isdir(path):
        raise ModelFileError(f"{path} is a folder, not a model file: is it in there?")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "nmfnet" not in metadata:
                raise ModelFileError(f"{path} is a safetensors file, but not a nmfnet model.")
            header = json.loads(metadata["nmfnet"])
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        return _rebuild(header, tensors)
    except ModelFileError:
        raise
    except FileNotFoundError:
        raise ModelFileError(f"There is no model file {path}.") from None
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError, *TOO_MUCH) as error:
        raise ModelFileError(f"{path} is not a readable nmfnet model: {error}") from None


def _rebuild(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> BaseNMFNet:
    """From the header and the tensors to an estimator, refusing whatever does not fit together."""
    if header["format"] != "nmfnet" or header["format_version"] not in (1, FORMAT_VERSION):
        raise ModelFileError(
            f"The model has format {header['format']!r} version {header['format_version']!r}; "
            f"this nmfnet reads versions 1 to {FORMAT_VERSION}."
        )
    cls = ESTIMATORS[header["estimator"]]
    parameters = {k: _settings(v) for k, v in header["parameters"].items() if k not in NOT_SAVED}
    estimator = cls(**parameters)
    estimator.device = "cpu"
    estimator._check_parameters()
    estimator.network_ = _network(header["network"], dict(tensors))
    estimator._set_state(header["state"])
    return estimator


def _network(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Network:
    """The network, checked; every tensor must have its place in it."""
    scalings = {}
    for name in SCALINGS:
        if f"{name}.shift" in tensors:
            scalings[name] = Scaling(tensors.pop(f"{name}.shift"), tensors.pop(f"{name}.factor"))
    network = Network(
        [tensors[f"weight.{i}"] for i in range(1, len(tensors) + 1)],
        activations_named(header["activation"], len(tensors) - 1),
        bool(header["intercept"]),
        Output(header.get("output", "identity"), float(header.get("label_smoothing", 0.0))),
        **scalings,
    )
    _check_weights(network)
    _check_scalings(network)
    return network


def _settings(value: Any) -> Any:
    """The inverse of :func:`_plain`."""
    if isinstance(value, dict):
        fields = dict(value)
        return SETTINGS[fields.pop("settings")](**fields)
    return tuple(value) if isinstance(value, list) else value


def _check_weights(network: Network) -> None:
    weights, intercept = network.weights, network.intercept
    if not weights:
        raise ModelFileError("The model has no weights.")
    for number, W in enumerate(weights, 1):
        if W.ndim != 2 or W.dtype not in (torch.float32, torch.float64) or W.dtype != weights[0].dtype:
            raise ModelFileError(f"weight.{number} is not a float32 or float64 matrix like the others.")
        if number > 1 and len(W) != weights[number - 2].shape[1] + intercept:
            raise ModelFileError(f"weight.{number} does not fit onto weight.{number - 1}.")
    if not network.is_finite():
        raise ModelFileError("The model has weights that are not finite.")


def _check_scalings(network: Network) -> None:
    intercept = network.intercept
    widths = {"inputs": len(network.weights[0]) - intercept, "targets": network.weights[-1].shape[1]}
    for name, width in widths.items():
        scaling = getattr(network, name)
        if scaling is None:
            continue
        shift, factor = scaling.shift, scaling.factor
        fits = shift.ndim == 1 and factor.ndim in (1, 2) and len(shift) == len(factor) and factor.shape[-1] == width
        if not fits or (name == "targets" and factor.ndim == 2):
            raise ModelFileError(f"{name}.shift and {name}.factor do not fit each other or the weights.")
        if any(t.dtype != network.dtype or not t.isfinite().all() for t in (shift, factor)):
            raise ModelFileError(f"{name}.shift or {name}.factor is not finite, or not of the weights' dtype.")
    if network.targets is not None and not network.targets.factor.all():
        raise ModelFileError("targets.factor has a zero.")
