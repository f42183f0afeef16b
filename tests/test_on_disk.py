"""Inputs in files: the rows that are read, their order, and fits that take a path."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch

from nmfnet import NMFNetClassifier, NMFNetRegressor
from nmfnet.cli.data import read
from nmfnet.data.column_statistics import Blocks, columns_of
from nmfnet.data.files import opened, opened_inputs
from nmfnet.data.on_disk import OnDisk, Part, RowsOnDisk
from nmfnet.data.source import InMemory
from nmfnet.datasets import Schema


class Small(OnDisk):
    """Blocks of 30 rows of seven numbers, windows of four blocks."""

    block_bytes, window_bytes = 7 * 4 * 30, 7 * 4 * 120


@pytest.fixture
def rows(tmp_path):
    """A thousand rows in three files, and the same in memory."""
    A = np.random.default_rng(0).random((1000, 7)).astype(np.float32)
    for name, part in (("a", A[:300]), ("b", A[300:301]), ("c", A[301:])):
        np.save(tmp_path / f"{name}.npy", part)
    return RowsOnDisk([Part.of(tmp_path / f"{name}.npy") for name in "abc"], torch.float32), torch.tensor(A)


@pytest.mark.parametrize("every", [None, 3, 9])
def test_rows_are_those_of_the_files(rows, every):
    X, A = rows
    if every is not None:
        X, A = X.subset(np.arange(0, 1000, every)), A[::every]
    numbers = np.random.default_rng(1).integers(0, len(A), 50)
    assert X.shape == A.shape and len(X) == len(A)
    for part in (slice(None), slice(98, 103), slice(5, 5), slice(1, None, 4), torch.tensor(numbers), A[:, 0] > 0.5):
        assert torch.equal(X[part], A[part])


@pytest.mark.parametrize("min_rows", [1, 64])
def test_batches_have_each_row_once_and_go_on_from_any(rows, min_rows):
    X, A = rows
    source, generator = Small(X, torch.arange(1000.0)[:, None]), torch.Generator().manual_seed(0)
    state, size = generator.get_state(), 90 if min_rows == 1 else 20
    batches = list(source.batches(size, generator, min_rows=min_rows))
    seen = torch.cat([batch.new().Y[:, 0] for batch in batches]).long()
    assert sorted(seen.tolist()) == list(range(1000)) and seen.tolist() != list(range(1000))
    for batch in batches:
        assert torch.equal(batch.X, A[batch.Y[:, 0].long()]) and len(batch.Y) >= min_rows
    assert (seen[:120] // 30).unique().numel() == 4  # blocks in a window
    for start in (1, 7):
        generator.set_state(state)
        rest = list(source.batches(size, generator, start, min_rows))
        assert len(rest) == len(batches) - start
        for one, two in zip(batches[start:], rest, strict=True):
            assert torch.equal(one.X, two.X) and torch.equal(one.Y, two.Y)


def test_reading_that_ends_early_leaves_no_thread(rows):
    import threading

    batches = Small(rows[0], torch.arange(1000.0)[:, None]).batches(90, torch.Generator())
    next(batches)
    batches.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("nmfnet-read-ahead")]


def store(path, **arrays):
    """Arrays in an HDF5 or a Zarr file, in chunks that blocks do not end with."""
    if path.suffix == ".zarr":
        group = pytest.importorskip("zarr").open_group(path, mode="w")
    else:
        group = pytest.importorskip("h5py").File(path, "w")
    for name, array in arrays.items():
        made = group.create_dataset if path.suffix != ".zarr" else group.create_array
        made(name, shape=array.shape, dtype=array.dtype, chunks=(17, *array.shape[1:]))[:] = array
    if path.suffix != ".zarr":
        group.close()


def stored(folder, kind, X, y):
    """The path and the targets to give to `fit`, and what to predict from."""
    names = [f"p{i}" for i in range(X.shape[1])]
    if kind == "one array":
        np.save(folder / "X.npy", X)
        np.save(folder / "targets.npy", y)
        return folder / "X.npy", folder / "targets.npy", X
    for number, part in enumerate(np.array_split(np.arange(len(y)), 3)):
        frame = pd.DataFrame(X[part], columns=names).assign(digit=y[part])
        if kind == "arrays":
            np.save(folder / f"X-{number}.npy", X[part])
            np.save(folder / f"y-{number}.npy", y[part])
        elif kind == "archives":
            np.savez(folder / f"{number}.npz", X=X[part], digit=y[part])
        elif kind in ("hdf5", "zarr"):
            store(folder / f"{number}.{kind}", X=X[part], digit=y[part])
        elif kind == "parquet":
            frame.to_parquet(folder / f"{number}.parquet")
        elif kind == "arrow":
            frame.to_feather(folder / f"{number}.arrow")
        else:
            frame.to_csv(folder / f"{number}.csv", index=False)
    tables = kind in ("parquet", "csv", "arrow")
    return folder, "y" if kind == "arrays" else "digit", pd.DataFrame(X, columns=names) if tables else X


@pytest.mark.parametrize("kind", ["one array", "arrays", "archives", "parquet", "csv", "arrow", "hdf5", "zarr"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_path_is_fitted_as_the_same_rows_in_memory(tmp_path, digits, kind, early_stopping):
    X, X_test, y, y_test = digits
    path, targets, sample = stored(tmp_path, kind, X.astype(np.float32), y)
    options = {"max_iter": 5, "random_state": 0, "early_stopping": early_stopping}
    model = NMFNetClassifier((30,), **options).fit(path, targets)
    in_memory = NMFNetClassifier((30,), **options).fit(np.asarray(sample), y)
    assert abs(model.score(np.asarray(X_test), y_test) - in_memory.score(X_test, y_test)) < 0.03
    assert model.history_[-1]["n_samples"] == in_memory.history_[-1]["n_samples"]
    assert model.n_features_in_ == 64 and hasattr(model, "feature_names_in_") == isinstance(sample, pd.DataFrame)
    assert model.coefs_[0].dtype == (np.float64 if kind == "csv" else np.float32)
    assert set(model.predict(sample[:3])) <= set(range(10))


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("unit", [1.0, 1e-150, 1e200])
def test_columns_are_looked_over_in_one_reading(tmp_path, monkeypatch, centre, unit):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 5)) * [1, 1e3, 0, 1e-3, unit] + [0, 1e7, 3, 5, 0]
    weight = torch.tensor(rng.random(400))
    np.save(tmp_path / "X.npy", X)
    stored, Y = opened_inputs(tmp_path / "X.npy"), torch.zeros(400, 1, dtype=torch.float64)
    read, rows_of = [], RowsOnDisk._read
    monkeypatch.setattr(RowsOnDisk, "_read", lambda A, start, out: (read.append(len(out)), rows_of(A, start, out)))
    monkeypatch.setattr(InMemory, "block_numbers", 5 * 64)
    for w in (None, weight):
        read.clear()
        found = columns_of(Blocks(OnDisk(stored, Y, w), "X"), centre)
        assert sum(read) == (400 if unit == 1 else 800)  # squares of huge numbers are formed when these are known
        expected = columns_of(Blocks(InMemory(torch.tensor(X), Y, w), "X"), centre)
        for name in ("mean", "deviation", "lowest", "highest", "spread"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-10, atol=0)


@pytest.mark.parametrize("ending", ["hdf5", "zarr"])
def test_stores_are_read_in_parts(tmp_path, monkeypatch, digits, ending):
    X, y = digits[0].astype(np.float32), digits[2]
    store(tmp_path / f"a.{ending}", X=X.reshape(-1, 1, 8, 8), digit=y)
    monkeypatch.setattr("nmfnet.data.files.BLOCK_NUMBERS", 64 * 100)
    found = opened(tmp_path / f"a.{ending}", "digit")
    assert np.array_equal(found.X[:].numpy(), X) and np.array_equal(found.y, y)
    with pytest.raises(ValueError, match=r"must have X and z; it has .*X"):
        opened(tmp_path / f"a.{ending}", "z")


@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow"])
def test_tables_at_a_url(tmp_path, digits, kind):
    """As fsspec reads them: here from memory."""
    X, y = digits[0], digits[2]
    stored(tmp_path, kind, X, y)
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.put(f"{tmp_path}/", f"/{tmp_path.name}/", recursive=True)
    url = f"memory://{tmp_path.name}"
    found, here = opened(url, "digit"), opened(tmp_path, "digit")
    assert np.array_equal(found.y, here.y) and torch.equal(found.X[:], here.X[:])
    of_command_line = read(url, Schema(target="digit"))
    assert torch.equal(of_command_line.X_train[:], here.X[:]) and of_command_line.name == tmp_path.name
    one = NMFNetClassifier((5,), max_iter=1, random_state=0).fit(f"{url}/1.{kind}", "digit")
    assert one.history_[-1]["n_samples"] == len(np.array_split(y, 3)[1])
    for place, message in ((f"{url}/nowhere.csv", "there is no"), ("memory://", "must be or hold files of one kind")):
        with pytest.raises(ValueError, match=message):
            opened(place, "digit")


def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").touch()
    with pytest.raises(ValueError, match=r"needs h5py: pip install 'nmfnet\[hdf5\]'"):
        opened(tmp_path / "a.h5", "y")


def test_real_targets_with_weights(tmp_path, digits):
    X, y = digits[0].astype(np.float32), digits[0][:, [20, 30]]
    path, _, _ = stored(tmp_path, "one array", X, digits[2])
    weight = np.arange(len(X)) % 3.0
    model = NMFNetRegressor((20,), random_state=0, max_iter=10).fit(path, y, weight)
    assert model.history_[-1]["n_samples"] == np.count_nonzero(weight) and model.score(X, y) > 0.8


MISTAKES = {
    "no file": (lambda X, y, folder: (folder / "nowhere", y, {}), "X: there is no .*nowhere"),
    "no kind": (lambda X, y, folder: (folder, "y", {}), "must be or hold files of one kind"),
    "warm start": (
        lambda X, y, folder: (save(folder, X), y, {"pretrain": "nmf"}),
        "pretrain needs all inputs in memory",
    ),
    "pinv": (lambda X, y, folder: (save(folder, X), y, {"solver": "pinv"}), "solver='pinv' decomposes all inputs"),
    "NaN": (
        lambda X, y, folder: (save(folder, np.where(X[7, 3] == X, np.nan, X)), y, {}),
        "NaN or infinity, in rows",
    ),
    "order": (
        lambda X, y, folder: (save(folder, np.asfortranarray(X)), y, {}),
        "numbers in rows, in C order",
    ),
    "rows": (lambda X, y, folder: (save(folder, X), y[:-1], {}), "inconsistent numbers of samples"),
    "text": (lambda X, y, folder: (text(folder), "y", {}), "X has columns that are not numbers: '?a"),
    "column": (lambda X, y, folder: (text(folder), "z", {}), "has no column 'z'; it has a, y"),
    "no name of targets": (
        lambda X, y, folder: (arrays(folder, X, y), y, {}),
        "y must say what the names of the files",
    ),
    "no array's name": (lambda X, y, folder: (archives(folder, X, y), y, {}), "y must name the array of the targets"),
    "no column's name": (lambda X, y, folder: (text(folder), y, {}), "y must name the column of the targets"),
    "no targets": (
        lambda X, y, folder: (arrays(folder, X, y), "z", {}),
        "2 files X.*npy and 0 files z.*npy: as many of",
    ),
    "widths": (lambda X, y, folder: (arrays(folder, X, y, cut=3), "y", {}), "differ in the numbers of a row"),
    "widths of archives": (
        lambda X, y, folder: (archives(folder, X, y, cut=3), "y", {}),
        "differ in the numbers of a row",
    ),
    "no such array": (lambda X, y, folder: (archives(folder, X, y), "z", {}), "must have X and z; it has X, y"),
    "no rows": (lambda X, y, folder: (empty(folder), "y", {}), "has no rows"),
}


def arrays(folder, X, y, cut=0):
    for name, rows, columns in (("0", slice(None, 90), None), ("1", slice(90, None), X.shape[1] - cut)):
        np.save(folder / f"X-{name}.npy", X[rows, :columns])
        np.save(folder / f"y-{name}.npy", y[rows])
    return folder


def archives(folder, X, y, cut=0):
    for name, rows, columns in (("0", slice(None, 90), None), ("1", slice(90, None), X.shape[1] - cut)):
        np.savez(folder / f"{name}.npz", X=X[rows, :columns], y=y[rows])
    return folder


def save(folder, X):
    np.save(folder / "X.npy", X)
    return folder / "X.npy"


def text(folder):
    pd.DataFrame({"a": ["b", "c"], "y": [0, 1]}).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def empty(folder):
    pd.DataFrame({"a": [0.5], "y": [0]})[:0].to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_read_is_refused_by_name(name, tmp_path, digits):
    make, message = MISTAKES[name]
    path, y, options = make(digits[0], digits[2], tmp_path)
    model = NMFNetClassifier(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(path, y)
    assert not hasattr(model, "classes_")


def test_a_file_that_becomes_shorter_is_noticed(tmp_path, digits):
    np.save(tmp_path / "X.npy", digits[0])
    (part,) = opened_inputs(tmp_path / "X.npy").parts
    with open(tmp_path / "X.npy", "r+b") as file:
        file.truncate(5000)
    with pytest.raises(ValueError, match=r"X\.npy has become shorter while it is read"):
        part.read(0, np.empty((300, part.width), part.dtype))
