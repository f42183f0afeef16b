"""Outputs: probabilities, matching losses, residuals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfnet import NMFNetClassifier
from nmfnet.network.outputs import OUTPUTS, Output
from nmfnet.solvers import Relaxed

all_outputs = pytest.mark.parametrize("name", OUTPUTS)


def example(name, m=30, k=4, seed=0):
    rng = np.random.default_rng(seed)
    A = torch.tensor(3 * rng.standard_normal((m, k)))
    Y = torch.eye(k, dtype=A.dtype)[torch.tensor(rng.integers(k, size=m))]
    return A, A.flip(0) if name == "identity" else Y


@all_outputs
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_slope_of_the_loss_is_minus_the_residual(name, smoothing):
    A, Y = example(name)
    output = Output(name, smoothing)
    (slope,) = torch.autograd.grad(output.loss(A.requires_grad_(), Y).sum(), A)
    torch.testing.assert_close(slope, -output.residual(Y, A))


@all_outputs
def test_the_loss_is_of_each_sample(name):
    A, Y = example(name)
    output = Output(name, 0.1)
    losses = output.loss(A, Y)
    assert losses.shape == (30,) and (losses >= 0).all()
    for i in (0, 7):
        torch.testing.assert_close(output.loss(A[i : i + 1], Y[i : i + 1])[0], losses[i])


def test_smoothed_targets():
    Y = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert Output("identity", 0.2).smoothed(Y) is Y
    torch.testing.assert_close(Output("softmax", 0.2).smoothed(Y), torch.tensor([[0.85, 0.05, 0.05, 0.05]]))
    torch.testing.assert_close(Output("sigmoid", 0.2).smoothed(Y), torch.tensor([[0.9, 0.1, 0.1, 0.1]]))


@all_outputs
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_best_outputs_are_those_of_the_smoothed_targets(name, smoothing):
    """The loss is least, and the residual 0, where g(A) are the smoothed targets."""
    output = Output(name, smoothing or 0.01)
    P = output.smoothed(example(name)[1])
    A = {"identity": P, "softmax": P.log(), "sigmoid": P.logit()}[name]
    Y = example(name)[1]
    torch.testing.assert_close(output.residual(Y, A), torch.zeros_like(A))
    rng = torch.Generator().manual_seed(0)
    for _ in range(5):
        other = A + torch.randn(A.shape, generator=rng, dtype=A.dtype)
        assert (output.loss(other, Y) >= output.loss(A, Y) - 1e-12).all()


@settings(max_examples=50)
@given(
    st.sampled_from([torch.float32, torch.float64]), st.integers(2, 12), st.floats(0, 0.9),
    st.floats(0, 300), st.integers(0, 100),
)  # fmt: skip
def test_probabilities(dtype, k, smoothing, size, seed):
    A = size * torch.randn(5, k, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    P = Output("softmax", smoothing).probabilities(A)
    assert P.dtype == dtype
    torch.testing.assert_close(P.sum(1), torch.ones(5, dtype=dtype))
    Q = Output("sigmoid", smoothing).probabilities(A)
    for probabilities in (P, Q):
        assert (probabilities >= 0).all() and (probabilities <= 1).all()
        if smoothing > 0.01:
            assert (probabilities > 0).all() and (probabilities < 1).all()
    likeliest = P.gather(1, A.argmax(1, keepdim=True))
    torch.testing.assert_close(likeliest, P.amax(1, keepdim=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.2, 0.6])
def test_probabilities_take_the_smoothing_back(smoothing):
    rng = np.random.default_rng(0)
    p = torch.tensor(rng.dirichlet(np.full(5, 3.0), size=20)).clamp(min=0.01)
    p = p / p.sum(1, keepdim=True)
    fitted = (1 - smoothing) * p + smoothing / 5
    torch.testing.assert_close(Output("softmax", smoothing).probabilities(fitted.log()), p)
    q = torch.tensor(rng.uniform(0.01, 0.99, (20, 5)))
    fitted = (1 - smoothing) * q + smoothing / 2
    torch.testing.assert_close(Output("sigmoid", smoothing).probabilities(fitted.logit()), q)
    A = torch.randn(3, 4)
    assert Output("identity", smoothing).probabilities(A) is A


def test_one_class_is_certain():
    assert torch.equal(Output("softmax", 0.2).probabilities(torch.tensor([[3.0], [-1.0]])), torch.ones(2, 1))


@all_outputs
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_outputs(name, dtype):
    A = torch.tensor([[1e15, -1e15, 0.0], [0.0, 0.0, 0.0]], dtype=dtype)
    Y = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], dtype=dtype)
    output = Output(name, 0.2)
    for result in (output(A), output.residual(Y, A), output.loss(A, Y), output.probabilities(A)):
        assert result.isfinite().all() and result.dtype == dtype


@pytest.mark.parametrize("name", ["relu", "Softmax", "", None, 3])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="output must be one of 'identity', 'softmax', 'sigmoid'"):
        Output(name)


@pytest.mark.parametrize("smoothing", [-0.1, 1, 1.5, float("nan")])
def test_unfit_smoothing_is_refused(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\)"):
        Output("softmax", smoothing)


def test_probabilities_of_a_classifier_are_calibrated():
    """One feature, and classes that overlap: the fitted probabilities are the true ones, whatever the smoothing."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 1))
    true = 1 / (1 + np.exp(-2 * X[:, 0]))
    y = (rng.random(4000) < true).astype(int)
    for smoothing in (0.0, 0.3):
        solver = Relaxed(label_smoothing=smoothing)
        model = NMFNetClassifier((), solver=solver, max_iter=15, random_state=0).fit(X, y)
        P = model.predict_proba(X)
        np.testing.assert_allclose(P.sum(1), 1)
        assert np.abs(P[:, 1] - true).mean() < 0.05


def test_out_activation_is_named_as_in_scikit_learn(small):
    X, y = small
    assert NMFNetClassifier((3,), max_iter=1).fit(X, y).out_activation_ == "softmax"
    assert NMFNetClassifier((3,), max_iter=1).fit(X, np.eye(3, dtype=int)[y]).out_activation_ == "logistic"
    assert NMFNetClassifier((3,), max_iter=1, solver="pinv").fit(X, y).out_activation_ == "identity"


@all_outputs
@pytest.mark.parametrize("k", [2, 20])
def test_loss_and_residual_at_once(name, k):
    A, Y = example(name, k=k)
    output = Output(name, 0.2)
    loss, residual = output.loss_and_residual(A, output.smoothed(Y))
    torch.testing.assert_close(loss, output.loss(A, Y))
    torch.testing.assert_close(residual, output.residual(Y, A))
