"""Whether sparse columns are taken for words of documents, or for a table's."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.preprocessing import OneHotEncoder

from nmfnet import Relaxed
from nmfnet.data.source import InMemory
from nmfnet.data.words import are_words, stored_per_row
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers.base import Plan

N = 300


def sentences(words=150, length=20):
    """Documents of a Zipf distribution, of 2 to 2 `length` words."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, words + 1)
    numbers = (rng.choice(words, rng.integers(2, 2 * length), p=weights / weights.sum()) for _ in range(N))
    return [" ".join(f"word{i}" for i in document) for document in numbers]


def categories(columns=12, levels=15, missing=0.0):
    """A table of categories, one-hot."""
    rng = np.random.default_rng(1)
    X = OneHotEncoder().fit_transform(rng.integers(0, levels, (N, columns))).toarray()
    there = rng.random((N, columns)) >= missing
    return csr_matrix(X * np.repeat(there, levels, axis=1))


def source(X):
    return InMemory(SparseRows(csr_matrix(X, dtype=float)), torch.zeros(X.shape[0], 1, dtype=torch.float64))


TABLES = {
    "categories": lambda: categories(),
    "categories with some missing": lambda: categories(missing=0.1),
    "and numbers": lambda: hstack([categories(), np.random.default_rng(2).normal(size=(N, 10))]),
    "pixels": lambda: np.tile(load_digits().data[:N], 2),
    "thin and thick strokes": lambda: np.random.default_rng(3).random((N, 200)) < np.linspace(0.1, 0.5, N)[:, None],
    "few columns": lambda: CountVectorizer(max_features=90).fit_transform(sentences()),
}
TEXTS = {
    "TF-IDF": lambda: TfidfVectorizer(max_features=120).fit_transform(sentences()),
    "counts": lambda: CountVectorizer().fit_transform(sentences()),
    "whether there": lambda: CountVectorizer(binary=True).fit_transform(sentences(900)),
    "hashed, some negative": lambda: HashingVectorizer(n_features=256).fit_transform(sentences()),
    "a thousand columns of any kind": lambda: categories(100, 10),
}


@pytest.mark.parametrize(("X", "words"), [*((X, True) for X in TEXTS), *((X, False) for X in TABLES)])
def test_words_are_told_from_tables(X, words):
    assert are_words(source({**TEXTS, **TABLES}[X]())) == words


def test_dense_columns_are_no_words():
    X = torch.from_numpy(TEXTS["counts"]().toarray())
    assert not are_words(InMemory(X, torch.zeros(N, 1)))


def test_stored_values_are_counted():
    X = TEXTS["counts"]().astype(float)
    counts = X.getnnz(1)
    assert stored_per_row(source(X)) == pytest.approx((counts.mean(), counts.std()))


def test_short_vocabularies_get_what_texts_get():
    """Rare words are scaled up, and words are masked."""
    X = source(TEXTS["TF-IDF"]())
    inputs = Relaxed().input_scaling(X, "classes", True, False)
    assert inputs.one_unit and not inputs.has_one_factor
    network = Network(
        [torch.zeros(120, 5), torch.zeros(5, 2)], get_activation("relu"), False, Output("softmax"), inputs
    )
    assert Relaxed().resolved(network, Plan(n_samples=N, n_updates=100, batch_size=50), X).noise > 0
