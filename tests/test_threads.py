"""Factorizations and small networks run on one thread, and leave the number of threads as it was."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from nmfnet import NMF, Callback, NMFNetClassifier
from nmfnet.factorization import nmf
from nmfnet.factorization.data import DenseData
from nmfnet.layers import Conv2d
from nmfnet.linalg import threads
from nmfnet.solvers.relaxed.sweep import RelaxedSweep


@pytest.fixture
def three():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_fits_and_transforms_run_on_one_thread_and_give_the_others_back(three, monkeypatch):
    seen, project = set(), DenseData.project

    def watch(*given):
        seen.add(torch.get_num_threads())
        project(*given)

    monkeypatch.setattr(DenseData, "project", watch)
    X = np.random.default_rng(0).random((30, 8))
    model = NMF(2, random_state=0).fit(X)
    model.transform(X)
    model.partial_fit(X)
    nmf(torch.tensor(X), 2)
    assert seen == {1} and torch.get_num_threads() == 3
    with pytest.raises(ValueError, match="Negative"):
        model.fit(-X)
    assert torch.get_num_threads() == 3


def test_large_products_have_all_threads(three):
    with threads.one_thread():
        with threads.threads_for(threads.MIN_PARALLEL_FLOPS):
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
        with threads.threads_for(threads.MIN_PARALLEL_FLOPS / 2):
            assert torch.get_num_threads() == 1
    with threads.threads_for(threads.MIN_PARALLEL_FLOPS):  # outside, as the caller wants it
        assert torch.get_num_threads() == 3


def test_results_do_not_depend_on_the_number_of_threads(three):
    X = np.random.default_rng(0).random((300, 40))
    several = NMF(5, random_state=0, tol=1e-3).fit(X).components_
    torch.set_num_threads(1)
    np.testing.assert_array_equal(NMF(5, random_state=0, tol=1e-3).fit(X).components_, several)


class Watched(Callback):
    def __init__(self):
        self.seen = set()

    def __sklearn_clone__(self):
        return self

    def on_batch_end(self, batch, n_batches):
        self.seen.add(torch.get_num_threads())


@pytest.mark.parametrize(
    ("hidden", "columns", "sparse", "used"),
    [((20,), 10, False, 1), ((600, 600), 10, False, 3), ((30,), 9000, False, 3), ((30,), 9000, True, 1)],
)
def test_small_networks_are_trained_on_one_thread(three, hidden, columns, sparse, used):
    """The words of documents fill few of their columns, so their products are small."""
    rng = np.random.default_rng(0)
    X = (rng.random((120, columns)) < 0.01) * 1.0
    X[:, 0] = np.arange(120) % 2
    watched = Watched()
    model = NMFNetClassifier(hidden, batch_size=100, max_iter=1, alpha=0, callbacks=[watched], random_state=0)
    model.fit(csr_matrix(X) if sparse else X, X[:, 0])
    assert watched.seen == {used} and torch.get_num_threads() == 3


def test_convolutions_are_trained_on_all_threads(three):
    X, watched = np.random.default_rng(0).random((40, 1, 6, 6)), Watched()
    NMFNetClassifier((Conv2d(2, 3), 4), max_iter=1, callbacks=[watched], random_state=0).fit(X, np.arange(40) % 2)
    assert watched.seen == {3}


def test_streams_of_small_networks_are_trained_on_one_thread(three, monkeypatch):
    seen, call = set(), RelaxedSweep.__call__

    def watch(*given, **named):
        seen.add(torch.get_num_threads())
        return call(*given, **named)

    monkeypatch.setattr(RelaxedSweep, "__call__", watch)
    X = np.random.default_rng(0).random((40, 5))
    NMFNetClassifier((6,)).partial_fit(X, np.arange(40) % 2, classes=[0, 1])
    assert seen == {1} and torch.get_num_threads() == 3
