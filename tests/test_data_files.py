"""Files of one's own: .npz, .csv and .parquet, and every way they can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nmfnet.datasets import read_file
from nmfnet.datasets._kinds import as_kind, kind_of
from nmfnet.datasets._units import hours, plain_numbers, without_unit
from samples import images, message

# --- anyone's own .npz ---


def test_read_npz_of_images(tmp_path):
    np.savez(tmp_path / "mine.npz", **images((5, 4)))
    dataset = read_file(tmp_path / "mine.npz")
    assert dataset.name == "mine" and dataset.image_shape == (5, 4)
    assert dataset.X_train.dtype == np.float32
    np.testing.assert_array_equal(dataset.X_test, images((5, 4))["X_test"].reshape(10, 20) / np.float32(255))
    np.testing.assert_array_equal(dataset.y_train, images()["y_train"])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("f4", "f4"), (">f4", "f4"), ("f8", "f8"), ("f2", "f8"), ("i8", "f8"), ("?", "f8")],
)
def test_read_npz_of_numbers(tmp_path, dtype, expected):
    X = np.asfortranarray(np.arange(6).reshape(3, 2).astype(dtype))
    np.savez(tmp_path / "mine.npz", X=X)
    dataset = read_file(str(tmp_path / "mine.npz"))
    assert dataset.X_train.dtype == np.dtype(expected) and dataset.X_train.flags.c_contiguous
    np.testing.assert_array_equal(dataset.X_train, X)
    assert dataset.y_train is None and dataset.X_test is None and dataset.y_test is None
    assert dataset.image_shape is None and dataset.feature_names is None


def test_read_npz_with_text_labels(tmp_path):
    np.savez(tmp_path / "mine.npz", X=np.ones((2, 3)), y=np.array(["cat", "dog"]))
    assert read_file(tmp_path / "mine.npz").y_train.tolist() == ["cat", "dog"]


def test_read_npz_of_other_byte_order(tmp_path):
    np.savez(tmp_path / "mine.npz", X=np.ones((2, 3), ">f8"), y=np.array([1, 2], ">i4"))
    dataset = read_file(tmp_path / "mine.npz")
    assert dataset.X_train.dtype.isnative and dataset.y_train.dtype.isnative
    assert dataset.y_train.tolist() == [1, 2]


X, NAN = np.ones((4, 3)), np.array([1, 2, np.nan, 4])


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": X}, "holds a, but none of"),
        ({"y": NAN}, "holds y, but neither X_train nor X"),
        ({"X": X[0]}, "X has shape (3,)"),
        ({"X": X[:0]}, "X has shape (0, 3)"),
        ({"X": X.astype(str)}, "not numeric"),
        ({"X": X + 1j}, "not numeric"),
        ({"X": NAN[:, None] * np.inf}, "infinite values (3, the first in row 0, column 0)"),
        ({"X": X, "y": X}, "y has shape (4, 3), but there are 4 rows"),
        ({"X": X, "y": X[:3, 0]}, "y has shape (3,)"),
        ({"X": X, "y": NAN}, "y has missing or infinite values"),
        ({"X": X, "y": X[:, 0].astype(bytes)}, "neither numbers nor text"),
        ({"X_train": X, "X_test": X[:, :2]}, "the features differ"),
        ({"X_train": X, "X_test": X.astype(np.uint8)}, "both or neither"),
        ({"X_train": X, "y_test": X[:, 0]}, "y_test without X_test"),
    ],
)
def test_read_wrong_npz(tmp_path, arrays, expected):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    text = message(read_file, path)
    assert str(path) in text and expected in text


def test_target_is_not_for_npz(tmp_path):
    np.savez(tmp_path / "mine.npz", X=X)
    assert "names a column" in message(read_file, tmp_path / "mine.npz", target="y")


# --- tables ---

FRAME = pd.DataFrame(
    {
        "height": [1.5, 2.25, 0.1],
        "count": [3, 4, 5],
        "tall": [True, False, True],
        "species": ["cat", "dog", "cat"],
    }
)


def write_table(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


@pytest.fixture(params=[".csv", ".parquet"])
def table(request, tmp_path):
    """Return a function that writes a frame to a file of either kind."""
    return lambda frame: write_table(tmp_path / f"table{request.param}", frame)


def test_read_table(table):
    path = table(FRAME)
    dataset = read_file(path, target="species")
    assert dataset.name == "table" and dataset.source == str(path)
    assert dataset.feature_names == ("height", "count", "tall")
    assert dataset.X_train.dtype == np.float64 and dataset.X_train.flags.c_contiguous
    np.testing.assert_array_equal(dataset.X_train, [[1.5, 3, 1], [2.25, 4, 0], [0.1, 5, 1]])
    assert dataset.y_train.dtype.kind == "U"
    assert dataset.y_train.tolist() == ["cat", "dog", "cat"]
    assert dataset.X_test is None and dataset.y_test is None


def test_read_table_without_target(table):
    dataset = read_file(table(FRAME.drop(columns="species")))
    assert dataset.y_train is None and dataset.n_features == 3


@pytest.mark.parametrize(("target", "kind"), [("count", "i"), ("height", "f"), ("tall", "b"), ("species", "U")])
def test_target_keeps_its_type(table, target, kind):
    frame = FRAME if target == "species" else FRAME.drop(columns="species")
    dataset = read_file(table(frame), target=target)
    assert dataset.y_train.dtype.kind == kind
    assert dataset.y_train.tolist() == FRAME[target].tolist()


@pytest.mark.parametrize("dtype", ["category", "string", object])
def test_text_target_of_any_pandas_type(tmp_path, dtype):
    path = write_table(tmp_path / "a.parquet", FRAME.astype({"species": dtype}))
    assert read_file(path, target="species").y_train.dtype.kind == "U"


def test_nullable_target(tmp_path):
    frame = FRAME.drop(columns="species").astype({"count": "Int64"})
    y = read_file(write_table(tmp_path / "a.parquet", frame), target="count").y_train
    assert y.dtype == np.int64


def test_float32_parquet(tmp_path):
    frame = FRAME[["height", "count"]].astype(np.float32)
    assert read_file(write_table(tmp_path / "a.parquet", frame)).X_train.dtype == np.float32
    frame["count"] = [1, 2, 3]
    assert read_file(write_table(tmp_path / "a.parquet", frame)).X_train.dtype == np.float64


def test_csv_numbers_are_kept_to_the_last_place(tmp_path):
    values = np.random.default_rng(0).random((50, 4)) ** 9
    path = write_table(tmp_path / "a.csv", pd.DataFrame(values, columns=list("abcd")))
    np.testing.assert_allclose(read_file(path).X_train, values, rtol=5e-16, atol=0)


@pytest.mark.parametrize(
    ("change", "target", "expected"),
    [
        (
            {},
            "Specie",
            "no column 'Specie': did you mean 'species'? its columns are height, count",
        ),
        (
            {"height": ["1", "odd", "3"]},
            "species",
            "column 'height' is not numeric (e.g. 'odd'), as most of its values",
        ),
        (
            {"height": ["1", "odd", "3"], "count": ["1", "2", "odd"]},
            "species",
            "column 'count' is not numeric (e.g. 'odd'), as most of its values are: correct that, or --drop height,c",
        ),
        ({"height": [1, np.inf, 3]}, "species", "column 'height' has infinite values"),
        ({"species": [None] * 3}, "species", "no row has a target in column 'species'"),
        ({"height": [1, np.inf, 3], "species": 1}, "height", "'height' has infinite values"),
    ],
)
def test_unfit_columns(table, change, target, expected):
    path = table(FRAME.assign(**change))
    text = message(read_file, path, target=target)
    assert str(path) in text and expected in text


def test_table_of_target_only(table):
    assert "no column besides" in message(read_file, table(FRAME[["count"]]), target="count")


def test_table_without_rows(table):
    assert "0 rows" in message(read_file, table(FRAME[:0]), target="species")


def test_many_columns_are_listed_in_part(table):
    path = table(pd.DataFrame(np.ones((2, 300))).rename(columns=lambda i: f"p{i}"))
    text = message(read_file, path, target="class")
    assert "(300 in all)" in text and len(text) < len(str(path)) + 250


def test_dates_are_no_target(tmp_path):
    frame = FRAME.assign(species=pd.to_datetime(["2020-01-01"] * 3))
    path = write_table(tmp_path / "a.parquet", frame)
    assert "neither numbers nor text" in message(read_file, path, target="species")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "cannot be read as a .csv file"),
        ("a,b\n1,2\n3,4,5\n", "cannot be read as a .csv file"),
        ("a,b\n1,2,3\n3,4,5\n", "cannot be read as a .csv file"),
        (b"a\n\0\n", "cannot be read as a .csv file: it is not text"),
    ],
)
def test_wrong_csv(tmp_path, content, expected):
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    text = message(read_file, path)
    assert str(path) in text and expected in text


def test_wrong_parquet(tmp_path):
    path = write_table(tmp_path / "a.parquet", FRAME)
    content = path.read_bytes()
    for damaged in (b"", b"hello", content[:-10], content[: len(content) // 2]):
        path.write_bytes(damaged)
        whole = content.startswith(damaged[:4]) and damaged
        assert f"a.parquet: {'cannot be read as' if whole else 'is not'} a .parquet" in message(read_file, path)


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.parquet"])
def test_no_such_file(tmp_path, name):
    assert message(read_file, tmp_path / name) == f"{tmp_path / name}: no such file"
    (tmp_path / name).mkdir()
    assert str(tmp_path / name) in message(read_file, tmp_path / name)


def test_other_endings(tmp_path):
    assert "is not a .csv, .tsv, .parquet, .npz or .npy file" in message(read_file, tmp_path / "a.txt")
    assert "load('mnist')" in message(read_file, "mnist")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Jan 5, 2021", "December 31, 2020"], ["2021-01-05", "2020-12-31"]),
        (["5 Jan 2021", "31-Dec-2020"], ["2021-01-05", "2020-12-31"]),
        (["2021-01", "2020-12"], ["2021-01-01", "2020-12-01"]),
        (["01/13/2021 1:30 PM", "01/14/2021 12:30 am"], ["2021-01-13T13:30", "2021-01-14T00:30"]),
    ],
)
def test_dates_without_an_order_to_guess(texts, expected):
    kind = kind_of(texts)
    np.testing.assert_array_equal(as_kind(texts, kind), np.array(expected, dtype="datetime64[us]"))


def test_units_of_one_kind():
    assert [without_unit(text) for text in ("EUR 1,5", "-$5", "3 km/h", "5 %", "A12", "1e5", "5 - 6 kg")] == [
        ("1,5", "EUR"), ("-5", "$"), ("3", "km/h"), ("5", "%"), ("A12", ""), ("1e5", ""), ("5 - 6", "kg"),
    ]  # fmt: skip
    assert without_unit("3 kg", words=False) == ("3 kg", "")
    assert plain_numbers(["1 room", "2 rooms"], str) == ["1 room", "2 rooms"]
    assert hours("13:45 PM") is None and hours("1:45 PM") == 13.75 and hours("12:15 am") == 0.25
