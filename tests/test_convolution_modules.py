"""Convolutional networks as modules of PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn

from nmfnet import NMFNetClassifier, NMFNetRegressor, Relaxed, fit_module
from nmfnet.layers import AvgPool1d, Conv1d, Conv2d, Flatten, MaxPool1d, MaxPool2d
from samples import digit_images

SEQUENCE = (Conv1d(8, 5, padding=2), MaxPool1d(2), Conv1d(8, 3, stride=2), AvgPool1d(3, 1), Flatten(), 16)


@pytest.fixture(scope="module")
def digits():
    return digit_images()


def convolutional_module(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 10),
    )  # fmt: skip


def test_a_module_is_trained_in_place(digits):
    X, y = digits
    module = convolutional_module()
    tensors = list(module.parameters())
    before = [tensor.detach().clone() for tensor in tensors]
    history = fit_module(module, X[:1000], y[:1000], max_iter=15, random_state=0)
    assert history[-1]["train_error"] < 0.1
    assert all(now is then for now, then in zip(module.parameters(), tensors, strict=True))
    assert not any(torch.equal(now, then) for now, then in zip(tensors, before, strict=True))
    right = module.eval()(torch.tensor(X[1000:])).argmax(1).numpy() == y[1000:]
    assert right.mean() > 0.85


def test_a_module_starts_where_it_is_and_frozen_layers_stay(digits):
    X, y = digits
    module = convolutional_module()
    expected = module.eval()(torch.tensor(X[:50])).detach()
    module[0].requires_grad_(False)
    frozen = module[0].weight.detach().clone()
    fit_module(module, X[:50], y[:50], solver=Relaxed(delta=1e-12, dropout=0.0), max_iter=1)
    torch.testing.assert_close(module(torch.tensor(X[:50])), expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(module[0].weight, frozen)


def test_a_module_becomes_an_estimator(digits):
    X, _ = digits
    module = convolutional_module()
    with pytest.raises(ValueError, match=r"pass input_shape=\(channels, height, width\)"):
        NMFNetClassifier.from_torch(module)
    model = NMFNetClassifier.from_torch(module, input_shape=(1, 8, 8))
    np.testing.assert_allclose(model.decision_function(X), module.eval()(torch.tensor(X)).detach(), atol=1e-5)
    assert model.hidden_layer_sizes == (
        Conv2d(8, 3, padding=1),
        MaxPool2d(2),
        Conv2d(8, 3),
        MaxPool2d(2),
        Flatten(),
        16,
    )
    with pytest.raises(ValueError, match=r"on 32 inputs a unit, for samples of \(1, 12, 12\)"):
        NMFNetClassifier.from_torch(module, input_shape=(1, 12, 12))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [nn.Conv2d(1, 4, 3, groups=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(144, 3)],
            "padding_mode='zeros'",
        ),
        ([nn.Conv2d(1, 4, 3), nn.AvgPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)], "cannot be taken over"),
        ([nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(36, 3)], "ceil_mode=False"),
        (
            [nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, return_indices=True), nn.Flatten(), nn.Linear(36, 3)],
            "return_indices=False",
        ),
        ([nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)], "output_size=1"),
        ([nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(100, 10)], "on 144 inputs a unit"),
        ([nn.Linear(8, 3), nn.ReLU(), nn.Conv2d(1, 4, 3)], "must end with a Linear"),
    ],
)
def test_modules_that_are_refused(layers, message, digits):
    with pytest.raises(ValueError, match=message):
        fit_module(nn.Sequential(*layers), *digits)


def test_inputs_that_a_module_does_not_take(digits):
    X, y = digits
    for wrong in (X[:, 0], X.reshape(len(X), -1), X.repeat(2, 1)):
        with pytest.raises(ValueError, match=r"but module takes \(n_samples, 1, height, width\)"):
            fit_module(convolutional_module(), wrong, y)


@pytest.mark.parametrize("begin", [[nn.Unflatten(1, (1, 8, 8))], [nn.Flatten(), nn.Unflatten(1, (1, 8, 8))]])
def test_modules_that_make_images_of_rows_take_rows(begin, digits):
    X, y = digits
    rows, images = nn.Sequential(*begin, convolutional_module()), convolutional_module()
    images.load_state_dict(rows[-1].state_dict())
    fit_module(rows, X.reshape(len(X), -1), y, max_iter=1, random_state=0)
    fit_module(images, X, y, max_iter=1, random_state=0)
    flat = torch.as_tensor(X).reshape(len(X), -1)
    assert torch.equal(rows.eval()(flat), images.eval()(torch.as_tensor(X)))
    with pytest.raises(ValueError, match="X has shape"):
        fit_module(rows, X.reshape(len(X), -1)[:, :60], y)


def test_a_regressor_of_sequences_as_a_module():
    rng = np.random.default_rng(0)
    X = rng.random((100, 2, 32), dtype=np.float32)
    y = np.stack([100 * X.mean((1, 2)), X.max((1, 2))], 1)
    model = NMFNetRegressor(SEQUENCE, "tanh", max_iter=3, random_state=0).fit(X, y)
    found = model.to_torch()(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-4, atol=1e-4)
    again = NMFNetRegressor.from_torch(model.to_torch())
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-4, atol=1e-4)
    assert again.hidden_layer_sizes == SEQUENCE
