"""Dense float64 data make their first passes in single precision, which does not show."""

import numpy as np
import pytest
import torch

from nmfnet import NMF
from nmfnet.factorization.coordinate_descent import project_gradient_
from nmfnet.factorization.data import DenseData
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.transformers import base
from nmfnet.transformers.input import Input, prepare_input

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    return rng.random((700, 4)) @ rng.random((4, 200))


def test_the_result_is_as_exact_as_the_data(planted):
    assert LeastSquares(DenseData(planted, CPU), 4, Penalties()).single_first
    model = NMF(4, tol=1e-9, max_iter=5000, random_state=0).fit(planted)
    assert model.components_.dtype == np.float64
    assert model.reconstruction_err_ < 1e-6 * np.linalg.norm(planted)


def test_the_tolerance_is_met_in_double_precision(planted):
    X = planted + 0.1 * np.random.default_rng(1).random(planted.shape)
    model = NMF(4, tol=1e-6, max_iter=5000, random_state=0)
    Z, H = model.fit_transform(X), model.components_
    gradient, product = Z.T @ (Z @ H - X), Z.T @ X
    assert np.linalg.norm(gradient[(H > 0) | (gradient < 0)]) <= 2e-6 * np.linalg.norm(product)


def test_a_file_that_is_mapped_is_not_copied(tmp_path, planted, monkeypatch):
    np.save(tmp_path / "X.npy", planted)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert prepare_input(planted[:, :3], None, CPU, None).in_memory
    assert not prepare_input(mapped[:, :3], None, CPU, None).in_memory
    taken = []
    monkeypatch.setattr(Input, "single", property(lambda given: taken.append(given)))
    NMF(12, max_iter=30, random_state=0, tol=1e-2).fit(mapped)
    assert not taken


def test_single_precision_is_not_held_beside_double(planted, monkeypatch):
    passes, held = base.alternate_in_turn, []

    def noted(problem, single, *others):
        held.append("_converted" in vars(given[0]))
        done = passes(problem, single, *others)
        held.append("_converted" in vars(given[0]))
        return done

    given, prepare = [], NMF._input
    monkeypatch.setattr(NMF, "_input", lambda *args, **named: given.append(prepare(*args, **named)) or given[-1])
    monkeypatch.setattr(base, "alternate_in_turn", noted)
    NMF(4, random_state=0).fit(planted)
    assert held == [True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-15, 1.0, 1e15])
def test_projected_gradients_are_those_that_descent_may_follow(dtype, size):
    generator = torch.Generator().manual_seed(0)
    F = torch.rand(5, 40, generator=generator, dtype=dtype).sub(0.5).relu() * size
    gradient = torch.randn(5, 40, generator=generator, dtype=dtype) * size**2
    expected = gradient.masked_fill((F <= 0) & (gradient > 0), 0)
    assert torch.equal(project_gradient_(gradient.clone(), F), expected)


def test_what_nearly_cancels_is_found_from_residuals_in_blocks(planted, monkeypatch):
    monkeypatch.setattr("nmfnet.factorization.passes.TILE_ENTRIES", 3000)  # 15 rows at a time
    X = planted.astype(np.float32)
    problem = LeastSquares(DenseData(X, CPU), 4, Penalties())
    generator = torch.Generator().manual_seed(0)
    Z, H = (torch.rand(4, side, generator=generator) for side in X.shape)
    exact = np.square(X.astype(float) - Z.double().numpy().T @ H.double().numpy()).sum() / 2
    assert problem._residual_loss(DenseData(X, CPU), Z, H) == pytest.approx(exact, rel=1e-5)
