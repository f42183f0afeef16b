"""What the factorizing transformers share: parameters, fitting, transforming, mini-batches."""

from __future__ import annotations

import math
import warnings
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from nmfnet.data.containers import plain, refuse_path
from nmfnet.distributed import alone, together
from nmfnet.errors import DivergenceError
from nmfnet.factorization.acceleration import Alternation, Problem, check_finite
from nmfnet.factorization.coordinate_descent import squared_norm
from nmfnet.factorization.passes import Penalties, dependent
from nmfnet.factorization.restart import alternate_alive, revived
from nmfnet.factorization.steps import Pass
from nmfnet.linalg.threads import one_thread
from nmfnet.transformers import input as given
from nmfnet.transformers.epochs import Epochs
from nmfnet.transformers.export_mixin import PortableFactorization
from nmfnet.transformers.input import Input
from nmfnet.transformers.minibatch import Online, Statistics
from nmfnet.transformers.precision import alternate_in_turn
from nmfnet.transformers.ranks import refuse_in_ranks
from nmfnet.transformers.routing import SharedRouting
from nmfnet.transformers.stored import is_path, stored_input

Array = NDArray[Any]


class BaseFactorization(
    Epochs, PortableFactorization, SharedRouting, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Base class of the transformers; use :class:`NMF`, :class:`SemiNMF` or :class:`NonlinearSemiNMF`."""

    _degree = 2  # of the loss in the scale of the data
    components_: Array
    n_features_in_: int
    _statistics: Statistics | None = None  # none, either, in what earlier versions have pickled

    n_components: int | str | None
    alpha_W: float
    alpha_H: float | str
    l1_ratio: float
    device: str | torch.device

    def _check_data(self, data: Input) -> None:
        """Refuse data that this factorization cannot take."""
        if self.solver == "mu" and (data.missing or data.weights is not None):
            what = "Missing entries (NaN)" if data.missing else "weights of entries"
            raise ValueError(f"{what} need solver='cd'; got solver='mu'.")

    def _decode(self, A: Tensor) -> Tensor:
        """From the product of the factors to data."""
        return A

    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        W: ArrayLike | None = None,
        H: ArrayLike | None = None,
        *,
        weights: ArrayLike | None = None,
    ) -> Self:
        """Learn the components of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or path
            A path names a file or folder, whose rows are read once in each pass (docs/larger-than-memory.md).
            float32 stays float32, tensors of half precision become float32, everything else float64.  Missing entries
            are NaN in a dense X, and the missing values of masked arrays and data frames.
        y : None
            Ignored.
        W : array-like of shape (n_samples, n_components), H : array-like of shape (n_components, n_features)
            Starting factors for ``init="custom"``.
        weights : array-like of shape (n_samples,) or (n_samples, n_features), optional
            Nonnegative weights of the samples, or of the entries of a dense X.  A mask is weights of 0 and 1.  With
            metadata routing, ``set_fit_request(weights=True)`` also routes them to `transform`.

        Returns
        -------
        self
        """
        self._fit(X, W, H, weights)
        return self

    def fit_transform(
        self,
        X: ArrayLike,
        y: object = None,
        W: ArrayLike | None = None,
        H: ArrayLike | None = None,
        *,
        weights: ArrayLike | None = None,
    ) -> Array:
        """Learn the components of X and return its factor Z, which :meth:`transform` would return again.

        Parameters
        ----------
        X, y, W, H, weights
            As in :meth:`fit`.

        Returns
        -------
        array of shape (n_samples, n_components)
        """
        return self._fit(X, W, H, weights)

    @torch.inference_mode()
    @one_thread()
    @together()
    def _fit(self, X: ArrayLike, W: ArrayLike | None, H: ArrayLike | None, weights: ArrayLike | None) -> Array:
        self._check_parameters()
        refuse_in_ranks(self.get_params(), weights is not None)
        data = self._input(X, weights, reset=True)
        self._warn_of_ignored(W, H)
        k = self._rank(data, H)
        problem = self._problem(data, k)
        Z, components = self._searched_start(data, k, problem) or self._start(data, k, W, H, self._generator())
        if not problem.single_first:  # here, so that nobody holds the start beside what the passes make of it
            Z, components = (data.data.laid_out(F.to(data.data.like)) for F in (Z, components))
        if self.batch_size is None:
            result = self._alternate(data, problem, Z, components)
            Z, components, self.n_iter_, converged = result.Z, result.H, result.n_iter, result.converged
        else:
            components, self.n_iter_, converged = self._fit_batches(data, Z, components)
        if self.n_iter_ >= self.max_iter and self.tol > 0 and not converged:
            warnings.warn(
                f"Maximum number of iterations {self.max_iter} reached. Increase it to improve convergence: "
                f"max_iter={self.max_iter} passes did not meet the criterion of tol={self.tol}.",
                ConvergenceWarning, stacklevel=5,
            )  # fmt: skip
        if not problem.unique or dependent(components):
            Z = self._zero_start(data, k)  # as `transform` does, which then finds the same of many solutions
        last = check_finite(problem.sweep(Z, components, Z, until=problem.tolerance(components)))
        self._keep(components, data.scale)
        self._statistics = Statistics(last.Q, last.S, float(data.shape[0]))
        self.objective_ = last.objective / data.scale / (data.scale if self._degree == 2 else 1)
        self.reconstruction_err_ = self._error(data, Z, components, last)
        return given.to_numpy(Z.T)

    def _alternate(self, data: Input, problem: Problem, Z: Tensor, H: Tensor) -> Alternation:
        """Passes over the data until the tolerance, in single precision where and while that pays."""
        pays, lowest = problem.single_first and data.in_memory and data.single is not data, math.inf
        if not pays:
            data.forget_single()

        def in_single() -> Problem:
            single = self._problem(data.single, len(H))
            data.forget_single()  # nobody holds it when these passes end
            return single

        def announce(n_iter: int, objective: float) -> None:
            nonlocal lowest
            if self.verbose and objective <= lowest:  # which it is not while a component that has begun anew grows
                lowest = objective
                self._announce(n_iter, objective)

        def run(Z: Tensor, H: Tensor, done: int, most: int) -> Alternation:
            single = in_single if pays else None
            return alternate_in_turn(problem, single, Z, H, most, float(self.tol), lambda n, o: announce(done + n, o))

        def revive(Z: Tensor, H: Tensor) -> tuple[Tensor, Tensor] | None:
            return revived(data.data, self._decode, Z, H, self._penalties(data), self.signed)

        return alternate_alive(run, revive, (Z, H), int(self.max_iter), self.alpha_W > 0 and self.l1_ratio > 0)

    def _error(self, data: Input, Z: Tensor, H: Tensor, last: Pass) -> float:
        """Root of twice the loss without penalties."""
        weighted = Z if data.row_weights is None else Z * data.row_weights
        p = self._penalties(data)
        l1, l2 = data.data.rows.summed(float(weighted.sum()), float((weighted * Z).sum()))
        loss = last.objective - p.l1_z * l1 - p.l2_z / 2 * l2
        loss -= (p.l1_h * float(H.abs().sum()) if p.l1_h else 0.0) + p.l2_h / 2 * squared_norm(H)
        return math.sqrt(max(2 * loss, 0.0)) / (data.scale if self._degree == 2 else math.sqrt(data.scale))

    @torch.inference_mode()
    @one_thread()
    @alone()
    def transform(self, X: ArrayLike, *, weights: ArrayLike | None = None) -> Array:
        """Find the factor Z of X for the fitted components, by least squares with Z >= 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        weights : array-like of shape (n_samples,) or (n_samples, n_features), optional
            As in :meth:`fit`.

        Returns
        -------
        array of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        data = self._input(X, weights, reset=False)
        H = self._components(data)
        Z = self._zero_start(data, len(H))
        problem = self._problem(data, len(H))
        problem.sweep(Z, H, Z, until=problem.tolerance(H))
        return given.to_numpy(Z.T)

    @torch.inference_mode()
    def inverse_transform(self, X: ArrayLike) -> Array:
        """Multiply the factor X by the components, and apply the activation if there is one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        Z = check_array(plain(X), dtype=self.components_.dtype, accept_sparse="csr", input_name="X", estimator=self)
        if Z.shape[1] != len(self.components_):
            raise ValueError(f"X must have {len(self.components_)} columns, one a component; got shape {Z.shape}.")
        return self._decode(torch.as_tensor(Z @ self.components_)).numpy()

    @torch.inference_mode()
    @one_thread()
    @alone()
    def partial_fit(
        self,
        X: ArrayLike,
        y: object = None,
        W: ArrayLike | None = None,
        H: ArrayLike | None = None,
        *,
        weights: ArrayLike | None = None,
    ) -> Self:
        """Update the components by another batch of samples, with one online step (Mairal et al., 2010).

        As many samples as `batch_size` make a whole step; then earlier ones count `forget_factor` times as much. If
        `batch_size` is None it is 64 here, or 10 with ``beta_loss="kullback-leibler"``, but more where samples have
        few entries, and at least a third of the samples given.

        Parameters
        ----------
        X, y, weights
            As in :meth:`fit`.
        W, H : array-like, optional
            Starting factors of the first call, with ``init="custom"``.

        Returns
        -------
        self
        """
        self._check_parameters()
        refuse_path(X)
        known = hasattr(self, "components_")
        data = self._input(X, weights, reset=not known)
        first = not (known and self.components_.any())  # of zeros there is nothing to go on from
        if first:
            self._warn_of_ignored(W, H)
            self._statistics, self.n_iter_ = None, 0
            components = self._start(data, self._rank(data, H), W, H, self._generator())[1]
        else:
            components = self._components(data)
            if self._statistics is not None:
                Q, S, rows_before = self._statistics
                self._statistics = Statistics(Q * (data.scale / self._scale), S, rows_before)
        online = Online(components, float(self.forget_factor), self._statistics)
        k, rows = len(components), data.shape[0]
        problem = self._problem(data, k)
        share = rows / (self.batch_size or problem.step_rows)
        online.step(problem, self._zero_start(data, k), share)
        self._statistics = online.statistics
        self._keep(online.H, data.scale)
        self.n_iter_ += 1
        return self

    # Parameters, conversions.

    def _penalties(self, data: Input) -> Penalties:
        """The penalties in the units of the scaled data, each factor's times the other side, as in scikit-learn."""
        m, n = data.shape
        alpha_H = self.alpha_W if isinstance(self.alpha_H, str) else self.alpha_H
        for_z, for_h, l1, l2 = float(self.alpha_W) * n, float(alpha_H) * m, self.l1_ratio, 1 - self.l1_ratio
        return given.scaled_penalties(data, Penalties(for_z * l1, for_z * l2, for_h * l1, for_h * l2), self._degree)

    def _check_parameters(self) -> None:
        """Refuse unfit parameters, naming them."""
        given.check_parameters(vars(self))  # `get_params` takes longer than all checks

    def _rank(self, data: Input, H: ArrayLike | None) -> int:
        if isinstance(self.n_components, (int, np.integer)):
            return int(self.n_components)
        return len(plain(H)) if self.init == "custom" and H is not None else data.shape[1]

    def _input(self, X: Any, weights: ArrayLike | None, reset: bool) -> Input:
        """Check the data and put it where it is to be factorized."""
        data = (stored_input if is_path(X) else given.array_input)(self, X, weights, reset)
        self._check_data(data)
        return data

    def _keep(self, H: Tensor, scale: float) -> None:
        components = given.scaled(H.cpu().numpy(), 1 / scale)
        if not np.isfinite(components).all():
            raise DivergenceError(f"components_ do not fit into {components.dtype}. Scale the data.")
        self.components_ = components
        self.n_components_ = len(self.components_)
        self._scale = scale

    def _components(self, data: Input) -> Tensor:
        return torch.tensor(given.scaled(self.components_, data.scale)).to(data.data.like)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = not self.signed
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.solver == "cd"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
