"""Nothing writes into what it is given, and what is read-only or out of order is as good as any."""

import threading

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
    nmf,
    nonlinear_semi_nmf,
    semi_nmf,
)

pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC) tensor support is in beta"),
    pytest.mark.filterwarnings("error:The given NumPy array is not writ"),
]
RNG = np.random.default_rng(0)
X = np.where(RNG.random((40, 6)) < 0.5, RNG.random((40, 6)), 0)
PARTS = "data", "indices", "indptr"


def unsorted(times=1, dtype=float):
    """A CSR matrix whose rows are stored backwards, each entry as the sum of so many."""
    data, indices, indptr = (getattr(sparse.csr_array(X[:, ::-1]), part) for part in PARTS)
    parts = np.repeat(data.astype(dtype) / times, times), np.repeat(5 - indices, times), indptr * times
    return sparse.csr_array(parts, shape=X.shape)


def locked(given):
    """The same, read-only."""
    for array in [given] if isinstance(given, np.ndarray) else [getattr(given, part) for part in PARTS]:
        array.flags.writeable = False
    return given


def believed_sorted():
    """A matrix that was changed after it had been looked at."""
    matrix = unsorted(2)
    matrix.has_canonical_format = True
    return matrix


def mapped(folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


DENSE = {
    "array": lambda folder: X.copy(),
    "float32": lambda folder: X.astype(np.float32),
    "read-only": lambda folder: locked(X.copy()),
    "read-only Fortran": lambda folder: locked(np.asfortranarray(X)),
    "negative strides": lambda folder: X[::-1, ::-1],
    "broadcast": lambda folder: np.broadcast_to(X[:1] + 0.1, (40, 6)),
    "memory map": mapped,
    "tensor": lambda folder: torch.tensor(X),
    "tensor of columns": lambda folder: torch.tensor(X.T.copy()).T,
    "expanded tensor": lambda folder: torch.tensor(X[:1] + 0.1).expand(40, 6),
    "frame": lambda folder: pd.DataFrame(X, columns=list("abcdef")),
    "frame of Float64": lambda folder: pd.DataFrame(X, columns=list("abcdef")).astype("Float64"),
    "polars": lambda folder: pl.DataFrame(X),
    "Arrow": lambda folder: pa.table({name: X[:, i] for i, name in enumerate("abcdef")}),
}
SPARSE = {
    "CSR": lambda folder: sparse.csr_array(X),
    "CSR matrix": lambda folder: sparse.csr_matrix(X),
    "read-only CSR": lambda folder: locked(sparse.csr_array(X)),
    "unsorted": lambda folder: unsorted(),
    "unsorted float32": lambda folder: unsorted(dtype=np.float32),
    "unsorted matrix": lambda folder: sparse.csr_matrix(unsorted()),
    "duplicates": lambda folder: unsorted(2),
    "read-only unsorted": lambda folder: locked(unsorted()),
    "read-only duplicates": lambda folder: locked(unsorted(2)),
    "believed to be sorted": lambda folder: believed_sorted(),
    "read-only CSC": lambda folder: locked(sparse.csc_array(X)),
    "COO with duplicates": lambda folder: sparse.coo_matrix(unsorted(2)),
    "DIA": lambda folder: sparse.dia_array(X),
    "LIL": lambda folder: sparse.lil_array(X),
    "DOK": lambda folder: sparse.dok_array(X),
    "BSR": lambda folder: sparse.bsr_array(X),
    "sparse frame": lambda folder: pd.DataFrame.sparse.from_spmatrix(sparse.csr_array(X)),
}
TENSORS = {
    "COO tensor": lambda folder: torch.tensor(X).to_sparse_coo(),
    "CSR tensor": lambda folder: torch.tensor(X).to_sparse_csr(),
    "CSC tensor": lambda folder: torch.tensor(X).to_sparse_csc(),
}
ALL = DENSE | SPARSE | TENSORS


def state(given):
    """All that there is to change, as bytes and flags."""
    if given is None or isinstance(given, (int, float, bool)):
        return given
    if isinstance(given, torch.Tensor):
        if given.layout == torch.sparse_coo:
            return given.is_coalesced(), state(given._indices()), state(given._values())
        if given.layout != torch.strided:
            return [state(getattr(given, part)()) for part in ("values", *INDICES[given.layout])]
        return given.stride(), given.numpy().tobytes()
    if isinstance(given, np.ndarray):
        return given.strides, given.flags.writeable, given.tolist() if given.dtype == object else given.tobytes("A")
    if isinstance(given, dict) and not sparse.issparse(given):
        return {str(name): state(value) for name, value in given.items()}
    if sparse.issparse(given):
        return [(name, repr(value) if name == "_dict" else state(value)) for name, value in vars(given).items()]
    return repr(given), state(np.asarray(given))


INDICES = {
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
}
SHORT = NMFPretraining(n_ae=1, n_nmf=2, n_ls=2)
FACTORIZATIONS = [
    NMF(2, init="random"),
    NMF(2, solver="mu", beta_loss="kullback-leibler"),
    NMF(2, batch_size=20),
    SemiNMF(2),
]
NETWORKS = [
    NMFNetClassifier((4,), batch_size=20, max_iter=2),
    NMFNetRegressor((4,), batch_size=20, max_iter=2, solver="pinv"),
    NMFNetRegressor((4,), batch_size=20, max_iter=2, pretrain=SHORT),
]
DENSE_ONLY = [NonlinearSemiNMF(2), NMFAutoencoder(3, max_iter=1, pretrain=SHORT)]


def factorized(model, X, weights):
    """The components, after calls of all that takes data."""
    model = clone(model).set_params(random_state=0)
    if isinstance(model, NMFAutoencoder):
        model.inverse_transform(model.fit(X).transform(X))
        return model.components_
    model.set_params(max_iter=5)
    Z = model.fit_transform(X, weights=weights)
    before = state(Z), state(model.components_)
    model.inverse_transform(Z)
    assert (state(Z), state(model.components_)) == before
    model.transform(X, weights=weights)
    return clone(model).fit(X, weights=weights).partial_fit(X, weights=weights).components_


def trained(model, X, y, weight):
    """The weights, after calls of all that takes data."""
    model = clone(model).set_params(random_state=0)
    if not isinstance(model, NMFNetClassifier):
        y = y.astype(float)
    model.fit(X, y, weight, X_val=X, y_val=y, sample_weight_val=weight)
    model.score(X, y, weight)
    model.transform(X)
    return model.partial_fit(X, y, sample_weight=weight).coefs_[0]


def unchanged(call, *arguments):
    """What a call returns that leaves its arguments as they are, byte for byte."""
    before = [state(argument) for argument in arguments]
    found = call(*arguments)
    assert [state(argument) for argument in arguments] == before
    return found


def plain(given, container):
    """The numbers as an array, or as a matrix that SciPy has just made."""
    if isinstance(given, torch.Tensor):
        given = given.to_dense().numpy()
    array = np.array(given.toarray() if sparse.issparse(given) else given, dtype=getattr(given, "dtype", float))
    return array if container in DENSE else sparse.csr_array(array)


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("container", [*DENSE, *SPARSE, *TENSORS])
def test_factorizations(container, tmp_path):
    make, models = (
        (DENSE | SPARSE | TENSORS)[container],
        [*FACTORIZATIONS, *(DENSE_ONLY if container in DENSE else [])],
    )
    for model in models:
        given, weights = make(tmp_path), locked(np.linspace(1.0, 2.0, 40))
        found = unchanged(lambda *arguments, model=model: factorized(model, *arguments), given, weights)
        assert_same(found, factorized(model, plain(given, container), weights))


@pytest.mark.parametrize("container", [*DENSE, *SPARSE])
def test_networks(container, tmp_path):
    for model in NETWORKS:
        given, y, weight = ALL[container](tmp_path), locked(np.arange(40) % 3), locked(np.linspace(1, 2, 40))
        found = unchanged(lambda *arguments, model=model: trained(model, *arguments), given, y, weight)
        assert_same(found, trained(model, plain(given, container), y, weight))


TARGETS = {
    "read-only": lambda y: locked(y.copy()),
    "backwards": lambda y: y[::-1],
    "big-endian": lambda y: y.astype(y.dtype.newbyteorder(">")),
    "broadcast": lambda y: np.broadcast_to(y[:1], y.shape),
    "columns": lambda y: np.asfortranarray(np.stack([y % 2, y % 3 > 0], 1)).astype(y.dtype),
    "tensor": torch.tensor,
    "Series": pd.Series,
    "polars": pl.Series,
}


@pytest.mark.parametrize("kind", TARGETS)
def test_targets_and_weights(kind):
    for model in NETWORKS:
        y = TARGETS[kind](np.arange(40) % 3 if isinstance(model, NMFNetClassifier) else np.arange(40.0))
        weight = None if kind == "columns" else TARGETS[kind](np.linspace(1.0, 2.0, 40))
        unchanged(
            lambda y, w, model=model: clone(model).fit(X, y, w, X_val=X, y_val=y, sample_weight_val=w).score(X, y, w),
            y, weight,
        )  # fmt: skip


def test_classes_and_weights_of_classes():
    classes, weights = locked(np.array([2, 0, 1])), {0: 1.0, 1: 2.0, 2: 3.0}
    model = NMFNetClassifier((3,), class_weight=weights)
    unchanged(lambda classes, _: model.partial_fit(X, np.arange(40) % 3, classes=classes), classes, weights)


@pytest.mark.parametrize(
    "model", [NMF(2), NMF(2, solver="mu"), SemiNMF(2), SemiNMF(2, solver="mu"), NonlinearSemiNMF(2)]
)
def test_starting_factors_and_weights_of_entries(model):
    model = clone(model).set_params(init="custom", max_iter=3)
    W, H = locked(RNG.random((40, 2))), locked(np.asfortranarray(RNG.random((2, 6))))
    weights = None if getattr(model, "solver", "cd") == "mu" else locked(RNG.random((40, 6)))
    unchanged(lambda *given: model.fit_transform(X, W=given[0], H=given[1], weights=given[2]), W, H, weights)
    unchanged(lambda *given: clone(model).partial_fit(X, W=given[0], H=given[1]), W, H)


@pytest.mark.parametrize("factorize", [nmf, semi_nmf, nonlinear_semi_nmf])
@pytest.mark.parametrize("n_iter", [0, 3])
def test_functions(factorize, n_iter):
    right = "H" if factorize is nmf else "W"
    given = torch.tensor(X), torch.rand(40, 2).double(), torch.rand(6, 2).double().T
    found = unchanged(lambda X, Z, W: factorize(X, Z=Z, **{right: W}, n_iter=n_iter), *given)
    before = [state(each) for each in given]
    found.Z.zero_(), found.W.zero_()
    assert [state(each) for each in given] == before


def test_fit_module():
    given = locked(X.copy()), locked(np.arange(40) % 3)
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    unchanged(lambda X, y: fit_module(module, X, y, max_iter=2), *given)
    unchanged(lambda X, y: fit_module(module, X, y, max_iter=2), torch.tensor(X).float(), torch.arange(40) % 3)


@pytest.mark.parametrize("container", ["unsorted", "read-only duplicates", "array", "tensor"])
def test_threads_that_share_their_arguments(container, tmp_path):
    """Where one sorted in place what another reads, numbers would change places."""
    given = ALL[container](tmp_path)
    y, weight, found = np.arange(40) % 3, np.linspace(1, 2, 40), {}
    calls = [
        *(lambda model=model: factorized(model, given, weight) for model in (NMF(2, init="random"), SemiNMF(2)) * 3),
        *(lambda model=model: trained(model, given, y, weight) for model in NETWORKS[:1] * 3),
    ]
    start = threading.Barrier(len(calls))

    def run(number):
        start.wait()
        found[number] = calls[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    before = state(given)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state(given) == before
    for number, call in enumerate(calls):
        np.testing.assert_array_equal(found[number], call())
