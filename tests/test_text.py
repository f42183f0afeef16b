"""Texts: what held-out halves choose, and naive Bayes as a part of the network."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.naive_bayes import MultinomialNB

from nmfnet import Callback, Checkpoint, NMFNetClassifier, load
from nmfnet.data.scaling import input_scaling
from nmfnet.data.source import InMemory
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network import Network
from nmfnet.training import text
from nmfnet.training.naive_bayes import ADDED, NaiveBayes

N, WORDS, CLASSES = 200, 1200, 3


def documents(seed=0, n=N, dtype=np.float64):
    """Rows of TF-IDF whose words follow the class with a probability of a third, and others that are like them."""
    rng = np.random.default_rng(seed)
    common = 1 / np.arange(1, WORDS + 1)
    y = rng.integers(0, CLASSES, n)
    counts = np.zeros((n, WORDS))
    topics = np.random.default_rng(7).permuted(np.tile(common, (CLASSES, 1)), axis=1)
    for row, label in enumerate(y):
        weights = 0.3 * topics[label] + 0.7 * common
        np.add.at(counts[row], rng.choice(WORDS, 30, p=weights / weights.sum()), 1)
    counts[0] += counts.sum(0) == 0  # no word is without a document
    return TfidfTransformer(sublinear_tf=True).fit_transform(csr_matrix(counts)).astype(dtype), y


@pytest.fixture(scope="module")
def model():
    return NMFNetClassifier((40,), random_state=0).fit(*documents())


def source(X, y, weight=None):
    return InMemory(SparseRows(X), torch.eye(CLASSES, dtype=torch.float64)[torch.from_numpy(y)], weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_naive_bayes_is_that_of_scikit_learn(weighted):
    X, y = documents()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else None
    expected = MultinomialNB(alpha=ADDED * X.data.mean()).fit(X, y, weight).predict_proba(X)
    bayes = NaiveBayes.of(source(X, y, None if weight is None else torch.from_numpy(weight)))
    np.testing.assert_allclose(bayes.outputs(SparseRows(X)).softmax(1), expected, rtol=1e-8)
    assert bool((bayes.words >= 0).all())


def test_naive_bayes_is_the_same_in_any_unit():
    X, y = documents()
    one, other = (NaiveBayes.of(source(each, y)).words for each in (X, 1000 * X))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("hidden", [(8,), (8, 5)])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_network_puts_out_a_share_of_the_logarithms(hidden, intercept):
    X, y = documents()
    generator = torch.Generator().manual_seed(0)
    shapes = pairwise([WORDS, *hidden, CLASSES])
    weights = [torch.randn(a + intercept, b, generator=generator, dtype=torch.float64) for a, b in shapes]
    network = Network(weights, get_activation("relu"), intercept)
    bayes = NaiveBayes.of(source(X, y))
    members = [W[0] for W in bayes.weights(network, 0.3)]
    expected = 0.3 * (bayes.outputs(SparseRows(X)) - (0 if intercept else bayes.classes))
    found = Network(members, get_activation("relu"), intercept).predict(SparseRows(X))
    torch.testing.assert_close(found, expected)


def test_naive_bayes_has_a_unit_of_each_layer_for_each_class(model):
    X, y = documents()
    assert model.n_members_ == 2 and model.network_.hidden == [40]
    first, last = model.network_.weights
    assert first.shape == (WORDS + 1, 40) and bool((first[:, -CLASSES:] >= 0).all())
    outputs = last[-CLASSES - 1 : -1]
    torch.testing.assert_close(outputs, outputs[0, 0] * torch.eye(CLASSES, dtype=torch.float64))
    deep = NMFNetClassifier((40, 30), random_state=0).fit(X, y)
    assert deep.n_members_ == 2 and deep.network_.hidden == [40, 30]


def test_the_sum_is_better_than_the_network_alone(model):
    X, y = documents(10, 400)
    one = NMFNetClassifier((40,), random_state=0, n_members=1).fit(*documents())
    assert one.n_members_ == 1
    losses = [-np.log(each.predict_proba(X)[np.arange(len(y)), y]).mean() for each in (model, one)]
    assert losses[0] < losses[1]


def test_it_is_stored_exported_and_trained_further(model, tmp_path):
    X, y = documents(1, 50)
    expected = model.predict_proba(X)
    model.save(tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").predict_proba(X), expected, rtol=1e-6)
    with torch.no_grad():
        module = model.to_torch()(torch.from_numpy(X.toarray()))
    np.testing.assert_array_equal(module.argmax(1), expected.argmax(1))
    assert "naive Bayes" in model._repr_html_()
    other = NMFNetClassifier((40,), max_iter=3, random_state=0).fit(*documents())
    assert other.partial_fit(X, y).network_.hidden == [40]


def negative(X):
    X = X.copy()
    X.data[0] *= -1
    return X


@pytest.mark.parametrize(
    ("parameters", "change"),
    [
        ({"activation": "tanh"}, None),
        ({"hidden_layer_sizes": (11,)}, None),
        ({"alpha": 0.0}, None),
        ({"early_stopping": True}, None),
        ({}, negative),
        ({}, lambda X: X[:, : WORDS // 20]),
    ],
)
def test_where_there_is_none(parameters, change, monkeypatch):
    X, y = documents()
    X = X if change is None else change(X)
    monkeypatch.setattr(text, "MANY_WRONG", 1.0)
    model = NMFNetClassifier(**{"hidden_layer_sizes": (40,), "max_iter": 2, "random_state": 0, **parameters}).fit(X, y)
    assert model.n_members_ == 1 and np.isfinite(model.predict_proba(X)).all()


def preferring(monkeypatch, alike):
    """Held-out halves with all training rows wrong where rare words are scaled up, and which scale is better."""
    monkeypatch.setattr(text, "_loss", lambda output, found: float((found.wrong > 0) == alike))
    real = text.held_out

    def held_out(*args, rarity=True):
        return real(*args, rarity=rarity)._replace(wrong=float(rarity))

    monkeypatch.setattr(text, "held_out", held_out)


@pytest.mark.parametrize("alike", [True, False])
def test_words_have_one_scale_where_held_out_documents_say_so(alike, monkeypatch, tmp_path):
    preferring(monkeypatch, alike)
    X, y = documents(dtype=np.float32)
    model = NMFNetClassifier((40,), max_iter=3, random_state=0).fit(X, y)
    assert model.network_.inputs.has_one_factor == alike
    model.save(tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").predict_proba(X), model.predict_proba(X), rtol=1e-5)


def test_one_scale_is_tried_and_naive_bayes_is_not_where_training_documents_are_wrong(monkeypatch):
    scales, real = [], text.held_out
    X, y = documents()

    def held_out(*args, rarity=True):
        scales.append(rarity)
        return real(*args, rarity=rarity)

    monkeypatch.setattr(text, "held_out", held_out)
    model = NMFNetClassifier((40,), random_state=0).fit(X, y)
    assert scales == [True] and model.n_members_ == 2
    monkeypatch.setattr(text, "MANY_WRONG", -1.0)
    model.fit(X, y)
    assert scales == [True, True, False] and model.n_members_ == 1


@pytest.mark.parametrize("alike", [True, False])
def test_a_resumed_fit_ends_with_the_same_sum(alike, monkeypatch, tmp_path):
    if alike:
        preferring(monkeypatch, alike)
    monkeypatch.setattr(text, "MANY_WRONG", 0.9)

    class Stop(Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 3:
                raise RuntimeError

    X, y = documents()
    model = NMFNetClassifier((40,), max_iter=4, random_state=0).fit(X, y)
    stopped = NMFNetClassifier(**model.get_params()).set_params(callbacks=[Checkpoint(tmp_path, every=1), Stop()])
    with pytest.raises(RuntimeError):
        stopped.fit(X, y)
    monkeypatch.setattr("nmfnet.training.folds.choice_of_text", None)
    resumed = stopped.set_params(callbacks=[Checkpoint(tmp_path, every=1, resume=True)]).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), model.predict_proba(X))
    assert resumed.n_members_ == model.n_members_ == 2 and resumed.network_.hidden == [40]
    assert resumed.network_.inputs.has_one_factor == alike


@pytest.mark.parametrize(("reach", "one_unit"), [(1, True), (20, True), (100, False)])
def test_words_share_a_unit_though_some_are_repeated_often(reach, one_unit):
    """In long documents a word in ten is counted many times; a table's columns are divided by what each reaches."""
    rng = np.random.default_rng(0)
    words = 1200
    X = (rng.random((300, words)) < 0.03) * np.where(np.arange(words) % 5 == 0, reach, 1.0)
    X, few = csr_matrix(X), csr_matrix(X[:, :900])
    assert input_scaling(InMemory(SparseRows(X), torch.zeros(300, 2)), 1.0).one_unit == one_unit
    assert input_scaling(InMemory(SparseRows(few), torch.zeros(300, 2)), 1.0).one_unit == (reach == 1)
