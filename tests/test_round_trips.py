"""Every estimator and option: saved and loaded, pickled, as a module, as a graph."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import nmfnet
from nmfnet import (
    NMF,
    DivergenceError,
    NMFAutoencoder,
    NMFNetClassifier,
    NMFNetRegressor,
    NMFPretraining,
    NonlinearSemiNMF,
    Pinv,
    Relaxed,
    SemiNMF,
)
from nmfnet.layers.activations import ACTIVATIONS

onnxruntime = pytest.importorskip("onnxruntime")

NAMES = st.sampled_from(sorted(ACTIVATIONS))
UNIT = st.floats(0, 0.875)
RELAXED = st.builds(
    Relaxed, delta=st.just("auto") | st.floats(0.01, 0.3), tau=st.just("auto") | st.floats(0.01, 1),
    damping=st.floats(0.1, 10),
    noise=st.just("auto") | UNIT, dropout=UNIT, averaging=st.floats(0, 20), standardize=st.booleans(),
    explained_variance=st.floats(0.5, 1), label_smoothing=UNIT,
)  # fmt: skip
PINV = st.builds(
    Pinv, n_w=st.integers(1, 3), n_z=st.integers(1, 3), omega=st.floats(0.1, 1), delta=st.floats(1e-3, 0.5),
    delta_x=st.floats(1e-3, 0.5), first_layer=st.sampled_from(["data", "batch"]),
)  # fmt: skip
PRETRAIN = NMFPretraining(n_ae=1, n_nmf=2, n_ls=2, delta=0.01)  # at its 1e-14 such small layers are all rounding
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
        "pretrain": draw(st.sampled_from([None, None, PRETRAIN])),
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
    given = csr_matrix(X) if draw(st.booleans()) else X
    if draw(st.booleans()):
        y = draw(st.sampled_from(LABELS))
        classes = None if y.ndim == 2 else {label: i + 0.5 for i, label in enumerate(np.unique(y).tolist())}
        class_weight = draw(st.sampled_from([None, classes and "balanced", classes]))
        model = NMFNetClassifier(**options, class_weight=class_weight)
    else:
        y = (X @ rng.normal(size=(4, draw(st.integers(1, 3))))).squeeze()
        model = NMFNetRegressor(**options)
    try:
        return model.fit(given, y), X
    except DivergenceError:  # of one in ten thousand: no model, by its name
        reject()


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

    module = model.to_torch()
    atol = tolerance(module, X)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(X)).numpy(), expected.reshape(30, -1), atol=atol)
    classes = getattr(model, "classes_", None)
    back = type(model).from_torch(module, classes=classes)
    np.testing.assert_allclose(predicted(back, X), expected, atol=atol)

    model.to_onnx(folder / "model.onnx")
    name = "variable" if classes is None else "probabilities"
    np.testing.assert_allclose(computed(folder / "model.onnx", X, name), expected.reshape(30, -1), atol=atol)
    if model.hidden_layer_sizes:
        code = model.transform(X)
        np.testing.assert_array_equal(loaded.transform(X), code)
        model.to_onnx(folder / "model.onnx", method="transform")
        hidden = module[: max(i for i, layer in enumerate(module) if isinstance(layer, torch.nn.Linear))]
        np.testing.assert_allclose(computed(folder / "model.onnx", X), code, atol=tolerance(hidden, X))


def tolerance(module, X):
    """1e-5 of the outputs, or more for a network in which units cancel: what float32's rounding of each layer does.

    Of the module alone, in float64 with that rounding put in: whether it is the right module plays no part.
    """
    exact, X = deepcopy(module).double(), torch.from_numpy(X).double()
    outputs, eps = exact(X), torch.finfo(torch.float32).eps
    generator = torch.Generator().manual_seed(0)

    def rounded(layer, inputs, z):
        return z + eps * z.abs().clamp(min=1) * torch.empty_like(z).uniform_(-1, 1, generator=generator).sign()

    for layer in exact:
        layer.register_forward_hook(rounded)
    spread = max(float((exact(X) - outputs).abs().max()) for _ in range(3))
    return max(1e-5 * max(1.0, float(outputs.abs().max())), 10 * spread)


def computed(path, X, name="variable"):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run([name], {"X": X})[0]


@st.composite
def transformers(draw):
    """A transformer with any options that change what it computes."""
    number, seed = draw(st.integers(1, 4)), draw(st.integers(0, 9))
    common = {"alpha_W": draw(st.sampled_from([0.0, 0.01])), "l1_ratio": draw(UNIT), "random_state": seed}
    hidden = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    match draw(st.integers(0, 3)):
        case 0:
            loss = draw(st.sampled_from(["frobenius", "kullback-leibler"]))
            solver = "mu" if loss != "frobenius" else draw(st.sampled_from(["cd", "mu"]))
            return NMF(number, solver=solver, beta_loss=loss, max_iter=20, **common)
        case 1:
            batch_size = draw(st.sampled_from([None, 10]))
            return SemiNMF(
                number, solver=draw(st.sampled_from(["cd", "mu"])), max_iter=20, batch_size=batch_size, **common
            )
        case 2:
            f = draw(st.sampled_from([name for name, f in ACTIVATIONS.items() if f.matching_loss is not None]))
            return NonlinearSemiNMF(number, f, max_iter=20, **common)
        case _:
            return NMFAutoencoder(
                tuple(hidden), draw(NAMES), pretrain=PRETRAIN,
                max_iter=draw(st.integers(0, 2)), fit_intercept=draw(st.booleans()), random_state=seed,
                solver=draw(st.sampled_from(["pinv", "relaxed"])),
            )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=50)
@given(model=transformers(), dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 9))
def test_transformers(tmp_path_factory, model, dtype, seed):
    """Those that are pickled transform as before; what is a finite graph is one."""
    X, path = np.random.default_rng(seed).random((30, 6)).astype(dtype), tmp_path_factory.getbasetemp() / "model.onnx"
    code = model.fit(X).transform(X)
    back = model.inverse_transform(code)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), code)
    np.testing.assert_array_equal(again.inverse_transform(code), back)
    if isinstance(model, NMFAutoencoder):
        model.to_onnx(path)
        np.testing.assert_allclose(computed(path, X), code, atol=1e-5 * max(1.0, float(np.abs(code).max())))
    model.to_onnx(path, **({"method": "inverse_transform"} if isinstance(model, NMFAutoencoder) else {}))
    np.testing.assert_allclose(computed(path, code), back, atol=1e-5 * max(1.0, float(np.abs(back).max())))
