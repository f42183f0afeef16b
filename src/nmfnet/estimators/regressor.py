"""The regressor."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor

from nmfnet.estimators.base import BaseNMFNet
from nmfnet.estimators.docs import document
from nmfnet.outputs import Output

Array = NDArray[Any]


@document(
    what="Regressor: a fully-connected network trained by alternating nonnegative matrix factorizations.",
    fitted="",
    error="the mean squared error",
    example="""
    >>> from nmfnet import NMFNetRegressor
    >>> from sklearn.datasets import make_friedman1
    >>> X, y = make_friedman1(500, random_state=0)
    >>> model = NMFNetRegressor((50,), max_iter=100, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True""",
)
class NMFNetRegressor(RegressorMixin, BaseNMFNet):  # noqa: D101
    def _check_y(self, X: ArrayLike, y: ArrayLike, reset: bool = True) -> tuple[Array, Array]:
        dtypes = (np.float64, np.float32)
        X_checked, targets = validate_data(self, X, y, dtype=dtypes, multi_output=True, y_numeric=True, reset=reset)
        targets = targets.toarray() if hasattr(targets, "toarray") else targets
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
        self._single = targets.ndim == 1
        return X_checked, targets.reshape(len(targets), -1).astype(X_checked.dtype)

    def _kind(self) -> Literal["real"]:
        return "real"

    def _error(self, outputs: Tensor, Y: Tensor, output: Output) -> Tensor:
        return (outputs - Y).square().mean(1)

    def _get_state(self) -> dict[str, Any]:
        return {**super()._get_state(), "single_output": self._single}

    def _set_state(self, state: dict[str, Any]) -> None:
        super()._set_state(state)
        self._single = bool(state["single_output"])

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on one pass over some samples, and go on where the last call ended.

        The inputs and targets are scaled by the first call's samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        self
        """
        with self._unchanged_on_failure():
            self._partial_fit(X, y)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Predict real targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self._single else outputs

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
