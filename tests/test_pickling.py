"""Pickles and skops files of estimators."""

import copy
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nmfnet
from nmfnet import NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv, Relaxed, VersionWarning
from nmfnet.estimators import export_mixin

X = np.random.default_rng(0).random((40, 5))
MODELS = [
    NMFNetClassifier((4, 3), ["relu", "tanh"], solver=Relaxed(dropout=0.2), max_iter=2, random_state=0),
    NMFNetClassifier((4,), solver=Pinv(), pretrain=NMFPretraining(n_ae=1), max_iter=1, random_state=0),
    NMFNetRegressor((4,), max_iter=2, random_state=0),
]


def fitted(model):
    return model.fit(
        X, np.array(["a", "b", "c"])[np.arange(40) % 3] if isinstance(model, NMFNetClassifier) else X[:, 0]
    )


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_pickles(model):
    text = pickle.dumps(fitted(model))
    assert b"torch" not in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again, copied = pickle.loads(text), copy.deepcopy(model)
    for other in (again, copied):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        assert repr(other.get_params()) == repr(model.get_params()) and other.history_ == model.history_
    assert not pickle.loads(pickle.dumps(type(model)())).__sklearn_is_fitted__()


def test_a_pickle_of_another_version_warns(monkeypatch):
    text = pickle.dumps(fitted(MODELS[2]))
    monkeypatch.setattr(export_mixin, "__version__", "7.0")
    with pytest.warns(VersionWarning, match=f"pickled by nmfnet {re.escape(nmfnet.__version__)} and is read by 7\\.0"):
        again = pickle.loads(text)
    np.testing.assert_array_equal(again.predict(X), MODELS[2].predict(X))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_skops(model):
    skops = pytest.importorskip("skops.io")
    pipeline = make_pipeline(StandardScaler(with_mean=False), model)
    pipeline.fit(X, fitted(model).predict(X))
    data = skops.dumps(pipeline)
    assert set(skops.get_untrusted_types(data=data)) <= set(nmfnet.SKOPS_TYPES)
    again = skops.loads(data, trusted=nmfnet.SKOPS_TYPES)
    np.testing.assert_array_equal(again.predict(X), pipeline.predict(X))


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="the pickles hold arrays of NumPy 2")
def test_pickles_of_before_modules_were_moved():
    """Made by version 0.1.0 when its modules had other names: they load, and predict the same."""
    with open(Path(__file__).parent / "pickles" / "pickled-0.1.0.pkl", "rb") as file:
        stored = pickle.load(file)
    for model, outputs in zip(stored["models"], stored["outputs"], strict=True):
        again = model.predict(stored["X"]) if hasattr(model, "predict") else model.transform(stored["X"])
        np.testing.assert_allclose(again, outputs, rtol=1e-6)
        if isinstance(model, nmfnet.NMFNetClassifier | nmfnet.NMFNetRegressor):
            assert model.n_members == 1 and model.numeric_encoding == "standard"
