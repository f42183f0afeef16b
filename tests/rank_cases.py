"""What the processes of ranks.py do: each case is a function of the rank, their number, and arguments."""

import warnings

import numpy as np
from sklearn.datasets import load_digits

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed


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


def classifier(rank, size, dtype="float64", weighted=False, n=600, sorted_rows=False, solver=None, **options):
    X, y = digits(n, dtype)
    if sorted_rows:
        order = np.argsort(y, kind="stable")
        X, y = X[order], y[order]
    weight = np.random.default_rng(0).random(len(y)) + 0.1 if weighted else None
    X, y, weight = mine(rank, size, X, y, weight)
    options = {"max_iter": 3, "batch_size": 100, "random_state": 0, "solver": Relaxed(**(solver or {})), **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMFNetClassifier((20, 15), **options).fit(X, y, sample_weight=weight)
    return weights_of(model)


def regressor(rank, size, dtype="float64", targets=3, **options):
    X, _ = digits(500, dtype)
    X, Y = mine(rank, size, X[:, :40] * np.arange(1, 41, dtype=dtype), X[:, 40 : 40 + targets])
    options = {"max_iter": 3, "batch_size": 70, "random_state": 0, **options}
    return weights_of(NMFNetRegressor((20,), "tanh", **options).fit(X, Y if targets > 1 else Y[:, 0]))
