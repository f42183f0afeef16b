"""DampedLeastSquares: damped least-squares steps, against NumPy's least squares."""

import numpy as np
import pytest
import torch

from nmfnet.errors import DivergenceError
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.linalg.statistics import Moments
from solving import solved

both_biases = pytest.mark.parametrize("bias", [False, True])
both_forms = pytest.mark.parametrize("dual", [False, True])


@pytest.fixture
def inverse(monkeypatch):
    def make(damping=0.3, bias=True, dual=False):
        made = DampedLeastSquares(damping, bias)
        monkeypatch.setattr(made, "_dual_is_cheaper", lambda m, n, k: dual)
        return made

    return make


def problem(m, n, k=3, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((m, n)) @ rng.standard_normal((n, n)) + 2
    return torch.tensor(Z, dtype=dtype), torch.tensor(rng.standard_normal((m, k)) + 1, dtype=dtype)


def by_lstsq(Z, E, damping, bias, pull=None):
    """Least squares with rows added below: d in the normal matrix, the bias free, `pull` on their right side."""
    m, n = Z.shape
    centred = Z - Z.mean(0) if bias else Z
    d = damping * (centred**2).sum() / m / n
    below = np.zeros((n, E.shape[1])) if pull is None else pull / np.sqrt(d)  # adds pull to the right-hand side
    top = np.hstack([Z, np.ones((m, 1))]) if bias else Z
    bottom = np.sqrt(d) * np.eye(n, n + bias)
    return np.linalg.lstsq(np.vstack([top / np.sqrt(m), bottom]), np.vstack([E / np.sqrt(m), below]), rcond=None)[0]


def rms_change(Z, D, bias):
    change = Z @ D[:-1] + D[-1] if bias else Z @ D
    return float(np.sqrt((change**2).sum(1).mean()))


@both_biases
@both_forms
@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (15, 15), (1, 5), (2, 1)])
@pytest.mark.parametrize("pulled", [False, True])
def test_a_step_is_damped_least_squares(bias, dual, shape, pulled, inverse):
    if shape[0] == 1 and bias:
        pytest.skip("a centred sample is 0: see below")
    Z, E = problem(*shape)
    pull = torch.randn(shape[1] + bias, 3, generator=torch.Generator().manual_seed(0), dtype=Z.dtype)
    if bias:
        pull[-1] = 0
    D, moved = solved(inverse(0.3, bias, dual), Z, E, 0, pull.clone() if pulled else None)
    pull *= 0.3 / 1.3 if dual else 1.0  # directions that are not in the batch have the mean variance
    known = by_lstsq(Z.numpy(), E.numpy(), 0.3, bias, pull[: shape[1]].numpy() if pulled else None)
    np.testing.assert_allclose(D.numpy(), known, rtol=1e-9, atol=1e-9 * np.abs(known).max())
    assert float(moved) == pytest.approx(rms_change(Z.numpy(), known, bias), rel=1e-8)


@both_biases
def test_wide_inputs_take_the_dual_form(bias, monkeypatch):
    Z, E = problem(8, 50)
    primal = DampedLeastSquares(0.1, bias)
    monkeypatch.setattr(DampedLeastSquares, "primal_max_features", 10)
    dual = DampedLeastSquares(0.1, bias)
    for ours, theirs in zip(solved(dual, Z, E, 0), solved(primal, Z, E, 0), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    assert dual.primal.gram is None  # no matrix of the size of G


def test_both_forms_are_chosen():
    inverse = DampedLeastSquares(1.0, True)
    assert inverse._dual_is_cheaper(200, 20_000, 100)
    assert not inverse._dual_is_cheaper(200, 4096, 100)
    assert not inverse._dual_is_cheaper(20_000, 10_000, 100)


@both_biases
@both_forms
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("damping", [0.0, 1.0])
def test_singular_gram_matrix(bias, dual, dtype, damping, inverse, bounded):
    """Equal, dead and constant columns: still the least-squares fit, as far as rounding lets it be."""
    Z, E = problem(30, 4, dtype=dtype)
    Z = torch.cat([Z, Z, torch.zeros(30, 2, dtype=dtype), torch.full((30, 1), 3.0, dtype=dtype)], 1)
    D, moved = solved(inverse(damping, bias, dual), Z, E, 0)
    assert D.isfinite().all() and moved.isfinite()
    assert not D[8:10].any()
    fitted = rms_change(Z.double().numpy(), D.double().numpy(), bias)
    assert 0.5 * fitted < float(moved) < 2 * fitted
    if damping:
        assert float(moved) == pytest.approx(fitted, rel=1e-3)
        known = by_lstsq(Z.double().numpy(), E.double().numpy(), damping, bias)
        np.testing.assert_allclose(D.numpy(), known, atol=1e-4 if dtype == torch.float32 else 1e-10)


@both_biases
@both_forms
@pytest.mark.parametrize("damping", [0.0, 1.0])
def test_dead_units(bias, dual, damping, inverse, bounded):
    """Only the bias can move."""
    E = problem(30, 4)[1]
    D, moved = solved(inverse(damping, bias, dual), torch.zeros(30, 4, dtype=E.dtype), E, 0)
    assert not D[:4].any()
    assert float(moved) == pytest.approx(float(E.mean(0).norm()) if bias else 0)


@both_forms
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [1, 2, 3, 7, 30])
def test_samples_that_are_all_the_same(m, dtype, dual, inverse, bounded):
    """Rounding leaves a centred Gram matrix of no meaning, and no sign: only the bias can move."""
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        Z = torch.rand(1, 5, generator=generator, dtype=dtype).repeat(m, 1)
        E = torch.rand(m, 2, generator=generator, dtype=dtype)
        D, moved = solved(inverse(1.0, True, dual), Z, E, 0)
        assert float(D.abs().max()) < 1e3
        reach = rms_change(Z.double().numpy(), D.double().numpy(), True)
        for length in (reach, float(moved)):
            assert length == pytest.approx(float(E.mean(0).norm()), rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_far_from_zero(dtype, inverse, bounded):
    """Centring must not lose what varies: a Gram matrix of differences of large numbers would."""
    Z, E = problem(200, 4, dtype=dtype)
    offset = 100 if dtype == torch.float32 else 1e6
    near, far = (solved(inverse(), inputs, E, 0) for inputs in (Z, (Z + offset)))
    torch.testing.assert_close(far[0][:-1], near[0][:-1], rtol=0.05, atol=0.05 * float(near[0][:-1].abs().max()))
    assert float(far[1]) == pytest.approx(float(near[1]), rel=0.05)


@both_biases
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-6])
def test_dead_units_that_come_alive(bias, dtype, size, inverse, bounded):
    """The Gram matrix of a batch of dead units must not scale the step of a live one."""
    Z, E = problem(30, 4, dtype=dtype)
    ours = inverse(1.0, bias)
    solved(ours, size * Z, E, 0)
    D, moved = solved(ours, Z, E, 1)
    assert D.isfinite().all()
    fitted = rms_change(Z.double().numpy(), D.double().numpy(), bias)
    assert 0.1 * fitted < float(moved) < 10 * fitted


def test_retries_are_counted(inverse, bounded):
    """Without damping a rank-deficient matrix in float32 has no Cholesky factor."""
    rng = np.random.default_rng(0)
    Z = torch.tensor(rng.standard_normal((50, 2)) @ rng.standard_normal((2, 30)), dtype=torch.float32)
    damped, exact = inverse(1.0), inverse(0.0)
    solved(damped, Z, Z[:, :2], 0)
    D, moved = solved(exact, Z, Z[:, :2], 0)
    assert damped.retries == 0 < exact.retries
    assert 0 < exact.primal.ridge < 1e-3
    assert D.isfinite().all()
    assert float((Z @ D[:-1] + D[-1] - Z[:, :2]).norm()) < 0.5 * float(Z[:, :2].norm())
    assert moved.isfinite()


def test_numbers_that_are_not_finite(inverse):
    for bad in (float("nan"), float("inf")):
        Z, E = problem(10, 3)
        Z[2, 1] = bad
        with pytest.raises(DivergenceError):
            solved(inverse(), Z, E, 0)


def test_the_gram_matrix_averages(inverse):
    ours, (Z1, E1), (Z2, E2) = inverse(0.3), problem(30, 4, seed=1), problem(30, 4, seed=2)
    G1, G2 = (torch.cov(Z.T, correction=0) for Z in (Z1, Z2))
    solved(ours, Z1, E1, 0)
    torch.testing.assert_close(ours.primal.gram, G1)
    solved(ours, Z2, E2, 1)  # between two refreshments
    torch.testing.assert_close(ours.primal.gram, G1)
    D, moved = solved(ours, Z2, E2, 2)
    G = 0.9 * G1 + 0.1 * G2
    torch.testing.assert_close(ours.primal.gram, G)
    C = (Z2 - Z2.mean(0)).T @ (E2 - E2.mean(0)) / 30
    known = torch.linalg.solve(G + 0.3 * G.diagonal().mean() * torch.eye(4), C)
    torch.testing.assert_close(D[:-1], known)
    size = (known * (G @ known)).sum() + E2.mean(0).square().sum()
    torch.testing.assert_close(moved, size.sqrt())
    ours.forget()
    solved(ours, Z2, E2, 3)
    torch.testing.assert_close(ours.primal.gram, G2)


@pytest.mark.parametrize("form", ["primal", "dual"])
@pytest.mark.parametrize("weights", [False, True])
def test_what_a_step_is_made_of_is_left_alone(form, weights, inverse):
    generator = torch.Generator().manual_seed(0)
    Z, E = (torch.randn(20, k, generator=generator, dtype=torch.float64) for k in (30, 7))
    sample_weight = torch.rand(20, generator=generator, dtype=torch.float64) + 0.1 if weights else None
    copies = Z.clone(), E.clone()
    solved(inverse(1.0, True, form == "dual"), Z, E, 0, sample_weight=sample_weight)
    assert torch.equal(Z, copies[0]) and torch.equal(E, copies[1])


@both_forms
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weights", [False, True])
def test_lengths_by_parts(weights, momentum, dual, monkeypatch):
    """A step does not depend on the parts that it is measured in, and their squares add up."""
    monkeypatch.setattr(DampedLeastSquares, "_dual_is_cheaper", lambda *_: dual)
    generator = torch.Generator().manual_seed(0)
    Z, E = (torch.randn(20, k, generator=generator, dtype=torch.float64) for k in (6, 11))
    pull = torch.randn(7, 11, generator=generator, dtype=torch.float64)
    sample_weight = torch.rand(20, generator=generator, dtype=torch.float64) + 0.1 if weights else None
    whole, parts = DampedLeastSquares(1.0, True, momentum), DampedLeastSquares(1.0, True, momentum)
    parts.part_outputs = 4
    assert parts.parts(6, 11) == [slice(0, 3), slice(3, 7), slice(7, 11)]
    for update in range(3):
        D, moved = solved(whole, Z, E, update, pull, 0.1, sample_weight)
        ours, length = solved(parts, Z, E, update, pull, 0.1, sample_weight)
        torch.testing.assert_close(ours, D)
        torch.testing.assert_close(length, moved)
        E = E.roll(1, 0)


def test_parts_of_a_step():
    """Wide layers are measured in parts."""
    solver = DampedLeastSquares(1.0, True)
    assert solver.parts(784, 2048) == [slice(0, 2048)]
    assert solver.parts(784, 2049) == [slice(0, 1024), slice(1024, 2049)]
    assert [part.stop - part.start for part in solver.parts(20_000, 512)] == [102, 102, 103, 102, 103]
    assert solver.parts(10**6, 100) == [slice(0, 50), slice(50, 100)]


def test_a_gram_matrix_is_left_alone_by_its_factor():
    solver = DampedLeastSquares(1.0, True)
    Z = torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    solved(solver, Z, Z[:, :2], 0)
    torch.testing.assert_close(solver.primal.gram, torch.cov(Z.T, correction=0))
    known = torch.linalg.inv(solver.primal.gram + solver.primal.ridge * torch.eye(5))
    torch.testing.assert_close(solver.primal.inverse, known)


@both_biases
@pytest.mark.parametrize("weights", [False, True])
def test_statistics_of_parts_of_a_batch_add_up(weights, bias):
    """As they do over processes, each with samples of its own: a reducer adds what the others have."""
    Z, E = problem(30, 4)
    weight = torch.rand(30, generator=torch.Generator().manual_seed(0), dtype=Z.dtype) + 0.1 if weights else None
    pieces = [(Z[a:b], E[a:b], None if weight is None else weight[a:b]) for a, b in ((0, 3), (3, 20), (20, 30))]
    others = [Moments.of(*piece, bias, True) for piece in pieces[1:]]

    def reduce(sums):
        return [sum(parts) for parts in zip(sums, *(each.sums() for each in others), strict=True)]

    whole = solved(DampedLeastSquares(0.3, bias), Z, E, 0, sample_weight=weight)
    Z, E, weight = pieces[0]
    ours = solved(DampedLeastSquares(0.3, bias), Z, E, 0, sample_weight=weight, reduce=reduce)
    torch.testing.assert_close(ours, whole)
