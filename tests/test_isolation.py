"""Fits that share a process: the same numbers, and nothing global touched; searches, pipelines and routing."""

import threading

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.feature_selection import VarianceThreshold
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from nmfnet import NMFNetClassifier, NMFNetRegressor, Pinv, Relaxed
from nmfnet.callbacks import Callback, History

MODELS = [
    NMFNetClassifier((8, 5), batch_size=10, max_iter=5, random_state=0),
    NMFNetClassifier((8,), solver=Relaxed(noise=0.2), early_stopping=True, max_iter=5, random_state=1),
    NMFNetRegressor((8,), solver="pinv", pretrain="nmf", batch_size=10, max_iter=3, random_state=2),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{type(model).__name__}-{model.random_state}")
def test_threads_fit_at_once_as_they_would_alone(model, small):
    X, y = small
    alone = clone(model).fit(X, y)
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    models, start = [clone(each) for each in MODELS * 2], threading.Barrier(2 * len(MODELS))

    def fit(each):
        start.wait()
        each.fit(X, y)

    threads = [threading.Thread(target=fit, args=(each,)) for each in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in models[MODELS.index(model) :: len(MODELS)]:
        for a, b in zip(alone.network_.weights, each.network_.weights, strict=True):
            assert torch.equal(a, b)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    assert before[2] == torch.get_num_threads()


class Threads(Callback):
    """Note how many threads the training has."""

    def on_batch_end(self, batch, n_batches):
        self.seen = torch.get_num_threads()


def test_limits_of_threads_are_respected(small):
    usual, callback = torch.get_num_threads(), Threads()
    torch.set_num_threads(2)
    try:
        model = NMFNetClassifier((800, 800), max_iter=1, alpha=0, callbacks=[callback])  # small ones have one
        model.fit(*small)
        assert callback.seen == 2
        with threadpool_limits(1):
            model.fit(*small)
        assert callback.seen == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(usual)


def test_a_search_in_processes_finds_what_one_process_finds(small):
    X, y = small
    grid = {"solver": [Pinv(), Relaxed(dropout=0.0)]}
    history = History()
    model = NMFNetClassifier(max_iter=2, callbacks=[history], random_state=0)
    one, two = (GridSearchCV(model, grid, cv=2, n_jobs=n).fit(X, y) for n in (1, 2))
    assert len(history.fits) == 5 + 1  # of the second search it sees the refit only
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(one.predict(X), two.predict(X))


def test_weights_are_routed(small):
    X, y = small
    weight = 1.0 + np.arange(40) % 4
    with config_context(enable_metadata_routing=True):
        model = NMFNetClassifier((4,), max_iter=3, random_state=0).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model).fit(X, y, sample_weight=weight)
        expected = clone(model).fit(StandardScaler().fit_transform(X), y, sample_weight=weight)
        np.testing.assert_array_equal(pipeline[-1].coefs_[0], expected.coefs_[0])
        weighted = cross_validate(model, X, y, cv=2, params={"sample_weight": weight})["test_score"]
        with pytest.raises(Exception, match="sample_weight"):
            cross_validate(clone(model).set_fit_request(sample_weight=None), X, y, params={"sample_weight": weight})
    plain = cross_val_score(NMFNetClassifier((4,), max_iter=3, random_state=0), X, y, cv=2)
    assert weighted.shape == plain.shape == (2,)


def test_a_validation_set_is_routed(small):
    X, y = small
    with config_context(enable_metadata_routing=True):
        model = NMFNetRegressor((4,), max_iter=3, random_state=0).set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        pipeline.fit(X, y, X_val=X[:10], y_val=y[:10])
    errors = (pipeline.predict(X[:10]) - y[:10]) ** 2
    assert pipeline[-1].history_[-1]["val_error"] == pytest.approx(errors.mean())


def test_hidden_codes_in_a_pipeline(digits):
    X, X_test, y, y_test = digits
    pipeline = make_pipeline(
        VarianceThreshold(), NMFNetClassifier((30,), random_state=0), StandardScaler(), NMFNetClassifier((20,))
    )
    assert pipeline.fit(X, y).score(X_test, y_test) > 0.9
    assert pipeline[:-1].get_feature_names_out().tolist()[:2] == ["nmfnetclassifier0", "nmfnetclassifier1"]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{type(model).__name__}-{model.random_state}")
def test_clones_train_alike(model, small):
    X, y = small
    one, two = clone(model).fit(X, y), clone(clone(model).fit(X, y)).fit(X, y)
    for a, b in zip(one.network_.weights, two.network_.weights, strict=True):
        assert torch.equal(a, b)


def test_unknown_parameters_are_refused():
    with pytest.raises(TypeError, match="learning_rate"):
        NMFNetClassifier(learning_rate=0.1)
    with pytest.raises(ValueError, match="Invalid parameter 'learning_rate'"):
        NMFNetRegressor().set_params(learning_rate=0.1)
