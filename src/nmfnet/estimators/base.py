"""What the classifier and the regressor share: parameters, fitting, the fitted attributes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nmfnet._parameters import check_inner, resolve
from nmfnet.data.augmentation import Augmentation, augmented
from nmfnet.data.source import Source
from nmfnet.distributed import now, together
from nmfnet.estimators.callback_support import CallbackSupport, FitTasks, with_callbacks
from nmfnet.estimators.classes import with_class_weights
from nmfnet.estimators.codes import HiddenCodesMixin
from nmfnet.estimators.curves import CurvesMixin
from nmfnet.estimators.data import Data, checked_data, split
from nmfnet.estimators.fitting import Architecture, train
from nmfnet.estimators.html import PictureMixin
from nmfnet.estimators.input_encoder import InputEncoder
from nmfnet.estimators.inputs import checked_rows, network_for
from nmfnet.estimators.model_files import save
from nmfnet.estimators.parameters import batch_size, check_parameters, device_for, generator_for, positions
from nmfnet.estimators.ranks import refuse_in_ranks, source_of
from nmfnet.estimators.stored import in_files, looked_over, stored_data
from nmfnet.estimators.streaming import Stream, update
from nmfnet.estimators.transaction import unchanged_on_failure
from nmfnet.estimators.weights import WeightsMixin
from nmfnet.layers import Spec
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers import PRETRAININGS, SOLVERS
from nmfnet.solvers.base import Solver
from nmfnet.torch_modes import plain_tensors
from nmfnet.training import FOLD_UNITS, Callback, EpochRecord, FitSettings, Fitted, PrintLog

Array = NDArray[Any]


class BaseNMFNet(PictureMixin, HiddenCodesMixin, CurvesMixin, WeightsMixin, CallbackSupport, BaseEstimator):
    """Base class of the estimators; use :class:`NMFNetClassifier` or :class:`NMFNetRegressor`."""

    network_: Network
    n_features_in_: int
    input_shape_: tuple[int, ...] | None = None  # of a sample, where hidden layers are of images or sequences
    best_epoch_: int | None
    input_encoder_ = InputEncoder()  # of models of earlier versions, and of PyTorch modules
    n_members: int | str = 1  # this and the next two are for estimators pickled by earlier versions
    numeric_encoding: str = "standard"
    categorical_features: str | ArrayLike = "from_dtype"
    file_reading_: dict[str, Any] | None = None  # how the command line read the file of the fit
    _stream_: Stream | None
    _sparse_targets: bool = False  # whether y was a SciPy sparse matrix in the fit

    def __init__(
        self,
        hidden_layer_sizes: int | Spec | Sequence[int | Spec] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str | Any = "relaxed",
        pretrain: str | Any | None = None,
        alpha: float | str = "auto",
        l1_ratio: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int = 20,
        max_time: float | None = None,
        tol: float = 1e-4,
        n_iter_no_change: float = 10,
        n_members: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        fit_intercept: bool = True,
        input_shape: Sequence[int] | None = None,
        augmentation: Augmentation | None = None,
        categorical_features: str | ArrayLike = "from_dtype",
        numeric_encoding: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device | None = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.pretrain = pretrain
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.max_time = max_time
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.n_members = n_members
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.fit_intercept = fit_intercept
        self.input_shape = input_shape
        self.augmentation = augmentation
        self.categorical_features = categorical_features
        self.numeric_encoding = numeric_encoding
        self.random_state = random_state
        self.device = device
        self.warm_start = warm_start
        self.verbose = verbose
        self.callbacks = callbacks

    def _check_parameters(self) -> list[int | Spec]:
        """Refuse unfit parameters, naming them; return the hidden layers."""
        return check_parameters(self)

    _numeric_y: ClassVar[bool]  # whether y must be numbers

    def _encode(self, y: Array, dtype: Any, reset: bool = True) -> Array:
        """Targets Y (n, n_outputs) of a dtype from a checked y; without `reset`, as the fitted model encodes them."""
        raise NotImplementedError

    def _kind(self) -> Literal["classes", "labels", "real"]:
        """What the targets are, for the solver to choose the output function by."""
        raise NotImplementedError

    def _error(self, outputs: Tensor, Y: Tensor, output: Output) -> Tensor:
        """Error of each sample, shape (m,)."""
        raise NotImplementedError

    def _score(self, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None = None, *, output: Output) -> float:
        """What `score` says of such outputs; NaN where it is not defined."""
        raise NotImplementedError

    def _stratify(self, Y: Array) -> Array | None:
        """Labels that the validation split keeps the proportions of."""
        return None

    def _class_weights(self, data: Data) -> Array | None:
        """Weight of each class, shape (n_classes,); None where all are 1."""
        return None

    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like, data frame, SciPy sparse matrix, Tensor or path, of shape (n_samples, n_features)
            Images and sequences also of shape (n_samples, channels, height, width) or (n_samples, channels, length).
            A path or URL names files that may be larger than memory: .npy, .npz, tables, Arrow IPC, HDF5, Zarr.
            float32 input is trained in float32, anything else in float64; a network that is trained further keeps its
            dtype.  Sparse input stays sparse with ``solver="relaxed"``.  A tensor is trained on its own device.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or real targets.  If X is a path, also a .npy file, or the name of an array or a column.
        sample_weight : array-like of shape (n_samples,), optional
            Nonnegative.  A sample of weight 0 is left out; one of weight 2 counts twice in every sum and mean over
            samples.  Batch sizes and the automatic settings count rows, whatever their weights.
        X_val, y_val : array-like, optional
            A validation set, like X and y.  Its loss and error are recorded in `history_`.  With
            ``early_stopping=True`` it is used in place of held-out samples.
        sample_weight_val : array-like, optional
            Weights of the validation set.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument or a parameter is invalid; the message names it.
        DivergenceError
            If the weights are not finite after the first epoch.
        """
        if (X_val is None) != (y_val is None) or (sample_weight_val is not None and X_val is None):
            raise ValueError("X_val and y_val go together, and sample_weight_val with them.")
        tasks = FitTasks(self, X, y, sample_weight)
        with unchanged_on_failure(self), together():
            hidden = self._check_parameters()
            start = getattr(self, "network_", None) if self.warm_start else None
            refuse_in_ranks(network=start, X_val=X_val is not None, **self.get_params(deep=False))
            in_memory = partial(checked_data, dtype=None if start is None else start.dtype)
            data, validation = (stored_data if in_files(X) else in_memory)(self, X, y, sample_weight), None
            if X_val is None and self.early_stopping:
                data, validation = split(self, data)
            of_classes = self._class_weights(data)
            data = with_class_weights(data, of_classes)
            if in_files(X):
                data = looked_over(self, data, validation)
            if X_val is not None:
                try:
                    validation = checked_data(
                        self, X_val, y_val, sample_weight_val, reset=False, suffix="_val", dtype=data.dtype
                    )
                except ValueError as error:  # of X and y
                    raise ValueError(f"X_val, y_val: {error}") from error
            held_out = None if validation is None else with_class_weights(validation, of_classes)
            self.network_, self.history_, self.best_epoch_ = self._train(hidden, data, held_out, tasks)
            self._stream_ = None  # the next partial_fit starts its averages anew
        return self

    def _train(self, hidden: list[int | Spec], data: Data, validation: Data | None, tasks: Callback) -> Fitted:
        device, generator = device_for(self.device, data.X), generator_for(self.random_state)
        solver = resolve(self.solver, SOLVERS)
        source, mean_weight = self._source(solver, data, device).normalized()
        source = augmented(source, self.augmentation, self.input_shape_)
        held_out = None if validation is None else self._source(solver, validation, device).normalized()[0]
        continued = self.warm_start and hasattr(self, "network_")
        return train(
            self._architecture(hidden, continued),
            solver,
            source,
            replace(self._settings(solver, source, continued, mean_weight), trained=continued),
            generator,
            validation=held_out,
            start=self.network_ if continued else None,
            history=self.history_ if continued else (),
            callbacks=[*(self.callbacks or ()), *([PrintLog()] if self.verbose and not now().rank else []), tasks],
            pretraining=None if self.pretrain is None else resolve(self.pretrain, PRETRAININGS),
            feature_names=self._encoded_names(),
            n_members=self.n_members,
            averages=validation is None and not self.warm_start,
            encodes=self.numeric_encoding == "auto",
        )

    def _partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, **encoding: Any) -> Self:
        with unchanged_on_failure(self):
            hidden, first = self._check_parameters(), not hasattr(self, "network_")
            if self.early_stopping:
                raise ValueError("partial_fit does not support early_stopping=True: it has no epochs to choose from.")
            if first and self.pretrain is not None:
                raise ValueError("pretrain needs all samples, which partial_fit has not: fit first, or pretrain=None.")
            if self.augmentation is not None:
                raise ValueError("partial_fit does not augment images: use fit, or augmentation=None.")
            dtype = None if first else self.network_.dtype
            data = checked_data(self, X, y, sample_weight, reset=first, dtype=dtype, complete=False, **encoding)
            self._update(hidden, with_class_weights(data, self._class_weights(data)))
        return self

    def _update(self, hidden: list[int | Spec], data: Data) -> None:
        device, solver = device_for(self.device, data.X), resolve(self.solver, SOLVERS)
        source, first = self._source(solver, data, device), not hasattr(self, "network_")
        updated, stream = update(
            self._architecture(hidden, not first),
            solver,
            source,
            self._settings(solver, source, not first),
            generator_for(self.random_state),
            start=None if first else self.network_,
            history=[] if first else self.history_,
            stream=self.__dict__.get("_stream_"),
        )
        self.network_, self.history_, self._stream_ = updated.network, updated.history, stream
        self.best_epoch_ = None
        if self.verbose:
            PrintLog().on_epoch_end(self.network_, self.history_[-1])

    def _source(self, solver: Solver, data: Data, device: torch.device) -> Any:
        """Checked data as a source; sparse inputs stay sparse for a solver that takes them, but not to pre-train."""
        sparse = solver.takes_sparse and self.pretrain is None and self.input_shape_ is None
        return source_of(data.source(device, sparse), data.keys)

    def _architecture(self, hidden: list[int | Spec], goes_on: bool) -> Architecture:
        """What the parameters ask for; a network that goes on may be a mean of networks side by side."""
        others = self.n_members_ - 1 if goes_on and hidden != list(self.network_.hidden) else 0
        hidden = [w if isinstance(w, Spec) else w + others * min(w, FOLD_UNITS) for w in hidden]
        asked = hidden, self.activation, bool(self.fit_intercept), self._kind(), self.pretrain is None
        return Architecture(*asked, self.input_shape_, self.numeric_encoding == "piecewise")

    def _settings(self, solver: Solver, source: Source, goes_on: bool, mean_weight: float = 1.0) -> FitSettings:
        """What a fit needs to know; a penalty is against the sum of the weights as they were before `normalized`."""
        real_values, output = source.n_outputs if self._kind() == "real" else 0, solver.output(self._kind())
        chosen = self.alpha_ if goes_on else None
        default = solver.default_batch_size(source.n_rows, real_values, positions(self.input_shape_))
        return FitSettings(
            error=partial(self._error, output=output),
            score=partial(self._score, output=output) if self.early_stopping else None,
            batch_size=batch_size(self.batch_size, source.n_rows, default),
            max_iter=self.max_iter,
            max_time=self.max_time,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            alpha=float(self.alpha) / mean_weight if self.alpha != "auto" else "auto" if chosen is None else chosen,
            l1_ratio=float(self.l1_ratio),
            early_stopping=bool(self.early_stopping),
            real=self._kind() == "real",
        )

    def _outputs(self, X: ArrayLike) -> Tensor:
        """Outputs of the network, shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        with plain_tensors():
            rows = checked_rows(self, X)
            return network_for(self.network_, X).predict(rows)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of solver and pre-training: ``set_params(solver__dropout=0.1)``."""
        check_inner(self, params, solver=SOLVERS, pretrain=PRETRAININGS)
        return super().set_params(**params)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a safetensors file, which :func:`nmfnet.load` reads."""
        save(self, path)

    def _get_state(self) -> dict[str, Any]:
        """What `fit` learned besides the weights, for a model file."""
        names = getattr(self, "feature_names_in_", None)
        return {
            "feature_names_in_": None if names is None else list(names),
            "input_encoder_": self.input_encoder_.state(),
            "file_reading_": self.file_reading_,
            "history_": self.history_,
            "best_epoch_": self.best_epoch_,
        }

    def _set_state(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`_get_state`, for an estimator that has its network already."""
        self.input_shape_, n_inputs = self.network_.input_shape, self.network_.sizes[0]
        self.input_encoder_ = InputEncoder.from_state(state.get("input_encoder_"), self.network_.dtype, n_inputs)
        self.n_features_in_ = self.input_encoder_.n_features(n_inputs)
        self.file_reading_ = state.get("file_reading_")
        if (names := state["feature_names_in_"]) is not None:
            if len(names) != self.n_features_in_ or not all(isinstance(name, str) for name in names):
                raise ValueError(f"feature_names_in_ are not {self.n_features_in_} names.")
            self.feature_names_in_ = np.array(names, dtype=object)
        self.history_ = cast("list[EpochRecord]", state["history_"])
        self.best_epoch_ = state.get("best_epoch_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        for kind in ("sparse", "allow_nan", "string", "categorical"):
            setattr(tags.input_tags, kind, True)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")
