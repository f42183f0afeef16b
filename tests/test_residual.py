"""Skip connections: what they add, what they carry down, and that they go wherever other layers go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import nmfnet
from nmfnet import Checkpoint, NMFNetClassifier, NMFNetRegressor, Relaxed, fit_module
from nmfnet.export.modules import Residual as ResidualModule
from nmfnet.layers import AvgPool2d, Conv1d, Conv2d, GlobalAvgPool, MaxPool2d, Residual, build_layers
from nmfnet.layers.activations import get_activation
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from samples import digit_images
from solving import prepared

HIDDEN = (
    Conv2d(6, 3, padding=1), Residual(Conv2d(5, 3, padding=1), Conv2d(6, 3, padding=1)), MaxPool2d(2), AvgPool2d(2, 1),
    Residual(Conv2d(6, 3, padding=1)), 16,
)  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    return digit_images()


@pytest.fixture(scope="module")
def fitted(digits):
    X, y = digits
    return NMFNetClassifier(HIDDEN, max_iter=15, random_state=0).fit(X[:1200], y[:1200])


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_near_targets_carry_backpropagated_errors_to_both_branches(name):
    """As tau goes to 0, E[l] becomes -tau times the gradient of the summed loss with regard to A[l]."""
    shape, tau, generator = (2, 8, 8), 1e-7, torch.Generator().manual_seed(0)
    layers = build_layers(HIDDEN, 128, 3, True, shape)
    weights = [
        torch.randn(layer.n_in + 1, layer.n_out, generator=generator, dtype=torch.float64) / layer.n_in**0.5
        for layer in layers
    ]
    output = Output("softmax", 0.2)
    network = Network(weights, get_activation(name), output=output, hidden=HIDDEN, input_shape=shape)
    X = torch.randn(6, 128, generator=generator, dtype=torch.float64)
    Y = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0, 1, 2]]
    sweep = prepared(Relaxed(tau=tau, dropout=0.0, noise=0.0), network)
    forward, skips = sweep._forward(X, weights), {}
    E = [tau * output.residual(Y, forward.A[-1])]
    for layer in reversed(range(1, len(layers))):
        E.insert(0, sweep._difference_below(layer, forward.at[layer].columns(E[0]), forward, skips))
    assert not skips
    tracked = [W.clone().requires_grad_() for W in weights]
    A = network.with_weights(tracked).forward(X)[1]
    gradients = torch.autograd.grad(output.loss(A[-1], Y).sum(), A)
    for found, gradient in zip(E, gradients, strict=True):
        torch.testing.assert_close(found / tau, -gradient, rtol=1e-4, atol=1e-6)


def test_it_learns_and_predicts_what_the_module_does(fitted, digits):
    X, y = digits
    assert fitted.score(X[1200:], y[1200:]) > 0.9
    module = fitted.to_torch()
    assert sum(isinstance(each, ResidualModule) for each in module) == 2
    expected = module(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-5)
    np.testing.assert_allclose(fitted.layer_codes(X[:9], 3), module[:11](torch.tensor(X[:9])).detach(), atol=1e-5)


def test_a_copy_from_a_file_and_from_its_module(fitted, digits, tmp_path):
    X, _ = digits
    fitted.save(tmp_path / "model.safetensors")
    loaded = nmfnet.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert loaded.hidden_layer_sizes == HIDDEN
    again = NMFNetClassifier.from_torch(fitted.to_torch())
    np.testing.assert_allclose(again.predict_proba(X), fitted.predict_proba(X), atol=1e-5)
    assert [each for each in again.hidden_layer_sizes if isinstance(each, Residual)] == [HIDDEN[1], HIDDEN[4]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_onnx_graph_predicts_the_same(dtype, digits, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    X, y = digits[0][:60].astype(dtype), digits[1][:60]
    model = NMFNetClassifier(HIDDEN, max_iter=1, random_state=0).fit(X, y)
    model.to_onnx(tmp_path / "model.onnx")
    found = runtime.InferenceSession(tmp_path / "model.onnx").run(["probabilities"], {"X": X})[0]
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5 if dtype == np.float32 else 1e-12)


def test_a_module_is_trained_in_place(digits):
    X, y = digits
    torch.manual_seed(0)
    body = (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), ResidualModule(*body), nn.ReLU(),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    before = body[0].weight.detach().clone()
    history = fit_module(module, X[:1000], y[:1000], max_iter=10, random_state=0)
    assert history[-1]["train_error"] < 0.1 and not torch.equal(body[0].weight, before)
    right = module.eval()(torch.tensor(X[1000:])).argmax(1).numpy() == y[1000:]
    assert right.mean() > 0.85


def test_a_resumed_training_ends_bit_by_bit_like_one_that_was_not_stopped(digits, tmp_path):
    X, y = digits[0][:200], digits[1][:200]
    settings = {"random_state": 0, "max_iter": 3, "batch_size": 70, "solver": Relaxed(dropout=0.2, adversarial=0.1)}

    class Stop(nmfnet.Callback):
        def on_batch_end(self, batch, n_batches):
            if batch == 2 and (tmp_path / "seen").exists():
                raise RuntimeError("power cut")

        def on_epoch_end(self, network, record):
            (tmp_path / "seen").touch()

    whole = NMFNetClassifier(HIDDEN, **settings).fit(X, y)
    folder = tmp_path / "checkpoints"
    with pytest.raises(RuntimeError, match="power cut"):
        NMFNetClassifier(HIDDEN, **settings, callbacks=[Checkpoint(folder, 1), Stop()]).fit(X, y)
    resumed = NMFNetClassifier(HIDDEN, **settings, callbacks=[Checkpoint(folder, 1, resume=True)]).fit(X, y)
    for W, V in zip(whole.network_.weights, resumed.network_.weights, strict=True):
        assert torch.equal(W, V)


def test_sequences():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2, 20))
    y = np.abs(X[:, 0, 1:] - X[:, 0, :-1]).mean(1)
    hidden = (Conv1d(8, 3, padding=1), Residual(Conv1d(8, 3, padding=1)), GlobalAvgPool(), 16)
    model = NMFNetRegressor(hidden, max_iter=60, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.8
    assert "Residual" in repr(model) and "Conv1d(8, 3" in model._repr_html_()


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ((Residual(Conv2d(1, 3, padding=1)), 5), "must come behind another layer"),
        ((Conv2d(4, 3), Residual(Conv2d(5, 3, padding=1))), "makes 5 x 6 x 6 of its inputs of 4 x 6 x 6"),
        ((Conv2d(4, 3), Residual(Conv2d(4, 3))), "padding='same'"),
        ((Conv2d(4, 3), Residual(Conv1d(4, 3))), "does not take images"),
        ((Conv2d(4, 3), 5, Residual(Conv2d(4, 3))), "comes after the images have become rows"),
    ],
)
def test_what_does_not_fit_is_named(hidden, message, digits):
    with pytest.raises(ValueError, match=message):
        NMFNetClassifier(hidden, max_iter=1).fit(*digits)


@pytest.mark.parametrize("wrong", [(), (5,), (MaxPool2d(2),), (Residual(Conv2d(4, 3)),)])
def test_it_takes_convolutions_alone(wrong):
    with pytest.raises(ValueError, match="Residual takes convolutions"):
        Residual(*wrong)


def test_pinv_says_that_it_has_no_step_for_it(digits):
    with pytest.raises(ValueError, match="use solver='relaxed'"):
        NMFNetClassifier(HIDDEN, solver="pinv", max_iter=1).fit(*digits)


@pytest.mark.parametrize(
    "body",
    [
        (nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()),
        (nn.Dropout(0.1), nn.Conv2d(4, 4, 3, padding=1)),
        (nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(3, 1, 1), nn.Conv2d(4, 4, 3, padding=1)),
    ],
)
def test_bodies_that_are_refused(body, digits):
    module = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), ResidualModule(*body), nn.Flatten())
    with pytest.raises(ValueError, match="begin and end with a convolution"):
        fit_module(module.append(nn.Linear(256, 10)), *digits)
