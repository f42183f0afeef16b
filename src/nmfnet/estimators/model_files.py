"""Model files: safetensors with a JSON header.  Nothing in a file is ever executed.

docs/model-files.md describes the format, and docs/security.md what loading may do.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from nmfnet._parameters import resolve
from nmfnet.data.augmentation import Augmentation
from nmfnet.data.piecewise import PiecewiseLinear, restored
from nmfnet.data.scaling import Scaling
from nmfnet.errors import ModelFileError
from nmfnet.estimators.streaming import Stream
from nmfnet.layers import SPECS, Spec
from nmfnet.layers.activations import activations_named
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers import PRETRAININGS, SOLVERS
from nmfnet.storage import container
from nmfnet.storage.schemas import check_schema
from nmfnet.storage.states import flat, names_in, whole
from nmfnet.torch_modes import plain_tensors

T = TypeVar("T", bound=type)
# Version 1 had neither output functions nor scalings, version 2 no sparse targets, version 3 no encoding of inputs, no
# temperature and no stream, version 4 only fully-connected layers, version 5 no piecewise-linear encodings.
FORMAT_VERSION = 6
ESTIMATORS: dict[str, type] = {}  # by the name that is in the file
SETTINGS = {cls.__name__: cls for cls in (*SOLVERS.values(), *PRETRAININGS.values(), Augmentation)}
RENAMED = {"NMFAutoencoder": "NMFPretraining"}  # settings, in files of earlier versions
NOT_SAVED = ("callbacks",)
NULL = {"n_iter_no_change": math.inf}  # what null stands for, where it is not None
EARLIER: dict[str, Any] = {"n_members": 1, "numeric_encoding": "standard"}  # what models were whose files do not say
SCALINGS, PARTS = ("inputs", "targets"), ("shift", "factor", "low", "high")
STREAM = "stream."  # begins the names of the tensors that the next `partial_fit` needs
KEY = "nmfnet"  # of the header, in the metadata of the safetensors file


def loadable(cls: T) -> T:
    """Let model files of an estimator class be loaded."""
    ESTIMATORS[cls.__name__] = cls
    return cls


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
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
        "parameters": {k: _parameter(v) for k, v in estimator.get_params(deep=False).items() if k not in NOT_SAVED},
        "network": {
            "activation": estimator.network_.activation_names,
            "intercept": estimator.network_.intercept,
            "output": estimator.network_.output.name,
            "label_smoothing": estimator.network_.output.smoothing,
            **layers_of(estimator.network_),
            "temperature": estimator.network_.output.temperature,
        },
        "state": _plain(estimator._get_state()),
    }
    stream = estimator.__dict__.get("_stream_")
    plain, of_stream = flat(None if stream is None else stream.state(), STREAM)
    header["stream"] = plain
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.absolute().parent} to save the model in.")
    tensors = {**tensors_of(estimator.network_), **of_stream}
    text = container.unparse(header)
    size = len(text) + sum(t.nbytes for t in tensors.values())
    try:
        container.check_cost(text, size, 2 * len(text))  # as a part of a larger text, where it counts itself
        _rebuild(container.parse(text), tensors, size)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"This model could not be loaded again: {error}") from error
    container.write(path, KEY, text, tensors)


def tensors_of(network: Network) -> dict[str, torch.Tensor]:
    """All tensors of a network by their names in the file."""
    tensors = {f"weight.{i}": W for i, W in enumerate(network.weights, 1)}
    for name in SCALINGS:
        scaling = getattr(network, name)
        if scaling is not None:
            tensors |= {f"{name}.{part}": each for part, each in scaling.state().items() if part != "pieces"}
    return tensors


def layers_of(network: Network) -> dict[str, Any]:
    """Hidden layers, shape of a sample, and pieces of each encoded column of a network, as JSON holds them."""
    pieces = list(network.inputs.pieces) if isinstance(network.inputs, PiecewiseLinear) else None
    return {"hidden": _plain(network.hidden), "input_shape": _plain(network.input_shape), "pieces": pieces}


def _parameter(value: Any) -> Any:
    """A parameter as JSON holds it; a dict of class weights, whose labels need not be text, as label, weight, ..."""
    if isinstance(value, Spec):
        return [_plain(value)]  # the only hidden layer
    return [_plain(each) for pair in value.items() for each in pair] if isinstance(value, Mapping) else _plain(value)


def _class_weight(value: Any) -> Any:
    """Inverse of :func:`_parameter` for the weights of classes."""
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) % 2:
        raise ValueError("class_weight is not a list of labels and their weights.")
    return dict(zip(value[::2], value[1::2], strict=True))


def _plain(value: Any) -> Any:
    """A value as JSON holds it; settings become their class name and parameters."""
    if type(value) in SETTINGS.values():
        return {"settings": type(value).__name__, **_plain(value.get_params())}
    if isinstance(value, Spec):
        return {"layer": type(value).__name__, **_plain(value.changed())}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.longdouble):  # Python has no number for it; whole ones, as labels are, it holds exactly
        return _plain(int(value) if value.is_integer() else float(value))
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
        return _rebuild(*container.read(path, KEY))
    except FileNotFoundError:
        raise ModelFileError(f"There is no model file {path}.") from None
    # Broad on purpose: whatever is wrong with a file shows as this one error.
    except Exception as error:
        raise ModelFileError(f"{path} is not a readable nmfnet model: {_in_short(error)}") from error


def _in_short(error: Exception) -> str:
    text = " ".join(str(error)[:1000].split())
    return f"{text[:300]}..." if len(text) > 300 else text or type(error).__name__


def _rebuild(header: dict[str, Any], tensors: Mapping[str, torch.Tensor], size: int) -> Any:
    """From header and tensors to an estimator, refusing whatever does not fit together; `size` is the file's."""
    versions = range(1, FORMAT_VERSION + 1)
    version = header.get("format_version")
    if header.get("format") != "nmfnet" or type(version) is not int or version not in versions:
        raise ValueError(
            f"it has format {header.get('format')!r:.50} version {version!r:.50}; "
            f"this nmfnet reads versions 1 to {FORMAT_VERSION}."
        )
    check_schema(header, f"model-{version}")
    _check_labels(header["state"], size)
    cls = ESTIMATORS[header["estimator"]]
    parameters: dict[str, Any] = EARLIER | {
        k: NULL.get(k) if v is None else _settings(v) for k, v in header["parameters"].items() if k not in NOT_SAVED
    }
    if "class_weight" in parameters:
        parameters["class_weight"] = _class_weight(parameters["class_weight"])
    estimator = cls(**parameters)
    estimator.device = None
    estimator._check_parameters()
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(STREAM)}
    estimator.network_ = network_of(header["network"], own)
    estimator._set_state(header["state"])
    estimator._stream_ = stream_of(header.get("stream"), tensors, estimator)
    return estimator


def stream_of(plain: Any, tensors: Mapping[str, torch.Tensor], estimator: Any) -> Stream | None:
    """What the next `partial_fit` goes on from; every tensor of its own must be finite and have its place in it."""
    found = {name: tensor for name, tensor in tensors.items() if name.startswith(STREAM)}
    used = set(names_in(plain))
    if used != set(found) or not all(bool(tensor.isfinite().all()) for tensor in found.values()):
        raise ValueError("the tensors of its stream are not those it needs, or not finite.")
    if plain is None:
        return None
    solver = resolve(estimator.solver, SOLVERS)
    with plain_tensors():
        return Stream.restored(whole(plain, found), estimator.network_, solver)


def _check_labels(state: dict[str, Any], size: int) -> None:
    """Refuse labels that would take much memory: in an array each has the length of the longest."""
    labels = [label for label in state.get("classes_", {}).get("values", ()) if isinstance(label, str)]
    most = container.MAX_MEMORY_PER_BYTE * size + container.FREE_BYTES
    if 4 * len(labels) * max(map(len, labels), default=0) > most:
        raise ValueError("its labels are too long.")


def network_of(header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Network:
    """The network, checked; every tensor must have its place in it."""
    tensors, scalings = dict(tensors), dict[str, Scaling | None]()
    for name in SCALINGS:
        parts = {part: tensors.pop(f"{name}.{part}") for part in PARTS if f"{name}.{part}" in tensors}
        if parts:
            scalings[name] = restored({**parts, "pieces": header.get("pieces")} if name == "inputs" else parts)
    weights = [tensors[f"weight.{i}"] for i in range(1, len(tensors) + 1)]
    _check_tensors(weights)
    shape = header.get("input_shape")
    network = Network(
        weights,
        activations_named(header["activation"], len(tensors) - 1),
        bool(header["intercept"]),
        output_of(header),
        inputs=scalings.get("inputs"),
        targets=scalings.get("targets"),
        hidden=[_settings(each) for each in header.get("hidden", ())],
        input_shape=None if shape is None else tuple(shape),
    )
    _check_weights(network)
    if not network.is_finite():
        raise ValueError("it has weights that are not finite.")
    _check_scalings(network)
    return network


def output_of(header: Mapping[str, Any]) -> Output:
    """The function over the outputs."""
    temperature = header.get("temperature")
    return Output(
        header.get("output", "identity"),
        float(header.get("label_smoothing", 0.0)),
        None if temperature is None else float(temperature),
    )


def _settings(value: Any) -> Any:
    """The inverse of :func:`_plain`."""
    if isinstance(value, dict):
        fields = {name: _settings(each) for name, each in value.items()}
        if "layer" in fields:
            return SPECS[fields.pop("layer")](**fields)
        name = fields.pop("settings")
        return SETTINGS[RENAMED.get(name, name)](**fields)
    return tuple(map(_settings, value)) if isinstance(value, list) else value


def _check_tensors(weights: list[torch.Tensor]) -> None:
    if not weights:
        raise ValueError("it has no weights.")
    for number, W in enumerate(weights, 1):
        if W.ndim != 2 or W.dtype not in (torch.float32, torch.float64) or W.dtype != weights[0].dtype:
            raise ValueError(f"weight.{number} is not a float32 or float64 matrix like the others.")


def _check_weights(network: Network) -> None:
    """Refuse weights that do not fit their layers, or one another."""
    if len(network.weights) != len(network.layers):
        raise ValueError(f"it has weights for {len(network.weights)} layers, but {len(network.layers)} layers.")
    for number, (W, layer) in enumerate(zip(network.weights, network.layers, strict=True), 1):
        if tuple(W.shape) != (layer.n_in + network.intercept, layer.n_out):
            raise ValueError(f"weight.{number} does not fit onto weight.{number - 1}, or is not of its layer.")


def _check_scalings(network: Network) -> None:
    shape = network.input_shape
    n_in = len(network.weights[0]) - network.intercept if shape is None else math.prod(shape)
    widths = {"inputs": n_in, "targets": network.weights[-1].shape[1]}
    for name, width in widths.items():
        scaling = getattr(network, name)
        if scaling is None:
            continue
        shift, factor = scaling.shift, scaling.factor
        fits = shift.ndim == 1 and factor.ndim in (1, 2) and len(shift) == len(factor) and factor.shape[-1] == width
        if isinstance(scaling, PiecewiseLinear):
            fits &= shape is None and scaling.fits
        if not fits or (name == "targets" and factor.ndim == 2):
            raise ValueError(
                f"{name}.shift, {name}.factor and what goes with them do not fit each other or the weights."
            )
        tensors = [each for each in scaling.state().values() if isinstance(each, torch.Tensor)]
        if any(t.dtype != network.dtype or not t.isfinite().all() for t in tensors):
            raise ValueError(f"{name}.shift or {name}.factor is not finite, or not of the weights' dtype.")
    if network.targets is not None and not network.targets.factor.all():
        raise ValueError("targets.factor has a zero.")
