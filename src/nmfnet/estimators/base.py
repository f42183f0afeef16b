"""What the classifier and the regressor share: parameters, fitting, the fitted attributes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from nmfnet._parameters import resolve
from nmfnet.errors import DivergenceError
from nmfnet.estimators.building import fitted_network, new_network
from nmfnet.estimators.inputs import to_array, to_tensor
from nmfnet.estimators.parameters import batch_size, check_parameters, device_named, generator_for
from nmfnet.network import Network
from nmfnet.outputs import Output
from nmfnet.scaling import target_scaling
from nmfnet.training import (
    PRETRAININGS,
    SOLVERS,
    Callback,
    EpochRecord,
    PrintLog,
    Progress,
    Settings,
    Solver,
    Sweep,
    epoch,
    planned,
    train,
)

Array = NDArray[Any]


class BaseNMFNet(BaseEstimator):
    """Base class of the estimators; use :class:`NMFNetClassifier` or :class:`NMFNetRegressor`."""

    network_: Network
    history_: list[EpochRecord]
    n_features_in_: int
    _sweep: Sweep
    _random_: Tensor

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str | Any = "relaxed",
        pretrain: str | Any | None = None,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int = 20,
        max_time: float | None = None,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        fit_intercept: bool = True,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device = "cpu",
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.fit_intercept = fit_intercept
        self.random_state = random_state
        self.device = device
        self.warm_start = warm_start
        self.verbose = verbose
        self.callbacks = callbacks

    def _check_parameters(self) -> list[int]:
        """Refuse unfit parameters, naming them; return the widths of the hidden layers."""
        return check_parameters(self)

    # What the two subclasses answer differently.

    def _check_y(self, X: ArrayLike, y: ArrayLike, reset: bool = True) -> tuple[Array, Array]:
        """Check X and y, and return X and the targets Y (n, n_outputs); without `reset`, against the fitted model."""
        raise NotImplementedError

    def _kind(self) -> Literal["classes", "labels", "real"]:
        """What the targets are, for the solver to choose the output function by."""
        raise NotImplementedError

    def _error(self, outputs: Tensor, Y: Tensor, output: Output) -> Tensor:
        """Error of each sample, shape (m,)."""
        raise NotImplementedError

    def _stratify(self, Y: Array) -> Array | None:
        """Labels that the validation split keeps the proportions of."""
        return None

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            float32 input is trained in float32, anything else in float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or real targets.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, y or a parameter is unfit; the message names it.
        DivergenceError
            If the first epoch already ends with non-finite weights.
        """
        with self._unchanged_on_failure():
            self._fit(X, y)
        return self

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """A fit that fails leaves a fitted model as it was."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit(self, X: ArrayLike, y: ArrayLike) -> None:
        hidden = self._check_parameters()
        X_checked, Y_checked = self._check_y(to_array(X), to_array(y))
        device, generator = device_named(self.device), generator_for(self.random_state)
        X_train, Y_train, validation = self._split(X_checked, Y_checked, device)
        solver = resolve(self.solver, SOLVERS)
        settings = self._settings(solver, len(X_train), validation)
        progress = Progress()
        continued = self.warm_start and hasattr(self, "network_")
        if continued:
            network = fitted_network(self, solver, hidden, X_train, Y_train)
            if network.targets is not None:  # the targets may have another unit now
                network.targets = target_scaling(Y_train, bool(self.fit_intercept))
            progress = Progress(list(self.history_), self.history_[-1]["seconds"] if self.history_ else 0.0)
        else:
            with progress.timed():
                network = new_network(self, solver, hidden, X_train, Y_train, generator)
        for callback in settings.callbacks:
            callback.on_fit_begin(network, self.max_iter)
        if not continued:
            self._pretrain(network, X_train, Y_train, generator, progress, settings.callbacks)
        train(network, solver, X_train, Y_train, settings, progress, generator)
        self.network_, self.history_ = network, progress.history
        for name in ("_sweep", "_random_"):
            self.__dict__.pop(name, None)

    def _partial_fit(self, X: ArrayLike, y: ArrayLike, **encoding: Any) -> None:
        """One pass over X and y, with the averages of earlier calls."""
        hidden, first = self._check_parameters(), not hasattr(self, "network_")
        X_checked, Y_checked = self._check_y(to_array(X), to_array(y), reset=first, **encoding)
        device, solver = device_named(self.device), resolve(self.solver, SOLVERS)
        X_batch, Y_batch = to_tensor(X_checked).to(device), to_tensor(Y_checked).to(device)
        settings = self._settings(solver, len(X_batch), None)
        generator = generator_for(self.random_state) if "_random_" not in self.__dict__ else torch.Generator()
        if first:
            network = new_network(self, solver, hidden, X_batch, Y_batch, generator, partial=True)
            self.history_ = []
        else:
            network = fitted_network(self, solver, hidden, X_batch, Y_batch)
        if "_random_" in self.__dict__:
            generator.set_state(self._random_)
        progress = Progress(self.history_, self.history_[-1]["seconds"] if self.history_ else 0.0)
        if "_sweep" in self.__dict__ and solver.keeps_state:
            sweep = self._sweep.fork()
        else:
            sweep = solver.prepare(network, X_batch, planned(settings, len(X_batch), generator, partial=True))
        record = epoch(sweep.network, sweep, X_batch, Y_batch, settings, progress, generator)
        if record is None:
            raise DivergenceError("partial_fit ended with non-finite weights and left the model as it was.")
        self.history_ = [*self.history_, record]
        self.network_ = network.with_weights(sweep.weights())
        self._sweep, self._random_ = sweep, generator.get_state()

    def _settings(self, solver: Solver, n: int, validation: tuple[Tensor, Tensor] | None) -> Settings:
        return Settings(
            batch_size=batch_size(self.batch_size, n, solver.default_batch_size(n)),
            max_iter=self.max_iter, max_time=self.max_time, tol=self.tol, n_iter_no_change=self.n_iter_no_change,
            alpha=float(self.alpha), l1_ratio=float(self.l1_ratio), validation=validation,
            error=partial(self._error, output=solver.output(self._kind())),
            callbacks=[*(self.callbacks or ()), *([PrintLog()] if self.verbose else [])],
        )  # fmt: skip

    def _split(self, X: Array, Y: Array, device: torch.device) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        """Training inputs and targets, and the validation set of early stopping."""
        if not self.early_stopping:
            return to_tensor(X).to(device), to_tensor(Y).to(device), None
        try:
            parts = train_test_split(
                X, Y, test_size=self.validation_fraction, stratify=self._stratify(Y),
                random_state=check_random_state(self.random_state),
            )  # fmt: skip
        except ValueError as error:
            text = f"early_stopping=True with validation_fraction={self.validation_fraction}: {error}"
            raise ValueError(text) from None
        X_train, X_val, Y_train, Y_val = (to_tensor(part).to(device) for part in parts)
        return X_train, Y_train, (X_val, Y_val)

    def _outputs(self, X: ArrayLike) -> Array:
        """Outputs of the network, shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        dtype = np.float32 if self.network_.dtype == torch.float32 else np.float64
        checked = validate_data(self, to_array(X), dtype=dtype, reset=False)
        return self.network_.predict(to_tensor(checked)).cpu().numpy()

    def _pretrain(
        self,
        network: Network,
        X: Tensor,
        Y: Tensor,
        generator: torch.Generator,
        progress: Progress,
        callbacks: Sequence[Callback],
    ) -> None:
        if self.pretrain is None:
            return
        pretraining = resolve(self.pretrain, PRETRAININGS)

        def announce(layer: int) -> None:
            for callback in callbacks:
                callback.on_pretrain_layer(layer, len(network.weights) - 1)

        with progress.timed():
            pretraining(network, X, network.scaled_targets(Y), generator, announce)

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices, the l-th of shape (n_{l-1}, n_l), with the scaling of inputs and targets folded in."""
        return [W.cpu().numpy() for W, _ in self.network_.folded()]

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors, the l-th of shape (n_l,), with the scaling folded in; zeros with ``fit_intercept=False``."""
        return [b.cpu().numpy() for _, b in self.network_.folded()]

    @property
    def n_iter_(self) -> int:
        """Epochs done."""
        return len(self.history_)

    @property
    def n_layers_(self) -> int:
        """Layers, the input's and the output's included."""
        return len(self.network_.weights) + 1

    @property
    def n_outputs_(self) -> int:
        """Outputs of the network."""
        return int(self.network_.weights[-1].shape[1])

    @property
    def out_activation_(self) -> str:
        """Name of the function over the outputs: "identity", "softmax" or "logistic", as in scikit-learn."""
        name = self.network_.output.name
        return "logistic" if name == "sigmoid" else name

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a safetensors file, see :func:`nmfnet.load`."""
        from nmfnet.storage import save

        save(self, path)

    def _get_state(self) -> dict[str, Any]:
        """What `fit` learned besides the weights, for a model file."""
        names = getattr(self, "feature_names_in_", None)
        return {"feature_names_in_": None if names is None else list(names), "history_": self.history_}

    def _set_state(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`_get_state`, for an estimator that has its network already."""
        self.n_features_in_ = self.network_.sizes[0]
        names = state["feature_names_in_"]
        if names is not None:
            if len(names) != self.n_features_in_ or not all(isinstance(name, str) for name in names):
                raise ValueError(f"feature_names_in_ are not {self.n_features_in_} names.")
            self.feature_names_in_ = np.array(names, dtype=object)
        self.history_ = [cast(EpochRecord, dict(record)) for record in state["history_"]]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_sweep", "_random_"):  # large and not needed: training goes on from the averaged weights
            state.pop(name, None)
        if "network_" in state:  # to be read where there is no GPU
            state["network_"] = state["network_"].on("cpu")
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")
