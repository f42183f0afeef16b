"""The stacked autoencoder as a transformer."""

import numpy as np
import pytest
import torch

from nmfnet import NMFAutoencoder, NMFPretraining, Pinv
from nmfnet.errors import DivergenceError
from nmfnet.layers.activations import ACTIVATIONS
from nmfnet.transformers import autoencoder

FAST = NMFPretraining(n_ae=5)


def test_layer_wise_encoder_and_decoder(digits):
    X = digits[0]
    model = NMFAutoencoder((30, 15), pretrain=FAST, max_iter=0, random_state=0)
    Z = model.fit_transform(X)
    W1, W2, H2, H1 = (W.numpy() for W in model.network_.weights)
    np.testing.assert_allclose(Z, np.maximum(np.maximum(X @ W1, 0) @ W2, 0), atol=1e-12)
    np.testing.assert_allclose(model.encode(X), Z)
    assert H1.min() >= 0 and H2.min() >= 0
    np.testing.assert_allclose(model.decode(Z), Z @ H2 @ H1, atol=1e-10)
    np.testing.assert_allclose(model.components_, H2 @ H1, atol=1e-10)
    np.testing.assert_allclose(model.reconstruction_err_, np.linalg.norm(X - model.decode(Z)))
    assert model.reconstruction_err_ < 0.5 * np.linalg.norm(X - X.mean(0)) + 0.2 * np.linalg.norm(X)


def test_fine_tuning_lowers_the_error_or_is_dropped(digits):
    X = digits[0]
    model = NMFAutoencoder((30, 10), pretrain=FAST, max_iter=5, random_state=0).fit(X)
    assert model.reconstruction_err_ < model.layerwise_reconstruction_err_
    np.testing.assert_allclose(model.reconstruction_err_, np.linalg.norm(X - model.decode(model.encode(X))))
    hopeless = NMFAutoencoder((30, 10), pretrain=FAST, solver=Pinv(delta=0.9, delta_x=0.9), max_iter=2, random_state=0)
    hopeless.fit(X)
    assert hopeless.reconstruction_err_ <= hopeless.layerwise_reconstruction_err_


@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_a_fine_tuning_that_is_dropped_leaves_the_layer_wise_weights(solver, digits, monkeypatch):
    X, fit_network = digits[0][:300], autoencoder.fit_network

    def fails_at_last(*args, **options):
        fit_network(*args, **options)
        raise DivergenceError("spoilt")

    layerwise = NMFAutoencoder((30, 10), pretrain=FAST, max_iter=0, random_state=0).fit(X)
    monkeypatch.setattr(autoencoder, "fit_network", fails_at_last)
    monkeypatch.setattr(autoencoder, "error", lambda *_: 1.0)  # no better
    model = NMFAutoencoder((30, 10), pretrain=FAST, solver=solver, max_iter=2, random_state=0).fit(X)
    assert model.n_iter_ == 2
    for ours, known in zip(model.network_.weights, layerwise.network_.weights, strict=True):
        assert torch.equal(ours, known)


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS)))
@pytest.mark.parametrize("intercept", [False, True])
def test_every_activation(activation, intercept, digits):
    X = digits[0][:300].astype(np.float32)
    model = NMFAutoencoder((20, 10), activation, pretrain=FAST, max_iter=1, fit_intercept=intercept, random_state=0)
    Z = model.fit_transform(X)
    assert Z.shape == (300, 10) and Z.dtype == np.float32
    assert model.reconstruction_err_ < np.linalg.norm(X)
    assert [len(W) - intercept for W in model.network_.weights] == [64, 20, 10, 20]


def test_the_same_seed_gives_the_same_and_the_global_one_is_left_alone(digits):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = (NMFAutoencoder(5, pretrain=FAST, max_iter=1, random_state=3).fit(digits[0]) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first.encode(digits[1]), second.encode(digits[1]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_layer_sizes": ()}, "hidden_layer_sizes must name at least one layer"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be an integer"),
        ({"activation": "swish"}, "activation must be one of"),
        ({"pretrain": "pca"}, "pretrain must be 'nmf', or an instance of NMFPretraining"),
        ({"solver": "adam"}, "solver must be"),
        ({"max_iter": -1}, "max_iter must be"),
        ({"pretrain": NMFPretraining().set_params(n_ae=0)}, "n_ae must be"),
    ],
)
def test_unfit_parameters_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        NMFAutoencoder(**settings).fit(np.ones((5, 3)))


def test_negative_data_is_refused():
    with pytest.raises(ValueError, match="Negative values in data passed to NMFAutoencoder"):
        NMFAutoencoder(2).fit(-np.ones((5, 3)))
