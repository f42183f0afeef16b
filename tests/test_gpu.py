"""On a GPU: what is trained there ends as on the CPU, and nothing waits for it between two looks."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import nmfnet
from nmfnet import Augmentation, Callback, NMFNetClassifier, NMFNetRegressor, Relaxed, fit_module
from nmfnet.layers import Conv2d, MaxPool2d

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
DEVICE = "cuda"
IMAGES = [Conv2d(4, 3, padding=1), MaxPool2d(2), Conv2d(6, 3), 10]
CASES = {
    "classes": (NMFNetClassifier, (30, 20), {}),
    "real targets": (NMFNetRegressor, (30,), {}),
    "adversarial inputs": (NMFNetClassifier, (30, 20), {"solver": Relaxed(adversarial=0.1, noise=0.2)}),
    "images": (NMFNetClassifier, IMAGES, {"augmentation": Augmentation(shift=1, flip=True)}),
    "the paper's solver": (NMFNetClassifier, (30,), {"solver": "pinv"}),
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


@pytest.mark.parametrize("name", CASES)
def test_a_fit_is_as_good_as_on_the_cpu(digits, name):
    cls, hidden, options = CASES[name]
    X = digits[0].reshape(-1, 1, 8, 8) if hidden is IMAGES else digits[0]
    y = digits[1] if cls is NMFNetClassifier else digits[0][:, :20:7]
    scores = []
    for device in (DEVICE, "cpu"):
        model = cls(hidden, max_iter=5, random_state=0, device=device, **options).fit(X[:1400], y[:1400])
        assert all(isinstance(W, np.ndarray) and np.isfinite(W).all() for W in model.coefs_)
        assert model.network_.weights[0].device.type == torch.device(device).type
        scores.append(model.score(X[1400:], y[1400:]))
    assert abs(scores[0] - scores[1]) < 0.05


def test_an_update_that_is_not_looked_at_waits_for_nothing(digits):
    """PyTorch reports each time that it waits for the GPU."""

    class Waits(Callback):
        seldom = 0

        def on_train_begin(self, training):
            self.looks = training.sweep.looks

        def on_batch_end(self, batch, n_batches):
            self.seldom += not self.looks.now
            torch.cuda.set_sync_debug_mode("error" if batch < n_batches - 1 else "default")  # of the next update

    waits = Waits()
    model = NMFNetClassifier((30, 20), max_iter=1, batch_size=100, random_state=0, device=DEVICE, callbacks=[waits])
    try:
        model.fit(digits[0][:1600], digits[1][:1600])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert waits.seldom == 15


@pytest.mark.parametrize("name", ["NMF", "SemiNMF", "NonlinearSemiNMF"])
def test_factors_are_those_of_the_cpu(digits, name):
    X = digits[0][:300].astype(np.float64)
    rng = np.random.default_rng(0)
    W, H = rng.random((300, 5)), rng.random((5, 64))
    found = []
    for device in (DEVICE, "cpu"):
        model = getattr(nmfnet, name)(5, init="custom", tol=0, max_iter=10, device=device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged
            model.fit(X, W=W.copy(), H=H.copy())
        found.append(model.components_)
    np.testing.assert_allclose(found[0], found[1], 1e-4, 1e-6)


def test_a_module_on_the_gpu_is_trained_there(digits):
    net = torch.nn.Sequential(torch.nn.Linear(64, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10)).to(DEVICE)
    X, y = (torch.from_numpy(each).to(DEVICE) for each in digits)
    fit_module(net, X, y, max_iter=5, random_state=0)
    assert {W.device.type for W in net.parameters()} == {torch.device(DEVICE).type}
    assert float((net(X).argmax(1) == y).float().mean()) > 0.9


def test_a_model_of_a_gpu_is_read_without_one(digits, tmp_path):
    model = NMFNetClassifier((10,), max_iter=2, random_state=0, device=DEVICE).fit(*digits)
    model.save(tmp_path / "model.safetensors")
    other = nmfnet.load(tmp_path / "model.safetensors")
    assert other.network_.weights[0].device.type == "cpu"
    assert np.abs(other.predict_proba(digits[0]) - model.predict_proba(digits[0])).max() < 1e-4
