"""The product against a literal NumPy transcription of the paper, written apart from it."""

import itertools

import numpy as np
import pytest
import torch

from nmfnet import NMFPretraining, Pinv, nmf, nonlinear_least_squares, nonlinear_semi_nmf, semi_nmf
from nmfnet.data.source import InMemory
from nmfnet.factorization import nmf_update, nonlinear_z_step, semi_nmf_z_step
from nmfnet.layers.activations import get_activation
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from references import paper
from solving import prepared

EPS = np.finfo(np.float64).tiny
NAMES = list(paper.ACTIVATIONS)
both_biases = pytest.mark.parametrize("bias", [False, True])
all_activations = pytest.mark.parametrize("name", NAMES)


def tensors(*arrays):
    return [torch.tensor(a) for a in arrays]


def assert_close(ours, reference):
    scale = max(1.0, np.abs(reference).max())
    np.testing.assert_allclose(ours.numpy(), reference, rtol=0, atol=1e-8 * scale)


def random_network(rng, sizes, bias):
    return [rng.standard_normal((a + bias, b)) / a**0.5 for a, b in itertools.pairwise(sizes)]


@all_activations
@both_biases
@pytest.mark.parametrize("hidden", [(), (7,), (9, 6), (8, 6, 5)])
@pytest.mark.parametrize("first_layer", ["data", "batch"])
def test_sweep(name, bias, hidden, first_layer):
    rng = np.random.default_rng(4)
    X_all = rng.random((60, 10))
    X_all[:, 3] = 0  # a rank-deficient first layer
    X, Y = X_all[:40], rng.random((40, 3))
    weights = random_network(rng, (10, *hidden, 3), bias)
    delta_x, delta = 0.13, 0.25  # which drop some singular values and keep others
    expected = paper.sweep(name, weights, X, Y, X_all, 4, 2, 0.9, delta_x, delta, EPS, bias, first_layer)
    network = Network(tensors(*weights), get_activation(name), bias)
    solver = Pinv(n_w=4, n_z=2, omega=0.9, delta=delta, delta_x=delta_x, first_layer=first_layer)
    outputs = prepared(solver, network, torch.tensor(X_all), Plan(n_samples=len(X_all)))(*tensors(X, Y))
    for ours, reference in zip(network.weights, expected, strict=True):
        assert_close(ours, reference)
    Z = X
    for W in weights[:-1]:
        Z = paper.ACTIVATIONS[name](paper.inputs(Z, bias) @ W)
    assert_close(outputs, paper.inputs(Z, bias) @ weights[-1])


@all_activations
@both_biases
def test_autoencoder_layer(name, bias):
    rng = np.random.default_rng(1)
    A, Z, H = rng.random((50, 8)), rng.random((50, 5)), rng.random((5, 8))
    expected = paper.autoencoder_layer(name, A, Z, H, 3, 4, 5, 0.9, 0.15, EPS, bias)
    pretraining = NMFPretraining(n_ae=3, n_nmf=4, n_ls=5, omega=0.9)
    found = pretraining.layer(*tensors(A, Z, H), get_activation(name), 0.15, bias)
    for ours, reference in zip(found, expected, strict=True):
        assert_close(ours, reference)


@both_biases
def test_whole_pretraining(bias):
    """Two layers and the output, on a batch smaller than the data, with the threshold of each layer."""
    rng = np.random.default_rng(8)
    X, Y = rng.random((70, 8)), rng.random((70, 3))
    network = Network(tensors(*random_network(rng, (8, 6, 5, 3), bias)), get_activation("relu"), bias)
    pretraining = NMFPretraining(n_ae=2, n_nmf=3, n_ls=4, delta_x=0.15, delta=0.25, batch_size=40)
    pretraining(network, InMemory(*tensors(X, Y)), torch.Generator().manual_seed(0))

    generator = torch.Generator().manual_seed(0)  # the same draws, in the same order
    rows = torch.randperm(70, generator=generator)[:40].numpy()
    A = X[rows]
    for layer, (width, delta) in enumerate([(6, 0.15), (5, 0.25)]):
        size = 2 * np.sqrt(A.mean() / width)
        Z = size * torch.rand(40, width, generator=generator, dtype=torch.float64).numpy()
        H = size * torch.rand(width, A.shape[1], generator=generator, dtype=torch.float64).numpy()
        W, A, _ = paper.autoencoder_layer("relu", A, Z, H, 2, 3, 4, 1.0, delta, EPS, bias)
        assert_close(network.weights[layer], W)
    last = paper.truncated_pinv(paper.inputs(A, bias), 0.25) @ Y[rows]
    assert_close(network.weights[2], last)


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.0, 0.0), (0.3, 0.0), (0.3, 1.0), (0.3, 0.4)])
def test_nmf(alpha, l1_ratio):
    rng = np.random.default_rng(2)
    X, Z, H = rng.random((20, 9)), rng.random((20, 4)), rng.random((4, 9))
    ours = nmf_update(*tensors(X, Z, H), alpha_Z=alpha, alpha_H=2 * alpha, l1_ratio=l1_ratio)
    l1, l2 = alpha * l1_ratio, alpha * (1 - l1_ratio)
    for o, r in zip(ours, paper.nmf_update(X, Z, H, EPS, l1, l2, 2 * l1, 2 * l2), strict=True):
        assert_close(o, r)


@both_biases
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_semi_nmf(bias, l2):
    rng = np.random.default_rng(3)
    Y, Z = rng.standard_normal((30, 6)), rng.random((30, 4))
    W = np.zeros((4 + bias, 6))
    fitted = semi_nmf(*tensors(Y), Z=torch.tensor(Z), solver="mu", n_iter=3, tol=0, alpha_W=l2, intercept=bias)
    for _ in range(3):
        Z, W = paper.semi_nmf_step(Y, Z, W, 1e-14, EPS, bias, l2=l2)
    W = paper.least_squares_step(Y, paper.inputs(Z, bias), W, paper.identity, 1, 1e-14, l2)
    assert_close(fitted.Z, Z)
    assert_close(fitted.W, W)
    residual = Y - paper.inputs(Z, bias) @ W
    assert fitted.objective == pytest.approx((residual**2).sum() / 2 + l2 * (W**2).sum() / 2)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.2, 0.0), (0.2, 0.7)])
def test_semi_nmf_z_step(l1, l2):
    rng = np.random.default_rng(4)
    Y, Z, W = rng.standard_normal((30, 6)), rng.random((30, 4)), rng.standard_normal((4, 6))
    alpha = l1 + l2
    ours = semi_nmf_z_step(*tensors(Y, Z, W), alpha=alpha, l1_ratio=l1 / alpha if alpha else 0)
    assert_close(ours, paper.semi_nmf_z(Y, Z, W, EPS, l1, l2))


@all_activations
@both_biases
def test_nonlinear_semi_nmf(name, bias):
    rng = np.random.default_rng(5)
    f = paper.ACTIVATIONS[name]
    T = f(rng.standard_normal((30, 6)))
    Z, W = paper.project(name, rng.standard_normal((30, 4))), rng.standard_normal((4 + bias, 6))
    fitted = nonlinear_semi_nmf(
        *tensors(T), activation=name, Z=torch.tensor(Z), W=torch.tensor(W),
        n_iter=3, n_w=4, n_z=2, omega=0.8, tol=0, intercept=bias,
    )  # fmt: skip
    for _ in range(3):
        Z, W = paper.nonlinear_semi_nmf_step(name, T, Z, W, 4, 2, 0.8, 1e-14, bias)
    assert_close(fitted.Z, Z)
    assert_close(fitted.W, W)
    assert fitted.objective == pytest.approx(((T - f(paper.inputs(Z, bias) @ W)) ** 2).sum() / 2)


@both_biases
@pytest.mark.parametrize("l2", [0.1, 10.0])
def test_nonlinear_z_step_with_tikhonov_term(bias, l2):
    rng = np.random.default_rng(6)
    T, Z, W = rng.random((30, 6)), rng.random((30, 4)), rng.standard_normal((4 + bias, 6))
    ours = nonlinear_z_step(*tensors(T, Z, W), "relu", omega=0.7, alpha=l2, intercept=bias)
    assert_close(ours, paper.z_step("relu", T, Z, W, 0.7, 1e-14, bias, l2=l2))


@pytest.mark.parametrize("delta", [0.0, 0.5])
def test_thresholds_and_penalties_of_whole_factorizations(delta):
    """Each reaches its steps: one iteration against the reference."""
    rng = np.random.default_rng(9)
    T, Z, W = rng.random((30, 6)), rng.random((30, 4)), rng.standard_normal((4, 6))
    ours = nonlinear_semi_nmf(
        *tensors(T), Z=torch.tensor(Z), W=torch.tensor(W), n_iter=1, n_w=3, n_z=1, omega=0.8, tol=0, delta=delta,
        alpha_Z=0.3, alpha_W=0.2,
    )  # fmt: skip
    f = paper.ACTIVATIONS["relu"]
    expected = paper.nonlinear_least_squares(T, Z, W, f, 3, 0.8, delta, l2=0.2)
    assert_close(ours.W, expected)
    if delta == 0:  # with both, the reference truncates W W^T in another place
        assert_close(ours.Z, paper.z_step("relu", T, Z, expected, 0.8, delta, False, l2=0.3))
    sparse = nonlinear_semi_nmf(*tensors(T), Z=torch.tensor(Z), n_iter=3, alpha_W=3.0, l1_ratio=1.0)
    assert (sparse.W == 0).any()
    Y = T - 0.5
    fitted = semi_nmf(*tensors(Y), Z=torch.tensor(Z), n_iter=0, delta=delta)
    assert_close(fitted.W, paper.truncated_pinv(Z, delta) @ Y)
    updated = nmf(
        *tensors(T),
        Z=torch.tensor(Z),
        H=torch.tensor(np.abs(W)),
        solver="mu",
        n_iter=1,
        tol=0,
        alpha_Z=0.3,
        alpha_H=0.2,
    )
    for o, r in zip(updated[:2], paper.nmf_update(T, Z, np.abs(W), EPS, 0, 0.3, 0, 0.2), strict=True):
        assert_close(o, r)


@all_activations
@pytest.mark.parametrize("l2", [0.0, 0.5])
@pytest.mark.parametrize("whole", [False, True])
def test_nonlinear_least_squares(name, l2, whole):
    from nmfnet.linalg import TruncatedSVD, singular_basis

    rng = np.random.default_rng(7)
    Z_all = rng.standard_normal((50, 8)) @ np.diag([1, 1, 1, 1, 1, 1, 1e-4, 0])
    Z, W, T = Z_all[:20], rng.standard_normal((8, 5)), rng.random((20, 5))
    f = paper.ACTIVATIONS[name]
    expected = paper.nonlinear_least_squares(T, Z, W, f, 4, 0.9, 1e-2, l2, Z_all=Z_all if whole else None)
    basis, fraction = None, 1.0
    if whole:
        s, V = singular_basis([torch.tensor(Z_all)], 1e-2)
        basis, fraction = TruncatedSVD(torch.tensor(Z) @ (V / s), s, V), 0.4
    fit = nonlinear_least_squares(
        *tensors(T, Z, W), name, n_iter=4, omega=0.9, delta=1e-2, alpha=l2, basis=basis, fraction=fraction
    )
    assert_close(fit.W, expected)
    np.testing.assert_allclose(fit.A.numpy(), Z @ expected, atol=1e-8)
