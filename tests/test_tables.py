"""Tables are read by fixed rules and by what a model remembers, never by guesses of one file or one block."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from nmfnet.datasets import labels_as, read_blocks, read_file
from samples import message


@pytest.fixture
def csv(tmp_path):
    """Return a function that writes text to a .csv."""

    def write(text, encoding="utf-8"):
        (tmp_path / "a.csv").write_bytes(text.encode(encoding))
        return tmp_path / "a.csv"

    return write


def targets(values):
    """Return the text of a table with these targets."""
    return "x,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values))


# --- the type of a target that no model knows ---


@pytest.mark.parametrize(
    "values",
    [
        ["NA", "None", "null"],
        ["NA", "None", "NULL", "nan", "inf", "1e5", "<NA>"],
        ["nan", "inf", "-inf"],
        ["cat", "NA", "1", "True"],
        ["0", "1", "2", "?"],
        ["01", "02", "10"],
        ["True", "1"],
        ["99999999999999999999999", "99999999999999999999998"],  # as floats they were one
        ["1_0", "0x1"],
    ],
)
def test_targets_that_are_text(csv, values):
    y = read_file(csv(targets(values)), target="y").y_train
    assert y.dtype.kind == "U" and y.tolist() == values  # as they went in


@pytest.mark.parametrize(
    ("values", "expected", "kind"),
    [
        (["1e5", "2e5"], [1e5, 2e5], "f"),
        (["1.0", "2"], [1, 2], "f"),
        (["0", "-1", "+2"], [0, -1, 2], "i"),
        ([" 1", "2 "], [1, 2], "i"),
        (["18446744073709551615", "0"], [2**64 - 1, 0], "u"),
        (["True", "false", "TRUE"], [True, False, True], "b"),
    ],
)
def test_targets_that_are_numbers(csv, values, expected, kind):
    y = read_file(csv(targets(values)), target="y").y_train
    assert y.tolist() == expected and y.dtype.kind == kind


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1.5", "2.5", "-inf"], "a.csv, line 4: column 'y' has infinite values (e.g. '-inf')"),
        (["1.5", "1e999"], "a.csv, line 3: column 'y' has infinite values"),
    ],
)
def test_targets_that_are_refused(csv, values, expected):
    assert expected in message(read_file, csv(targets(values)), target="y")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["cat", "", "dog"], ["cat", "dog"]),
        (["1.5", "NA", "2.5", "3.5"], [1.5, 2.5, 3.5]),
        (["1", "2", "NA"], [1, 2]),
    ],
)
def test_rows_without_a_target_are_left_out(csv, values, expected):
    with pytest.warns(UserWarning, match=rf"1 of {len(values)} rows have no target in column 'y' and are left out"):
        dataset = read_file(csv(targets(values)), target="y")
    assert dataset.y_train.tolist() == expected and len(dataset.X_train) == len(expected)


def test_files_without_any_target_are_refused(csv):
    assert "no row has a target in column 'y'" in message(read_file, csv(targets(["", ""])), target="y")


def test_targets_as_numbers(csv):
    path = csv(targets(["007", "1e1", " 2.5"]))
    assert read_file(path, target="y", labels="numbers").y_train.tolist() == [7, 10, 2.5]
    text = message(read_file, csv(targets(["1", "odd", "3"])), target="y", labels="numbers")
    assert "a.csv, line 3: the target, column 'y', is not numeric (e.g. 'odd')" in text


# --- targets as a model remembers them ---


@pytest.mark.parametrize(
    ("classes", "values", "expected"),
    [
        (np.array([0, 1]), ["1.0", "01", " 1", "0", "True", "1e0"], [1, 1, 1, 0, 1, 1]),
        (np.array([0.0, 1.0]), ["1", "0"], [1.0, 0.0]),
        (np.array([False, True]), ["true", "FALSE", "1", "0.0"], [True, False, True, False]),
        (np.array([2**60, 2**60 + 1]), [str(2**60), str(2**60 + 1)], [2**60, 2**60 + 1]),
        (np.array(["0", "1", "?"]), ["1", "1.0", "?", 1, 0.0], ["1", "1", "?", "1", "0"]),
        (np.array(["01", "1"]), ["01", "1", 1], ["01", "1", "1"]),
        (np.array(["False", "True"]), [True, "False"], ["True", "False"]),
        (np.array(["", "NA"]), ["NA", ""], ["NA", ""]),
        (np.array(["1.0", "1"]), ["1.0", "1"], ["1.0", "1"]),
    ],
)
def test_labels_are_those_of_the_model(classes, values, expected):
    y, known = labels_as(values, classes)
    assert y.tolist() == expected and y.dtype == classes.dtype and known.all()


@pytest.mark.parametrize(
    ("classes", "value"),
    [(np.array([0, 1]), "?"), (np.array([0, 1]), 2), (np.array(["01"]), "1"), (np.array(["1"]), "01"),
     (np.array(["cat "]), "ca t"), (np.array(["1.0", "1"]), "1.00"), (np.array([0, 1]), "0.5")],
)  # fmt: skip
def test_labels_that_the_model_does_not_know(classes, value):
    y, known = labels_as([value, classes.tolist()[0]], classes)
    assert y.tolist() == [value, classes.tolist()[0]] and known.tolist() == [False, True]


def test_an_unknown_label_is_warned_of_with_its_place(csv):
    path = csv("x,y\n1,0\n\n2,1\n3,?\n4,1.0\n5,?\n")
    with pytest.warns(UserWarning, match=r"a\.csv, line 5: column 'y': '\?' is not one of the .*, and so are 1 more"):
        y = read_file(path, target="y", labels=np.array([0, 1])).y_train
    assert y.tolist() == [0, 1, "?", 1, "?"]


def test_missing_labels_are_no_classes(csv):
    for classes, value in ((np.array([0, 1]), "NA"), (np.array(["a", "b"]), "")):
        path = csv(targets([classes[0], value]))
        with pytest.warns(UserWarning, match="1 of 2 rows have no target"):
            assert read_file(path, target="y", labels=classes).y_train.tolist() == [classes[0]]


@pytest.mark.parametrize("wrote", [int, float, str, "Int64", "category"])
def test_parquet_targets_of_every_type(tmp_path, wrote):
    frame = pd.DataFrame({"x": [1.0, 2, 3], "y": pd.Series([0, 1, 1]).astype(wrote)})
    frame.to_parquet(tmp_path / "a.parquet")
    for classes in (np.array([0, 1]), np.array(["0", "1", "?"]), np.array([0.0, 1.0])):
        y = read_file(tmp_path / "a.parquet", target="y", labels=classes).y_train
        assert y.tolist() == classes[[0, 1, 1]].tolist() and y.dtype == classes.dtype


# --- features ---


@pytest.mark.parametrize("numbers", [3, 6, 10**6])
def test_features_do_not_depend_on_blocks(csv, numbers):
    """Integers in the first block and floats, truth values or padded numbers in the next."""
    path = csv('a,b,c\n1,True,1\n2,false, 2\n\n3.5,1,03\n"4",0,4e0\n-.5,TRUE,"5"\n')
    X = np.concatenate(list(read_blocks(path, ["c", "a", "b"], numbers)))
    np.testing.assert_array_equal(X, [[1, 1, 1], [2, 2, 0], [3, 3.5, 1], [4, 4, 0], [5, -0.5, 1]])
    np.testing.assert_array_equal(X, read_file(path, columns=["c", "a", "b"]).X_train)


@pytest.mark.parametrize("reads", [lambda path: read_file(path), lambda path: list(read_blocks(path, ["x", "y"], 4))])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("odd", "column 'y' is not numeric (e.g. 'odd')"),
        ("1_000", "column 'y' is not numeric (e.g. '1_000')"),
        ("0x1F", "column 'y' is not numeric (e.g. '0x1F')"),
        ("１.2.3", "column 'y' is not numeric (e.g. '１.2.3')"),
        ("inf", "column 'y' has infinite values"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_its_line(csv, reads, value, expected):
    # A blank line, a quoted line break and Windows' line ends: row 5 of the data is in line 9.
    text = f'x,y\r\n1,1\r\n\r\n2,"2\r\n"\r\n3,3\r\n   \r\n4,4\r\n5,{value}\r\n6,6\r\n'
    found = message(reads, csv(text))
    assert "a.csv, line 9: " in found and expected in found


def test_parquet_names_the_row(tmp_path):
    pd.DataFrame({"x": ["1", "2", "odd"]}).to_parquet(tmp_path / "a.parquet")
    assert "a.parquet, row 3: column 'x' is not numeric (e.g. 'odd')" in message(read_file, tmp_path / "a.parquet")


def test_parquet_of_text_is_read_as_csv_is(tmp_path):
    frame = pd.DataFrame({"x": ["1", " 2.5", "True"], "y": pd.Categorical([1, 2, 1])})
    frame.to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_file(tmp_path / "a.parquet").X_train, [[1, 1], [2.5, 2], [1, 1]])


def test_columns_that_no_one_asked_for_may_hold_anything(csv):
    path = csv("note,x\nNA,1\n?,2\n,3\n")
    assert read_file(path, columns=["x"]).X_train.tolist() == [[1], [2], [3]]
    assert [block.tolist() for block in read_blocks(path, ["x"], 2)] == [[[1]], [[2]], [[3]]]


# --- files that are no table with commas ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n3,14\n2,7\n", "line 2 has 2 values, but the first line names 1 column"),
        ("a,b\n1,2\n\n1,2,3\n", "line 4 has 3 values, but the first line names 2 columns"),
        ('a,b\n1,2\n"1,2\n', "a quotation mark is not closed"),
        ("a,a\n1,2\n", "has more than one column 'a'"),
        ("a,b,\n1,2,3\n", "column 3 has no name"),
        ("a,Unnamed: 1\n1,2\n", "column 2 has no name"),
        ("a,b\n", "0 rows"),
    ],
)
def test_malformed_csv_in_plain_words(csv, text, expected):
    found = message(read_file, csv(text))
    assert expected in found and "pars" not in found and "token" not in found


def test_byte_order_marks_and_quotes_belong_to_no_name(csv):
    dataset = read_file(csv('\ufeff"a","b\nb","c,c"\n1,2,3\n'))
    assert dataset.feature_names == ("a", "b\nb", "c,c") and dataset.X_train.tolist() == [[1, 2, 3]]


def test_no_warning_of_pandas_gets_through(csv):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*counts as a class")  # ours
        read_file(csv("a,b,y\n1,True,NA\n2,1,None\n"), target="y")


def test_wide_tables_are_read_by_blocks_not_by_columns(tmp_path, monkeypatch):
    """The columns of numbers are converted together: none is taken out of the frame by itself."""
    X = np.random.default_rng(0).normal(size=(3, 200))
    names = [f"x{i}" for i in range(200)]
    pd.DataFrame(X, columns=names).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame(X, columns=names).to_parquet(tmp_path / "a.parquet")
    taken, take = [], pd.DataFrame.__getitem__

    def counted(frame, key):
        taken.append(key)
        return take(frame, key)

    monkeypatch.setattr(pd.DataFrame, "__getitem__", counted)
    for ending in ("csv", "parquet"):
        np.testing.assert_allclose(read_file(tmp_path / f"a.{ending}").X_train, X)
        np.testing.assert_allclose(
            np.concatenate(list(read_blocks(tmp_path / f"a.{ending}", names[::-1], 200))), X[:, ::-1]
        )
    assert len(taken) < 20
