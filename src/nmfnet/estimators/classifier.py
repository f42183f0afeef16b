"""The classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d
from torch import Tensor

from nmfnet.data.augmentation import Augmentation
from nmfnet.data.containers import refuse_missing, to_array
from nmfnet.data.labels import check_stored, class_array, label_array
from nmfnet.estimators.base import BaseNMFNet
from nmfnet.estimators.classes import (
    class_weights,
    one_hot,
    project_onto_simplex,
    threshold,
    to_csr,
)
from nmfnet.estimators.data import Data
from nmfnet.estimators.docs import document
from nmfnet.estimators.export_mixin import PortableClassifier
from nmfnet.estimators.inputs import like_input, to_tensor
from nmfnet.estimators.model_files import loadable
from nmfnet.layers import Spec
from nmfnet.network.outputs import Output
from nmfnet.training import Callback

Array = NDArray[Any]


@loadable
@document(
    what="Classifier: a neural network trained by alternating nonnegative matrix factorizations.",
    fitted="""
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    temperature_ : float or None
        The outputs are divided by it before the softmax.  `fit` finds it from rows that a network has not seen.  None
        for ``solver="pinv"``, for fewer than 10 samples, and after `partial_fit` alone.""",
    parameters="""
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, which multiply the weights of the samples.  "balanced": inversely proportional to the
        sum of the weights of the samples of each class.""",
    loss="the cross-entropy of the predicted probabilities",
    error="the fraction misclassified",
    example="""
    >>> from nmfnet import NMFNetClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = NMFNetClassifier((100,), random_state=0).fit(X / 16, y)
    >>> bool(model.score(X / 16, y) > 0.98)
    True""",
)
class NMFNetClassifier(PortableClassifier, ClassifierMixin, BaseNMFNet):  # noqa: D101
    classes_: Array
    _multilabel: bool

    _numeric_y = False

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
        class_weight: Mapping[Any, float] | str | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device | None = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes, activation, solver=solver, pretrain=pretrain, alpha=alpha, l1_ratio=l1_ratio,
            batch_size=batch_size, max_iter=max_iter, max_time=max_time, tol=tol, n_iter_no_change=n_iter_no_change,
            n_members=n_members, early_stopping=early_stopping, validation_fraction=validation_fraction,
            fit_intercept=fit_intercept, input_shape=input_shape, augmentation=augmentation,
            categorical_features=categorical_features, numeric_encoding=numeric_encoding, random_state=random_state,
            device=device, warm_start=warm_start, verbose=verbose, callbacks=callbacks,
        )  # fmt: skip
        self.class_weight = class_weight

    def _check_parameters(self) -> list[int | Spec]:
        given = self.class_weight
        if given is not None and not isinstance(given, Mapping) and given != "balanced":
            raise ValueError(f"class_weight must be a dict, 'balanced' or None; got {given!r}.")
        return super()._check_parameters()

    def _encode(self, y: Array, dtype: Any, reset: bool = True, classes: ArrayLike | None = None) -> Array:
        check_classification_targets(y)
        multilabel = type_of_target(y) == "multilabel-indicator"
        if not reset and multilabel != self._multilabel:
            raise ValueError("y must stay as it was in the first call: labels of one class, or of several.")
        if multilabel:
            known, Y = np.arange(y.shape[1]), y.astype(dtype, copy=False)
            if not reset and len(known) != len(self.classes_):
                raise ValueError(f"y has {len(known)} labels; the model has {len(self.classes_)}.")
        else:
            y = column_or_1d(y, warn=True)
            given = None if classes is None else class_array(classes)
            known, Y = one_hot(y, given if reset else self.classes_, dtype)
        if self.warm_start and reset and hasattr(self, "network_") and known.tolist() != self.classes_.tolist():
            raise ValueError(
                f"warm_start=True goes on with the classes {self.classes_}; y has {known}. Use warm_start=False."
            )
        if reset:
            self.classes_, self._multilabel = known, multilabel
        return Y

    def _class_weights(self, data: Data) -> Array | None:
        if self.class_weight is None:
            return None
        if self._multilabel:
            raise ValueError("class_weight is for one class a sample; with several labels pass sample_weight.")
        return class_weights(self.class_weight, self.classes_, data)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train on one pass over some samples, and continue where the last call ended.

        A call may have any number of samples, and there is no step-size schedule.  Fewer than 64 samples are filled
        up with the last samples of earlier calls, and count as a fraction of an update.  The first 64 samples
        determine how inputs are scaled; the scaling follows columns that change.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples; as in :meth:`fit`, but not a path.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels; for several labels a sample, 0 and 1.
        classes : array-like of shape (n_classes,), optional
            All labels that there will be.  Required in the first call.
        sample_weight : array-like of shape (n_samples,), optional
            Nonnegative weights.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `classes` is missing in the first call or changes later, if y has other labels, or if
            ``class_weight="balanced"``, which needs all samples.
        """
        fitted, classes = hasattr(self, "network_"), refuse_missing(classes, "classes")
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' needs all samples, which partial_fit has not: pass a dict.")
        if not fitted and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if fitted and classes is not None and class_array(classes).tolist() != self.classes_.tolist():
            raise ValueError(f"classes={classes!r} are not those of the first call to partial_fit: {self.classes_}.")
        return self._partial_fit(X, y, sample_weight, **({} if fitted else {"classes": classes}))

    def _kind(self) -> Literal["classes", "labels"]:
        return "labels" if self._multilabel else "classes"

    def _error(self, outputs: Tensor, Y: Tensor, output: Output) -> Tensor:
        if self._multilabel:
            return ((outputs > threshold(output)) != (Y > 0.5)).any(1).to(Y.dtype)
        return (outputs.argmax(1) != Y.argmax(1)).to(Y.dtype)

    def _score(self, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None = None, *, output: Output) -> float:
        right = 1 - self._error(outputs, Y, output).double()
        weight = torch.ones_like(right) if sample_weight is None else sample_weight.double()
        return float(right @ weight / weight.sum())

    def _stratify(self, Y: Array) -> Array | None:
        return None if self._multilabel else self.classes_[Y.argmax(1)]

    def predict(self, X: ArrayLike) -> Any:
        """Predict class labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) for multi-label targets
            In the dtype of the labels of `fit`.  A Tensor if X is one, unless the labels are text.  A CSR matrix if
            the multi-label targets of `fit` were sparse.
        """
        outputs = self._outputs(X)
        if self._multilabel:
            labels = like_input((outputs > threshold(self.network_.output)).long(), X)
            return to_csr(labels) if self._sparse_targets and not isinstance(X, Tensor) else labels
        best = outputs.argmax(1)
        labels = self.classes_[best.cpu().numpy()]
        if isinstance(X, Tensor) and labels.dtype.kind in "biuf":
            return to_tensor(labels).to(best.device)
        return labels

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy: the fraction of samples whose label is predicted correctly.

        With several labels a sample, all of them must be correct.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            True labels.
        sample_weight : array-like of shape (n_samples,), optional
            Nonnegative weights.

        Returns
        -------
        float
        """
        y, sample_weight = refuse_missing(y, "y"), to_array(refuse_missing(sample_weight, "sample_weight"))
        return float(accuracy_score(label_array(y), to_array(self.predict(X)), sample_weight=sample_weight))

    def decision_function(self, X: ArrayLike) -> Any:
        """Outputs of the network: the larger, the more likely the class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray (Tensor if X is one) of shape (n_samples,) for two classes, or else (n_samples, n_classes)
            For two classes the output of the second minus that of the first: positive if the second is predicted.
            With ``solver="relaxed"`` outputs are logits of the smoothed labels.  With "pinv" they are fits of 0/1
            targets; for several labels 1/2 is subtracted.
        """
        outputs = self._outputs(X)
        if self._multilabel:
            outputs = outputs - threshold(self.network_.output)
        elif outputs.shape[1] == 2:
            outputs = outputs[:, 1] - outputs[:, 0]
        return like_input(outputs, X)

    @property
    def temperature_(self) -> float | None:
        """The outputs are divided by it before the softmax or the logistic function; None if there is none."""
        return self.network_.output.temperature

    def predict_proba(self, X: ArrayLike) -> Any:
        """Class probabilities.

        With ``solver="relaxed"`` they are the softmax of the outputs divided by `temperature_`; for several labels
        the logistic function takes the place of the softmax.  `fit` finds the temperature with networks that are
        trained on parts of the data.  Without a temperature, as after `partial_fit` alone, the formula of the label
        smoothing is inverted.

        With ``solver="pinv"`` the outputs are least-squares fits of 0/1 targets, which may lie outside [0, 1].  The
        result is the nearest point of the probability simplex; for several labels the outputs are clipped.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray (Tensor if X is one) of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return like_input(self._class_probabilities(X), X)

    def predict_log_proba(self, X: ArrayLike) -> Any:
        """Logarithms of :meth:`predict_proba`; minus infinity where a probability is 0.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray (Tensor if X is one) of shape (n_samples, n_classes)
        """
        return like_input(self._class_probabilities(X).log(), X)

    def _class_probabilities(self, X: ArrayLike) -> Tensor:
        outputs = self._outputs(X)
        if self.network_.output.name != "identity":
            return self.network_.output.probabilities(outputs)
        if not self._multilabel:
            return torch.from_numpy(project_onto_simplex(outputs.cpu().numpy())).to(outputs.device)
        eps = torch.finfo(outputs.dtype).eps  # a label is never certain
        return outputs.clip(eps, 1 - eps)

    def _get_state(self) -> dict[str, Any]:
        check_stored(self.classes_)
        classes = {"dtype": self.classes_.dtype.str, "values": self.classes_.tolist()}
        kind = {"multilabel": self._multilabel, "sparse_targets": self._sparse_targets}
        return {**super()._get_state(), "classes_": classes, **kind}

    def _set_state(self, state: dict[str, Any]) -> None:
        super()._set_state(state)
        dtype, values = np.dtype(state["classes_"]["dtype"]), state["classes_"]["values"]
        if dtype.kind not in "biufUO" or not all(isinstance(v, (bool, int, float, str)) for v in values):
            raise ValueError(f"classes_ of dtype {dtype} are not labels.")
        # The length of strings is theirs, whatever the file says.
        labels = np.array(values, dtype=str if dtype.kind == "U" else dtype)
        self.classes_ = labels.astype(labels.dtype.newbyteorder(dtype.byteorder), copy=False)
        if self.classes_.shape != (self.n_outputs_,):
            raise ValueError(f"there are {len(values)} classes for {self.n_outputs_} outputs.")
        self._multilabel, self._sparse_targets = bool(state["multilabel"]), bool(state.get("sparse_targets", False))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
