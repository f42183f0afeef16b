"""Factorizations run on one thread, and leave the number of threads as it was."""

import numpy as np
import pytest
import torch

from nmfnet import NMF
from nmfnet.factorization import nmf
from nmfnet.factorization.data import DenseData
from nmfnet.linalg import threads


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
