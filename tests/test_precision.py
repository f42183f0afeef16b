"""Numbers of other dtypes and byte orders, at every door; and the same random numbers in float32 and float64."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris

from nmfnet import (
    NMF,
    NMFAutoencoder,
    NMFNetClassifier,
    NMFNetRegressor,
    NMFPretraining,
    NonlinearSemiNMF,
    Relaxed,
    SemiNMF,
    nmf,
    nonlinear_semi_nmf,
    semi_nmf,
)
from nmfnet.linalg.draws import NUMBERS_AT_ONCE, normal, uniform
from nmfnet.solvers.relaxed.masks import Masks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SHORT = NMFPretraining(n_ae=2, n_nmf=5, n_ls=5)
BOTH = np.float32, np.float64


def distance(found, expected):
    """Largest relative difference between two lists of arrays."""
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"batch_size": 30},
        {"activation": "logistic", "solver": Relaxed(noise=0.2, dropout=0.3)},
        {"early_stopping": True},
        {"solver": "pinv"},
        {"pretrain": SHORT},
        {"pretrain": SHORT, "solver": "pinv"},
    ],
    ids=str,
)
def test_networks_start_alike_in_both_precisions(Estimator, parameters):
    X, y = load_iris(return_X_y=True)
    X = X / 8
    model = Estimator((20, 10), max_iter=1, random_state=0, **parameters)
    single, double = (clone(model).fit(X.astype(dtype), y).coefs_ for dtype in BOTH)
    # The output layer of a pre-training is a least-squares fit to codes that are nearly dependent.
    assert single[0].dtype == np.float32 and distance(single, double) < (1e-2 if "pretrain" in parameters else 1e-3)
    if parameters.keys().isdisjoint({"pretrain", "early_stopping"}):
        known = {"classes": [0, 1, 2]} if Estimator is NMFNetClassifier else {}
        single, double = (clone(model).partial_fit(X.astype(dtype), y, **known).coefs_ for dtype in BOTH)
        assert distance(single, double) < 1e-3


@pytest.mark.parametrize(
    "model",
    [
        *(NMF(3, init=init) for init in ("random", "nndsvd", "nndsvda", "nndsvdar")),
        NMF(3, init="random", solver="mu"),
        NMF(3, init="nndsvdar", solver="mu", beta_loss="kullback-leibler"),
        NMF(3, init="random", batch_size=50),
        SemiNMF(3, init="random"),
        SemiNMF(3, init="nndsvd"),
        NonlinearSemiNMF(3, init="random"),
        NonlinearSemiNMF(3),
        NMFAutoencoder((10, 5), pretrain=SHORT),
    ],
    ids=str,
)
def test_factorizations_start_alike_in_both_precisions(model):
    X = load_digits().data[:200] / 16
    model.set_params(random_state=0, max_iter=2)
    single, double = (clone(model).fit(X.astype(dtype)).components_ for dtype in BOTH)
    assert single.dtype == np.float32 and distance([single], [double]) < 1e-3


@pytest.mark.parametrize("factorize", [nmf, semi_nmf, nonlinear_semi_nmf])
def test_functions_start_alike_in_both_precisions(factorize):
    X = torch.tensor(load_digits().data[:200] / 16)
    single, double = (
        factorize(X.to(dtype), 3, n_iter=2, generator=torch.Generator().manual_seed(0))
        for dtype in (torch.float32, torch.float64)
    )
    assert distance([single.Z.numpy(), single.W.numpy()], [double.Z.numpy(), double.W.numpy()]) < 1e-3


@pytest.mark.parametrize("draw", [uniform, normal])
@pytest.mark.parametrize("columns", [1, 3, NUMBERS_AT_ONCE // 2 + 1])
def test_draws(draw, columns):
    single, double = (
        draw(5, columns, torch.empty(0, dtype=dtype), torch.Generator().manual_seed(0))
        for dtype in (torch.float32, torch.float64)
    )
    assert single.dtype == torch.float32 and torch.equal(single, double.float())


def test_masks_are_of_the_same_entries():
    single, double = (Masks(3)(torch.zeros(50, 7, dtype=dtype), 0.3) for dtype in (torch.float32, torch.float64))
    assert torch.equal(single, double.float())


# Numbers that every dtype holds.
X = np.random.default_rng(0).integers(0, 2, (30, 2)) @ np.random.default_rng(1).integers(0, 2, (2, 6))
DTYPES = {
    **{name: lambda A, name=name: A.astype(name) for name in ("?", "u1", "i2", "u8", "f2", "f4", "f8", "g")},
    **{name: lambda A, name=name: A.astype(name) for name in (">i4", ">f4", ">f8", "<f4")},
    **{str(dtype): lambda A, dtype=dtype: torch.tensor(A, dtype=dtype) for dtype in (torch.float16, torch.bfloat16)},
    "torch.bool": lambda A: torch.tensor(A) > 0,
    "torch.uint8": lambda A: torch.tensor(A, dtype=torch.uint8),
    "lists": lambda A: A.tolist(),
}
SINGLE = "f4", ">f4", "<f4", "torch.float16", "torch.bfloat16"
dtypes = pytest.mark.parametrize("dtype", DTYPES)
FACTORIZATIONS = [NMF(2), NMF(2, solver="mu"), SemiNMF(2), NonlinearSemiNMF(2), NMFAutoencoder(2, pretrain=SHORT)]


@dtypes
@pytest.mark.parametrize("model", FACTORIZATIONS, ids=str)
def test_factorizations_take_every_dtype(model, dtype):
    given, wanted = DTYPES[dtype](X), np.float32 if dtype in SINGLE else np.float64
    plain = (X > 0 if "?" in dtype or "bool" in dtype else X).astype(wanted)
    model = clone(model).set_params(random_state=0, max_iter=5)
    expected = clone(model).fit(plain)
    found = model.fit(given)
    assert found.components_.dtype == wanted
    np.testing.assert_array_equal(found.components_, expected.components_)
    Z = found.transform(given)
    np.testing.assert_array_equal(Z, expected.transform(plain))
    assert Z.dtype == found.inverse_transform(DTYPES[dtype](np.rint(Z).astype(int))).dtype == wanted


@dtypes
@pytest.mark.parametrize("first", [np.float32, np.float64])
def test_a_second_data_set_of_another_dtype(first, dtype):
    given, plain = DTYPES[dtype](X), (X > 0 if "?" in dtype or "bool" in dtype else X).astype(first)
    for model in (NMF(2), SemiNMF(2), NonlinearSemiNMF(2)):
        model = clone(model).set_params(random_state=0).partial_fit(X.astype(first))
        expected = clone(model).set_params(random_state=0).partial_fit(X.astype(first)).partial_fit(plain)
        model.partial_fit(given)
        assert model.components_.dtype == first
        np.testing.assert_array_equal(model.components_, expected.components_)
        np.testing.assert_array_equal(model.transform(given), expected.transform(plain))


@dtypes
def test_weights_and_starts_of_every_dtype(dtype):
    weights, W, H = np.arange(30) % 2, np.ones((30, 2), int), X[:2] + 1 > 0
    model = NMF(2, init="custom", max_iter=3)
    binary = [(A > 0).astype(int) for A in (weights, W, H)]
    expected = clone(model).fit_transform(X, weights=binary[0], W=binary[1], H=binary[2])
    given = [DTYPES[dtype](A) for A in binary]
    found = clone(model).fit_transform(X, weights=given[0], W=given[1], H=given[2])
    np.testing.assert_array_equal(found, expected)


COMPLEX = [X + 1j * X, torch.tensor(X + 1j * X), torch.tensor(X).to(torch.complex64)]


@pytest.mark.parametrize("given", COMPLEX, ids=["array", "tensor", "complex64"])
def test_complex_numbers_are_refused(given):
    for model in (*FACTORIZATIONS, NMFNetClassifier(3), NMFNetRegressor(3)):
        with pytest.raises(ValueError, match="Complex data not supported"):
            clone(model).fit(given, np.arange(30) % 2)
        model = clone(model).set_params(max_iter=1).fit(X, np.arange(30) % 2)
        with pytest.raises(ValueError, match="Complex data not supported"):
            model.transform(given)
    with pytest.raises(ValueError, match="Complex data not supported"):
        NMF(2).fit(X, weights=given[:, 0])
    with pytest.raises(ValueError, match="Complex data not supported"):
        NMF(2).fit(X).inverse_transform(given[:, :2])
    with pytest.raises(ValueError, match="Complex data not supported"):
        NMF(2, init="custom").fit_transform(X, W=given[:, :2], H=np.ones((2, 6)))
    if isinstance(given, torch.Tensor):
        for factorize in (nmf, semi_nmf, nonlinear_semi_nmf):
            with pytest.raises(ValueError, match="Complex data not supported"):
                factorize(given, 2)


@pytest.mark.parametrize("factorize", [nmf, semi_nmf, nonlinear_semi_nmf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_functions_compute_half_precision_in_single(factorize, dtype):
    half = torch.tensor(X).to(dtype)
    found, expected = (factorize(A, 2, generator=torch.Generator().manual_seed(0)) for A in (half, half.float()))
    assert found.Z.dtype == found.W.dtype == torch.float32
    assert torch.equal(found.Z, expected.Z) and torch.equal(found.W, expected.W)
    right = "H" if factorize is nmf else "W"
    starts = {"Z": torch.ones(30, 2, dtype=dtype), right: torch.ones(2, 6, dtype=dtype)}
    assert factorize(half, **starts, n_iter=2).Z.dtype == torch.float32


@pytest.mark.parametrize("factorize", [nmf, semi_nmf, nonlinear_semi_nmf])
def test_functions_say_what_to_do_about_integers(factorize):
    with pytest.raises(ValueError, match=r"of a floating-point dtype; got torch\.int64: use \w\.double\(\)"):
        factorize(torch.tensor(X), 2)
