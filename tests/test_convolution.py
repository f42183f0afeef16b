"""Convolutional networks in the estimators, in files and in PyTorch."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

import nmfnet
from nmfnet import Checkpoint, NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.layers import (
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    MaxPool1d,
    MaxPool2d,
    Residual,
)
from samples import digit_images

HIDDEN = (Conv2d(8, 3, padding="same"), MaxPool2d(2), Conv2d(8, 3), AvgPool2d(2), 16)
SEQUENCE = (Conv1d(8, 5, padding=2), MaxPool1d(2), Conv1d(8, 3, stride=2), AvgPool1d(3, 1), Flatten(), 16)


@pytest.fixture(scope="module")
def digits():
    return digit_images()


@pytest.fixture(scope="module")
def fitted(digits):
    X, y = digits
    return NMFNetClassifier(HIDDEN, max_iter=5, random_state=0).fit(X[:600], y[:600])


def test_it_learns_images(digits):
    X, y = digits
    hidden = (Conv2d(16, 3, padding="same"), MaxPool2d(2), Conv2d(32, 3, padding="same"), MaxPool2d(2), 32)
    model = NMFNetClassifier(hidden, max_iter=10, random_state=0).fit(X[:1400], y[:1400])
    assert model.score(X[1400:], y[1400:]) > 0.94
    assert [layer.shape for layer in model.network_.weights] == [(10, 16), (145, 32), (129, 32), (33, 10)]


def test_it_learns_sequences():
    """Where in a sequence a pulse is says nothing, what it looks like does."""
    rng = np.random.default_rng(0)
    y, X = rng.integers(0, 2, 600), 0.1 * rng.normal(size=(600, 1, 40))
    for row, (label, start) in enumerate(zip(y, rng.integers(0, 30, 600), strict=True)):
        X[row, 0, start : start + 8] += np.sin(np.arange(8) * (0.8 if label else 1.6))
    model = NMFNetClassifier((Conv1d(8, 8), GlobalAvgPool(), 16), max_iter=30, random_state=0).fit(X[:400], y[:400])
    assert model.score(X[400:], y[400:]) > 0.95


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
@pytest.mark.parametrize(("hidden", "shape"), [(HIDDEN, (1, 8, 8)), (SEQUENCE, (2, 32))], ids=["images", "sequences"])
def test_rows_of_numbers_and_their_shape_are_as_good_as_images(Estimator, hidden, shape, digits):
    X, y = digits
    rows, images = X.reshape(len(X), -1), X.reshape(-1, *shape)
    of_images = Estimator(hidden, max_iter=2, random_state=0).fit(images[: len(y) // 2], y[: len(images) // 2])
    of_rows = Estimator(hidden, max_iter=2, random_state=0, input_shape=shape).fit(
        rows[: len(images) // 2], y[: len(images) // 2]
    )
    for W, V in zip(of_images.network_.weights, of_rows.network_.weights, strict=True):
        assert torch.equal(W, V)
    expected = of_images.predict(images)
    for X_each in (rows, images, images.tolist(), torch.tensor(images)):
        np.testing.assert_allclose(np.asarray(of_rows.predict(X_each)), expected, rtol=1e-5)


def test_codes_of_layers_are_images(fitted, digits):
    X, _ = digits
    assert fitted.layer_codes(X[:5], 0).shape == (5, 8, 4, 4)
    assert fitted.layer_codes(X[:5], 1).shape == (5, 8, 2, 2)
    assert fitted.transform(X[:5]).shape == (5, 16) and len(fitted.get_feature_names_out()) == 16
    assert [W.shape for W in fitted.coefs_] == [(9, 8), (72, 8), (8, 16), (16, 10)]
    images = NMFNetClassifier((Conv2d(4, 3),), max_iter=1).fit(X[:100], digits[1][:100])
    assert images.transform(X[:5]).shape == (5, 144) and len(images.get_feature_names_out()) == 144
    np.testing.assert_array_equal(images.transform(X[:5]), images.layer_codes(X[:5]).reshape(5, -1))


def test_a_copy_from_a_file_a_pickle_and_a_module_predict_the_same(fitted, digits, tmp_path):
    import pickle

    X, _ = digits
    expected = fitted.predict_proba(X)
    fitted.save(tmp_path / "model.safetensors")
    loaded = nmfnet.load(tmp_path / "model.safetensors")
    assert loaded.get_params() == {**fitted.get_params(), "callbacks": None}
    assert clone(loaded).hidden_layer_sizes == HIDDEN and loaded.input_shape_ == (1, 8, 8)
    for each in (loaded, pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(each.predict_proba(X), expected)
        np.testing.assert_array_equal(each.predict_proba(X.reshape(len(X), -1)), expected)
    module = fitted.to_torch()
    for images in (torch.tensor(X), torch.tensor(X).flatten(1)):
        np.testing.assert_allclose(module(images).detach().numpy(), expected, atol=1e-5)
    again = NMFNetClassifier.from_torch(module)
    assert again.hidden_layer_sizes[:4] == HIDDEN[:4] and again.input_shape_ == (1, 8, 8)
    np.testing.assert_allclose(again.predict_proba(X), expected, atol=1e-5)
    assert again.partial_fit(X[:64], digits[1][:64]).score(X, digits[1]) > 0.5


@pytest.mark.parametrize(("hidden", "shape"), [(HIDDEN, (1, 8, 8)), (SEQUENCE, (2, 32))], ids=["images", "sequences"])
def test_an_onnx_graph_predicts_the_same(hidden, shape, digits, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    X, y = digits[0].reshape(-1, *shape), digits[1]
    model = NMFNetClassifier((*hidden[:-1], GlobalAvgPool(), 16) if shape == (1, 8, 8) else hidden, max_iter=1)
    model.fit(X[:300], y[:300])
    for method, output in (("predict", "probabilities"), ("transform", "variable")):
        model.to_onnx(tmp_path / "model.onnx", method)
        session = runtime.InferenceSession(tmp_path / "model.onnx")
        found = session.run([output], {"X": X})[0]
        expected = model.predict_proba(X) if method == "predict" else model.transform(X)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("hidden", "shape", "parameters", "message"),
    [
        ((Conv2d(4, 3),), (20, 8, 8), {}, r"without an axis of channels.* X\[:, None\] adds one channel"),
        ((Conv2d(4, 3),), (20, 64), {}, r"input_shape=\(channels, height, width\)"),
        ((Conv1d(4, 3),), (20, 64), {}, r"input_shape=\(channels, length\)"),
        ((Conv2d(4, 3),), (20, 64), {"input_shape": (1, 8, 9)}, r"has 72 numbers, but X 64 features"),
        ((Conv2d(4, 3),), (20, 1, 8, 8), {"input_shape": (1, 8, 9)}, r"but input_shape=\(1, 8, 9\)"),
        ((Conv2d(4, 3),), (20, 64), {"input_shape": 64}, r"input_shape must be \(channels, height, width\)"),
        ((Conv2d(4, 3),), (20, 1, 1, 1), {}, "kernel larger than its inputs of 1 x 1 x 1"),
        ((Conv2d(4, 3),), (20, 8, 8, 1), {}, "channels come first"),
        (
            (Conv2d(4, 3), Residual(Conv2d(4, 3, padding=1))),
            (20, 1, 8, 8),
            {"pretrain": "nmf"},
            "pretrain is not for Residual layers",
        ),
        ((Conv2d(4, 3), "conv"), (20, 1, 8, 8), {}, "or a layer of nmfnet.layers"),
        ((Conv2d(4, 3), MaxPool2d(2), 5), (20, 1, 8, 8), {"activation": ["relu"]}, "1 names for 2 hidden layers"),
        ((Conv2d(4, 3),), (0, 1, 8, 8), {}, "0 sample"),
        ((5,), (20, 1, 8, 8), {}, r"layers of images, as \(nmfnet.layers.Conv2d"),
    ],
)
def test_errors_name_what_to_change(hidden, shape, parameters, message):
    X = np.random.default_rng(0).random(shape)
    with pytest.raises(ValueError, match=message):
        NMFNetClassifier(hidden, **parameters).fit(X, np.arange(len(X)) % 2)


def test_channels_that_seem_to_be_last():
    X = np.random.default_rng(0).random((20, 8, 8, 3))
    with pytest.warns(UserWarning, match=r"8 channels of 8 x 3 pixels.* pass X.transpose\(0, 3, 1, 2\)"):
        NMFNetClassifier((Conv2d(4, 3),), max_iter=1).fit(X, np.arange(20) % 2)


def test_images_that_the_fitted_network_does_not_take(fitted, digits):
    X, _ = digits
    other = copy.deepcopy(fitted).set_params(hidden_layer_sizes=(5,), input_shape=None)
    np.testing.assert_array_equal(other.predict(X), fitted.predict(X))  # parameters are for the next fit
    with pytest.raises(ValueError, match=r"takes images of \(1, 8, 8\)"):
        fitted.predict(X.reshape(-1, 1, 4, 16))
    with pytest.raises(ValueError, match="has 63 features"):
        fitted.predict(X.reshape(len(X), -1)[:, :63])
    with pytest.raises(ValueError, match=r"X\[None\] is a batch of one image"):
        fitted.predict(X[0])
    bad = X[:3].copy()
    bad[1, 0, 2, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(bad)


@pytest.mark.parametrize("n", [1, 2])
def test_few_constant_huge_and_tiny_images(n):
    X = np.random.default_rng(0).random((n, 1, 6, 6))
    for images in (X, np.ones_like(X), np.zeros_like(X), 1e150 * X, 1e-150 * X):
        model = NMFNetRegressor((Conv2d(4, 3), MaxPool2d(2), 3), max_iter=2).fit(images, np.arange(n))
        assert np.isfinite(model.predict(images)).all()


def test_channels_are_scaled_together_where_they_share_a_unit_and_one_by_one_where_not():
    rng = np.random.default_rng(0)
    X, y = rng.random((50, 3, 6, 6)), np.arange(50) % 2
    model = NMFNetClassifier((Conv2d(4, 3),), max_iter=1).fit(X, y)
    scaling = model.network_.inputs
    assert len(scaling.factor.unique()) == 1
    np.testing.assert_allclose(scaling.shift.reshape(3, -1)[:, 0], X.mean((0, 2, 3)))
    units = NMFNetClassifier((Conv2d(4, 3),), max_iter=1).fit(X * np.array([1, 100, 1])[:, None, None], y)
    factors = units.network_.inputs.factor.reshape(3, -1)
    assert (factors == factors[:, :1]).all() and factors[0, 0] > 50 * factors[1, 0]


def test_weights_of_samples_count(digits):
    """A row of weight 0 is left out, and one of weight 2 is two where nothing is random."""
    X, y = digits[0][:40], digits[1][:40]
    settings = {"solver": Relaxed(dropout=0.0), "max_iter": 3, "random_state": 0}
    twice = NMFNetClassifier(HIDDEN, **settings).fit(np.concatenate([X, X[:10]]), np.concatenate([y, y[:10]]))
    weighted = NMFNetClassifier(HIDDEN, **settings).fit(X, y, sample_weight=np.r_[np.full(10, 2.0), np.ones(30)])
    for W, V in zip(twice.network_.weights, weighted.network_.weights, strict=True):
        torch.testing.assert_close(W, V, rtol=1e-3, atol=1e-4)


def test_it_goes_on(digits):
    X, y = digits
    model = NMFNetClassifier(HIDDEN, max_iter=2, random_state=0, warm_start=True, early_stopping=True)
    model.fit(X[:800], y[:800])
    first = model.score(X, y)
    model.set_params(max_iter=6).fit(X[:800], y[:800])
    assert len(model.history_) == 8 and model.score(X, y) > first
    with pytest.raises(ValueError, match=r"goes on with a network of 64-Conv2d\(8, 3, padding='same'\)-MaxPool2d"):
        model.set_params(hidden_layer_sizes=(Conv2d(8, 3), 16)).fit(X, y)
    stream = NMFNetClassifier(HIDDEN, random_state=0)
    for start in range(0, 1200, 100):
        part = slice(start, start + 100)
        stream.partial_fit(X[part], y[part], classes=np.arange(10))
    before = stream.score(X[1200:], y[1200:])
    stream.partial_fit(X[:3], y[:3])
    assert before > 0.3 and abs(stream.score(X[1200:], y[1200:]) - before) < 0.1


def test_a_resumed_training_ends_bit_by_bit_like_one_that_was_not_stopped(digits, tmp_path):
    X, y = digits[0][:300], digits[1][:300]
    settings = {"random_state": 0, "max_iter": 4, "batch_size": 70, "solver": Relaxed(dropout=0.2, adversarial=0.1)}

    class Stop(nmfnet.Callback):
        def on_batch_end(self, batch, n_batches):
            if self.epoch == 3 and batch == 2:
                raise RuntimeError("power cut")

        def on_epoch_begin(self, epoch):
            self.epoch = epoch

    whole = NMFNetClassifier(HIDDEN, **settings).fit(X, y)
    with pytest.raises(RuntimeError, match="power cut"):
        NMFNetClassifier(HIDDEN, **settings, callbacks=[Checkpoint(tmp_path, 1), Stop()]).fit(X, y)
    resumed = NMFNetClassifier(HIDDEN, **settings, callbacks=[Checkpoint(tmp_path, 1, resume=True)]).fit(X, y)
    for W, V in zip(whole.network_.weights, resumed.network_.weights, strict=True):
        assert torch.equal(W, V)


def test_the_picture_names_the_layers(fitted):
    for model in (fitted, clone(fitted)):
        assert "Conv2d(8, 3, padding=" in model._repr_html_()


def test_sparse_rows_frames_and_validation_sets(digits):
    X, y = digits[0][:200], digits[1][:200]
    rows = X.reshape(len(X), -1)
    settings = {"max_iter": 2, "random_state": 0}
    expected = NMFNetClassifier(HIDDEN, **settings).fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    assert len(expected.history_) == 2 and "val_error" in expected.history_[0]
    model = NMFNetClassifier(HIDDEN, input_shape=(1, 8, 8), **settings)
    for each in (csr_array(rows), pd.DataFrame(rows)):
        part = each[:150]
        assert clone(model).fit(part, y[:150]).predict(each).tolist() == expected.predict(X).tolist()
    with pytest.raises(ValueError, match=r"X_val, y_val: X has shape \(50, 1, 4, 16\), but the network takes"):
        NMFNetClassifier(HIDDEN, **settings).fit(X, y, X_val=X[150:].reshape(50, 1, 4, 16), y_val=y[150:])
    scores = cross_val_score(NMFNetClassifier(HIDDEN, max_iter=1), X, y, cv=2, error_score="raise")
    assert scores.shape == (2,)


def test_without_biases_and_with_one_activation_for_each_layer(digits):
    X, y = digits[0][:300], digits[1][:300]
    model = NMFNetClassifier(HIDDEN, ["tanh", "softplus", "relu"], fit_intercept=False, max_iter=3).fit(X, y)
    assert [W.shape for W in model.coefs_] == [(9, 8), (72, 8), (8, 16), (16, 10)]
    np.testing.assert_allclose(model.to_torch()(torch.tensor(X)).detach(), model.predict_proba(X), atol=1e-5)
