"""Children that are forked by a process with several threads: they do not hang, and compute what it does."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone

from nmfnet import (
    NMF,
    NMFAutoencoder,
    NMFNetClassifier,
    NMFNetRegressor,
    NMFPretraining,
    NonlinearSemiNMF,
    SemiNMF,
    fit_module,
    nmf,
    nonlinear_semi_nmf,
    semi_nmf,
)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
PATIENCE = 60  # seconds, after which a child hangs

X = np.random.default_rng(0).random((800, 80))
SPARSE = csr_array(np.where(X > 0.8, X, 0.0))
Y, TARGETS = np.arange(800) % 3, X[:, :4] @ np.ones((4, 2))
NETWORKS = {
    "relaxed": (NMFNetClassifier((40,), max_iter=1, random_state=0), X, Y),
    "pinv": (NMFNetClassifier((40,), solver="pinv", max_iter=1, random_state=0), X, Y),
    "pretrained": (NMFNetClassifier((20,), pretrain=NMFPretraining(n_ae=2), max_iter=1, random_state=0), X, Y),
    "sparse": (NMFNetClassifier((40,), max_iter=1, random_state=0), SPARSE, Y),
    "regressor": (NMFNetRegressor((40,), max_iter=1, random_state=0), X, TARGETS),
}
TRANSFORMERS = {
    "nmf": (NMF(5, random_state=0, max_iter=3), X),
    "sparse nmf": (NMF(5, random_state=0, max_iter=3), SPARSE),
    "semi-nmf": (SemiNMF(5, random_state=0, max_iter=3), X),
    "nonlinear semi-nmf": (NonlinearSemiNMF(5, random_state=0, max_iter=3), X),
    "autoencoder": (NMFAutoencoder((5,), pretrain=NMFPretraining(n_ae=2), max_iter=1, random_state=0), X),
}


def module():
    made = torch.nn.Sequential(torch.nn.Linear(80, 40), torch.nn.ReLU(), torch.nn.Linear(40, 3))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.1, generator=generator)
    fit_module(made, X.astype(np.float32), Y, max_iter=1, random_state=0)
    return [parameter.detach().numpy() for parameter in made.parameters()]


def functions():
    return [
        factor.numpy()
        for factorize in (nmf, semi_nmf, nonlinear_semi_nmf)
        for factor in factorize(torch.from_numpy(X), 5, n_iter=2, generator=torch.Generator().manual_seed(0))[:2]
    ]


def what_a_network_does(fitted, X, y):
    """Prediction of a fitted one, a fit, and one that goes on."""
    new = clone(fitted).fit(X, y)
    more = clone(fitted).set_params(pretrain=None)
    more.partial_fit(X, y, **({"classes": np.unique(y)} if y.ndim == 1 else {})).partial_fit(X, y)
    return [fitted.predict(X), fitted.transform(X), *new.coefs_, *more.coefs_]


def what_a_transformer_does(fitted, X):
    return [fitted.transform(X), clone(fitted).fit_transform(X)]


@pytest.fixture(scope="module")
def works():
    """Functions that return arrays, of fitted models."""
    torch.set_num_threads(1)  # two wait for each other where processors are shared
    networks = {name: (model.fit(X, y), X, y) for name, (model, X, y) in NETWORKS.items()}
    transformers = {name: (model.fit(X), X) for name, (model, X) in TRANSFORMERS.items()}
    return {
        **{name: lambda a=args: what_a_network_does(*a) for name, args in networks.items()},
        **{name: lambda a=args: what_a_transformer_does(*a) for name, args in transformers.items()},
        "module": module,
        "functions": functions,
    }


@pytest.fixture(autouse=True)
def two_threads():
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    (torch.ones(300, 300) @ torch.ones(300, 300)).add_(1)  # which starts the second one
    yield
    assert torch.get_num_threads() == 2  # nothing changes here
    torch.set_num_threads(usual)


def in_child(work):
    """What a function returns in a process that is forked now."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=lambda: there.send(work()))
    child.start()
    there.close()
    try:
        assert here.poll(PATIENCE), "the child hangs"
        return here.recv()
    finally:
        child.kill()
        child.join()


@pytest.mark.parametrize("name", [*NETWORKS, *TRANSFORMERS, "module", "functions"])
def test_a_forked_child_computes_what_its_parent_does(name, works):
    assert_same(in_child(works[name]), works[name])


def assert_same(found, work):
    """Compare what a child found with what this process finds with as many threads, to the last digits."""
    torch.set_num_threads(1)
    try:
        for ours, theirs in zip(found, work(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    finally:
        torch.set_num_threads(2)


def in_a_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("where", [in_child, in_a_thread])
def test_what_a_child_starts_does_not_hang_either(where, works):
    assert_same(in_child(lambda: where(works["relaxed"])), works["relaxed"])


def test_a_child_has_one_thread():
    assert in_child(torch.get_num_threads) == 1
