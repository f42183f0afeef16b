"""The paper's sweep on convolutions, against a literal transcription and in its known limits."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import conv2d, max_pool2d, unfold

from nmfnet import NMFNetClassifier, NMFPretraining, Pinv
from nmfnet.data.source import InMemory
from nmfnet.factorization.nmf import starting_factors
from nmfnet.layers import AvgPool2d, Conv1d, Conv2d, GlobalAvgPool, MaxPool2d, build_layers
from nmfnet.layers.activations import get_activation
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from references import paper_images
from references.paper_images import Conv
from solving import prepared

EPS = np.finfo(np.float64).tiny


def network_of(hidden, shape, weights, name, bias):
    return Network([torch.tensor(W) for W in weights], get_activation(name), bias, hidden=hidden, input_shape=shape)


def weights_of(hidden, shape, n_out, bias, seed=0):
    rng = np.random.default_rng(seed)
    layers = build_layers(hidden, math.prod(shape), n_out, bias, shape)
    return [rng.standard_normal((layer.n_in + bias, layer.n_out)) / layer.n_in**0.5 for layer in layers]


CASES = {
    "overlapping": [Conv(3, 1, 0, 1), Conv(2, 1, 0, 1)],
    "padded and pooled": [Conv(3, 1, 1, 2), Conv(3, 1, 1, 1)],
    "strided": [Conv(2, 2, 0, 1), Conv(3, 1, 1, 2)],
    "one": [Conv(3, 2, 1, 1)],
    "rows that no patch has": [Conv(2, 1, 0, 1), Conv(2, 3, 0, 1)],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["relu", "tanh", "softplus"])
@pytest.mark.parametrize(("bias", "first_layer"), [(True, "data"), (False, "batch"), (True, "batch")])
def test_sweep(case, name, bias, first_layer):
    convs, shape = CASES[case], (2, 6, 6)
    hidden = [
        layer
        for conv, channels in zip(convs, (4, 3), strict=False)
        for layer in (Conv2d(channels, conv.size, conv.stride, conv.padding), MaxPool2d(conv.pool))
    ]
    rng = np.random.default_rng(4)
    X_all, Y = rng.random((30, *shape)), rng.random((20, 3))
    X, weights = X_all[:20], weights_of(hidden, shape, 3, bias)
    delta_x, delta = 0.1, 0.2
    expected = paper_images.sweep(name, weights, convs, X, Y, X_all, 3, 2, 0.9, delta_x, delta, EPS, bias, first_layer)
    network = network_of(hidden, shape, weights, name, bias)
    solver = Pinv(n_w=3, n_z=2, omega=0.9, delta=delta, delta_x=delta_x, first_layer=first_layer)
    sweep = prepared(solver, network, torch.tensor(X_all.reshape(30, -1)), Plan(n_samples=30))
    sweep(torch.tensor(X.reshape(20, -1)), torch.tensor(Y))
    for ours, reference in zip(network.weights, expected, strict=True):
        scale = max(1.0, np.abs(reference).max())
        np.testing.assert_allclose(ours.numpy(), reference, rtol=0, atol=1e-8 * scale)


@pytest.mark.parametrize(
    ("hidden", "shape"),
    [((Conv2d(5, (3, 4)), 4), (2, 3, 4)), ((Conv1d(5, 12), 4), (1, 12)), ((Conv2d(5, 1), 4), (12, 1, 1))],
    ids=["images", "sequences", "pixels"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_kernel_as_large_as_the_image_makes_the_sweep_of_a_dense_network(hidden, shape, weighted):
    rng = np.random.default_rng(0)
    n = math.prod(shape)
    X, Y = torch.tensor(rng.random((40, n))), torch.tensor(rng.random((40, 3)))
    weight = torch.tensor(rng.random(40)) if weighted else None
    weights = weights_of(hidden, shape, 3, True)
    dense = Network([torch.tensor(W) for W in weights], get_activation("relu"))
    images = network_of(hidden, shape, weights, "relu", True)
    for network in (dense, images):
        sweep = prepared(Pinv(delta=0.2), network, X, Plan(n_samples=40, alpha=0.1))
        for _ in range(2):
            sweep(X, Y, weight)
    for W, V in zip(dense.weights, images.weights, strict=True):
        torch.testing.assert_close(W, V, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pooling", [AvgPool2d(2), GlobalAvgPool()])
def test_it_learns(pooling):
    X, y = load_digits(return_X_y=True)
    X = (X / 16).reshape(-1, 1, 8, 8)
    hidden = (Conv2d(16, 3, padding="same"), MaxPool2d(2), Conv2d(32, 3, padding="same"), pooling)
    model = NMFNetClassifier(hidden, solver="pinv", max_iter=5, random_state=0, batch_size=500).fit(X[:1000], y[:1000])
    assert model.score(X[1000:], y[1000:]) > 0.5


def test_pretraining_makes_parts_of_patches():
    """The autoencoder of each layer is that of its rows: patches of the digits, then patches of codes."""
    X, y = load_digits(return_X_y=True)
    X = (X[:400] / 16).reshape(-1, 1, 8, 8)
    hidden = (Conv2d(6, 3), MaxPool2d(2), Conv2d(8, 2), GlobalAvgPool())
    settings = NMFPretraining(n_ae=3, n_nmf=5, n_ls=5, batch_size=4000)
    layers = build_layers(hidden, 64, 10, True, (1, 8, 8))
    network = Network(
        [torch.zeros(layer.n_in + 1, layer.n_out, dtype=torch.float64) for layer in layers],
        get_activation("relu"), hidden=hidden, input_shape=(1, 8, 8),
    )  # fmt: skip
    rows, Y = torch.tensor(X.reshape(400, -1)), torch.eye(10, dtype=torch.float64)[y[:400]]
    seen = []
    settings(network, InMemory(rows, Y), torch.Generator().manual_seed(0), seen.append)
    assert seen == [1, 2]
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(400, generator=generator)
    images = rows[order].reshape(-1, 1, 8, 8)
    f = get_activation("relu")
    for W, channels in zip(network.weights[:2], (6, 8), strict=True):
        size = 3 if channels == 6 else 2
        patches = unfold(images, size).transpose(1, 2).reshape(-1, images.shape[1] * size**2)
        patches = patches[torch.randperm(len(patches), generator=generator)[:4000]]
        Z, H = starting_factors(patches, channels, None, None, generator)
        delta = settings.delta_x if channels == 6 else settings.delta
        expected = settings.layer(patches, Z, H, f, delta, True)[0]
        torch.testing.assert_close(W, expected, rtol=1e-8, atol=1e-8)
        images = conv2d(images, W[:-1].T.reshape(channels, -1, size, size), W[-1]).relu()
        images = max_pool2d(images, 2) if channels == 6 else images
    A = images.mean((2, 3))
    A = torch.cat([A, torch.ones(400, 1, dtype=A.dtype)], 1)
    torch.testing.assert_close(network.weights[-1], torch.linalg.pinv(A) @ Y[order], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("solver", ["pinv", "relaxed"])
def test_it_learns_from_parts(solver):
    X, y = load_digits(return_X_y=True)
    X = (X / 16).reshape(-1, 1, 8, 8)
    hidden = (Conv2d(16, 3, padding="same"), MaxPool2d(2), 32)
    pretrain = NMFPretraining(n_ae=3)
    model = NMFNetClassifier(hidden, solver=solver, pretrain=pretrain, max_iter=4, random_state=0)
    model.fit(X[:1000], y[:1000])
    assert model.score(X[1000:], y[1000:]) > 0.8
    with pytest.raises(ValueError, match="X must be nonnegative"):
        model.fit(X - 0.5, y)


@pytest.mark.parametrize("hidden", [(Conv2d(6, 3, padding="same"), MaxPool2d(2)), (Conv2d(6, 3, padding="same"), 20)])
def test_pixels_of_codes_that_hardly_vary_get_no_large_weights(hidden):
    """At the borders of digits hardly any unit is ever active; the weights of these were 2000, and nothing learned."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    model = NMFNetClassifier(hidden, pretrain=NMFPretraining(n_ae=3), max_iter=4, random_state=1).fit(X[:600], y[:600])
    assert model.score(X[600:], y[600:]) > 0.85
    assert np.linalg.norm(model.coefs_[-1]) < 100
