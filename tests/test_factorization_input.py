"""What the factorizations refuse, and input at the edge of it."""

import numpy as np
import pytest
import torch

from nmfnet import DivergenceError, nmf, nonlinear_semi_nmf, semi_nmf
from samples import randoms


@pytest.mark.parametrize("factorize", [nmf, semi_nmf, nonlinear_semi_nmf])
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (torch.zeros(0, 3), "nonempty"),
        (torch.zeros(3), "nonempty"),
        (torch.zeros(2, 2, dtype=torch.int64), "floating-point"),
        (torch.tensor([[1.0, float("nan")]]), "NaN or infinity"),
        (torch.tensor([[1.0, float("inf")]]), "NaN or infinity"),
    ],
)
def test_bad_matrices_are_refused(factorize, X, message):
    with pytest.raises(ValueError, match=message):
        factorize(X, 1)


def test_negative_input_is_refused_with_its_column():
    X = torch.tensor([[1.0, 2.0, 3.0], [1.0, -2.5, 3.0]])
    with pytest.raises(ValueError, match=r"column 1 has a minimum of -2\.5"):
        nmf(X, 1)
    with pytest.raises(ValueError, match="Z must be nonnegative"):
        semi_nmf(X, Z=torch.tensor([[1.0], [-1.0]]))
    with pytest.raises(ValueError, match="activation must be one of"):
        nonlinear_semi_nmf(X, 1, "swish")
    with pytest.raises(ValueError, match="solver must be 'cd' or 'mu'"):
        semi_nmf(X, 1, solver="als")
    with pytest.raises(ValueError, match="n_iter"):
        nmf(X.abs(), 1, n_iter=-1)
    for factorize in (nmf, semi_nmf, nonlinear_semi_nmf):
        with pytest.raises(ValueError, match="n_components must be an integer of at least 1"):
            factorize(X.abs(), 0)
        with pytest.raises(ValueError, match=r"left starting factor must have shape \(2, 2\)"):
            factorize(X.abs(), 2, Z=torch.ones(3, 2))
        with pytest.raises(ValueError, match="left starting factor contains NaN"):
            factorize(X.abs(), Z=torch.full((2, 1), float("nan")))


@pytest.mark.parametrize(
    ("factorize", "settings", "message"),
    [
        (nmf, {"alpha_Z": -1.0}, "alpha_Z must be a finite number"),
        (nmf, {"alpha_H": float("nan")}, "alpha_H must be a finite number"),
        (nmf, {"l1_ratio": 5.0}, "l1_ratio must be a number in"),
        (nmf, {"tol": float("nan")}, "tol must be"),
        (semi_nmf, {"delta": 2.0}, "delta must be a number in"),
        (semi_nmf, {"alpha_W": -1.0}, "alpha_W"),
        (nonlinear_semi_nmf, {"n_w": 0}, "n_w must be an integer of at least 1"),
        (nonlinear_semi_nmf, {"omega": 5.0}, "omega must be a number in"),
        (nonlinear_semi_nmf, {"Z": torch.ones(5, 2, dtype=torch.float64)}, "dtype torch.float64"),
    ],
)
def test_unfit_settings_are_named(factorize, settings, message):
    with pytest.raises(ValueError, match=message):
        factorize(torch.ones(5, 4), 2, **settings)


@pytest.mark.parametrize("factorize", [nmf, semi_nmf, nonlinear_semi_nmf])
def test_arrays_are_refused_with_advice(factorize):
    with pytest.raises(TypeError, match=r"use torch\.as_tensor"):
        factorize(np.ones((3, 3)))


@pytest.mark.parametrize("factorize", [nmf, semi_nmf])
def test_overflow_is_a_named_error(factorize, generator):
    X = torch.rand(5, 4, generator=generator) * 1e25
    with pytest.raises(DivergenceError, match="Scale the data"):
        factorize(X, 2, generator=generator)


def test_tensors_that_require_gradients_are_taken():
    X = torch.rand(5, 4, requires_grad=True)
    for factorize in (nmf, semi_nmf, nonlinear_semi_nmf):
        assert not factorize(X, 2, n_iter=2).Z.requires_grad


@pytest.mark.parametrize("factorize", [nmf, semi_nmf, nonlinear_semi_nmf])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_scale_stays_finite(factorize, scale, dtype, generator):
    uniform, _ = randoms(10)
    X = (uniform(20, 8) * scale).to(dtype)
    X[3], X[:, 2] = 0, 0
    found = factorize(X, 3, n_iter=30, generator=generator)
    assert found.Z.isfinite().all() and found.W.isfinite().all()
    assert found.objective < X.double().square().sum() / 2


def test_a_rank_above_the_datas_is_fine(generator):
    uniform, _ = randoms(11)
    X = uniform(6, 4)
    for factorize in (nmf, semi_nmf, nonlinear_semi_nmf):
        found = factorize(X, 9, n_iter=300, tol=0, generator=generator)
        assert (X - found.Z @ found.W).norm() < 0.05 * X.norm()
