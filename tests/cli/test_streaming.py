"""`nmfnet predict` on files that are read and written in parts."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

import nmfnet
from nmfnet import datasets
from nmfnet.cli import data
from nmfnet.datasets import read_blocks
from samples import message


@pytest.fixture
def in_parts(monkeypatch):
    """Have files read a few rows at a time."""
    monkeypatch.setattr(datasets, "read_blocks", partial(read_blocks, numbers=40))
    assert data.datasets is datasets


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy"])
@pytest.mark.parametrize("out", ["csv", "parquet"])
def test_parts_make_a_whole(run, iris, iris_model, in_parts, ending, out):
    frame = pd.read_csv(iris)
    model, X = nmfnet.load(iris_model / "model.safetensors"), frame[["a", "b", "c", "d"]]
    if ending == "npy":
        np.save("rows.npy", X.to_numpy())
    elif ending == "parquet":
        frame[["d", "species", "c", "b", "a"]].to_parquet("rows.parquet")
    else:
        frame[["d", "species", "c", "b", "a"]].to_csv("rows.csv", index=False)
    result = run("predict", iris_model, f"rows.{ending}", "--proba", "--out", f"predictions.{out}")
    assert result.status == 0, result.err
    written = pd.read_csv("predictions.csv") if out == "csv" else pd.read_parquet("predictions.parquet")
    assert list(written["prediction"]) == list(model.predict(X))
    assert list(written.columns[1:]) == [f"probability_{name}" for name in model.classes_]
    np.testing.assert_allclose(written[written.columns[1:]], model.predict_proba(X), rtol=1e-12)


def test_an_unfit_row_leaves_no_file(run, iris, iris_model, in_parts):
    frame = pd.read_csv(iris)
    frame["b"] = frame["b"].astype(object)
    frame.loc[77, "b"] = "odd"
    frame.to_csv("holes.csv", index=False)
    before = sorted(os.listdir())
    text = run("predict", iris_model, "holes.csv", "--out", "predictions.csv").failed()
    assert "holes.csv, line 79: column 'b' is not numeric (e.g. 'odd')" in text
    assert sorted(os.listdir()) == before


def test_blocks_are_the_rows_in_order(tmp_path):
    X = np.arange(70, dtype=np.uint8).reshape(10, 7, 1)
    np.save(tmp_path / "images.npy", X)
    blocks = list(read_blocks(tmp_path / "images.npy", None, 20))
    assert [len(block) for block in blocks] == [2] * 5
    np.testing.assert_array_equal(np.concatenate(blocks), X.reshape(10, 7) / np.float32(255))


def test_a_large_file_is_never_whole_in_memory(tmp_path):
    X = np.lib.format.open_memmap(tmp_path / "large.npy", mode="w+", dtype=np.float64, shape=(50_000, 100))
    tracemalloc.start()
    rows = sum(len(block) for block in read_blocks(tmp_path / "large.npy", None, 100_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == len(X) and peak < X.nbytes / 10


def test_a_large_parquet_file_is_never_whole_in_memory(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    X = np.random.default_rng(0).random((100_000, 20))
    table = pa.table({f"x{i}": column for i, column in enumerate(X.T)})
    pq.write_table(table, tmp_path / "large.parquet", row_group_size=len(X) // 50, use_dictionary=False)
    del table
    before, peak, rows = pa.total_allocated_bytes(), 0, 0
    for block in read_blocks(tmp_path / "large.parquet", None, 20_000):
        peak, rows = max(peak, pa.total_allocated_bytes() - before), rows + len(block)
    assert rows == len(X) and peak < X.nbytes / 4


def test_what_is_refused(tmp_path):
    np.save(tmp_path / "vector.npy", np.ones(3))
    np.save(tmp_path / "none.npy", np.ones((0, 3)))
    np.save(tmp_path / "nan.npy", np.full((3, 3), np.inf))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "header.csv").write_text("a,b\n")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")

    def said(name, columns=None):
        return message(lambda: list(read_blocks(tmp_path / name, columns, 4)))

    assert "shape (3,)" in said("vector.npy") and "has no rows" in said("none.npy")
    assert "infinite values" in said("nan.npy") and "cannot be read as a .npy file" in said("objects.npy")
    assert "has no rows" in said("header.csv")
    assert "cannot be read as a .csv file" in said("ragged.csv")
    assert "cannot be read as a .parquet file" in said("broken.parquet")
    assert "no such file" in said("nothing.csv") and "is not a .csv, .tsv, .parquet, .npz or .npy" in said("rows.txt")


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_a_folder_of_files_is_trained_on_and_evaluated(run, kind, monkeypatch):
    os.mkdir("scratch")
    monkeypatch.setattr(tempfile, "tempdir", "scratch")  # where the inputs of tables are copied to
    X, y = load_digits(return_X_y=True)
    X, y = (X[:300] / 16).astype(np.float32), y[:300]
    os.mkdir("shards")
    for number in range(2):
        rows = slice(150 * number, 150 * (number + 1))
        if kind == "npy":
            np.save(f"shards/X-{number}.npy", X[rows])
            np.save(f"shards/y-{number}.npy", y[rows])
        else:
            frame = pd.DataFrame(X[rows], columns=[f"pixel {i}" for i in range(64)])
            frame.assign(y=y[rows]).to_parquet(f"shards/{number}.parquet")
    result = run("train", "shards", "--hidden", "30", "--epochs", 2, "--test", 0.2)
    assert result.status == 0 and not result.err, result.err
    assert os.listdir("scratch") == []
    assert result.out.startswith("shards: 216 training, 24 validation, 60 test rows, 64 features, 10 classes.")
    model = nmfnet.load("nmfnet-shards/model.safetensors")
    assert hasattr(model, "feature_names_in_") == (kind == "parquet")
    given = pd.DataFrame(X, columns=model.feature_names_in_) if kind == "parquet" else X
    error = 100 * (model.predict(given) != y).mean()
    assert f"Error on all of shards: {error:.2f}%" in run("evaluate", "nmfnet-shards", "shards").out
