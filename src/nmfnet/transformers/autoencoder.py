"""The stacked autoencoder of nonnegative matrix factorizations as a transformer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nmfnet._parameters import Choice, at_least, boolean, check_inner, resolve
from nmfnet.data.containers import plain, validated
from nmfnet.data.source import InMemory
from nmfnet.errors import DivergenceError
from nmfnet.factorization import nonlinear_least_squares
from nmfnet.factorization._common import check_matrix
from nmfnet.factorization.coordinate_descent import Tiles, Workspace
from nmfnet.layers.activations import activation_named
from nmfnet.linalg import affine
from nmfnet.linalg.arrays import as_tensor
from nmfnet.network import Network
from nmfnet.solvers import PRETRAININGS, SOLVERS, NMFPretraining
from nmfnet.stateful import copied
from nmfnet.training import FitSettings, Progress, fit_network
from nmfnet.transformers.export_mixin import PortableAutoencoder
from nmfnet.transformers.input import to_numpy

Array = NDArray[Any]
ROWS = 4096  # looked at together
SWEEPS = 50  # of coordinate descent on a decoder, whose products are at hand


class NMFAutoencoder(PortableAutoencoder, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Autoencoder that is built of nonnegative matrix factorizations, layer by layer, and then fine-tuned.

    The encoder is a network, ``Z = f(... f(X W[1]) ...)``.  For each layer, an NMF of the layer's input A finds Z and
    H with A ~ Z H, and nonlinear least squares finds weights that compute Z from A.  The two alternate (Sakurai et
    al., 2016, section 3.3).  Then H is fitted again to the codes, and becomes the decoder.  Fine-tuning trains encoder
    and decoder as one network whose target is its own input, by the package's solvers, without backpropagation.  If it
    ends with a larger error than it began with, its result is dropped.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Widths of the encoder's layers; the last is that of the code.
    activation : {"relu", "logistic", "tanh", "leaky_relu", "softplus", "identity"}, default="relu"
        The function f.  With "relu" the layer-wise decoder is linear and nonnegative, made of parts.
    pretrain : "nmf" or nmfnet.NMFPretraining, default="nmf"
        The layer-wise stage; an instance has its own settings.
    solver : {"relaxed", "pinv"} or nmfnet.Relaxed or nmfnet.Pinv, default="relaxed"
        The sweep of the fine-tuning.
    max_iter : int, default=10
        Epochs of fine-tuning; 0: none, the decoder stays nonnegative.
    batch_size : int or "auto", default="auto"
        Samples in a batch of the fine-tuning; "auto" is for "relaxed" a twentieth of them, within [200, 1000], and
        for "pinv" 5000.
    fit_intercept : bool, default=False
        Whether layers have biases.
    random_state : int, RandomState or None, default=None
        Seed of the initial factors, the order of the samples and the fine-tuning.
    device : str or torch.device, default="cpu"
        Where to compute.

    Attributes
    ----------
    components_ : array of shape (n_components, n_features)
        What each unit of the code decodes to if all others are 0: with ``max_iter=0`` and "relu" the product of the H.
    reconstruction_err_, layerwise_reconstruction_err_ : float
        ``||X - decode(encode(X))||_F`` at the end and before the fine-tuning.
    network_ : Network
        Encoder and decoder.
    n_iter_ : int
        Epochs of fine-tuning done.
    n_features_in_ : int
    feature_names_in_ : array of shape (n_features_in_,)

    Examples
    --------
    >>> from nmfnet import NMFAutoencoder
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data / 16
    >>> model = NMFAutoencoder((40, 20), max_iter=3, random_state=0).fit(X)
    >>> model.encode(X).shape
    (1797, 20)
    >>> bool(model.reconstruction_err_ <= model.layerwise_reconstruction_err_)
    True
    """

    network_: Network

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        pretrain: str | NMFPretraining = "nmf",
        solver: str | Any = "relaxed",
        max_iter: int = 10,
        batch_size: int | str = "auto",
        fit_intercept: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.pretrain = pretrain
        self.solver = solver
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.fit_intercept = fit_intercept
        self.random_state = random_state
        self.device = device

    @torch.no_grad()
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Build the autoencoder of X, and fine-tune it.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), nonnegative
            float32 stays float32.  A sparse one is made dense, as its reconstruction is.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        widths = self._check_parameters()
        data = as_tensor(dense(self._checked(X, [np.float64, np.float32]))).to(self.device)
        if float(data.min()) < 0:
            raise ValueError(
                f"Negative values in data passed to NMFAutoencoder: the minimum is {float(data.min()):.4g}. "
                "Scale X to [0, 1] (sklearn.preprocessing.MinMaxScaler)."
            )
        check_matrix(data, "X")
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        generator = torch.Generator().manual_seed(int(seed))
        network = self._build(data, widths, generator)
        self.layerwise_reconstruction_err_ = self.reconstruction_err_ = error(network, data)
        self.network_, self.n_iter_ = network, 0
        if self.max_iter:
            progress = Progress()
            with contextlib.suppress(DivergenceError):  # the layer-wise weights are kept then
                tuned = self._fine_tune(network, data, generator, progress)
                after = error(tuned, data)
                if after < self.reconstruction_err_:
                    self.network_, self.reconstruction_err_ = tuned, after
            self.n_iter_ = len(progress.history)
        return self

    def _build(self, X: Tensor, widths: list[int], generator: torch.Generator) -> Network:
        """The layer-wise stage: the encoder's weights, then the decoder's from the code down."""
        pretraining: NMFPretraining = resolve(self.pretrain, PRETRAININGS)
        pretraining.check()
        f, intercept = activation_named(self.activation), bool(self.fit_intercept)
        rows = torch.randperm(len(X), generator=generator)[: pretraining.batch_size].to(X.device)
        A = X[rows]
        encoders, decoders, _ = pretraining.stack(A, widths, [f] * len(widths), intercept, generator)
        inputs = [A]
        for W in encoders:
            inputs.append(f(affine(inputs[-1], W, intercept)))
        weights = list(encoders)
        code = inputs[-1]
        for depth, (target, H) in enumerate(zip(reversed(inputs[:-1]), reversed(decoders), strict=True), 1):
            last = depth == len(decoders)
            W = torch.cat([H, H.new_zeros(int(intercept), H.shape[1])])
            if f.nonnegative and (last or f.name == "relu"):
                tiles = Tiles(H.shape[1], Workspace(len(H), H.shape[1], H))
                W[: len(H)] = tiles.minimize_(H.clone(), code.T @ code, code.T @ target, SWEEPS)
            else:
                W = nonlinear_least_squares(
                    target, code, W, "identity" if last else f, n_iter=1 if last else pretraining.n_ls,
                    delta=pretraining.delta, intercept=intercept,
                ).W  # fmt: skip
            weights.append(W)
            code = affine(code, W, intercept)
            code = code if last else f(code)
        return Network(weights, f, intercept)

    def _fine_tune(self, network: Network, X: Tensor, generator: torch.Generator, progress: Progress) -> Network:
        """Train a copy of it as a network."""
        solver, source = resolve(self.solver, SOLVERS), InMemory(X, X)
        auto = self.batch_size == "auto"
        settings = FitSettings(
            error=lambda outputs, targets: (outputs - targets).square().mean(1),
            batch_size=solver.default_batch_size(*X.shape) if auto else min(len(X), int(self.batch_size)),
            max_iter=int(self.max_iter),
            tol=0.0,
            n_iter_no_change=int(self.max_iter),
            trained=True,  # layer by layer
        )
        start = network.with_weights(copied(network.weights))
        return fit_network(start, solver, source, settings, generator, progress=progress).network

    @torch.no_grad()
    def transform(self, X: ArrayLike) -> Array:
        """Encode X: the activations of the code.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            A sparse one is made dense some rows at a time.

        Returns
        -------
        array of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        checked = self._checked(X, to_dtype(self.network_), reset=False)
        if not sparse.issparse(checked):
            return self._encoded(checked)
        starts = range(0, checked.shape[0], ROWS)
        return np.concatenate([self._encoded(dense(checked[start : start + ROWS])) for start in starts])

    def _encoded(self, X: Array) -> Array:
        """The code of checked rows."""
        Z = as_tensor(X).to(self.network_.weights[0].device)
        for W, f in zip(self.network_.weights[: self._depth], self.network_.activations, strict=False):
            Z = f(affine(Z, W, self.network_.intercept))
        return to_numpy(Z)

    @torch.no_grad()
    def inverse_transform(self, X: ArrayLike) -> Array:
        """Decode the code X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        code = check_array(plain(X), dtype=to_dtype(self.network_), input_name="X", estimator=self)
        if code.shape[1] != self._n_features_out:
            raise ValueError(f"X must have {self._n_features_out} columns, those of the code; got shape {code.shape}.")
        decoder = Network(self.network_.weights[self._depth :], self.network_.activation, self.network_.intercept)
        return to_numpy(decoder.forward(as_tensor(code).to(decoder.weights[0].device))[1][-1])

    encode = transform
    decode = inverse_transform

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Share of the variance of X that its reconstruction explains, R² over all columns: for a search over widths.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : None
            Ignored.

        Returns
        -------
        float
            At most 1.
        """
        check_is_fitted(self)
        checked = self._checked(X, to_dtype(self.network_), reset=False)
        decoded = self.inverse_transform(self.transform(X))
        return float(r2_score(dense(checked), decoded, multioutput="variance_weighted"))

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of solver and pre-training: ``set_params(solver__dropout=0.1)``."""
        check_inner(self, params, solver=SOLVERS, pretrain=PRETRAININGS)
        return super().set_params(**params)

    def _checked(self, X: Any, dtype: Any, reset: bool = True) -> Any:
        """X as an array or a CSR matrix of numbers."""
        return validated(self, X, dtype=dtype, accept_sparse="csr", reset=reset)

    def _check_parameters(self) -> list[int]:
        sizes: Any = self.hidden_layer_sizes
        if isinstance(sizes, str):
            raise ValueError(f"hidden_layer_sizes must be an integer or several, as (100,); got the text {sizes!r}.")
        widths = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        if not widths:
            raise ValueError("hidden_layer_sizes must name at least one layer, that of the code; got ().")
        for width in widths:
            at_least("hidden_layer_sizes", width, 1, Integral)
        at_least("max_iter", self.max_iter, 0, Integral)
        if self.batch_size != "auto":
            at_least("batch_size", self.batch_size, 1, Integral, otherwise="'auto'")
        boolean("fit_intercept", self.fit_intercept)
        activation_named(self.activation)
        Choice("pretrain", PRETRAININGS).check(self.pretrain)
        Choice("solver", SOLVERS).check(self.solver)
        return [int(width) for width in widths]

    @property
    def components_(self) -> Array:
        """What each unit of the code alone decodes to, shape (n_components, n_features)."""
        return self.inverse_transform(np.eye(self._n_features_out))

    @property
    def _depth(self) -> int:
        return len(self.network_.weights) // 2

    @property
    def _n_features_out(self) -> int:
        return int(self.network_.weights[self._depth - 1].shape[1])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def error(network: Network, X: Tensor) -> float:
    """``||X - network(X)||_F``, block by block."""
    squares = 0.0
    for block in X.split(ROWS):
        outputs = network.forward(block)[1][-1]
        squares += float(torch.linalg.vector_norm(block - outputs, dtype=torch.float64)) ** 2
    return squares**0.5


def dense(X: Any) -> Array:
    """Rows, where they are sparse, too."""
    return X.toarray() if sparse.issparse(X) else X


def to_dtype(network: Network) -> type[np.floating[Any]]:
    """NumPy's name of the weights' dtype."""
    return np.float32 if network.dtype == torch.float32 else np.float64
