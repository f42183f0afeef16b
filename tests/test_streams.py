"""Streams of networks: samples that come one by one."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.datasets import load_diabetes, load_iris

from nmfnet import NMF, NMFNetClassifier, NMFNetRegressor, fit_module
from nmfnet.data.source import InMemory, Samples, joined, newest
from nmfnet.data.windows import share_of, windows
from nmfnet.estimators.inputs import to_tensor
from nmfnet.solvers.relaxed.sweep import RelaxedSweep
from samples import stream

sizes = pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
sparse_too = pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "sparse"])


# Small batches.


@sizes
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_few_samples_a_call_do_not_ruin_a_fitted_classifier(solver, size, digits):
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((30,), solver=solver, random_state=0).fit(X[:800], y[:800])
    before = model.score(X_test, y_test)
    stream(model, X[800:1100], y[800:1100], size)
    assert model.score(X_test, y_test) > before - 0.03


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_few_samples_a_call_do_not_ruin_a_fitted_regressor(solver, size):
    X, y = load_diabetes(return_X_y=True)
    model = NMFNetRegressor((20,), solver=solver, random_state=0).fit(X[:200], y[:200])
    before = model.score(X[300:], y[300:])
    stream(model, X[200:300], y[200:300], size)
    assert model.score(X[300:], y[300:]) > before - 0.05


@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_single_samples_teach_a_new_network(solver):
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(np.tile(np.arange(150), 3))
    model = stream(NMFNetClassifier((20,), solver=solver, random_state=0), X[order], y[order], 1, classes=[0, 1, 2])
    assert model.score(X, y) > 0.9


def test_single_samples_teach_a_new_regressor():
    rng = np.random.default_rng(0)
    X = 100 * rng.standard_normal((600, 4)) + 50
    y = X @ [1e3, 2e3, -1e3, 0] + 1e6
    assert stream(NMFNetRegressor((20,), random_state=0), X, y, 1).score(X, y) > 0.8


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_small_batches_of_a_fit(solver, size, recwarn):
    X, y = load_iris(return_X_y=True)
    model = NMFNetClassifier((20,), solver=solver, batch_size=size, max_iter=8, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.93 and not recwarn.list
    diabetes, targets = (part[:250] for part in load_diabetes(return_X_y=True))
    model = NMFNetRegressor((20,), solver=solver, batch_size=size, max_iter=5, random_state=0)
    assert model.fit(diabetes, targets).score(diabetes, targets) > 0.3


def test_small_batches_of_a_module(digits):
    X, X_test, y, y_test = digits
    module = torch.nn.Sequential(torch.nn.Linear(64, 30), torch.nn.ReLU(), torch.nn.Linear(30, 10))
    fit_module(module, X[:500], y[:500], random_state=0)
    fit_module(module, X[500:700], y[500:700], batch_size=1, max_iter=1, random_state=0)
    found = module(torch.tensor(X_test).float()).argmax(1).numpy()
    assert (found == y_test).mean() > 0.9


def test_calls_in_other_processes(digits):
    """A pickle goes on; see test_stored_streams.py."""
    X, X_test, y, y_test = digits
    model = NMFNetClassifier((20,), random_state=0).fit(X[:600], y[:600])
    before = model.score(X_test, y_test)
    for row in range(600, 680):
        model = pickle.loads(pickle.dumps(model.partial_fit(X[row : row + 1], y[row : row + 1])))
    assert model.score(X_test, y_test) > before - 0.03


def test_the_penalty_of_a_stream_does_not_depend_on_its_calls(digits):
    X = digits[0][:640]
    sums = []
    for size in (1, 8, 64):
        model = NMF(4, alpha_H=0.05, alpha_W=0.05, l1_ratio=1.0, init="random", random_state=0)
        for start in range(0, 640, size):
            model.partial_fit(X[start : start + size])
        sums.append(model.components_.sum())
    assert max(sums) < 1.3 * min(sums)


# Windows.


def test_windows():
    batches = [torch.tensor([1, 0]), torch.tensor([2, 3])]
    rows = [(window.rows.tolist(), window.n_new) for window in windows(batches, 0, 3)]
    assert rows == [([3, 1, 0], 2), ([0, 2, 3], 2)]  # what is missing at the beginning is from the end
    rows = [(window.rows.tolist(), window.n_new) for window in windows(batches, 2, 3)]
    assert rows == [([1, 3, 2], 2), ([2, 4, 5], 2)]  # or from before
    rows = [(window.rows.tolist(), window.n_new) for window in windows(batches, 1, 64)]
    assert rows == [([0, 2, 1], 2), ([0, 2, 1, 3, 4], 2)]
    assert [window.rows.tolist() for window in windows(batches, 0, 2)] == [[1, 0], [2, 3]]


def test_shares_do_not_depend_on_the_unit_of_weights():
    window = next(iter(windows([torch.arange(2)], 6, 8)))
    weight = torch.tensor([1.0, 1, 1, 1, 1, 1, 2, 0.5])
    assert share_of(window, 8, None) == share_of(window, 8, torch.full((8,), 7.0)) == 0.25
    assert share_of(window, 8, weight) == pytest.approx(share_of(window, 8, 1e-9 * weight)) == pytest.approx(2.5 / 8.5)
    assert share_of(window, 2, weight) == 1


@sparse_too
def test_rows_are_kept_as_copies(container):
    X = np.arange(12.0).reshape(6, 2)
    rows = Samples(to_tensor(container(X)), torch.arange(6.0)[:, None])
    assert newest(rows, 2)[1].flatten().tolist() == [4, 5]
    assert newest(rows, 3, 6)[1].flatten().tolist() == [0, 2, 5]
    kept = newest(rows, 4)
    X[:] = 0
    whole = joined(kept, InMemory(rows.X[:1], torch.zeros(1, 1), torch.tensor([3.0], dtype=torch.float64)))
    dense = whole.X if isinstance(whole.X, torch.Tensor) else whole.X.dense()
    assert dense[:4].flatten().tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
    assert whole.weight.tolist() == [1, 1, 1, 1, 3] and whole.before == 4 and whole.n_rows == 1


# Columns that change.


# The rules.


def test_single_samples_count_by_their_weights(digits):
    """Against the others of the window: false labels of next to no weight are not learned."""
    X, X_test, y, y_test = digits
    rng = np.random.default_rng(0)
    false = np.arange(300) % 2 == 1
    labels = np.where(false, rng.integers(0, 10, 300), y[600:900])
    model = NMFNetClassifier((20,), random_state=0).fit(X[:600], y[:600])
    before = model.score(X_test, y_test)
    for row, (label, weight) in enumerate(zip(labels, np.where(false, 1e-6, 1.0), strict=True), 600):
        model.partial_fit(X[row : row + 1], [label], sample_weight=[weight])
    assert model.score(X_test, y_test) > before - 0.02


@pytest.mark.parametrize(("batch_size", "rows"), [(64, 50), (63, 64)])
def test_batches_count_as_small_by_the_size_that_was_asked_for(batch_size, rows, monkeypatch):
    """64 samples make a whole update, even where 150 rows are divided into three times 50."""
    seen, call = [], RelaxedSweep.__call__

    def recorded(self, X, *args, **kwargs):
        seen.append((len(X), kwargs.get("share", 1.0)))
        return call(self, X, *args, **kwargs)

    monkeypatch.setattr(RelaxedSweep, "__call__", recorded)
    rng = np.random.default_rng(0)
    X, y = rng.random((150, 4)), np.arange(150) % 2
    model = NMFNetClassifier((5,), batch_size=batch_size, max_iter=1, random_state=0).fit(X, y)
    seen = seen[-3:]  # those of smaller networks are before
    model.partial_fit(X, y)
    assert seen == [(rows, 50 / 64 if batch_size < 64 else 1.0)] * 6
