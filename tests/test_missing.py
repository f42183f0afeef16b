"""Containers with missing entries: the factorizations leave them out, networks learn from them, others refuse them."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from torch import nn

from nmfnet import (
    NMF,
    NMFAutoencoder,
    NMFNetClassifier,
    NMFNetRegressor,
    NMFPretraining,
    NonlinearSemiNMF,
    SemiNMF,
    fit_module,
)

pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names"),
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta"),
]
SHORT = NMFPretraining(n_ae=1, n_nmf=2, n_ls=2)
RNG = np.random.default_rng(0)
X = (RNG.integers(1, 4, (30, 2)) @ RNG.integers(0, 4, (2, 5))).astype(float)
MASK = np.zeros(X.shape, bool)
MASK[[3, 7, 7, 20], [1, 0, 2, 4]] = True
NAN, WRONG = np.where(MASK, np.nan, X), np.where(MASK, 1e6, X)  # what is behind masks, where nobody must look


def listed(nothing):
    return [[nothing if m else x for x, m in zip(*row, strict=True)] for row in zip(X.tolist(), MASK, strict=True)]


def frame(dtype, nothing=None):
    objects = pd.DataFrame(listed(nothing), columns=list("abcde"), dtype=object)
    return objects.astype(dtype)


CONTAINERS = {
    "array": NAN,
    "masked array": np.ma.array(WRONG, mask=MASK),
    "masked float32": np.ma.array(WRONG, mask=MASK, dtype=np.float32),
    "masked integers": np.ma.array(WRONG.astype(int), mask=MASK),
    "masked objects": np.ma.array(WRONG.astype(object), mask=MASK),
    "masked and NaN": np.ma.array(np.where(np.arange(5) < 2, WRONG, NAN), mask=MASK & (np.arange(5) < 2)),
    "list of masked rows": list(np.ma.array(WRONG, mask=MASK)),
    "list of None": listed(None),
    "list of NA": listed(pd.NA),
    "objects of None": np.array(listed(None), dtype=object),
    "objects of NA": np.array(listed(pd.NA), dtype=object),
    "frame": pd.DataFrame(NAN, columns=list("abcde")),
    "frame of Int64": frame("Int64"),
    "frame of Float64": frame("Float64"),
    "frame of Float32": frame("Float32"),
    "frame of Arrow": frame("double[pyarrow]"),
    "frame of None": frame(object, None),
    "frame of NA": frame(object, pd.NA),
    "mixed frame": frame("Int64").assign(b=NAN[:, 1], c=frame(object, pd.NA)["c"]),
    "sparse frame": frame(float, np.nan).astype(pd.SparseDtype(float, 0)),
    "sparse frame of NaN": frame(float, np.nan).astype(pd.SparseDtype(float, np.nan)),
    "polars": pl.DataFrame(listed(None), schema=list("abcde"), orient="row"),
    "Arrow": pa.Table.from_pandas(frame("Int64"), preserve_index=False),
    "tensor": torch.tensor(NAN),
    "tensor of bfloat16": torch.tensor(NAN).bfloat16(),
}
containers = pytest.mark.parametrize("container", CONTAINERS)


@containers
@pytest.mark.parametrize("model", [NMF(2), SemiNMF(2), NonlinearSemiNMF(2)], ids=lambda model: type(model).__name__)
def test_factorizations_leave_out_what_is_missing(model, container):
    given = CONTAINERS[container]
    model.set_params(random_state=0, max_iter=10, tol=0)
    expected = model.fit(NAN).components_
    np.testing.assert_allclose(model.fit(given).components_, expected, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(model.transform(given), model.transform(NAN), atol=1e-3)
    assert np.isfinite(model.partial_fit(given).components_).all()


@containers
@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_networks_take_what_is_missing_as_information(Estimator, container):
    given, y = CONTAINERS[container], np.arange(30) % 3
    expected = Estimator((3,), max_iter=1, random_state=0).fit(NAN, y)
    model = clone(expected).fit(given, y)
    assert model.network_.sizes[0] == 5 + MASK.any(0).sum() and model.n_features_in_ == 5
    np.testing.assert_allclose(model.transform(given), expected.transform(NAN), rtol=1e-2, atol=1e-2)
    whole = clone(expected).fit(X, y)  # rows that had nothing missing: the mean takes its place
    filled = np.where(MASK, X.mean(0), X)
    np.testing.assert_allclose(whole.transform(given), whole.transform(filled), rtol=1e-2, atol=1e-2)


@containers
def test_autoencoders_refuse_what_is_missing(container):
    given = CONTAINERS[container]
    model = NMFAutoencoder(3, pretrain=SHORT)
    with pytest.raises(ValueError, match=r"X contains NaN"):
        model.fit(given)
    model.fit(X)
    with pytest.raises(ValueError, match=r"X contains NaN"):
        model.transform(given)


def test_fit_module_refuses_masks():
    masked = CONTAINERS["masked array"]
    module = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 3))
    with pytest.raises(ValueError, match="X has values that are not finite"):
        fit_module(module, masked, np.arange(30) % 3)
    with pytest.raises(ValueError, match=r"Input y contains NaN, None or masked values, in 1 of 30 rows: 4\."):
        fit_module(module, X, np.ma.array(np.arange(30) % 3, mask=np.arange(30) == 4))


def labels(nothing, *, text=True):
    values = ["one", "two"] * 15 if text else [1.0, 2.0] * 15
    values[4] = values[9] = nothing
    return values


MISSING_LABELS = {
    "None": labels(None),
    "None, an array": np.array(labels(None), dtype=object),
    "NaN among text": labels(np.nan),
    "NaN": np.array(labels(np.nan, text=False)),
    "NaN, float32": np.array(labels(np.nan, text=False), dtype=np.float32),
    "NA": labels(pd.NA),
    "NA among numbers": labels(pd.NA, text=False),
    "NaT": np.array(labels(pd.NaT), dtype=object),
    "masked": np.ma.array([1, 2] * 15, mask=np.isin(np.arange(30), (4, 9))),
    "masked text": np.ma.array(["one", "two"] * 15, mask=np.isin(np.arange(30), (4, 9))),
    "Series": pd.Series(labels(None)),
    "Series of string": pd.Series(labels(None), dtype="string"),
    "Series of Int64": pd.Series(labels(None, text=False), dtype="Int64"),
    "Series of boolean": pd.Series(labels(None, text=False), dtype=object).eq(1).astype("boolean").mask(
        np.isin(np.arange(30), (4, 9))
    ),
    "Series of categories": pd.Series(labels(None), dtype="category"),
    "Series of Arrow": pd.Series(labels(None, text=False), dtype="int64[pyarrow]"),
    "sparse Series": pd.Series(labels(np.nan, text=False), dtype=pd.SparseDtype(float)),
    "polars": pl.Series(labels(None)),
    "polars, numbers": pl.Series(labels(None, text=False)),
    "Arrow": pa.array(labels(None)),
    "Arrow, chunks": pa.chunked_array([labels(None, text=False)]),
    "tensor": torch.tensor(labels(float("nan"), text=False)),
}  # fmt: skip
NAMED = r"Input {} contains NaN, None or masked values, in 2 of 30 rows: 4, 9\. Drop these rows"


@pytest.mark.parametrize("name", MISSING_LABELS)
@pytest.mark.parametrize("Estimator", [NMFNetClassifier, NMFNetRegressor])
def test_missing_labels_and_targets_are_counted(Estimator, name):
    y, good = MISSING_LABELS[name], np.arange(30) % 3
    with pytest.raises(ValueError, match=NAMED.format("y")):
        Estimator((3,)).fit(X, y)
    with pytest.raises(ValueError, match="X_val, y_val: " + NAMED.format("y")):
        Estimator((3,)).fit(X, good, X_val=X, y_val=y)
    model = Estimator((3,), max_iter=1).fit(X, good)
    for call in (model.score, model.partial_fit):
        with pytest.raises(ValueError, match=NAMED.format("y")):
            call(X, y)


def test_missing_classes_and_targets_of_several_columns():
    with pytest.raises(ValueError, match=r"Input classes contains NaN, .* in 1 of 3 rows: 2\."):
        NMFNetClassifier((3,)).partial_fit(X, ["a", "b"] * 15, classes=["a", "b", None])
    Y = np.ma.array(np.ones((30, 2)), mask=np.zeros((30, 2), bool))
    Y[8, 1] = np.ma.masked
    with pytest.raises(ValueError, match=r"Input y contains NaN, .* in 1 of 30 rows: 8\."):
        NMFNetRegressor((3,)).fit(X, Y)
    many = np.where(np.arange(30) % 2, None, 1)
    with pytest.raises(ValueError, match=r"in 15 of 30 rows: 1, 3, 5, 7, 9, \.\.\.\. Drop"):
        NMFNetClassifier((3,)).fit(X, many)


def test_masks_that_hide_nothing_change_nothing():
    y = np.arange(30) % 3
    given = np.ma.array(X), np.ma.array(y, mask=np.zeros(30, bool)), np.ma.array(np.ones(30))
    model = NMFNetClassifier((3,), max_iter=2, random_state=0).fit(*given)
    expected = NMFNetClassifier((3,), max_iter=2, random_state=0).fit(X, y, np.ones(30))
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    assert type(model.classes_) is np.ndarray and model.score(*given) == expected.score(X, y)


@pytest.mark.parametrize(
    "weight",
    [
        np.ma.array(np.ones(30), mask=np.isin(np.arange(30), (4, 9))),
        labels(None, text=False),
        labels(pd.NA, text=False),
        pd.Series(labels(None, text=False), dtype="Float64"),
        pl.Series(labels(None, text=False)),
        pa.array(labels(None, text=False)),
    ],
    ids=["masked", "None", "NA", "Float64", "polars", "Arrow"],
)
def test_missing_weights(weight):
    y = np.arange(30) % 3
    for Estimator in (NMFNetClassifier, NMFNetRegressor):
        with pytest.raises(ValueError, match=NAMED.format("sample_weight")):
            Estimator((3,)).fit(X, y, weight)
        with pytest.raises(ValueError, match=NAMED.format("sample_weight_val")):
            Estimator((3,)).fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
        model = Estimator((3,), max_iter=1).fit(X, y)
        for call in (model.score, model.partial_fit):
            with pytest.raises(ValueError, match=NAMED.format("sample_weight")):
                call(X, y, sample_weight=weight)
    for model in (NMF(2), SemiNMF(2), NonlinearSemiNMF(2)):
        with pytest.raises(ValueError, match=NAMED.format("weights")):
            model.fit(X, weights=weight)


def test_missing_starts_and_factors():
    masked = np.ma.array(np.ones((30, 2)), mask=np.arange(60).reshape(30, 2) == 3)
    with pytest.raises(ValueError, match="Input W contains NaN"):
        NMF(2, init="custom").fit_transform(X, W=masked, H=np.ones((2, 5)))
    for model in (NMF(2), NMFAutoencoder(2, max_iter=1, pretrain=SHORT)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            model.fit(X).inverse_transform(masked)


@pytest.mark.parametrize("model", [NMF(2), NMF(2, solver="mu"), SemiNMF(2)])
def test_sparse_matrices_with_nan_are_refused(model):
    for given in (sparse.csr_array(NAN), sparse.coo_matrix(NAN), torch.tensor(NAN).to_sparse_csr()):
        with pytest.raises(ValueError, match=r"Input X contains NaN in a sparse matrix\. .* a dense X"):
            model.fit(given)
