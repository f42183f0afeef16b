"""Every estimator and option: saved and loaded, pickled, as a module, as a graph."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nmfnet
from nmfnet import NMFNetClassifier, NMFNetRegressor, NMFPretraining, Pinv, Relaxed
from nmfnet.activations import ACTIVATIONS

onnxruntime = pytest.importorskip("onnxruntime")

NAMES = st.sampled_from(sorted(ACTIVATIONS))
UNIT = st.floats(0, 0.875)
RELAXED = st.builds(
    Relaxed, delta=st.just("auto") | st.floats(0.01, 0.3), tau=st.floats(0.01, 1), damping=st.floats(0.1, 10),
    noise=st.just("auto") | UNIT, dropout=UNIT, averaging=st.floats(0, 20), standardize=st.booleans(),
    explained_variance=st.floats(0.5, 1), label_smoothing=UNIT,
)  # fmt: skip
PINV = st.builds(
    Pinv, n_w=st.integers(1, 3), n_z=st.integers(1, 3), omega=st.floats(0.1, 1), delta=st.floats(1e-3, 0.5),
    delta_x=st.floats(1e-3, 0.5), first_layer=st.sampled_from(["data", "batch"]),
)  # fmt: skip
LABELS = [
    np.arange(30) % 3, np.array(["low", "high", "é"])[np.arange(30) % 3], np.arange(30) % 2 == 0,
    np.column_stack([np.arange(30) % 2, np.arange(30) % 3 == 0]).astype(int),
]  # fmt: skip


@st.composite
def fitted(draw):
    """A fitted estimator with any options, and its data."""
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    X = rng.random((30, 4)) * draw(st.sampled_from([1.0, 100.0])) + draw(st.sampled_from([0.0, 50.0]))
    X = X.astype(draw(st.sampled_from([np.float32, np.float64])))
    hidden = draw(st.lists(st.integers(1, 5), max_size=3))
    options = {
        "hidden_layer_sizes": tuple(hidden),
        "activation": draw(NAMES | st.lists(NAMES, min_size=len(hidden), max_size=len(hidden)).map(tuple)),
        "solver": draw(st.sampled_from(["relaxed", "pinv"]) | RELAXED | PINV),
        "pretrain": draw(st.sampled_from([None, None, NMFPretraining(n_ae=1, n_nmf=2, n_ls=2)])),
        "alpha": draw(st.sampled_from([0.0, 0.5])),
        "l1_ratio": draw(UNIT),
        "batch_size": draw(st.sampled_from(["auto", 10])),
        "max_iter": draw(st.integers(1, 3)),
        "max_time": draw(st.sampled_from([None, 60.0])),
        "early_stopping": draw(st.booleans()),
        "validation_fraction": 0.2,
        "fit_intercept": draw(st.booleans()),
        "random_state": 0,
        "warm_start": draw(st.booleans()),
    }
    if draw(st.booleans()):
        return NMFNetClassifier(**options).fit(X, draw(st.sampled_from(LABELS))), X
    y = X @ rng.normal(size=(4, draw(st.integers(1, 3))))
    return NMFNetRegressor(**options).fit(X, y[:, 0] if y.shape[1] == 1 else y), X


def predicted(model, X):
    return model.predict_proba(X) if isinstance(model, NMFNetClassifier) else model.predict(X)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100)
@given(case=fitted())
def test_every_form_predicts_the_same(tmp_path_factory, case):
    model, X = case
    folder = tmp_path_factory.getbasetemp()
    expected = predicted(model, X)
    model.save(folder / "model")
    loaded = nmfnet.load(folder / "model")
    assert loaded.get_params() == {**model.get_params(), "callbacks": None}
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(predicted(other, X), expected)
        assert other.history_ == model.history_

    scale = 1e-5 * max(1.0, float(np.abs(expected).max()))
    module = model.to_torch()
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(X)).numpy(), expected.reshape(30, -1), atol=scale)
    classes = getattr(model, "classes_", None)
    back = type(model).from_torch(module, classes=classes)
    np.testing.assert_allclose(predicted(back, X), expected, atol=scale)

    model.to_onnx(folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["variable" if classes is None else "probabilities"], {"X": X})[0]
    np.testing.assert_allclose(found, expected.reshape(30, -1), atol=scale)
