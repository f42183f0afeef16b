"""Classes as targets: indicators, weights, thresholds, probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn import get_config
from sklearn.utils.class_weight import compute_class_weight

from nmfnet.data.labels import class_codes
from nmfnet.distributed import now
from nmfnet.estimators.data import Data, row_weights
from nmfnet.estimators.ranks import all_classes
from nmfnet.linalg.holders import local
from nmfnet.network.outputs import Output

Array = NDArray[Any]


def to_csr(labels: Array) -> Any:
    """Labels (n, n_classes) in the sparse container that scikit-learn is set to return."""
    arrays = get_config().get("sparse_interface") == "sparray"  # from its version 1.9
    return sparse.csr_array(labels) if arrays else sparse.csr_matrix(labels)


def threshold(output: Output) -> float:
    """Output from which on a label is more likely than not."""
    return 0.5 if output.name == "identity" else 0.0


def one_hot(labels: Array, classes: Array | None, dtype: Any) -> tuple[Array, Array]:
    """Classes, found if they are not given, and the indicators (n, n_classes) of the labels (n,) among them."""
    if classes is None and now() is local:
        classes, index = np.unique(labels, return_inverse=True)
    else:
        classes = all_classes(np.unique(labels)) if classes is None else classes
        index = class_codes(labels, classes)
    indicators = np.zeros((len(index), len(classes)), dtype)  # with many classes the largest array of a fit
    indicators[np.arange(len(index)), index] = 1
    return classes, indicators


def class_weights(class_weight: Mapping[Any, float] | str, classes: Array, data: Data) -> Array:
    """Weight of each class, shape (n_classes,)."""
    if isinstance(class_weight, Mapping):
        each = compute_class_weight(dict(class_weight), classes=classes, y=classes)
        if not (np.isfinite(each).all() and (each >= 0).all() and each.any()):
            raise ValueError(f"class_weight must hold finite, nonnegative weights, not all 0; got {class_weight!r}.")
        return each
    of_ranks = now().objects(np.bincount(data.Y.argmax(1), data.weight, len(classes)))
    counts = np.sum(of_ranks, axis=0)
    present = counts > 0
    return np.where(present, counts.sum() / (present.sum() * np.where(present, counts, 1)), 1.0)


def with_class_weights(data: Data, each: Array | None) -> Data:
    """The data with the weights of their classes, if these have any, without the samples of weight 0."""
    weight = row_weights(data, each)
    if each is None or weight is None:
        return data
    kept = np.flatnonzero(weight)
    if not len(kept):
        raise ValueError("class_weight and sample_weight must leave a weight that is not zero.")
    weighted = data._replace(weight=weight)
    return weighted if len(kept) == len(weight) else weighted.rows(kept)


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
