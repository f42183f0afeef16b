"""Dtypes and byte orders: all that a network gets is brought to its own."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix
from torch import nn

from nmfnet import NMFNetClassifier, NMFNetRegressor, fit_module

ml_dtypes = pytest.importorskip("ml_dtypes")
pd = pytest.importorskip("pandas")

rng = np.random.default_rng(0)
CLASSES = np.arange(60) % 3
X = rng.integers(0, 8, (60, 4)) / 8 + 2.0 * np.eye(3, 4)[CLASSES]  # which even bfloat16 holds exactly
REAL = X @ [1, 2, -1, 0.5]
SOLVERS = ["relaxed", "pinv"]
DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


def forms(data):
    """The same numbers in other dtypes, byte orders and containers."""
    for dtype in (">f4", ">f8", "<f4", "f2", np.longdouble, ml_dtypes.bfloat16):
        yield pytest.param(data.astype(dtype), id=f"{np.dtype(dtype).newbyteorder('>')}")
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        yield pytest.param(torch.tensor(data).to(dtype), id=str(dtype))
    yield pytest.param(torch.tensor(data).requires_grad_(), id="with a gradient")


def inputs():
    """And in yet other containers."""
    yield from forms(X)
    yield pytest.param(csr_matrix(X), id="csr_matrix")
    yield pytest.param(csr_array(X.astype(np.float32)), id="csr_array")
    yield pytest.param(pd.DataFrame(X), id="DataFrame")
    yield pytest.param(pd.DataFrame(X).astype("Float32"), id="nullable")


def classifier(solver, **options):
    return NMFNetClassifier((5,), solver=solver, max_iter=2, random_state=0, **options)


def regressor(solver, **options):
    return NMFNetRegressor((5,), solver=solver, max_iter=2, random_state=0, **options)


@pytest.mark.parametrize("other", list(inputs()))
@pytest.mark.parametrize(("form", "dtype"), [("array", torch.float32), ("tensor", torch.float64)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_later_data_are_brought_to_the_dtype_of_the_network(other, dtype, solver, form):
    first = torch.tensor(X, dtype=dtype) if form == "tensor" else X.astype(DTYPES[dtype])
    same = classifier(solver).partial_fit(first, CLASSES, classes=[0, 1, 2]).partial_fit(first, CLASSES)
    model = classifier(solver).partial_fit(first, CLASSES, classes=[0, 1, 2]).partial_fit(other, CLASSES)
    np.testing.assert_allclose(model.coefs_[0], same.coefs_[0], rtol=1e-3, atol=1e-4)
    assert model.network_.dtype == dtype
    model = regressor(solver, warm_start=True).fit(first, REAL, X_val=other, y_val=REAL)
    assert model.fit(other, REAL).partial_fit(other, REAL).network_.dtype == dtype
    assert model.transform(other).dtype in (dtype, DTYPES[dtype])
    assert model.score(other, REAL) == pytest.approx(model.score(first, REAL), rel=1e-4)


@pytest.mark.parametrize("y", list(forms(REAL)))
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", ["array", "tensor"])
def test_real_targets(y, solver, form):
    first = torch.tensor(X) if form == "tensor" else X
    model, same = regressor(solver).fit(first, y, X_val=first, y_val=y), regressor(solver).fit(first, REAL)
    np.testing.assert_allclose(model.coefs_[0], same.coefs_[0], rtol=0.05, atol=0.05)  # a bfloat16 has two digits
    model.partial_fit(first, y)
    assert np.isfinite(model.score(first, y, sample_weight=y - y.min() + 1))


@pytest.mark.parametrize("weight", list(forms(1 + CLASSES / 2)))
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", ["array", "tensor"])
def test_weights(weight, solver, form):
    first = torch.tensor(X) if form == "tensor" else X
    options = {"X_val": first, "y_val": CLASSES, "sample_weight_val": weight}
    model = classifier(solver).fit(first, CLASSES, sample_weight=weight, **options)
    same = classifier(solver).fit(first, CLASSES, sample_weight=1 + CLASSES / 2)
    np.testing.assert_array_equal(model.coefs_[0], same.coefs_[0])
    model.partial_fit(first, CLASSES, sample_weight=weight)
    assert model.score(first, CLASSES, sample_weight=weight) == model.score(first, CLASSES, 1 + CLASSES / 2)


def test_the_byte_order_is_no_dtype():
    found = [regressor("relaxed").fit(X.astype(dtype), REAL).coefs_[0] for dtype in ("<f4", ">f4")]
    assert found[1].dtype == np.float32
    np.testing.assert_array_equal(*found)
    csr = csr_matrix(X)
    csr.data = csr.data.astype(">f8")
    np.testing.assert_allclose(
        regressor("relaxed").fit(csr, REAL).score(csr, REAL),
        regressor("relaxed").fit(csr_matrix(X), REAL).score(X, REAL),
    )


def module(k=3, dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, k)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", [*forms(X), pytest.param(pd.DataFrame(X).astype("Float64"), id="nullable")])
def test_inputs_of_a_module(other, dtype):
    found, same = module(dtype=dtype), module(dtype=dtype)
    fit_module(found, other, CLASSES, max_iter=2, random_state=0)
    fit_module(same, X, CLASSES, max_iter=2, random_state=0)
    torch.testing.assert_close(found[0].weight, same[0].weight)


@pytest.mark.parametrize("y", [*forms(REAL), pytest.param(pd.Series(REAL, dtype="Float64"), id="nullable")])
def test_real_targets_of_a_module(y):
    found, same = module(1), module(1)
    fit_module(found, X, y, max_iter=2, random_state=0)
    fit_module(same, X, REAL, max_iter=2, random_state=0)
    torch.testing.assert_close(found[0].weight, same[0].weight, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    "y",
    [
        *(CLASSES.astype(d) for d in (">i8", ">i2", np.uint64, np.longlong, object)),
        torch.tensor(CLASSES).to(torch.uint16), pd.Series(CLASSES, dtype="Int64"),
        pd.Series(CLASSES, dtype="uint8[pyarrow]"), CLASSES.tolist(),
    ],
    ids=lambda y: f"{type(y).__name__} {getattr(y, 'dtype', '')}",
)  # fmt: skip
def test_classes_of_a_module(y):
    found, same = module(), module()
    fit_module(found, X, y, max_iter=2, random_state=0)
    fit_module(same, X, CLASSES, max_iter=2, random_state=0)
    assert torch.equal(found[0].weight, same[0].weight)


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        (X + 0j, CLASSES, "X must be numbers; got an array of dtype complex128"),
        (torch.tensor(X) + 0j, CLASSES, "X must be a dense tensor of real numbers; got torch.complex128"),
        (torch.tensor(X).to_sparse(), CLASSES, "X must be a dense tensor"),
        (torch.empty(60, 4, device="meta"), CLASSES, "X must be a dense tensor"),
        (csr_matrix(X), CLASSES, r"X must be dense; got a sparse matrix: pass X.toarray\(\)"),
        (X.astype(object), CLASSES, "X must be numbers; got an array of dtype object: convert it"),
        (X, torch.tensor(CLASSES) + 0j, "y must be a dense tensor of real numbers; got torch.complex"),
        (X, REAL + 0j, "y must be numbers"),
        (X, [2**64] * 60, "y has the whole number"),
    ],
)
def test_what_a_module_refuses(X, y, match):
    with pytest.raises(ValueError, match=match):
        fit_module(module(), X, y)


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("form", ["array", "tensor"])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_are_refused_at_every_door(make, form, dtype):
    y = CLASSES if make is classifier else REAL
    complexes, target, weight = X.astype(dtype), y.astype(dtype), np.ones(60, dtype=dtype)
    real = X
    if form == "tensor":
        real, complexes, target, weight = map(torch.tensor, (real, complexes, target, weight))
    model = make("relaxed").fit(real, y)
    for call in (
        lambda: model.fit(complexes, y),
        lambda: model.fit(real, target),
        lambda: model.fit(real, y, sample_weight=weight),
        lambda: model.fit(real, y, X_val=complexes, y_val=y),
        lambda: model.partial_fit(complexes, y),
        lambda: model.predict(complexes),
        lambda: model.transform(complexes),
    ):
        with pytest.raises(ValueError, match="Complex data"):
            call()


@pytest.mark.parametrize("form", ["array", "tensor"])
def test_numbers_that_the_dtype_of_the_network_does_not_hold(form):
    first, large = (X.astype(np.float32), 1e300 * X)
    if form == "tensor":
        first, large = torch.tensor(first), torch.tensor(large)
    model = regressor("relaxed", warm_start=True).fit(first, REAL)
    for call in (model.predict, model.transform, lambda X: model.fit(X, REAL), lambda X: model.partial_fit(X, REAL)):
        with pytest.raises(ValueError, match=r"infinity or a value too large for .*float32"):
            call(large)
    for call in (model.fit, model.partial_fit, regressor("pinv").fit):
        with pytest.raises(ValueError, match="y has values too large for float32: scale it, or pass X in float64"):
            call(first, 1e300 * REAL)
    with pytest.raises(ValueError, match="y_val has values too large"):
        model.fit(first, REAL, X_val=first, y_val=1e300 * REAL)
