"""What the classifier and the regressor share: parameters, fitting, the fitted attributes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from nmfnet._parameters import Choice, at_least, between, boolean, resolve
from nmfnet.activations import Activation, activations_named
from nmfnet.errors import DivergenceError
from nmfnet.network import Network, he_weights
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
        device, generator = self._device(), self._generator()
        X_train, Y_train, validation = self._split(X_checked, Y_checked, device)
        solver = resolve(self.solver, SOLVERS)
        settings = self._settings(solver, len(X_train), validation)
        progress = Progress()
        continued = self.warm_start and hasattr(self, "network_")
        if continued:
            network = self._continued(solver, hidden, X_train, Y_train).on(device)
            if network.targets is not None:  # the targets may have another unit now
                network.targets = target_scaling(Y_train, bool(self.fit_intercept))
            progress = Progress(list(self.history_), self.history_[-1]["seconds"] if self.history_ else 0.0)
        else:
            with progress.timed():
                network = self._new_network(solver, hidden, X_train, Y_train, generator)
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
        device, solver = self._device(), resolve(self.solver, SOLVERS)
        X_batch, Y_batch = to_tensor(X_checked).to(device), to_tensor(Y_checked).to(device)
        settings = self._settings(solver, len(X_batch), None)
        generator = self._generator() if "_random_" not in self.__dict__ else torch.Generator()
        if first:
            network = self._new_network(solver, hidden, X_batch, Y_batch, generator, partial=True)
            self.history_ = []
        else:
            network = self._continued(solver, hidden, X_batch, Y_batch).on(device)
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
            batch_size=self._batch_size(n, solver.default_batch_size(n)),
            max_iter=self.max_iter, max_time=self.max_time, tol=self.tol, n_iter_no_change=self.n_iter_no_change,
            alpha=float(self.alpha), l1_ratio=float(self.l1_ratio), validation=validation,
            error=partial(self._error, output=solver.output(self._kind())),
            callbacks=[*(self.callbacks or ()), *([PrintLog()] if self.verbose else [])],
        )  # fmt: skip

    def _new_network(
        self,
        solver: Solver,
        hidden: list[int],
        X: Tensor,
        Y: Tensor,
        generator: torch.Generator,
        partial: bool = False,
    ) -> Network:
        """A network with random weights, on the device of X.

        Pre-training is of the data as they are, so that there the inputs are not scaled.
        """
        centre = bool(self.fit_intercept)
        inputs = solver.scaling(X, self._kind(), centre, partial) if self.pretrain is None else None
        output = solver.output(self._kind())
        relaxed = solver.keeps_state
        targets = target_scaling(Y, centre) if relaxed and output.name == "identity" else None
        sizes = [X.shape[1] if inputs is None else inputs.n_out, *hidden, Y.shape[1]]
        # Small outputs at the start: relative steps then find their scale.
        weights = he_weights(sizes, self.fit_intercept, generator, X.dtype, last=0.1 if relaxed else 1.0)
        weights = [W.to(X.device) for W in weights]
        activation = activations_named(self.activation, len(hidden))
        return Network(weights, activation, bool(self.fit_intercept), output, inputs, targets)

    def _continued(self, solver: Solver, hidden: list[int], X: Tensor, Y: Tensor) -> Network:
        """The fitted network, if it is the one that the parameters ask for."""
        output = solver.output(self._kind())
        self._check_same_network([X.shape[1], *hidden, Y.shape[1]], X.dtype, output)
        return self.network_.with_weights(self.network_.weights)

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

    def _check_parameters(self) -> list[int]:
        """Refuse unfit parameters, naming them; return the widths of the hidden layers."""
        sizes = self.hidden_layer_sizes
        hidden = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        for size in hidden:
            at_least("hidden_layer_sizes", size, 1, Integral)
        for name, lowest, kind in (
            ("alpha", 0, Real), ("max_iter", 1, Integral), ("tol", 0, Real), ("n_iter_no_change", 1, Integral),
        ):  # fmt: skip
            at_least(name, getattr(self, name), lowest, kind)
        between("l1_ratio", self.l1_ratio, 0, 1)
        if self.max_time is not None:
            at_least("max_time", self.max_time, 0, Real, otherwise="None")
        for name in ("fit_intercept", "early_stopping", "warm_start"):
            boolean(name, getattr(self, name))
        if self.early_stopping:
            between("validation_fraction", self.validation_fraction, 0, 1, open_low=True, open_high=True)
        if self.batch_size != "auto":
            at_least("batch_size", self.batch_size, 1, Integral, otherwise="'auto'")
        activations_named(self.activation, len(hidden))
        Choice("solver", SOLVERS).check(self.solver)
        Choice("pretrain", PRETRAININGS, optional=True).check(self.pretrain)
        callbacks = self.callbacks if self.callbacks is not None else ()
        if not isinstance(callbacks, Sequence) or not all(isinstance(callback, Callback) for callback in callbacks):
            raise ValueError(f"callbacks must be None or a sequence of nmfnet.Callback; got {self.callbacks!r}.")
        return [int(size) for size in hidden]

    def _batch_size(self, n: int, default: int) -> int:
        if isinstance(self.batch_size, str):
            return min(n, default)
        if self.batch_size > n:
            warnings.warn(
                f"batch_size={self.batch_size} is larger than the {n} training samples; using {n}.",
                UserWarning, stacklevel=4,
            )  # fmt: skip
        return min(n, int(self.batch_size))

    def _device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ValueError(f"device={self.device!r} cannot be used: {str(error).splitlines()[0]}") from None
        return device

    def _generator(self) -> torch.Generator:
        """A generator of our own: torch's global one is left alone."""
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        return torch.Generator().manual_seed(int(seed))

    def _check_same_network(self, sizes: list[int], dtype: torch.dtype, output: Output) -> None:
        net = self.network_
        f = activations_named(self.activation, len(sizes) - 2)
        asked_for = f.name if isinstance(f, Activation) else [each.name for each in f]
        there, asked = (
            f"{'-'.join(map(str, n))} units, {f} and {g.name}, {'a' if bias else 'no'} bias, {kind}"
            for n, f, g, bias, kind in (
                (net.sizes, net.activation_names, net.output, net.intercept, net.dtype),
                (sizes, asked_for, output, bool(self.fit_intercept), dtype),
            )
        )
        if there != asked:
            raise ValueError(
                f"warm_start=True goes on with a network of {there}; the call asks for {asked}. Use warm_start=False."
            )

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


def to_array(data: Any) -> Any:
    """Return a tensor as an array of its dtype; anything else stays."""
    return data.detach().cpu().numpy() if isinstance(data, Tensor) else data


def to_tensor(array: Array) -> Tensor:
    """Share the memory of a NumPy array with a tensor that is only ever read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))
