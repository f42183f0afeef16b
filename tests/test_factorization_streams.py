"""Factorizations of a stream."""

import numpy as np
import pytest

from nmfnet import NMF, NonlinearSemiNMF, SemiNMF


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize(
    "model",
    [
        NMF(5, random_state=0), NMF(5, solver="mu", random_state=0), SemiNMF(5, random_state=0),
        NMF(5, solver="mu", beta_loss="kullback-leibler", random_state=0), NonlinearSemiNMF(5, random_state=0),
    ],
    ids=str,
)  # fmt: skip
def test_factorizations_of_a_stream(model, size, digits):
    X, X_test, _, _ = digits

    def error(model):
        return np.linalg.norm(X_test - model.inverse_transform(model.transform(X_test))) / np.linalg.norm(X_test)

    before = error(model.set_params(max_iter=50).fit(X[:600]))
    for start in range(600, 800, size):
        model.partial_fit(X[start : start + size])
    assert error(model) < 1.05 * before


@pytest.mark.parametrize("model", [NMF(3, random_state=0), NMF(3, solver="mu", random_state=0)], ids=str)
@pytest.mark.parametrize("first", ["zeros", "tiny", "empty columns"])
def test_factorizations_after_a_first_batch_that_tells_little(model, first):
    rng = np.random.default_rng(0)
    X = rng.random((300, 3)) @ rng.random((3, 8)) + 0.1
    start = {"zeros": 0 * X[:5], "tiny": 1e-200 * X[:5], "empty columns": X[:5] * (np.arange(8) < 4)}[first]
    model.partial_fit(start)
    for part in np.split(X, 10):
        model.partial_fit(part).partial_fit(part)
    error = np.linalg.norm(X - model.inverse_transform(model.transform(X))) / np.linalg.norm(X)
    assert error < 0.2
