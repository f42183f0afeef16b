"""The estimators in other forms: PyTorch modules, ONNX files, pickles."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from nmfnet._version import __version__
from nmfnet.data.column_messages import listed
from nmfnet.data.labels import label_array
from nmfnet.data.missing import MissingValues
from nmfnet.errors import VersionWarning
from nmfnet.estimators import model_files
from nmfnet.estimators.input_encoder import InputEncoder
from nmfnet.estimators.model_files import layers_of as stored_layers
from nmfnet.estimators.model_files import network_of, tensors_of
from nmfnet.estimators.streaming import Stream
from nmfnet.export import onnx
from nmfnet.export.modules import Probabilities
from nmfnet.export.onnx import Labels
from nmfnet.export.sequential import Layers, layers_of
from nmfnet.export.to_sequential import to_sequential
from nmfnet.linalg import all_finite
from nmfnet.network import Network
from nmfnet.network.outputs import LINEAR, Output
from nmfnet.storage.states import flat

Array = NDArray[Any]
VERSION = "_nmfnet_version"
STREAM = "_stream_"


def name_of_dtype(dtype: Any) -> str:
    """Name of a dtype of NumPy or PyTorch; anything else as text."""
    if isinstance(dtype, torch.dtype):
        return str(dtype).removeprefix("torch.")
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return str(dtype)


def _fits(network: Network, original: Network) -> bool:
    """Whether a network in another dtype is finite, and still knows the scale of all its inputs and targets."""
    scalings = [(network.inputs, original.inputs), (network.targets, original.targets)]
    for new, old in scalings:
        if new is not None and old is not None:
            tiny = torch.finfo(new.factor.dtype).tiny
            known, wanted = (abs(F).reshape(len(F), -1).amax(1) for F in (new.factor, old.factor))
            if not (all_finite(new.shift) and all_finite(new.factor) and bool((known[wanted > 0] >= tiny).all())):
                return False
    return network.is_finite()


class Portable:
    """What :class:`BaseNMFNet` can be turned into, and made from."""

    network_: Network
    _stream_: Stream | None
    input_encoder_: InputEncoder

    def to_torch(self, encoded: bool = False) -> nn.Sequential:
        """Return the model as a PyTorch module.

        If columns had missing values in `fit`, the module takes NaN as the model does.

        Parameters
        ----------
        encoded : bool, default=False
            Whether the module takes what ``input_encoder_.transform`` returns, instead of X.  A model that was fitted
            to categories or dates needs True, because a tensor cannot hold these.

        Returns
        -------
        torch.nn.Sequential
            In evaluation mode, with copies of the weights.  It computes `predict_proba` of a classifier, or `predict`
            of a regressor with shape (n_samples, n_outputs).  Its first module scales the inputs, if the network does.
            The last module of a classifier makes probabilities of the outputs, so ``module[:-1]`` gives logits, for
            further training.

        Examples
        --------
        >>> import torch
        >>> from nmfnet import NMFNetClassifier
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = NMFNetClassifier((10,), random_state=0).fit(X, y)
        >>> module = model.to_torch()
        >>> bool(abs(module(torch.tensor(X)).detach().numpy() - model.predict_proba(X)).max() < 1e-5)
        True
        """
        check_is_fitted(self)
        return to_sequential(self.network_, self._probabilities(), None if encoded else self._missing("to_torch"))

    def _missing(self, method: str) -> MissingValues | None:
        """What takes the place of NaN, if anything did in the fit; refuses a model of columns that are no numbers."""
        encoder = self.input_encoder_
        if encoder.table is not None and encoder.table.not_numbers:
            raise ValueError(
                f"{method}: the model encodes columns that are not numbers, which stays outside: "
                f"{listed(encoder.table.not_numbers)}. Pass encoded=True, and give what comes of it the result of "
                "input_encoder_.transform(X)."
            )
        missing = encoder.missing
        return None if missing is None or not len(missing.indicated) else missing

    @classmethod
    def from_torch(cls, module: nn.Sequential, classes: ArrayLike | None = None, **parameters: Any) -> Self:
        """Make a fitted estimator of a PyTorch module.

        It predicts what the module does in evaluation mode.  If it is trained further, all weights are trained, also
        those with ``requires_grad=False``.

        Parameters
        ----------
        module : torch.nn.Sequential
            Made of Linear, convolutions, activations, pooling, Dropout and Flatten, as :func:`nmfnet.fit_module`
            takes them; nested ones, too.  Its weights are copied.  For a classifier the outputs are the logits of the
            classes, and Softmax or LogSoftmax may follow.  Sigmoid means several labels a sample or, after a single
            output, two classes.
        classes : array-like of shape (n_classes,), optional
            Labels in the order of the outputs; 0, 1, ... if left out.  For classifiers.
        **parameters
            Parameters of the estimator, for further training by `partial_fit`, or by `fit` with ``warm_start=True``.
            A module that begins with a convolution needs ``input_shape=(channels, height, width)``.

        Raises
        ------
        TypeError, ValueError
            If the module has other layers, or `classes` do not fit its outputs.
        """
        layers = layers_of(module)
        network = layers.network(_shape_of_samples(layers, parameters.get("input_shape")))
        estimator = cls(tuple(network.hidden), network.activation_names, fit_intercept=network.intercept, **parameters)  # type: ignore[call-arg]
        order, state = estimator._adopt(network, layers.head, classes)
        if order is not None:
            network.weights[-1] = network.weights[-1][:, torch.as_tensor(order)].contiguous()
        estimator.network_ = replace(network, layers=())  # whose outputs may be others now
        estimator._set_state({"feature_names_in_": None, "history_": [], **state})  # type: ignore[attr-defined]
        return estimator

    def _adopt(
        self, network: Network, head: Probabilities | None, classes: ArrayLike | None
    ) -> tuple[Array | None, dict[str, Any]]:
        """Give the network its output function; return an order of its outputs, and what the estimator must know."""
        raise NotImplementedError

    def _probabilities(self) -> Probabilities | None:
        """Last module of :meth:`to_torch`."""
        return None

    def to_onnx(
        self,
        path: str | os.PathLike[str],
        method: Literal["predict", "transform"] = "predict",
        encoded: bool = False,
        *,
        dtype: str | DTypeLike | torch.dtype | None = None,
    ) -> None:
        """Write the model as an ONNX file; needs ``pip install 'nmfnet[onnx]'``.

        The input is `X`, of shape (n_samples, n_features) and of `dtype`.  Names are those of skl2onnx with
        ``zipmap=False``.  The outputs of a classifier are `label` and `probabilities`, an array.  The output of a
        regressor is `variable`, of shape (n_samples, n_outputs).

        Parameters
        ----------
        path : path-like
        method : {"predict", "transform"}, default="predict"
            What the graph computes: predictions, or the activations of the last hidden layer, as `variable` of
            shape (n_samples, width of that layer in `coefs_`).
        encoded : bool, default=False
            As in :meth:`to_torch`.
        dtype : {"float32", "float64"}, or the dtype of NumPy or PyTorch, optional
            Dtype of the input, the weights and the real outputs.  By default that of the model: float64 unless it
            was trained on float32.
        """
        check_is_fitted(self)
        if method not in ("predict", "transform"):
            raise ValueError(f"method must be 'predict' or 'transform'; got {method!r}.")
        dtype = None if dtype is None else name_of_dtype(dtype)
        if dtype not in (None, "float32", "float64"):
            raise ValueError(f"dtype must be 'float32', 'float64' or None; got {dtype}.")
        name, missing = type(self).__name__, None if encoded else self._missing("to_onnx")
        network = self.network_
        if dtype is not None:
            network = network.to(getattr(torch, dtype))
            missing = None if missing is None else missing.to(getattr(torch, dtype))
            if not _fits(network, self.network_):
                raise ValueError(
                    f"The model has numbers that are too large or too small for {dtype}: leave dtype out."
                )
        if method == "predict":
            onnx.write(path, name, network, self._labels(), missing)
        else:
            onnx.write_code(path, name, network, missing)

    def _labels(self) -> Labels | None:
        """What the graph of a classifier has besides the network."""
        return None

    def __getstate__(self) -> dict[str, Any]:
        """Arrays, numbers and text, which pickles of any version and skops hold."""
        state = dict(cast(dict[str, Any], super().__getstate__()))
        if "network_" in state:  # to be read where there is no GPU
            state["network_"] = plain_network(state["network_"])
        if state.get(STREAM) is not None:
            plain, tensors = flat(state[STREAM].state(), model_files.STREAM)
            state[STREAM] = {"plain": plain, "tensors": {name: each.cpu().numpy() for name, each in tensors.items()}}
        encoder = state.pop("input_encoder_", None)
        if encoder is not None and "network_" in state:  # without, a fit is under way
            state["input_encoder_"] = encoder.state()
        return {**state, VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop(VERSION, "an unknown version")
        if version != __version__:
            warnings.warn(
                f"This {type(self).__name__} was pickled by nmfnet {version} and is read by {__version__}, where it "
                "may not work or predict something else. Model files (save, nmfnet.load) are read by later versions.",
                VersionWarning, stacklevel=2,
            )  # fmt: skip
        if isinstance(state.get("network_"), dict):
            state["network_"] = network = network_from_plain(state["network_"])
            if "input_encoder_" in state:
                encoder = InputEncoder.from_state(state["input_encoder_"], network.dtype, network.sizes[0])
                state["input_encoder_"] = encoder
        stream = state.pop(STREAM, None)
        super().__setstate__(state)  # type: ignore[misc]
        if "network_" in state:
            self._stream_ = None
        if isinstance(stream, dict) and version == __version__:
            tensors = {name: torch.from_numpy(array.copy()) for name, array in stream["tensors"].items()}
            self._stream_ = model_files.stream_of(stream["plain"], tensors, self)


class PortableClassifier(Portable):
    """:class:`Portable` for classifiers."""

    classes_: Array
    _multilabel: bool

    def _adopt(
        self, network: Network, head: Probabilities | None, classes: ArrayLike | None
    ) -> tuple[Array | None, dict[str, Any]]:
        k = network.weights[-1].shape[1]
        kind = "softmax" if head is None else head.kind
        if k == 1 and kind == "sigmoid":  # the logit of the second of two classes; that of the first is 0
            network.weights[-1] = torch.cat([torch.zeros_like(network.weights[-1]), network.weights[-1]], 1)
            k, kind = 2, "softmax"
        multilabel = kind in ("sigmoid", "clip")
        if not multilabel and k < 2:
            raise ValueError(
                "a classifier needs an output for each class, two at least; module has 1 output. Where that is the "
                "logit of the second of two classes, put nn.Sigmoid() behind it."
            )
        labels = np.arange(k) if classes is None else label_array(classes, "classes")
        if labels.shape != (k,) or len(np.unique(labels)) < k:
            raise ValueError(f"classes must be {k} different labels, one for each output of module; got {classes!r}.")
        network.output = LINEAR
        if kind == "softmax" or kind == "sigmoid":
            network.output = Output(kind) if head is None else Output(kind, head.smoothing, head.temperature)
        order = np.argsort(labels)
        values = {"dtype": labels.dtype.str, "values": labels[order].tolist()}
        return order, {"classes_": values, "multilabel": multilabel}

    def _probabilities(self) -> Probabilities:
        output = self.network_.output
        if output.name != "identity":
            return Probabilities(output.name, output.smoothing, output.temperature)
        return Probabilities("clip" if self._multilabel else "simplex")

    def _labels(self) -> Labels:
        return Labels(self._probabilities(), self.classes_, self._multilabel)


class PortableRegressor(Portable):
    """:class:`Portable` for regressors."""

    def _adopt(
        self, network: Network, head: Probabilities | None, classes: ArrayLike | None
    ) -> tuple[None, dict[str, Any]]:
        if head is not None or classes is not None:
            raise ValueError("a regressor has no classes, and its module ends with a Linear.")
        return None, {"single_output": network.weights[-1].shape[1] == 1}


def _shape_of_samples(layers: Layers, asked: Any) -> tuple[int, ...] | None:
    """Of a module with layers of images, from the module or from what is asked for."""
    if layers.ndim is None:
        return None
    if asked is None and layers.input_shape is None:
        axes = "channels, height, width" if layers.ndim == 2 else "channels, length"
        raise ValueError(f"module does not say how large its inputs are: pass input_shape=({axes}).")
    return tuple(asked) if asked is not None else layers.input_shape


def plain_network(network: Network) -> dict[str, Any]:
    """A network as arrays, numbers and text."""
    tensors = {name: tensor.cpu().numpy() for name, tensor in tensors_of(network).items()}
    return {
        "activation": network.activation_names, "intercept": network.intercept, "output": network.output.name,
        "label_smoothing": network.output.smoothing, "temperature": network.output.temperature, "tensors": tensors,
        **stored_layers(network),
    }  # fmt: skip


def network_from_plain(plain: dict[str, Any]) -> Network:
    """Inverse of :func:`plain_network`."""
    return network_of(plain, {name: torch.from_numpy(array.copy()) for name, array in plain["tensors"].items()})
