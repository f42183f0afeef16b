"""Held-out documents have words that no document of the training has; new ones have not."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from nmfnet import NMFNetClassifier, Relaxed
from nmfnet.data.source import InMemory
from nmfnet.linalg.sparse import SparseRows
from nmfnet.training import calibration
from nmfnet.training.unseen_words import of_one_length, seen_words, without_unseen_words

N, OWN = 200, 6


def source_of(X):
    return InMemory(SparseRows(csr_matrix(X)), torch.eye(2, dtype=torch.float64)[[0, 1] * (X.shape[0] // 2)])


def test_words_that_are_not_seen_are_left_out_and_lengths_stay():
    X = np.array([[0.6, 0.8, 0], [0.8, 0, 0.6], [0, 0, 1], [0, 1, 0]])
    seen = seen_words(source_of(X), source_of(X[2:]))
    assert seen.tolist() == [False, True, True]
    assert of_one_length(source_of(X))
    new = without_unseen_words(SparseRows(csr_matrix(X)), seen, True).dense().numpy()
    np.testing.assert_allclose(new, [[0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]])
    counts = 3 * X  # not of one length, as counts are
    counts[0] *= 2
    assert not of_one_length(source_of(counts))
    new = without_unseen_words(SparseRows(csr_matrix(counts)), seen, False).dense().numpy()
    np.testing.assert_allclose(new, counts * [0, 1, 1])


def test_rows_without_values_have_no_length():
    assert of_one_length(source_of(np.zeros((0, 3)))) and of_one_length(source_of(np.zeros((2, 3))))
    assert of_one_length(source_of(np.array([[0, 0], [2.0, 0], [0, -2], [0, 0]])))


def test_hashed_words_may_be_any():
    X = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert seen_words(source_of(X), source_of(X)) is None
    dense = InMemory(torch.ones(2, 2), torch.ones(2, 2))
    assert seen_words(dense, dense) is None
    rows = SparseRows(csr_matrix(X))
    assert without_unseen_words(rows, None, True) is rows


def test_the_temperature_is_that_for_new_documents(monkeypatch):
    """Each document has a word of its class, or the wrong one, and words that no other has.

    New documents lose these, so that the one word is all that they have, as long as the document.
    """
    rng = np.random.default_rng(0)
    y = np.arange(N) % 2
    X = csr_matrix(np.hstack([np.eye(2)[np.where(rng.random(N) < 0.8, y, 1 - y)], np.kron(np.eye(N), np.ones(OWN))]))
    X = csr_matrix(X / np.sqrt(1 + OWN))
    new = csr_matrix(np.eye(2, X.shape[1]))
    found = {}
    for name in ("with", "without"):
        model = NMFNetClassifier((5,), random_state=0).fit(X, y)
        P = model.predict_proba(new)
        loss = -0.4 * np.log(np.diag(P)).sum() - 0.1 * np.log(P[[0, 1], [1, 0]]).sum()
        found[name] = model.temperature_, loss
        monkeypatch.setattr("nmfnet.training.calibration.seen_words", lambda source, trained: None)
    assert found["with"][0] > 1.5 * found["without"][0]
    assert found["with"][1] < found["without"][1]
    assert found["with"][1] == pytest.approx(-0.8 * np.log(0.8) - 0.2 * np.log(0.2), rel=0.1)


def test_held_out_documents_have_no_say_in_how_rare_a_word_is(monkeypatch):
    """A word that is seen and held out is in two documents or more, so it seems less rare than those of new ones."""
    rng = np.random.default_rng(0)
    X, y = csr_matrix((rng.random((N, 1200)) < 0.01) * 1.0), np.arange(N) % 2
    of_small = []
    plain_fit = calibration._plain_fit

    def noticed(network, solver, source, *others):
        of_small.append((network.inputs.factor, solver.input_scaling(source, "classes", True, False).factor))
        return plain_fit(network, solver, source, *others)

    monkeypatch.setattr(calibration, "_plain_fit", noticed)
    model = NMFNetClassifier((5,), random_state=0, solver=Relaxed()).fit(X, y)
    for found, expected in of_small:
        torch.testing.assert_close(found, expected)
        assert not torch.equal(found, model.network_.inputs.factor)
    assert len(of_small) == 2
