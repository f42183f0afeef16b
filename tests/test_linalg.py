import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from nmfnet.layers.activations import ACTIVATIONS
from nmfnet.linalg import (
    affine,
    all_finite,
    decompositions,
    gram,
    pseudo_inverse,
    singular_basis,
    truncated_svd,
    with_ones,
)
from nmfnet.linalg.arrays import as_tensor
from nmfnet.linalg.batched_inverse import positive_inverse
from nmfnet.linalg.holders import local, summed
from nmfnet.linalg.sparse import picked


def matrix(m, n, rank, seed, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    L, R = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((m, rank), (rank, n)))
    return (L @ R).to(dtype)


@given(
    m=st.integers(1, 30), n=st.integers(1, 30), rank=st.integers(0, 12), exponent=st.integers(-8, 8),
    dtype=st.sampled_from([torch.float32, torch.float64]), seed=st.integers(0, 5),
)  # fmt: skip
def test_pseudo_inverse_has_the_four_properties_of_penrose(m, n, rank, exponent, dtype, seed):
    Z = matrix(m, n, rank, seed, dtype) * 10.0**exponent
    P = pseudo_inverse(Z)
    assert P.shape == (n, m)
    s = truncated_svd(Z).s
    condition = float(s.max() / s.min()) if len(s) else 1.0
    tolerance = 100 * torch.finfo(dtype).eps * condition

    def assert_close(found, expected, scale):
        assert (found - expected).abs().max() <= tolerance * max(float(scale), 1e-300)

    assert_close(Z @ P @ Z, Z, Z.abs().max())
    assert_close(P @ Z @ P, P, P.abs().max())
    assert_close(Z @ P, (Z @ P).T, 1)
    assert_close(P @ Z, (P @ Z).T, 1)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_truncation_keeps_the_singular_values_above_delta(shape, dtype):
    rng = np.random.default_rng(0)
    U, _ = np.linalg.qr(rng.standard_normal((shape[0], 10)))
    V, _ = np.linalg.qr(rng.standard_normal((shape[1], 10)))
    s = np.array([1, 0.5, 0.1, 0.02, 0.011, 0.009, 1e-3, 1e-4, 1e-9, 0])
    Z = torch.tensor(U * s @ V.T).to(dtype)
    found = truncated_svd(Z, 0.01)
    np.testing.assert_allclose(found.s.sort(descending=True).values.numpy(), s[:5], rtol=1e-4)
    kept = (U[:, :5] * s[:5]) @ V[:, :5].T
    np.testing.assert_allclose(((found.U * found.s) @ found.V.T).numpy(), kept, atol=1e-6)
    np.testing.assert_allclose((found.U.T @ found.U).numpy(), np.eye(5), atol=2e-5)
    values, vectors = singular_basis([Z], 0.01)
    np.testing.assert_allclose(values.sort().values.numpy(), s[:5][::-1], rtol=1e-4)
    np.testing.assert_allclose((vectors @ vectors.T).numpy(), V[:, :5] @ V[:, :5].T, atol=1e-4)


def test_float32_agrees_with_float64_on_an_ill_conditioned_matrix():
    """The float64 Gram matrix keeps singular values that a float32 one would lose."""
    rng = np.random.default_rng(1)
    U, _ = np.linalg.qr(rng.standard_normal((300, 6)))
    V, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    s = np.array([1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
    Z = torch.tensor(U * s @ V.T)
    found = truncated_svd(Z.float())
    np.testing.assert_allclose(found.s.sort(descending=True).values.numpy(), s, rtol=2e-2)
    np.testing.assert_allclose((found.U.T @ found.U).numpy(), np.eye(6), atol=1e-2)


@pytest.mark.parametrize("shape", [(30, 2), (2, 30), (500, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_no_direction(shape, dtype):
    """The product of vectors, rounded, is still of rank one: its pseudo-inverse is not of the rounding's size."""
    for seed in range(20):
        Z = matrix(*shape, 1, seed, dtype) / 3 * 0.7
        assert len(truncated_svd(Z).s) == 1
        assert len(singular_basis([Z])[0]) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4, 3), (3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_and_empty_matrices_have_rank_0(shape, dtype):
    Z = torch.zeros(shape, dtype=dtype)
    assert len(truncated_svd(Z).s) == 0
    assert pseudo_inverse(Z).shape == shape[::-1]
    assert not pseudo_inverse(Z).any()


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e3])
def test_damped_pseudo_inverse_is_the_ridge_solution(alpha):
    Z = matrix(20, 6, 6, 0)
    expected = scipy.linalg.solve(Z.T.numpy() @ Z.numpy() + alpha * np.eye(6), Z.T.numpy())
    np.testing.assert_allclose(pseudo_inverse(Z, alpha=alpha).numpy(), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e18, 1e30])
def test_singular_values_of_any_size(scale):
    Z = (matrix(20, 6, 6, 0) * scale).float()
    eye = (pseudo_inverse(Z).double() @ Z.double()).numpy()
    np.testing.assert_allclose(eye, np.eye(6), atol=1e-4)


def test_gram_over_several_blocks():
    Z = matrix(2500, 5, 5, 0).float()
    np.testing.assert_allclose(gram(Z).numpy(), (Z.double().T @ Z.double()).numpy(), rtol=1e-12)


def test_affine_is_the_product_with_ones():
    Z, W = matrix(7, 3, 3, 0), matrix(4, 2, 2, 1)
    torch.testing.assert_close(affine(Z, W, True), with_ones(Z) @ W)
    torch.testing.assert_close(affine(Z, W[:3], False), Z @ W[:3])
    assert with_ones(Z, False) is Z


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_all_finite_looks_at_every_row(bad):
    X = torch.zeros(3000, 1000)
    assert all_finite(X)
    X[-1, -1] = bad
    assert not all_finite(X) and not all_finite(X[-1:]) and all_finite(X[:-1])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_place_or_not(name):
    f, A = ACTIVATIONS[name], torch.linspace(-3, 3, 20)
    before = A.clone()
    Z = f(A)
    assert torch.equal(A, before) and Z.data_ptr() != A.data_ptr()
    assert torch.equal(Z, f.f_(A))


@pytest.mark.parametrize("size", [1.0, 1e-5])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_changes_of_activations(name, size):
    """ReLU's have all digits of a small change of A, where the difference of its values has few."""
    f, generator = ACTIVATIONS[name], torch.Generator().manual_seed(0)
    A, D = (torch.randn(500, generator=generator) * each for each in (1.0, size))
    mask = torch.tensor([0.0, 1.25]).repeat(250)
    for each in (None, mask):
        scale = 1.0 if each is None else each
        exact = scale * (f(A.double() + D.double()) - f(A.double()))
        found = f.change_(f.base_(A.clone()).add_(D), f(A) * scale, each)
        torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-6 * (size if name == "relu" else 1))


def test_picked_rows():
    X, rows = torch.arange(12.0).view(4, 3), torch.tensor([2, 0, 2])
    assert torch.equal(picked(X, rows), X[rows])


def test_wide_matrices_are_converted_by_fewer_rows(monkeypatch):
    Z = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    G, U = gram(Z), truncated_svd(Z).U
    monkeypatch.setattr(decompositions, "MOST_NUMBERS", 24)
    assert [len(block) for block in decompositions.float64_blocks(Z)] == [3] * 16 + [2]
    torch.testing.assert_close(gram(Z), G)
    torch.testing.assert_close(truncated_svd(Z).U.abs(), U.abs())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(60, 8), (5, 8)])
def test_a_basis_by_blocks_is_that_of_the_matrix(shape, dtype):
    Z = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    (s, V), (one, U) = singular_basis(Z.split(7)), singular_basis([Z])
    torch.testing.assert_close(s, one)
    torch.testing.assert_close((V.T @ U).abs(), torch.eye(len(s), dtype=s.dtype), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.arange(6, dtype=np.longdouble).reshape(2, 3), torch.float64),
        (np.arange(6, dtype=">f4").reshape(2, 3), torch.float32),
        (np.arange(6, dtype=np.longlong).reshape(2, 3), torch.int64),
        (np.arange(6.0)[::-1].reshape(2, 3)[:, ::-1], torch.float64),
        (np.arange(6, dtype=np.float16).reshape(2, 3), torch.float16),
    ],
)
def test_arrays_of_all_kinds_as_tensors(array, dtype):
    found = as_tensor(array)
    assert found.dtype == dtype and found.tolist() == array.astype(float).tolist()


def test_a_read_only_array_shares_its_memory_without_a_warning(recwarn):
    array = np.arange(6.0)
    array.flags.writeable = False
    assert as_tensor(array).data_ptr() == array.ctypes.data and not recwarn.list


def test_numbers_are_summed_over_all_who_hold_samples():
    assert summed(local, 1.5, 2.0) == [1.5, 2.0]
    assert summed(lambda sums: [3 * each for each in sums], 1.5, 2.0) == [4.5, 6.0]


@given(n=st.integers(1, 80), seed=st.integers(0, 5), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_inverses_by_blocks(n, seed, dtype):
    Z = torch.stack([matrix(n, n, n, seed + i) for i in range(3)]) / n
    S = Z.mT @ Z + torch.eye(n, dtype=Z.dtype)
    inverse, failed = positive_inverse(S.to(dtype))
    assert not failed.any()
    torch.testing.assert_close(inverse.double(), torch.linalg.inv(S), rtol=0, atol=50 * n * torch.finfo(dtype).eps)


@pytest.mark.parametrize("n", [3, 40, 70])
@pytest.mark.parametrize("place", [0, -1])
def test_matrices_that_are_not_positive_definite_have_no_inverse_by_blocks(n, place):
    S = torch.eye(n).repeat(3, 1, 1)
    S[1, place, place] = -1
    inverse, failed = positive_inverse(S)
    assert failed.tolist() == [False, True, False]
    torch.testing.assert_close(inverse[::2], S[::2])
