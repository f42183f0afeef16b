"""Layers of images: against PyTorch's modules and autograd, against fully-connected layers in their known limits."""

import math

import pytest
import torch
from torch import nn

from nmfnet.layers import (
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Convolution,
    Dense,
    Flatten,
    GlobalAvgPool,
    MaxPool1d,
    MaxPool2d,
    build_layers,
)
from nmfnet.layers.activations import get_activation
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.linalg.patches import Patches, Window, channels_first, channels_last
from nmfnet.linalg.statistics import Moments
from nmfnet.network import Network
from nmfnet.network.outputs import Output
from nmfnet.solvers import Relaxed
from nmfnet.solvers.base import Plan
from solving import prepared

WINDOWS = [
    Window((3, 3)),
    Window((3, 3), padding=(1, 1)),
    Window((2, 3), (2, 1), (0, 1)),
    Window((3, 2), (3, 2), (1, 0), (2, 1)),
    Window((1, 1), (2, 2)),
    Window((1, 5), padding=(0, 2)),
]


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def module_of(layer: Convolution, W: torch.Tensor) -> nn.Conv2d:
    w, c = layer.window, layer.in_shape[2]
    module = nn.Conv2d(c, layer.n_out, w.kernel, w.stride, w.padding, w.dilation, bias=layer.bias, dtype=W.dtype)
    with torch.no_grad():
        module.weight.copy_(W[: layer.n_in].T.reshape(module.weight.shape))
        if layer.bias:
            module.bias.copy_(W[-1])
    return module


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_and_its_directions_are_those_of_pytorch(window, bias):
    layer = Convolution((7, 8, 3), 4, window, bias)
    Z, W = normal(5, 7, 8, 3), normal(layer.n_in + bias, 4, seed=1)
    A, at = layer.linearize(Z, W)
    module, images = module_of(layer, W), channels_first(Z).clone().requires_grad_()
    expected = module(images)
    torch.testing.assert_close(A, channels_last(expected.detach()))
    assert A.shape[1:] == layer.out_shape and len(at.rows) == A.shape[:3].numel()
    E = normal(*A.shape, seed=2)
    expected.backward(channels_first(E))
    torch.testing.assert_close(at.carry(at.columns(E), W), channels_last(images.grad))
    onto = normal(*Z.shape, seed=3)
    torch.testing.assert_close(at.carry(E, W, onto.clone()), onto + channels_last(images.grad))
    cross = at.rows.transposed_product(E)  # Pt E is minus the gradient of the weights for E = -dloss/dA
    torch.testing.assert_close(cross, module.weight.grad.reshape(4, -1).T)


@pytest.mark.parametrize("window", WINDOWS)
def test_statistics_of_patches_are_those_of_the_matrix_of_patches(window):
    P = Patches(normal(6, 7, 8, 3), window)
    matrix = P.dense()
    assert matrix.shape == P.shape
    E = normal(6, *window.places((7, 8)), 4, seed=1)
    weight = normal(6, seed=2).abs()
    for v, each in ((None, torch.ones(len(P), dtype=matrix.dtype)), (weight, weight.repeat_interleave(P.places))):
        sums = Moments.of(P, E, v, True, True)
        rows = Moments.of(matrix, E.flatten(0, 2), each, True, True)
        for name in ("n", "cross", "inputs", "residuals", "gram"):
            torch.testing.assert_close(getattr(sums, name), getattr(rows, name))
        torch.testing.assert_close(sums.gram_inputs, rows.inputs)  # all rows are few enough here
        assert int(sums.rows) == len(matrix)


def test_statistics_of_two_halves_sum_to_those_of_the_whole():
    images, E, weight = normal(10, 6, 6, 2), normal(10, 4, 4, 3, seed=1), normal(10, seed=2).abs()
    window = Window((3, 3))
    whole = Moments.of(Patches(images, window), E, weight, True, True)
    parts = [Moments.of(Patches(images[p], window), E[p], weight[p], True, True) for p in (slice(4), slice(4, 10))]
    for name in ("n", "cross", "inputs", "residuals", "gram", "rows", "gram_n", "gram_inputs"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts[0], name) + getattr(parts[1], name))


def test_a_gram_matrix_of_some_images_is_near_that_of_all_and_positive():
    P = Patches(normal(200, 10, 10, 2).relu(), Window((3, 3), padding=(1, 1)))
    some, all_rows = P.gram(), P.gram(all_rows=True)
    assert 4096 <= float(some.n) < float(all_rows.n) == len(P)
    torch.testing.assert_close(some.gram / some.n, all_rows.gram / all_rows.n, rtol=0.1, atol=0.02)
    mean = some.inputs / some.n
    assert torch.linalg.eigvalsh(some.gram / some.n - mean.outer(mean)).min() > 0  # centred by its own mean


@pytest.mark.parametrize(("image", "window"), [((1, 1, 12), Window((1, 1))), ((3, 4, 1), Window((3, 4)))])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_kernel_as_large_as_the_image_makes_the_steps_of_a_dense_layer(image, window, momentum):
    dense, layer = Dense(12, 5), Convolution(image, 5, window)
    W, Z, E = normal(13, 5), normal(20, 12, seed=1), normal(20, 5, seed=2)
    weight = normal(20, seed=3).abs()
    solvers = [DampedLeastSquares(1.0, True, momentum) for _ in range(2)]
    for update in range(3):
        steps = []
        for solver, each, inputs, residuals in (
            (solvers[0], dense, Z, E), (solvers[1], layer, Z.reshape(20, *image), E.reshape(20, 1, 1, 5))
        ):  # fmt: skip
            A, at = each.linearize(inputs, W)
            statistics = solver.collect(at.rows, at.columns(residuals), weight, update, 1.0)
            steps.append((A.reshape(20, 5), next(iter(solver.steps(statistics, [slice(0, 5)])))))
        (A_dense, of_dense), (A_image, of_image) = steps
        torch.testing.assert_close(A_image, A_dense)
        torch.testing.assert_close(of_image.D, of_dense.D)
        torch.testing.assert_close(of_image.square, of_dense.square)


def test_a_penalty_weighs_as_much_where_many_positions_share_weights():
    """Images that are alike at all positions, of which the mean is taken, train as rows do."""
    X, classes, plan = normal(30, 4), torch.eye(3).double().repeat(10, 1), Plan(alpha=50.0, n_samples=30)
    W = [normal(5, 6) / 2, normal(7, 3, seed=1)]
    settings = Relaxed(tau=1e-6, dropout=0.0, noise=0.0)  # so near that curvature of the penalty is nothing
    found = []
    for hidden, shape in (((6,), None), ((Conv2d(6, 1), GlobalAvgPool()), (4, 2, 3))):
        network = Network([w.clone() for w in W], get_activation("relu"), output=Output("softmax", 0.0),
                          hidden=hidden, input_shape=shape)  # fmt: skip
        inputs = X if shape is None else X.repeat_interleave(6, 1)
        for plan_of in (plan, Plan(n_samples=30)):
            each = network.with_weights([w.clone() for w in W])
            prepared(settings, each, plan=plan_of)(inputs, classes)
            found.append(each.weights[0] - W[0])
    dense, free, image, _ = found
    assert (dense - free).norm() > 0.3 * free.norm()
    torch.testing.assert_close(image, dense, rtol=1e-4, atol=1e-8)


MODULES = [
    (MaxPool2d(2), nn.MaxPool2d(2)),
    (MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 2, 1)),
    (MaxPool2d((2, 3), padding=1), nn.MaxPool2d((2, 3), padding=1)),
    (AvgPool2d(2), nn.AvgPool2d(2)),
    (AvgPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1)),
    (AvgPool2d((3, 2)), nn.AvgPool2d((3, 2))),
    (GlobalAvgPool(), nn.AdaptiveAvgPool2d(1)),
]


@pytest.mark.parametrize(("spec", "module"), MODULES, ids=lambda each: repr(each))
@pytest.mark.parametrize("first", [[], [Conv2d(4, 2)]], ids=["inputs", "outputs"])
def test_pooling_and_what_it_carries_down_are_those_of_pytorch(spec, module, first):
    layers = build_layers([*first, spec, Flatten(), 6], 0, 2, True, (3, 7, 9))
    X = normal(5, 3 * 7 * 9)
    weights = [normal(layer.n_in + 1, layer.n_out, seed=i) for i, layer in enumerate(layers)]
    images = X.clone().requires_grad_()
    expected = images.reshape(5, 3, 7, 9)
    if first:
        expected = module_of(Convolution((7, 9, 3), 4, Window((2, 2))), weights[0])(expected)
    expected = module(expected.relu() if first else expected).flatten(1)
    expected = expected @ weights[-2][:-1] + weights[-2][-1]
    Z, ats, last = X, [], []
    for layer, W in zip(layers[:-1], weights, strict=False):
        A, at = layer.linearize(Z, W)
        torch.testing.assert_close(A, layer.forward(Z, W))
        ats.append(at)
        last.append(A)
        Z = A.relu()
    torch.testing.assert_close(A, expected.detach())
    E = normal(5, 6, seed=9)
    expected.backward(E)
    for layer in reversed(range(len(ats))):
        E = ats[layer].carry(ats[layer].columns(E), weights[layer])
        if layer:
            E = E * (last[layer - 1] > 0)
    torch.testing.assert_close(E, images.grad)


def test_sequences_are_images_of_one_row():
    layers = build_layers([Conv1d(4, 3, padding=1), MaxPool1d(2), AvgPool1d(2), 5], 0, 2, True, (3, 12))
    X, W = normal(6, 36), normal(10, 4, seed=1)
    module = nn.Conv1d(3, 4, 3, padding=1, dtype=X.dtype)
    with torch.no_grad():
        module.weight.copy_(W[:-1].T.reshape(4, 3, 3))
        module.bias.copy_(W[-1])
        A = layers[0].forward(X, W)
        expected = nn.MaxPool1d(2)(module(X.reshape(6, 3, 12)))
        torch.testing.assert_close(A[:, 0].transpose(1, 2), expected)
        V = normal(13, 5, seed=2)
        torch.testing.assert_close(layers[1].forward(A, V), nn.AvgPool1d(2)(expected).flatten(1) @ V[:-1] + V[-1])


def test_float32_is_near_float64():
    layer = Convolution((9, 9, 3), 8, Window((3, 3), padding=(1, 1)))
    Z, W, E = normal(20, 9, 9, 3), normal(28, 8, seed=1), normal(20, 9, 9, 8, seed=2)
    found = [DampedLeastSquares(1.0, True) for _ in range(2)]
    D = []
    for solver, dtype in zip(found, (torch.float32, torch.float64), strict=True):
        _, at = layer.linearize(Z.to(dtype), W.to(dtype))
        statistics = solver.collect(at.rows, at.columns(E.to(dtype)), None, 0, 1.0)
        D.append(next(iter(solver.steps(statistics, [slice(0, 8)]))).D.double())
    assert torch.linalg.norm(D[0] - D[1]) < 1e-5 * torch.linalg.norm(D[1])


def test_specs_are_equal_where_they_say_the_same_and_show_what_was_said():
    assert Conv2d(32, (3, 3)) == Conv2d(32, [3, 3], 1) == Conv2d(32, 3) != Conv1d(32, 3)
    assert MaxPool2d(2, stride=2) == MaxPool2d(2) != AvgPool2d(2)
    assert repr(Conv2d(8, (3, 5), padding="same")) == "Conv2d(8, (3, 5), padding='same')"
    assert eval(repr(Conv1d(8, 3, dilation=2))) == Conv1d(8, 3, dilation=2)
    assert len({Conv2d(8, 3), Conv2d(8, (3, 3)), MaxPool2d(3)}) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(0, 3), "channels of Conv2d must be a whole number of at least 1"),
        (lambda: Conv2d((3, 4), 3), "channels of Conv2d must be a whole number"),
        (lambda: Conv2d(8, 2.5), "kernel_size of Conv2d must be a whole number, or 2 of them"),
        (lambda: Conv1d(8, (3, 3)), "kernel_size of Conv1d must be a whole number of at least 1"),
        (lambda: Conv2d(8, 3, padding=-1), "padding of Conv2d"),
        (lambda: Conv2d(8, 4, padding="same"), "needs stride=1 and an odd kernel_size"),
        (lambda: Conv2d(8, 3, stride=2, padding="same"), "needs stride=1 and an odd kernel_size"),
        (lambda: MaxPool2d(2, padding=2), "at most half of kernel_size"),
        (lambda: MaxPool2d(True), "kernel_size of MaxPool2d"),
    ],
)
def test_specs_name_what_is_wrong_with_them(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("hidden", "shape", "message"),
    [
        (
            [Conv2d(4, 3), MaxPool2d(2), Conv2d(4, 3)],
            (1, 6, 6),
            r"hidden_layer_sizes\[2\], Conv2d\(4, 3\), has a kernel",
        ),
        ([Conv2d(4, 3)], (1, 1, 1), "kernel larger than its inputs of 1 x 1 x 1"),
        ([Conv2d(4, 3)], (6, 6, 1), "channels come first"),
        ([5, Conv2d(4, 3)], (1, 6, 6), "comes after the images have become rows"),
        ([Conv2d(4, 3), Flatten(), MaxPool2d(2)], (1, 6, 6), "comes after the images have become rows"),
        ([Conv1d(4, 3)], (1, 6, 6), "does not take images: use Conv2d"),
        ([Conv1d(4, 3), MaxPool2d(2)], (1, 6), "does not take sequences: use MaxPool1d"),
        ([Conv1d(4, 9)], (2, 6), "kernel larger than its inputs of 2 x 6"),
    ],
)
def test_layers_that_do_not_fit_are_named(hidden, shape, message):
    with pytest.raises(ValueError, match=message):
        build_layers(hidden, math.prod(shape), 2, True, shape)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_near_targets_carry_backpropagated_errors_through_convolutions_and_pooling(name):
    """As tau goes to 0, E[l] becomes -tau times the gradient of the summed loss with regard to A[l]."""
    hidden, shape = [Conv2d(4, 3, padding=1), MaxPool2d(2), Conv2d(5, 3), AvgPool2d(2), 6], (2, 8, 8)
    layers = build_layers(hidden, 128, 3, True, shape)
    weights = [normal(layer.n_in + 1, layer.n_out, seed=i) / layer.n_in**0.5 for i, layer in enumerate(layers)]
    output = Output("softmax", 0.2)
    network = Network(weights, get_activation(name), output=output, hidden=hidden, input_shape=shape)
    X, Y = normal(7, 128, seed=8), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0, 1, 2, 0]]
    tau = 1e-7
    sweep = prepared(Relaxed(tau=tau, dropout=0.0, noise=0.0), network)
    forward = sweep._forward(X, weights)
    E = [tau * output.residual(Y, forward.A[-1])]
    for layer in reversed(range(1, len(layers))):
        E.insert(0, sweep._difference_below(layer, forward.at[layer].columns(E[0]), forward, {}))
    tracked = [W.clone().requires_grad_() for W in weights]
    A = network.with_weights(tracked).forward(X)[1]
    gradients = torch.autograd.grad(output.loss(A[-1], Y).sum(), A)
    for found, gradient in zip(E, gradients, strict=True):
        torch.testing.assert_close(found / tau, -gradient, rtol=1e-4, atol=1e-6)
