"""Whether two versions of the code train to the same weights: small fits of every kind, and epochs of MNIST.

    python benchmarks/same_weights.py store before.npz            # with the old code on the path
    python benchmarks/same_weights.py compare before.npz          # with the new one; --mnist adds two epochs of MNIST

Weights are compared relative to the largest of their matrix.  Rounding alone gives 1e-9 and less in float64 (training
amplifies it), and about 1e-3 in float32.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._testing import ignore_warnings

from nmfnet import NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv, Relaxed, datasets, fit_module

Weights = list[np.ndarray]
FEW = {"max_iter": 4, "random_state": 0}


def classes(
    solver: Any = "relaxed", hidden: tuple[int, ...] = (30, 20), load: Any = load_digits, **more: Any
) -> Weights:
    """Weights of a classifier."""
    X, y = load(return_X_y=True)
    model = NMFNetClassifier(hidden, solver=solver, **{**FEW, **more}).fit(X, y)
    return [*model.coefs_, *model.intercepts_]


def real(solver: Any = "relaxed", columns: int = 1, **more: Any) -> Weights:
    """Weights of a regressor."""
    X, y = load_diabetes(return_X_y=True)
    y = y if columns == 1 else np.column_stack([y, X[:, :5] @ np.arange(5.0), y**2])
    model = NMFNetRegressor((30, 20), solver=solver, **{**FEW, **more}).fit(X, y)
    return [*model.coefs_, *model.intercepts_]


def labels() -> Weights:
    """Several labels a sample."""
    X, y = load_digits(return_X_y=True)
    model = NMFNetClassifier((30,), **FEW).fit(X, np.column_stack([y % 2, y > 4]))
    return [*model.coefs_, *model.intercepts_]


def weighted(solver: str) -> Weights:
    """Weights of samples and of classes."""
    X, y = load_wine(return_X_y=True)
    weight = np.random.default_rng(0).uniform(0, 3, len(y))
    model = NMFNetClassifier((20,), solver=solver, class_weight="balanced", **FEW).fit(X, y, sample_weight=weight)
    return [*model.coefs_, *model.intercepts_]


def sparse_rows(columns: int) -> Weights:
    """Sparse inputs, narrow ones and wide ones."""
    X = sparse.random(400, columns, density=0.05, format="csr", random_state=0)
    y = np.asarray(X[:, :20].sum(1)).ravel() > np.median(np.asarray(X[:, :20].sum(1)))
    model = NMFNetClassifier((15,), **FEW).fit(X, y)
    return [*model.coefs_, *model.intercepts_]


def streamed(solver: str) -> Weights:
    """Calls of `partial_fit`, and a fit that goes on from them."""
    X, y = load_digits(return_X_y=True)
    model = NMFNetClassifier((30,), solver=solver, **FEW, warm_start=True)
    for start in range(0, 1500, 300):
        model.partial_fit(X[start : start + 300], y[start : start + 300], classes=range(10))
    model.fit(X, y)
    return [*model.coefs_, *model.intercepts_]


def module(real: bool) -> Weights:
    """A PyTorch module, trained in place."""
    X, y = load_digits(return_X_y=True)
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(nn.Linear(64, 40), nn.ReLU(), nn.Dropout(0.1), nn.Linear(40, 64 if real else 10)).double()
    fit_module(net, X, X if real else y, max_iter=4, random_state=0)
    return [parameter.detach().numpy().copy() for parameter in net.parameters()]


FITS: dict[str, Callable[[], Weights]] = {
    "classes": classes,
    "classes, two-class table": partial(classes, load=load_iris),
    "classes, penalty": partial(classes, alpha=1.0, l1_ratio=0.3),
    "classes, no bias": partial(classes, fit_intercept=False),
    "classes, tanh and leaky": partial(classes, activation=["tanh", "leaky_relu"]),
    "classes, adversary": partial(classes, solver=Relaxed(adversarial=0.1), batch_size=200),
    "classes, noise and momentum": partial(classes, solver=Relaxed(noise=0.1, momentum=0.5, dropout=0.3)),
    "classes, long steps": partial(classes, solver=Relaxed(delta=0.9, damping=1e-3), batch_size=100),
    "classes, early stopping": partial(classes, early_stopping=True, max_iter=4),
    "classes, linear": partial(classes, hidden=()),
    "classes, wide outputs": partial(classes, hidden=(2500,), max_iter=2),
    "classes, batches of 8": partial(classes, batch_size=8, max_iter=2, load=load_wine),
    "labels": labels,
    "weighted": partial(weighted, "relaxed"),
    "sparse": partial(sparse_rows, 300),
    "sparse, wide": partial(sparse_rows, 6000),
    "stream": partial(streamed, "relaxed"),
    "real": real,
    "real, three columns": partial(real, columns=3),
    "real, penalty": partial(real, alpha=0.5, activation="softplus"),
    "module": partial(module, False),
    "module, autoencoder": partial(module, True),
    "pinv": partial(classes, solver=Pinv(n_w=5)),
    "pinv, pretrained": partial(classes, solver="pinv", pretrain=NMFPretraining(n_ae=2, n_nmf=5, n_ls=5)),
    "pinv, penalty": partial(real, solver="pinv", alpha=30.0),
    "pinv, sparse penalty": partial(
        classes, solver=Pinv(first_layer="batch"), alpha=5.0, l1_ratio=0.5, batch_size=500
    ),
    "pinv, weighted": partial(weighted, "pinv"),
    "pinv, stream": partial(streamed, "pinv"),
}


def mnist() -> Weights:
    """Two epochs of the defaults on MNIST, in float32."""
    data = datasets.load("mnist")
    model = NMFNetClassifier((1000, 500), max_iter=2, random_state=0).fit(data.X_train, data.y_train)
    return [*model.coefs_, *model.intercepts_]


@ignore_warnings(category=(ConvergenceWarning, UserWarning))
def trained(with_mnist: bool) -> dict[str, np.ndarray]:
    """All weights, by fit and number."""
    fits = {**FITS, **({"mnist": mnist} if with_mnist else {})}
    return {f"{name}/{i}": W for name, fit in fits.items() for i, W in enumerate(fit())}


def main() -> None:
    """Store, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["store", "compare"])
    parser.add_argument("file")
    parser.add_argument("--mnist", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order
    now = trained(arguments.mnist)
    if arguments.action == "store":
        np.savez(arguments.file, **now)
        return
    before, worst = np.load(arguments.file), {}
    for key, W in now.items():
        old = before[key]
        off = float(abs(W - old).max() / max(abs(old).max(), 1e-300)) if W.shape == old.shape else float("inf")
        name = key.rpartition("/")[0]
        worst[name] = max(worst.get(name, 0.0), off)
    for name, off in worst.items():
        print(f"{name:35s} {off:8.1e}")
    print(f"largest difference {max(worst.values()):.1e} over {len(worst)} fits")


if __name__ == "__main__":
    main()
