"""Coordinate descent on products, the sums of sparse data, and models that are copied."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse
import torch

from nmfnet import NMF
from nmfnet.factorization.coordinate_descent import CoordinateDescent, Coordinates
from nmfnet.factorization.data import SparseData


def test_a_sweep_is_a_plain_cycle_in_which_some_rows_stay():
    generator = torch.Generator().manual_seed(0)
    A, F, P = (torch.rand(*shape, generator=generator).double() - 0.3 for shape in ((20, 13), (13, 30), (13, 30)))
    A[:, [2, 11]] = 0  # no curvature: these rows of F vanish where they are pulled down, and stay elsewhere
    F, G = F.clamp(min=0), A.T @ A
    kernel = CoordinateDescent(13, 30, F.new_empty(3, 13 * 30))
    kernel.F.copy_(F)
    kernel.P.copy_(P)
    kernel.sweep(Coordinates(13, F).fill(G, last_stays=True), 3)
    expected = F.clone()
    for _ in range(3):
        for j in range(12):
            if G[j, j] > 0:
                expected[j] = (expected[j] + (P[j] - G[j] @ expected) / G[j, j]).clamp(min=0)
            else:
                expected[j] = torch.where(P[j] < 0, 0, expected[j])
    torch.testing.assert_close(kernel.F, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(kernel.F[-1], F[-1])
    assert (expected[2] > 0).any() and (expected[2] < F[2]).any()


def test_squares_of_sparse_data_are_those_of_all_their_values():
    rng = np.random.default_rng(0)
    X = scipy.sparse.csr_matrix(rng.random((400, 500)) * (rng.random((400, 500)) < 0.5))
    data = SparseData(X, torch.device("cpu"))
    assert len(X.data) > 2**16
    for weights in (None, torch.ones(400)):
        assert data.squares(weights) == pytest.approx(np.square(X.data).sum(), rel=1e-12)


def test_a_model_that_was_copied_or_stored_goes_on_learning():
    X = np.random.default_rng(0).random((60, 8))
    model = NMF(3, random_state=0).fit(X)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        again = copy.deepcopy(model).partial_fit(X[:20])
        np.testing.assert_array_equal(other.partial_fit(X[:20]).components_, again.components_)
        assert (other.components_ != model.components_).any()
