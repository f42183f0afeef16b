"""Data of several ranks, and what of a model must be the same on all."""

import numpy as np
from sklearn.datasets import load_digits


def digits(n=600, dtype="float64"):
    X, y = load_digits(return_X_y=True)
    return (X[:n] / 16).astype(dtype), y[:n]


def bounds(n, size):
    """Where the rows of each rank begin and end: the later ranks have more of them."""
    shares = np.arange(1, size + 1).cumsum()
    return [0, *(n * shares // shares[-1]).tolist()]


def mine(rank, size, *arrays):
    """The rows of a rank; of None nothing."""
    n = next(each.shape[0] for each in arrays if each is not None)
    a, b = bounds(n, size)[rank : rank + 2]
    return [None if each is None else each[a:b] for each in arrays]


def weights_of(model):
    return {
        "weights": [np.asarray(W) for W in (*model.coefs_, *model.intercepts_)],
        "history": [{k: v for k, v in record.items() if k != "seconds"} for record in model.history_],
        "best": model.best_epoch_,
        "temperature": getattr(model, "temperature_", None),
        "classes": list(getattr(model, "classes_", [])),
    }
