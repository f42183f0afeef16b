"""Class labels of every type, exactly: from what users pass to arrays, and what of them files can hold."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils.multiclass import unique_labels

from nmfnet.data.containers import to_array

Array = NDArray[Any]
EXACT = 2**53  # up to here a float64 holds every whole number
STORED = "biufUO"  # kinds of labels that model files and ONNX graphs have a form for


def label_array(y: Any, name: str = "y") -> Any:
    """Labels as an array of their own type.

    What scikit-learn reads well, or refuses well, stays: numbers, text, sparse matrices, missing labels.

    Raises
    ------
    ValueError
        If no type of NumPy holds all labels, or they are of several.
    """
    y = to_array(y)
    if y is None or issparse(y):
        return y
    try:
        array = np.asarray(y)
    except Exception as error:  # a container's own
        raise ValueError(f"{name} cannot be turned into an array of labels: {error}") from error
    if array.dtype.kind == "T":  # NumPy's variable-width strings, which scikit-learn does not know
        return array.astype(object)
    listed = array.dtype.kind in "fU" and not hasattr(y, "__array__")  # of several types NumPy has made one
    return _of_one_type(np.array(y, dtype=object), array, name) if listed or array.dtype.kind == "O" else array


def _of_one_type(objects: Array, array: Array, name: str) -> Array:
    """Labels of any shape as objects, and as NumPy reads them: the latter, or numbers if they are, or an error."""
    labels = [label.item() if hasattr(label, "item") else label for label in objects.ravel().tolist()]
    if any(map(_missing, labels)):  # not ours to judge
        return array if array.dtype.kind == "f" else objects
    types = {type(label) for label in labels}
    if all(issubclass(each, (str, bytes)) for each in types):
        return array
    if not all(issubclass(each, Real) for each in types):
        names = ", ".join(sorted(each.__name__ for each in types))
        raise ValueError(f"{name} has labels of type {names}: make all of them text, or all of them numbers.")
    numbers = array if array.dtype.kind == "f" else np.array(labels).reshape(array.shape)
    large = [label for label in labels if isinstance(label, Integral) and abs(int(label)) > EXACT]
    if large and numbers.dtype.kind not in "iu":
        raise ValueError(
            f"{name} has the whole number {large[0]}, which no type of NumPy holds together with the other labels. "
            f"Make the labels text, or pass an array of their type, as np.array({name}, dtype=np.uint64)."
        )
    return numbers


def _missing(label: Any) -> bool:
    absent = label is None or type(label).__name__ in ("NAType", "NaTType")
    return absent or (isinstance(label, float) and label != label)


def class_array(classes: Any) -> Array:
    """Distinct labels in ascending order, of the type of `classes`."""
    given = label_array(classes, "classes")
    found = unique_labels(given)  # refuses what are no labels
    return np.unique(given) if np.ndim(given) == 1 else found


def class_codes(labels: Array, classes: Array) -> Array:
    """Position (n,) of each label in `classes`, compared as Python does: exactly, whatever the two types."""
    found, index = np.unique(labels, return_inverse=True)
    place = {label: position for position, label in enumerate(classes.tolist())}
    codes = np.array([place.get(label, -1) for label in found.tolist()])
    if (codes < 0).any():
        raise ValueError(f"y has the labels {found[codes < 0]}, which are not among the classes {classes}.")
    return codes[index]


def check_stored(classes: Array) -> None:
    """Refuse labels that neither model files nor ONNX graphs have a form for."""
    if classes.dtype.kind not in STORED:
        raise ValueError(
            f"labels of dtype {classes.dtype} cannot be stored in a model file or an ONNX graph: fit the model on "
            "text, as y.astype(str), or on numbers."
        )
