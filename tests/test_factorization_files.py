"""Factorizations of rows in files end as those of the same rows in memory, and read each file once a pass."""

import gc
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.datasets import load_digits

from nmfnet import NMF, NonlinearSemiNMF, SemiNMF
from nmfnet.data.on_disk import Part
from nmfnet.data.sparse_on_disk import SparseOnDisk

X = load_digits().data[:900] / 16
HOLES = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)


def written(folder, A, kind="npy"):
    """Three files of rows."""
    for number, rows in enumerate((slice(0, 300), slice(300, 301), slice(301, None))):
        if kind == "npy":
            np.save(folder / f"X-{number}.npy", A[rows])
        elif kind == "npz":
            scipy.sparse.save_npz(folder / f"{number}.npz", scipy.sparse.csr_matrix(A[rows]))
        else:
            pd.DataFrame(A[rows], columns=[f"pixel {i}" for i in range(64)]).to_parquet(folder / f"{number}.parquet")
    return folder


@pytest.mark.parametrize(
    ("model", "A", "kind", "weights"),
    [
        (NMF(5), X, "npy", None),
        (NMF(5, init="random"), HOLES, "npy", np.arange(900.0)),
        (NMF(5), X, "npz", np.arange(900.0)),
        (NMF(5, solver="mu"), X.astype(np.float32), "npz", None),
        (SemiNMF(4), X - X.mean(), "parquet", None),
        (NonlinearSemiNMF(4, "logistic", alpha_W=1e-4), X, "npy", np.random.default_rng(1).random(X.shape)),
    ],
)
def test_files_are_factorized_as_rows_in_memory(tmp_path, model, A, kind, weights):
    model.set_params(max_iter=8, tol=0, random_state=0)
    path = written(tmp_path, A, kind)
    Z = model.fit_transform(scipy.sparse.csr_matrix(A) if kind == "npz" else A, weights=weights)
    H, objective = model.components_, model.objective_
    tolerance = 1e-4 if A.dtype == np.float32 else 1e-10
    np.testing.assert_allclose(model.fit_transform(path, weights=weights), Z, 1e-3, 1e-3)
    np.testing.assert_allclose(model.components_, H, tolerance, tolerance * np.abs(H).max())
    assert model.objective_ == pytest.approx(objective, rel=1e-5 if tolerance == 1e-4 else 1e-9)
    np.testing.assert_allclose(model.transform(path, weights=weights), Z, 1e-3, 1e-3)
    assert hasattr(model, "feature_names_in_") == (kind == "parquet")


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_each_pass_reads_each_row_once(tmp_path, monkeypatch, kind):
    read, load = Part.read, SparseOnDisk._load
    rows = []
    monkeypatch.setattr(Part, "read", lambda part, start, out: rows.append(len(out)) or read(part, start, out))
    monkeypatch.setattr(
        SparseOnDisk, "_load", lambda self, path: rows.append(load(self, path).shape[0]) or load(self, path)
    )
    monkeypatch.setattr("nmfnet.factorization.coordinate_descent.TILE_ENTRIES", 1)  # tiles of 512 rows
    path, found = written(tmp_path, X, kind), []
    for passes in (2, 6):
        rows.clear()
        NMF(4, init="random", max_iter=passes, tol=0, random_state=0).fit(path)
        gc.collect()
        for thread in threading.enumerate():
            if thread.name.startswith("nmfnet-read-ahead"):
                thread.join(10)
        found.append(sum(rows))
    assert found[1] - found[0] == 4 * len(X)


def test_what_files_cannot_be_is_refused(tmp_path):
    path = written(tmp_path, X)
    with pytest.raises(ValueError, match="batch_size needs X in memory"):
        NMF(3, batch_size=10).fit(path)
    with pytest.raises(ValueError, match="beta_loss='kullback-leibler' needs X in memory"):
        NMF(3, solver="mu", beta_loss="kullback-leibler").fit(path)
    with pytest.raises(ValueError, match="Negative values"):
        NMF(3).fit(written(tmp_path, X - 1))
    for value in (np.inf, 1e200):
        with pytest.raises(ValueError, match=r"contains infinity|cannot hold"):
            NMF(3).fit(written(tmp_path, np.where(X == 0, value, X)))
    with pytest.raises(ValueError, match="there is no"):
        NMF(3).fit(Path("nowhere"))


def test_sparse_files_that_do_not_fit_together_are_refused(tmp_path):
    path = written(tmp_path, X, "npz")
    with pytest.raises(ValueError, match="weights of entries need a dense X"):
        NMF(3).fit(path, weights=np.ones(X.shape))
    np.savez(path / "2.npz", X=X)
    with pytest.raises(ValueError, match=r"2\.npz must be a sparse matrix of SciPy's, as the others are"):
        NMF(3).fit(path)
    scipy.sparse.save_npz(path / "2.npz", scipy.sparse.csr_matrix(X[:9, :60]))
    with pytest.raises(ValueError, match="differ in the numbers of a row"):
        NMF(3).fit(path)
