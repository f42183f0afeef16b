"""The regressor."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags
from sklearn.utils.validation import column_or_1d
from torch import Tensor

from nmfnet.data.containers import refuse_missing, to_array
from nmfnet.estimators.base import BaseNMFNet
from nmfnet.estimators.docs import document
from nmfnet.estimators.export_mixin import PortableRegressor
from nmfnet.estimators.inputs import like_input
from nmfnet.estimators.model_files import loadable
from nmfnet.linalg import all_finite
from nmfnet.network.outputs import Output

Array = NDArray[Any]


@loadable
@document(
    what="Regressor: a neural network trained by alternating nonnegative matrix factorizations.",
    fitted="",
    loss="the mean squared error",
    error="the same",
    example="""
    >>> from nmfnet import NMFNetRegressor
    >>> from sklearn.datasets import make_friedman1
    >>> X, y = make_friedman1(500, random_state=0)
    >>> model = NMFNetRegressor((50,), max_iter=100, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True""",
)
class NMFNetRegressor(PortableRegressor, RegressorMixin, BaseNMFNet):  # noqa: D101
    _numeric_y = True
    _single: bool
    _n_targets: int

    def _encode(self, y: Array, dtype: Any, reset: bool = True) -> Array:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        Y = y.reshape(len(y), -1)
        if not reset and Y.shape[1] != self._n_targets:
            raise ValueError(f"y has {Y.shape[1]} targets a sample; the model has {self._n_targets}.")
        if reset:
            self._single, self._n_targets = y.ndim == 1, Y.shape[1]
        return Y.astype(dtype, copy=False)

    def _kind(self) -> Literal["real"]:
        return "real"

    def _error(self, outputs: Tensor, Y: Tensor, output: Output) -> Tensor:
        return (outputs - Y).square().mean(1)

    def _score(self, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None = None, *, output: Output) -> float:
        if len(Y) < 2 or not all_finite(outputs):
            return math.nan
        weight = None if sample_weight is None else sample_weight.cpu().numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            return float(r2_score(Y.double().cpu().numpy(), outputs.double().cpu().numpy(), sample_weight=weight))

    def _get_state(self) -> dict[str, Any]:
        return {**super()._get_state(), "single_output": self._single}

    def _set_state(self, state: dict[str, Any]) -> None:
        super()._set_state(state)
        self._single, self._n_targets = bool(state["single_output"]), self.n_outputs_

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on one pass over some samples, and continue where the last call ended.

        A call may have any number of samples, and there is no step-size schedule.  Fewer than 64 samples are filled
        up with the last samples of earlier calls, and count as a fraction of an update.  The first 64 samples
        determine how inputs and targets are scaled; the scalings follow columns that change.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples; as in :meth:`fit`, but not a path.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Nonnegative weights.

        Returns
        -------
        self
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: ArrayLike) -> Any:
        """Predict real targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray (Tensor if X is one) of shape (n_samples,) or (n_samples, n_outputs)
            In the unit of the targets of `fit`.
        """
        outputs = self._outputs(X)
        return like_input(outputs[:, 0] if self._single else outputs, X)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination R^2 of the predictions; of several outputs the mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True targets.
        sample_weight : array-like of shape (n_samples,), optional
            Nonnegative weights.

        Returns
        -------
        float
        """
        y, sample_weight = refuse_missing(y, "y"), to_array(refuse_missing(sample_weight, "sample_weight"))
        return float(r2_score(to_array(y), to_array(self.predict(X)), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
