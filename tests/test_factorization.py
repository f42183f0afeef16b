from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import NMF
from sklearn.linear_model import ElasticNet, Ridge

from nmfnet import nmf, nonlinear_least_squares, nonlinear_semi_nmf, semi_nmf
from nmfnet.factorization import nmf_update, semi_nmf_z_step
from nmfnet.layers.activations import ACTIVATIONS, get_activation
from nmfnet.linalg import affine, truncated_svd, with_ones
from samples import randoms

shapes = {
    "m": st.integers(1, 25),
    "n": st.integers(1, 12),
    "r": st.integers(1, 15),
    "scale": st.floats(-6, 6).map(lambda x: 10.0**x),
    "seed": st.integers(0, 2**31),
}
penalty = {"alpha": st.sampled_from([0.0, 1e-3, 1.0, 100.0]), "l1_ratio": st.sampled_from([0.0, 0.5, 1.0])}


def cost(factor, alpha, l1_ratio):
    return alpha * ((1 - l1_ratio) * factor.square().sum() / 2 + l1_ratio * factor.abs().sum())


def assert_not_above(new, old, size):
    """Not above beyond the rounding error of numbers of this size."""
    assert float(new) <= float(old) + 1e-10 * float(size)


@given(**shapes, **penalty)
def test_nmf_updates_never_increase_the_objective(m, n, r, scale, seed, alpha, l1_ratio):
    uniform, _ = randoms(seed)
    X, Z, H = uniform(m, n) * scale, uniform(m, r), uniform(r, n)
    weights = {"alpha_Z": alpha, "alpha_H": 2 * alpha, "l1_ratio": l1_ratio}

    def objective():
        return (X - Z @ H).square().sum() / 2 + cost(Z, alpha, l1_ratio) + cost(H, 2 * alpha, l1_ratio)

    last = objective()
    size = last + X.square().sum()
    for _ in range(20):
        Z, H = nmf_update(X, Z, H, **weights)
        assert Z.min() >= 0 and H.min() >= 0
        now = objective()
        assert_not_above(now, last, size)
        last = now


@given(**shapes, **penalty)
def test_semi_nmf_steps_never_increase_the_objective(m, n, r, scale, seed, alpha, l1_ratio):
    uniform, normal = randoms(seed)
    Y, Z, W = normal(m, n) * scale, uniform(m, r), normal(r, n)

    def objective():
        return (Y - Z @ W).square().sum() / 2 + cost(Z, alpha, l1_ratio)

    last = objective()
    size = last + Y.square().sum()
    for _ in range(10):
        Z = semi_nmf_z_step(Y, Z, W, alpha=alpha, l1_ratio=l1_ratio)
        assert Z.min() >= 0
        now = objective()
        assert_not_above(now, last, size)
        W = nonlinear_least_squares(Y, Z, W).W
        last = objective()
        assert_not_above(last, now, size)


@given(**shapes, **penalty, intercept=st.booleans())
def test_semi_nmf_never_increases_the_whole_objective(m, n, r, scale, seed, alpha, l1_ratio, intercept):
    uniform, normal = randoms(seed)
    Y, Z = normal(m, n) * scale, uniform(m, r)
    settings = {"alpha_Z": alpha, "alpha_W": alpha, "l1_ratio": l1_ratio, "tol": 0, "intercept": intercept}
    found = semi_nmf(Y, Z=Z, n_iter=0, **settings)
    size = found.objective + Y.square().sum()
    for _ in range(5):
        further = semi_nmf(Y, Z=found.Z, W=found.W, n_iter=2, **settings)
        assert_not_above(further.objective, found.objective, size)
        found = further


ANTIDERIVATIVES = {
    "relu": lambda a: np.maximum(a, 0) ** 2 / 2,
    "leaky_relu": lambda a: np.where(a > 0, 1, 0.01) * a**2 / 2,
    "logistic": lambda a: np.logaddexp(0, a),
    "tanh": lambda a: np.logaddexp(a, -a),
    "softplus": lambda a: -scipy.special.spence(1 + np.exp(a)),  # minus the dilogarithm of -exp(a)
    "identity": lambda a: a**2 / 2,
}


@pytest.mark.parametrize("name", ANTIDERIVATIVES)
@given(**shapes, **penalty, intercept=st.booleans(), omega=st.sampled_from([1.0, 0.7, 0.2]))
def test_steps_of_nonlinear_least_squares_never_increase_the_matching_loss(
    name, m, n, r, scale, seed, alpha, l1_ratio, intercept, omega
):
    _uniform, normal = randoms(seed)
    scale = min(scale, 10.0)  # exp(a) must not overflow in the reference
    Z = normal(m, r) * scale
    T = get_activation(name)(normal(m, n))
    W = normal(r + intercept, n) / max(scale, 1) / r

    def loss():
        A = affine(Z, W, intercept).numpy()
        l2, l1 = alpha * (1 - l1_ratio), alpha * l1_ratio
        slopes = W[:-1] if intercept else W
        penalty = l2 * float(W.square().sum()) / 2 + l1 * float(slopes.abs().sum())
        return (ANTIDERIVATIVES[name](A) - T.numpy() * A).sum() + penalty, np.abs(A).sum() + 1

    last, size = loss()
    for _ in range(6):
        W = nonlinear_least_squares(T, Z, W, name, omega=omega, alpha=alpha, l1_ratio=l1_ratio, intercept=intercept).W
        now, size = loss()
        assert_not_above(now, last, size + abs(last))
        last = now


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_linear_least_squares_is_lstsq(dtype):
    _, normal = randoms(0)
    Z, T = normal(50, 8), normal(50, 3)
    expected = scipy.linalg.lstsq(Z.numpy(), T.numpy())[0]
    found = nonlinear_least_squares(T.to(dtype), Z.to(dtype), normal(8, 3).to(dtype)).W
    np.testing.assert_allclose(found.numpy(), expected, atol={torch.float64: 1e-12, torch.float32: 1e-5}[dtype])


@pytest.mark.parametrize("shape", [(50, 8), (5, 8)])
def test_tikhonov_is_ridge_from_any_start(shape):
    _, normal = randoms(1)
    Z, T = normal(*shape), normal(shape[0], 3)
    expected = Ridge(alpha=0.7, fit_intercept=False, solver="svd").fit(Z.numpy(), T.numpy()).coef_.T
    found = nonlinear_least_squares(T, Z, normal(8, 3), alpha=0.7)
    np.testing.assert_allclose(found.W.numpy(), expected, atol=1e-10)
    np.testing.assert_allclose(found.A.numpy(), (Z @ found.W).numpy(), atol=1e-10)


@pytest.mark.parametrize(
    ("l1_ratio", "intercept"),
    [(1.0, False), (1.0, True), (0.5, False)],  # our L2 part includes the bias, scikit-learn's does not
)
def test_l1_is_the_lasso_and_sparse(l1_ratio, intercept):
    _, normal = randoms(2)
    Z, T = normal(60, 10), normal(60, 2) + 3
    reference = ElasticNet(alpha=0.2, l1_ratio=l1_ratio, fit_intercept=intercept, tol=1e-12, max_iter=10000)
    expected = reference.fit(Z.numpy(), T.numpy()).coef_.T
    W = nonlinear_least_squares(
        T, Z, normal(10 + intercept, 2), n_iter=300, alpha=0.2 * 60, l1_ratio=l1_ratio, intercept=intercept
    ).W
    np.testing.assert_allclose(W[:10].numpy(), expected, atol=1e-8)
    assert (W[:10] == 0).sum() == (expected == 0).sum() > 0
    if intercept:
        np.testing.assert_allclose(W[10].numpy(), reference.intercept_, atol=1e-8)


def test_l1_with_a_truncated_basis_still_never_increases_the_objective():
    """The dropped singular values are bounded from above, not ignored."""
    _, normal = randoms(3)
    Z = normal(60, 10) * torch.tensor([1.0] * 5 + [0.05] * 5, dtype=torch.float64)
    T, W = normal(60, 4), normal(10, 4)
    basis = truncated_svd(Z, 0.1)
    assert len(basis.s) == 5

    def objective():
        return float((T - Z @ W).square().sum() / 2 + 0.3 * W.abs().sum())

    last = objective()
    for _ in range(50):
        W = nonlinear_least_squares(T, Z, W, alpha=0.3, l1_ratio=1.0, basis=basis, delta=0.1).W
        now = objective()
        assert_not_above(now, last, last)
        last = now


def test_a_small_alpha_changes_little_where_singular_values_were_dropped():
    _, normal = randoms(12)
    Z = normal(60, 10) * torch.tensor([1.0] * 5 + [0.05] * 5, dtype=torch.float64)
    W, f = normal(10, 4), {"delta": 0.1}
    T = Z @ W
    plain, damped = (nonlinear_least_squares(T, Z, W, alpha=alpha, **f).W for alpha in (0.0, 1e-9))
    torch.testing.assert_close(damped, plain, atol=1e-6, rtol=0)


def test_nmf_is_scikit_learns_multiplicative_solver():
    uniform, _ = randoms(4)
    X, Z, H = uniform(30, 12), uniform(30, 5), uniform(5, 12)
    reference = NMF(5, init="custom", solver="mu", max_iter=50, tol=0)
    expected = reference.fit_transform(X.numpy(), W=Z.numpy().copy(), H=H.numpy().copy())
    found = nmf(X, Z=Z, H=H, solver="mu", n_iter=50, tol=0)
    np.testing.assert_allclose(found.Z.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(found.W.numpy(), reference.components_, rtol=1e-6)
    assert found.n_iter == 50


def test_nmf_does_not_change_its_arguments(generator):
    uniform, _ = randoms(5)
    X, Z, H = uniform(10, 6), uniform(10, 3), uniform(3, 6)
    copies = X.clone(), Z.clone(), H.clone()
    nmf(X, Z=Z, H=H, n_iter=3)
    semi_nmf(X, Z=Z, W=H, n_iter=3)
    nonlinear_semi_nmf(X, Z=Z, W=H, n_iter=3)
    for now, before in zip((X, Z, H), copies, strict=True):
        assert torch.equal(now, before)


def test_nmf_stops_by_its_tolerance(generator):
    uniform, _ = randoms(6)
    X = uniform(30, 4) @ uniform(4, 20)
    found = nmf(X, 4, tol=1e-3, n_iter=1000, generator=generator)
    assert found.n_iter < 1000
    assert found.objective < 0.01 * X.square().sum() / 2


@pytest.mark.parametrize("rank", [1, 3, 6])
@pytest.mark.parametrize("zeros", [0.0, 0.5])
def test_semi_nmf_recovers_a_planted_factorization(rank, zeros, generator):
    uniform, normal = randoms(7)
    Y = (uniform(60, rank) * (uniform(60, rank) >= zeros)) @ normal(rank, 20)
    found = semi_nmf(Y, rank, n_iter=2000, tol=0, generator=generator)
    assert found.Z.min() >= 0
    residual = Y - found.Z @ found.W
    assert residual.norm() <= 1e-6 * Y.norm()


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS)))
@pytest.mark.parametrize("intercept", [False, True])
def test_nonlinear_semi_nmf_reduces_the_error_and_keeps_the_range(name, intercept, generator):
    _uniform, normal = randoms(8)
    f = get_activation(name)
    T = f(f.project(normal(80, 4)) @ normal(4, 10))
    start = nonlinear_semi_nmf(T, 4, name, n_iter=0, intercept=intercept, generator=generator.manual_seed(0))
    found = nonlinear_semi_nmf(T, 4, name, n_iter=60, tol=0, intercept=intercept, generator=generator.manual_seed(0))
    assert found.objective < 0.2 * start.objective
    assert torch.equal(found.Z, f.project(found.Z))
    if f.nonnegative:
        assert found.Z.min() >= 0


def test_semi_nmf_fits_a_bias(generator):
    uniform, normal = randoms(9)
    Y = uniform(50, 2) @ normal(2, 6) + 100
    found = semi_nmf(Y, 2, n_iter=200, intercept=True, generator=generator)
    assert found.W.shape == (3, 6)
    assert (Y - with_ones(found.Z) @ found.W).norm() < 0.05 * (Y - Y.mean(0)).norm()


def test_omega_shortens_the_sparse_step():
    _, normal = randoms(13)
    Z, T, W = normal(40, 1), normal(40, 3), normal(1, 3)
    whole, half = (nonlinear_least_squares(T, Z, W, omega=omega, alpha=1e-6, l1_ratio=1.0).W for omega in (1.0, 0.5))
    torch.testing.assert_close(half, (whole + W) / 2, atol=1e-6, rtol=0)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
def test_starts_are_left_as_they_are(rank, transposed):
    """Even where the memory of a start is laid out as the steps want it."""
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(8, 6, dtype=torch.float64, generator=generator)
    Z = torch.rand(*((rank, 8) if transposed else (8, rank)), dtype=torch.float64, generator=generator)
    Z = Z.T if transposed else Z
    H = torch.rand(rank, 6, dtype=torch.float64, generator=generator)
    kept = Z.clone(), H.clone()
    for n_iter in (0, 3):
        for found in (semi_nmf(X, Z=Z, W=H, n_iter=n_iter), nmf(X, Z=Z, H=H, n_iter=n_iter)):
            found[0].add_(1)
            found[1].add_(1)
            assert torch.equal(Z, kept[0]) and torch.equal(H, kept[1])
    nmf_update(X, Z, H)
    assert torch.equal(Z, kept[0]) and torch.equal(H, kept[1])


def test_the_objective_ends_a_nonlinear_factorization_after_ten_iterations_of_little_progress():
    T = torch.sigmoid(torch.randn(30, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64))

    def found(n_iter, tol):
        rng = torch.Generator().manual_seed(0)
        return nonlinear_semi_nmf(T, 3, activation="logistic", n_iter=n_iter, tol=tol, generator=rng)

    objectives = [found(n, 0).objective for n in range(0, 110, 10)]
    falls = [(a - b) / objectives[0] for a, b in pairwise(objectives)]
    tol = (falls[3] + falls[4]) / 2
    assert falls[2] > falls[3] > falls[4]
    ended = found(200, tol)
    assert ended.n_iter == 50 and ended.objective == pytest.approx(objectives[5])
