"""More cases of rank_cases.py: the paper's solver and pre-training, networks that are trained further or stacked."""

import warnings

import numpy as np

from nmfnet import NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv
from shards import digits, mine, weights_of

SHORT = NMFPretraining(n_ae=2, n_nmf=5, n_ls=5, batch_size=150)


def paper(
    rank, size, solver=None, dtype="float64", weighted=False, images=False, real=False, n=400, hidden=(20, 15),
    **options,
):  # fmt: skip
    """`solver` has settings of the paper's; "relaxed" is the other one."""
    X, y = digits(n, dtype)
    weight = np.random.default_rng(0).random(n) + 0.1 if weighted else None
    X, y, weight = mine(rank, size, X, y, weight)
    solver = solver if isinstance(solver, str) else Pinv(**(solver or {}))
    if options.get("pretrain"):
        options["pretrain"] = NMFPretraining(**{**SHORT.get_params(), **options["pretrain"]})
    options = {"solver": solver, "max_iter": 1, "batch_size": 100, "random_state": 0, **options}
    if images:
        from nmfnet.layers import Conv2d, MaxPool2d

        X, hidden = X.reshape(-1, 1, 8, 8), [Conv2d(6, 3), MaxPool2d(2), 12]
    kind = NMFNetRegressor if real else NMFNetClassifier
    y = X[:, :3] * np.asarray([1, 2, 3], dtype) if real else y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return weights_of(kind(hidden, **options).fit(X, y, sample_weight=weight))


def warm(rank, size, dtype="float64", moved=(), real=False, other_rows=False, hidden=(20,), **options):
    """An epoch, then another one with the same estimator, on data of which some columns or targets are moved."""
    X, y = digits(600, dtype)
    Y = (X[:, 40:43] * 5 if real else y)[:]
    X = X[:, :40]
    options = {"max_iter": 1, "batch_size": 100, "random_state": 0, "warm_start": True, **options}
    model = (NMFNetRegressor if real else NMFNetClassifier)(hidden, **options)
    first, second = mine(rank, size, X, Y), mine(rank, size, *(each[::-1] if other_rows else each for each in (X, Y)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(*first)
        X, Y = second[0].copy(), second[1]
        X[:, list(moved)] = X[:, list(moved)] * 50 + 3
        return weights_of(model.fit(X, Y * 7 - 1 if real else Y))


def other_components(rank, size, n=300):
    """Inputs that are given by principal components, and later lie in others."""
    rng = np.random.default_rng(0)
    codes, before, after = (rng.normal(size=shape) for shape in ((n, 90), (90, 200), (90, 200)))
    y = (codes[:, 0] > 0).astype(int)
    model = NMFNetClassifier((10,), max_iter=1, batch_size=100, random_state=0, warm_start=True)
    for basis in (before, after):
        model.fit(*mine(rank, size, codes @ basis, y))
    return {**weights_of(model), "classes": [model.network_.inputs.projects]}


def stacked(rank, size, n=240, **options):
    """A table for which folds choose a weighted sum of networks."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5)) * np.array([1, 10, 1, 0.1, 1])
    y = np.where(np.sin(2 * X[:, 0]) + X[:, 1] / 10 + 0.3 * rng.normal(size=n) > 0, "yes", "no")
    X, y = mine(rank, size, X, y)
    model = NMFNetClassifier((64,), max_iter=4, random_state=0, **options).fit(X, y)
    found = weights_of(model)
    encodings = [record.pop("numeric_encoding", None) for record in found["history"]]
    return {**found, "classes": [*model.classes_, model.n_members_, *encodings]}


def of_other_fits(rank, size):
    """Ranks that would go on with networks that differ."""
    from nmfnet import RankError, distributed

    X, y = mine(rank, size, *digits(200))
    model = NMFNetClassifier((10,), max_iter=1, random_state=0, warm_start=True)
    y[:10] = np.arange(10)  # the same classes
    with distributed.alone():
        model.fit(X, y)
    try:
        model.fit(X, y)
    except RankError as error:
        return str(error)
