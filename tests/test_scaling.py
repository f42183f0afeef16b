"""Scaling of inputs and targets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfnet import NMFNetRegressor
from nmfnet.data.scaling import MIN_COMPONENTS, Scaling
from solving import input_scaling, target_scaling

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def pixels(m=400, n=256, rank=20, seed=0, noise=0.02):
    """Columns of one unit, almost of a low rank."""
    rng = np.random.default_rng(seed)
    X = rng.random((m, rank)) @ rng.random((rank, n)) / rank + noise * rng.random((m, n))
    return torch.tensor(X)


def table(m=300, seed=0):
    """Columns of different units."""
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.standard_normal((m, 6)) * 10.0 ** np.arange(-3, 3) + 10.0 ** np.arange(-3, 3))


@dtypes
def test_columns_of_different_units_are_standardized(dtype):
    X = table().to(dtype)
    scaling = input_scaling(X, 0.93)
    assert not scaling.projects and scaling.n_out == 6 and scaling.compression == 1
    scaled = scaling(X)
    assert scaled.dtype == dtype
    torch.testing.assert_close(scaled.mean(0), torch.zeros(6, dtype=dtype), rtol=0, atol=1e-5)
    torch.testing.assert_close(scaled.var(0, correction=0), torch.ones(6, dtype=dtype), rtol=1e-4, atol=0)


@dtypes
def test_columns_of_one_unit_keep_their_proportions(dtype):
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.random((200, 10)) * np.linspace(0.6, 1, 10), dtype=dtype)
    X[:, 3] = 0.5
    scaling = input_scaling(X, 0.93)
    scaled = scaling(X)
    assert not scaled[:, 3].any()
    varies = torch.arange(10) != 3
    assert len(scaling.factor[varies].unique()) == 1
    assert float(scaled[:, varies].square().mean()) == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(10, dtype=dtype), rtol=0, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_which_columns_are_scaled_one_by_one(unit):
    """Those of a table, standardized by the user or by us; not pixels, in whatever unit."""
    X, small = table(), pixels(n=30)
    small[:, 4] = 0.0
    standardized = (X - X.mean(0)) / X.std(0)
    assert input_scaling(X * unit, 0.93).by_column and input_scaling(standardized * unit, 0.93).by_column
    assert not input_scaling(small * unit, 0.93).by_column
    assert not input_scaling(pixels() * unit, 0.93).by_column  # projected


def test_one_column_of_another_unit_does_not_outweigh_all_others():
    X = torch.tensor(np.random.default_rng(0).random((300, 20)))
    assert not input_scaling(X, 0.93).by_column
    X[:, 7] *= 1e6
    assert input_scaling(X, 0.93).by_column


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 0.03])
def test_one_column_of_a_small_unit_is_not_lost_among_others(unit):
    """As amounts of a small unit are beside indicators; pixels at an edge are small for being rare."""
    rng = np.random.default_rng(0)
    indicators, amounts = rng.random((300, 20)) < 0.4, rng.exponential(size=(300, 1))
    rare = (rng.random((300, 1)) < 0.05) * rng.random((300, 1))
    assert input_scaling(torch.tensor(np.hstack([indicators, unit * amounts])), 0.93).by_column
    assert not input_scaling(torch.tensor(np.hstack([indicators, unit * rare])), 0.93).by_column


def test_the_caller_keeps_its_data():
    for X in (table(), pixels()):
        copy = X.clone()
        input_scaling(X, 0.93)(X)
        target_scaling(X)(X)
        assert torch.equal(X, copy)


@dtypes
@pytest.mark.parametrize("share", [0.5, 0.93, 0.99, 0.999])
def test_compressible_columns_are_projected(dtype, share):
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.standard_normal((256, 256)))
    X = torch.tensor(rng.standard_normal((400, 256)) * 0.97 ** np.arange(256) @ Q + 3, dtype=dtype)
    scaling = input_scaling(X, share)
    assert scaling.projects
    r = scaling.n_out
    assert MIN_COMPONENTS <= r <= 128 and scaling.compression == r / 256
    scaled = scaling(X)
    assert scaled.shape == (400, r) and scaled.dtype == dtype
    eigenvalues = torch.linalg.eigvalsh(torch.cov(X.double().T, correction=0)).flip(0)
    assert eigenvalues[:r].sum() >= share * eigenvalues.sum()
    if r > MIN_COMPONENTS:  # and no more than that
        assert eigenvalues[: r - 1].sum() < share * eigenvalues.sum()
    # Uncorrelated, in proportion to the components, of mean square 1.
    covariance = torch.cov(scaled.double().T, correction=0)
    known = torch.diag(eigenvalues[:r] / eigenvalues[:r].mean())
    torch.testing.assert_close(covariance, known, rtol=1e-3, atol=1e-3 * float(known.max()))
    assert float(scaled.square().mean()) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("what", "X", "share"),
    [
        ("all asked for", pixels(), 1.0),
        ("narrow", pixels(n=127), 0.93),
        ("few samples", pixels(m=127), 0.93),
        ("full rank", torch.rand(2000, 130, generator=torch.Generator().manual_seed(0)), 0.93),
        ("units", torch.cat([pixels(), 1e3 * pixels()], 1), 0.93),
    ],
)
def test_what_is_not_projected(what, X, share):
    assert not input_scaling(X, share).projects


@dtypes
@pytest.mark.parametrize("make", [table, pixels])
@pytest.mark.parametrize("power", [-30, -20, 20, 30])
def test_huge_and_tiny_numbers(dtype, make, power):
    X = make().to(dtype)
    X_far = X * 10.0**power
    near, far = input_scaling(X, 0.93), input_scaling(X_far, 0.93)
    assert near.n_out == far.n_out
    scaled = far(X_far)
    assert scaled.isfinite().all()
    assert float(scaled.double().square().mean()) == pytest.approx(1, rel=1e-3)
    torch.testing.assert_close(scaled.norm(dim=0), near(X).norm(dim=0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("dtype", "power"), [(torch.float32, -39), (torch.float64, -200), (torch.float64, 200)])
@pytest.mark.parametrize("make", [table, pixels])
def test_numbers_at_the_ends_of_the_range_stay_finite(dtype, power, make):
    X = (make() * 10.0**power).to(dtype)
    assert input_scaling(X, 0.93)(X).isfinite().all()
    assert target_scaling(X)(X).isfinite().all()


@dtypes
@pytest.mark.parametrize("value", [0.0, 0.1, 1e30, -1e-30])
def test_constant_columns_become_zero(dtype, value):
    X = torch.full((50, 4), value, dtype=dtype)
    scaled = input_scaling(X, 0.93)(X)
    assert scaled.isfinite().all()
    torch.testing.assert_close(scaled, torch.zeros_like(X), rtol=0, atol=abs(value) * 1e-6)
    mixed = torch.cat([X, table(50).to(dtype)], 1)
    scaled = input_scaling(mixed, 0.93)(mixed)
    assert not scaled[:, :4].any()
    assert scaled.isfinite().all()


@dtypes
@pytest.mark.parametrize("make", [table, pixels])
def test_one_row(dtype, make):
    X = make()[:1].to(dtype)
    assert not input_scaling(X, 0.93)(X).any()
    scaling = target_scaling(X)
    assert not scaling(X).any()
    torch.testing.assert_close(scaling.inverse(torch.zeros_like(X)), X)


def test_constant_columns_change_nothing_for_the_others():
    for X in (table(), pixels()[:, :20]):
        more = torch.cat([X, torch.full((len(X), 15), 7.0, dtype=X.dtype)], 1)
        factor, n = input_scaling(more, 0.93).factor[: X.shape[1]], X.shape[1]
        known = input_scaling(X, 0.93).factor
        torch.testing.assert_close(factor / factor[0], known / known[0])
        assert input_scaling(more, 0.93)(more)[:, n:].abs().max() == 0


def test_permuted_columns_are_scaled_alike():
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    X = table()
    torch.testing.assert_close(input_scaling(X[:, order], 0.93)(X[:, order]), input_scaling(X, 0.93)(X)[:, order])


def test_heavy_tails_stay_finite():
    X = torch.tensor(np.random.default_rng(0).standard_cauchy((500, 8)), dtype=torch.float32)
    scaled = input_scaling(X, 0.93)(X)
    assert scaled.isfinite().all()


@dtypes
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e30])
def test_target_scaling(dtype, scale):
    Y = (table() * scale).to(dtype)
    scaling = target_scaling(Y)
    scaled = scaling(Y)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(6, dtype=dtype), rtol=0, atol=1e-5)
    torch.testing.assert_close(scaled.var(0, correction=0), torch.ones(6, dtype=dtype), rtol=1e-4, atol=0)
    back = scaling.inverse(scaled)
    assert back.dtype == dtype
    assert bool(((back - Y).abs() <= 1e-5 * Y.abs().amax(0)).all())


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(2, 5), st.floats(-8, 8), st.floats(-100, 100), st.integers(0, 1000))
def test_scaled_targets_have_mean_0_and_variance_1(m, k, power, shift, seed):
    rng = np.random.default_rng(seed)
    Y = torch.tensor((rng.standard_normal((m, k)) + shift) * 10.0**power)
    Y[:, 0] = shift * 10.0**power
    scaling = target_scaling(Y)
    scaled = scaling(Y)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-9 * max(1, 10.0**power))
    np.testing.assert_allclose(scaled[:, 1:].var(0, correction=0).mean(), 1, rtol=1e-6)
    np.testing.assert_allclose(scaling.inverse(scaled), Y, rtol=1e-9, atol=1e-9 * 10.0**power)


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 8), st.floats(-20, 20), st.integers(0, 1000))
def test_scaled_inputs_have_mean_0_and_mean_square_1(m, n, power, seed):
    X = torch.tensor(np.random.default_rng(seed).standard_normal((m, n)) * 10.0**power)
    scaling = input_scaling(X, 0.93)
    scaled = scaling(X)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-9)
    assert float(scaled.square().mean()) == pytest.approx(0 if m == 1 else 1)
    doubled = input_scaling(2 * X, 0.93)(2 * X)  # exact in binary, whatever the unit
    np.testing.assert_array_equal(doubled, scaled)


@pytest.mark.parametrize(
    "scaling_of", [lambda X: input_scaling(X, 0.93, centre=False), lambda X: target_scaling(X, False)]
)
@pytest.mark.parametrize("make", [table, pixels])
def test_without_centring(scaling_of, make):
    """Zero stays zero, as a network without biases needs it."""
    X = make()
    scaling = scaling_of(X)
    assert not scaling.shift.any()
    assert not scaling(torch.zeros_like(X)).any()
    assert float(scaling(X).square().mean()) == pytest.approx(1, rel=1e-3)


def test_on_a_device():
    scaling = Scaling(torch.zeros(3), torch.ones(3, 2)).on("meta")
    assert scaling.shift.device.type == scaling.factor.device.type == "meta"


@pytest.mark.parametrize("value", [1.0, 1e-9, -3e200, 0.0])
@pytest.mark.parametrize("settings", [{}, {"n_members": 1}, {"warm_start": True}])
def test_a_constant_target_is_predicted_to_the_last_digit(value, settings):
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = NMFNetRegressor(5, max_iter=3, random_state=0, **settings).fit(X, np.full(60, value))
    np.testing.assert_array_equal(model.predict(X), value)
    both = NMFNetRegressor(5, max_iter=3, random_state=0, **settings).fit(
        X, np.column_stack([X[:, 0], np.full(60, value)])
    )
    np.testing.assert_array_equal(both.predict(X)[:, 1], value)
    assert np.ptp(both.predict(X)[:, 0]) > 0.1
