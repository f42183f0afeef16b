"""The classifier."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor

from nmfnet.estimators.base import BaseNMFNet
from nmfnet.estimators.docs import document
from nmfnet.outputs import Output

Array = NDArray[Any]


@document(
    what="Classifier: a fully-connected network trained by alternating nonnegative matrix factorizations.",
    fitted="""
    classes_ : ndarray of shape (n_classes,)
        Class labels.""",
    error="the fraction misclassified",
    example="""
    >>> from nmfnet import NMFNetClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = NMFNetClassifier((100,), random_state=0).fit(X / 16, y)
    >>> bool(model.score(X / 16, y) > 0.98)
    True""",
)
class NMFNetClassifier(ClassifierMixin, BaseNMFNet):  # noqa: D101
    classes_: Array
    _multilabel: bool

    def _check_y(
        self, X: ArrayLike, y: ArrayLike, reset: bool = True, classes: ArrayLike | None = None
    ) -> tuple[Array, Array]:
        dtypes = (np.float64, np.float32)
        X_checked, labels = validate_data(self, X, y, dtype=dtypes, multi_output=True, reset=reset)
        labels = labels.toarray() if hasattr(labels, "toarray") else labels
        check_classification_targets(labels)
        multilabel = type_of_target(labels) == "multilabel-indicator"
        if not reset and multilabel != self._multilabel:
            raise ValueError("y must stay as it was in the first call: labels of one class, or of several.")
        if multilabel:
            known, Y = np.arange(labels.shape[1]), labels
        else:
            labels = column_or_1d(labels, warn=True)
            given = None if classes is None else unique_labels(classes)
            known, Y = one_hot(labels, given if reset else self.classes_)
        if self.warm_start and reset and hasattr(self, "network_") and not np.array_equal(known, self.classes_):
            raise ValueError(
                f"warm_start=True goes on with the classes {self.classes_}; y has {known}. Use warm_start=False."
            )
        if reset:
            self.classes_, self._multilabel = known, multilabel
        return X_checked, Y.astype(X_checked.dtype)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Train on one pass over some samples, and go on where the last call ended.

        The inputs are scaled by the first call's samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
        classes : array-like of shape (n_classes,), optional
            All labels there will be; needed in the first call.

        Returns
        -------
        self
        """
        fitted = hasattr(self, "network_")
        if not fitted and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if fitted and classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(f"classes={classes!r} are not those of the first call to partial_fit: {self.classes_}.")
        with self._unchanged_on_failure():
            self._partial_fit(X, y, **({} if fitted else {"classes": classes}))
        return self

    def _kind(self) -> Literal["classes", "labels"]:
        return "labels" if self._multilabel else "classes"

    def _error(self, outputs: Tensor, Y: Tensor, output: Output) -> Tensor:
        if self._multilabel:
            return ((outputs > threshold(output)) != (Y > 0.5)).any(1).to(Y.dtype)
        return (outputs.argmax(1) != Y.argmax(1)).to(Y.dtype)

    def _stratify(self, Y: Array) -> Array | None:
        return None if self._multilabel else Y.argmax(1)

    def predict(self, X: ArrayLike) -> Array:
        """Predict class labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) for multi-label targets
        """
        outputs = self._outputs(X)
        if self._multilabel:
            return (outputs > threshold(self.network_.output)).astype(int)
        return self.classes_[outputs.argmax(1)]

    def predict_proba(self, X: ArrayLike) -> Array:
        """Class probabilities.

        With ``solver="relaxed"`` the softmax of the outputs, or the logistic function for several labels, without
        the smoothing of the labels.  With ``solver="pinv"`` the outputs are least-squares fits of 0/1 targets,
        estimates of probabilities that are not confined to [0, 1]: their nearest point of the probability simplex,
        which keeps their order.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        outputs = self._outputs(X)
        if self.network_.output.name != "identity":
            return self.network_.output.probabilities(torch.from_numpy(outputs)).numpy()
        if not self._multilabel:
            return project_onto_simplex(outputs)
        eps = np.finfo(outputs.dtype).eps  # a label is never certain
        return outputs.clip(eps, 1 - eps)

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithms of :meth:`predict_proba`, minus infinity where it is 0.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _get_state(self) -> dict[str, Any]:
        classes = {"dtype": self.classes_.dtype.str, "values": self.classes_.tolist()}
        return {**super()._get_state(), "classes_": classes, "multilabel": self._multilabel}

    def _set_state(self, state: dict[str, Any]) -> None:
        super()._set_state(state)
        dtype, values = np.dtype(state["classes_"]["dtype"]), state["classes_"]["values"]
        if dtype.kind not in "biufUO" or not all(isinstance(v, (bool, int, float, str)) for v in values):
            raise ValueError(f"classes_ of dtype {dtype} are not labels.")
        # The length of strings is theirs, whatever the file says.
        self.classes_ = np.array(values, dtype=str if dtype.kind == "U" else dtype)
        if self.classes_.shape != (self.n_outputs_,):
            raise ValueError(f"there are {len(values)} classes for {self.n_outputs_} outputs.")
        self._multilabel = bool(state["multilabel"])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def threshold(output: Output) -> float:
    """Output from which on a label is more likely than not."""
    return 0.5 if output.name == "identity" else 0.0


def one_hot(labels: Array, classes: Array | None) -> tuple[Array, Array]:
    """Classes, found if they are not given, and the indicators (n, n_classes) of the labels (n,) among them."""
    if classes is None:
        classes, index = np.unique(labels, return_inverse=True)
    else:
        unknown = np.setdiff1d(labels, classes)
        if len(unknown):
            raise ValueError(f"y has the labels {unknown}, which are not among the classes {classes}.")
        index = np.searchsorted(classes, labels)
    return classes, np.eye(len(classes))[index]


def project_onto_simplex(V: Array) -> Array:
    """Nearest points with nonnegative entries of sum 1, row by row (Held, Wolfe and Crowder, 1974).

    Parameters
    ----------
    V : ndarray of shape (m, k)
        Finite.

    Returns
    -------
    ndarray of shape (m, k)
    """
    V = V - V.max(1, keepdims=True)  # changes nothing but the rounding of large numbers
    ordered = -np.sort(-V, axis=1)
    excess = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, V.shape[1] + 1)
    kept = (ordered > excess).sum(1)  # at least 1
    return np.maximum(V - excess[np.arange(len(V)), kept - 1][:, None], 0)
