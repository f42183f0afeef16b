"""Tables as people have them: they train, evaluate and predict, or are refused in a sentence that says what to do."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nmfnet
from nmfnet.datasets import Dialect, read_file
from nmfnet.errors import DataError

N = 120
RNG = np.random.default_rng(0)
SIZE, PRICE = RNG.normal(50, 10, N).round(2), RNG.uniform(1000, 90000, N).round(2)
CITY = RNG.choice(["Köln", "Åre", "Łódź", "Rome"], N)
DAY = pd.Timestamp("2019-01-01") + pd.to_timedelta(RNG.integers(0, 700, N), unit="D")
LABEL = np.where(SIZE + 10 * (CITY == "Rome") > 52, "yes", "no")
BASE = {"size": SIZE, "price": PRICE, "city": CITY, "day": DAY.strftime("%Y-%m-%d"), "label": LABEL}


def text_of(changes=(), sep=",", **options):
    columns = {**BASE, **dict(changes)}
    frame = pd.DataFrame({name: values for name, values in columns.items() if values is not None})
    return frame.to_csv(sep=sep, index=False, **options)


def german(values):
    return [f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in values]


def holes(values, word="", every=7):
    return [word if i % every == 0 else v for i, v in enumerate(values)]


def zipped(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside.csv", text)
    return file.getvalue()


PLAIN = text_of()
LATIN = text_of({"city": np.where(CITY == "Łódź", "Malmö", CITY)})
EUROS = text_of({"city": None, "price": [v + " €" for v in german(PRICE)]}, sep=";")
# name of the file, its content, further options of `train`
GOOD = {
    "commas": ("a.csv", PLAIN, ()),
    "semicolons and decimal commas": ("a.csv", text_of({"price": german(PRICE)}, sep=";", decimal=","), ()),
    "tabs": ("a.tsv", text_of(sep="\t"), ()),
    "bars": ("a.csv", text_of(sep="|"), ()),
    "gzip": ("a.csv.gz", gzip.compress(PLAIN.encode()), ()),
    "bzip2 of tabs": ("a.tsv.bz2", bz2.compress(text_of(sep="\t").encode()), ()),
    "xz": ("a.csv.xz", lzma.compress(PLAIN.encode()), ()),
    "zip": ("a.csv.zip", zipped(PLAIN), ()),
    "gzip without its ending": ("a.csv", gzip.compress(PLAIN.encode()), ()),
    "latin-1": ("a.csv", LATIN.encode("latin-1"), ()),
    "BOM": ("a.csv", b"\xef\xbb\xbf" + PLAIN.encode(), ()),
    "UTF-16 of Excel": ("a.csv", text_of(sep="\t").encode("utf-16"), ()),
    "code page given": ("a.csv", PLAIN.encode("cp1250", "replace"), ("--encoding", "cp1250")),
    "separator given": ("a.csv", text_of(sep="^"), ("--sep", "^")),
    "thousands": ("a.csv", text_of({"price": [f"{v:,.2f}" for v in PRICE]}), ()),
    "missing numbers": ("a.csv", text_of({"size": holes(SIZE), "price": holes(PRICE, "n/a")}), ()),
    "question marks": ("a.csv", text_of({"size": holes(SIZE, "?"), "city": holes(CITY, "?")}), ()),
    "missing categories and dates": ("a.csv", text_of({"city": holes(CITY), "day": holes(BASE["day"])}), ()),
    "rows without a target": ("a.csv", text_of({"label": holes(LABEL)}), ()),
    "truth values": ("a.csv", text_of({"ok": holes(SIZE > 50, None)}), ()),
    "German dates": ("a.csv", text_of({"day": DAY.strftime("%d.%m.%Y")}), ()),
    "American dates": ("a.csv", text_of({"day": DAY.strftime("%m/%d/%Y")}), ()),
    "times": ("a.csv", text_of({"day": DAY.strftime("%Y-%m-%dT%H:%M:%SZ")}), ()),
    "rare categories": ("a.csv", text_of({"city": ["Rare", "Rarer", *CITY[2:]]}), ()),
    "codes": ("a.csv", text_of({"shop": RNG.integers(0, 4, N)}), ("--categorical", "shop")),
    "an id": ("a.csv", text_of({"id": np.arange(N) + 7}), ("--id", "id")),
    "an index of text": ("a.csv", text_of({"name": [f"person {i}" for i in range(N)]}), ()),
    "columns to drop": ("a.csv", text_of({"odd": holes(SIZE, "odd"), "b": DAY.strftime("1/2/%Y")}), ("--drop=odd,b",)),
    "an empty column": ("a.csv", text_of({"nothing": [""] * N}), ()),
    "amounts of money": ("a.csv", text_of({"price": [f"${v:,.2f}" for v in PRICE]}), ()),
    "German money": ("a.csv", EUROS.encode("cp1252"), ()),
    "per cent": ("a.csv", text_of({"size": [f"{v} %" for v in holes(SIZE, "-")]}).replace("- %", "-"), ()),
    "times of the day": ("a.csv", text_of({"time": holes([f"{i % 24:02}:{i % 60:02}" for i in range(N)])}), ()),
    "short German dates": ("a.csv", text_of({"day": DAY.strftime("%d.%m.%y")}), ()),
    "a row index": ("a.csv", pd.DataFrame(BASE).to_csv(), ()),
    "many categories": ("a.csv", text_of({"shop": [f"{label} shop {i % 9}" for i, label in enumerate(LABEL)]}), ()),
    "a constant column": ("a.csv", text_of({"same": ["x"] * N}), ()),
    "quotes and line breaks": ("a.csv", text_of({"city": [f'"{c}",\n' for c in CITY]}), ()),
    "blank lines and Windows": ("a.csv", PLAIN.replace("\n", "\r\n\r\n"), ()),
    "blanks around names": ("a.csv", PLAIN.replace("size,price", " size , price", 1), ()),
    "separators behind": ("a.csv", text_of(sep=";").replace("\n", ";;\n"), ()),
    "money by its code": ("a.csv", text_of({"price": [f"EUR {v:,.2f}" for v in PRICE]}), ()),
    "a word behind": ("a.csv", text_of({"size": [f"{v} kg" for v in SIZE]}), ()),
    "months by name": ("a.csv", text_of({"day": DAY.strftime("%b %d, %Y")}), ()),
    "hours to twelve": ("a.csv", text_of({"day": DAY.strftime("%m/%d/%Y 01:30 PM")}), ()),
    "errors of a spreadsheet": ("a.csv", text_of({"price": holes(PRICE, "#DIV/0!")}), ()),
    "a comma in a name": ("a.csv", text_of({"a, b": holes(SIZE, "odd")}), ("--drop", '"a, b"')),
}  # fmt: skip


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Pictures of the training take longer than all else."""
    monkeypatch.setattr("nmfnet.cli.results.draw", lambda run, path: False)


def write(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("case", GOOD)
def test_they_train_evaluate_and_predict(run, case):
    name, content, options = GOOD[case]
    write(name, content)
    trained = run("train", name, "--target", "label", "--epochs", 3, "--out", "out", "--test", 0.2, *options)
    assert trained.status == 0, trained.err
    evaluated = run("evaluate", "out", name)
    assert evaluated.status == 0 and "Log-loss" in evaluated.out and "AUC" in evaluated.out, evaluated.err
    predicted = run("predict", "out", name, "--proba")
    assert predicted.status == 0, predicted.err
    rows = list(csv.DictReader(io.StringIO(predicted.out)))
    assert len(rows) == N and {row["prediction"] for row in rows} <= {"yes", "no"}
    right = np.mean([row["prediction"] == label for row, label in zip(rows, LABEL, strict=True)])
    assert right > 0.7, right
    if case == "an id":
        assert [row["id"] for row in rows] == [str(i + 7) for i in range(N)]
    if case == "an index of text":
        assert "nearly every row has a text of its own in 'name'" in trained.err
    if case == "rows without a target":
        assert "18 of 120 rows have no target in column 'label' and are left out" in trained.err


BAD = {
    "mixed": (text_of({"size": holes(SIZE, "odd")}), "line 2: column 'size' is not numeric", "--drop size"),
    "every bad column": (
        text_of({"size": holes(SIZE, "odd"), "price": holes(PRICE, "bad", 5)}),
        "'price' is not numeric (e.g. 'bad')", "--drop size,price, or --categorical size,price",
    ),
    "day or month": (text_of({"day": ["03/04/2020"] * N}), "nothing tells day from month", "write them as 2020-12-31"),
    "no target": (text_of({"label": [""] * N}), "no row has a target in column 'label'", ""),
    "no such target": (text_of({"label": None}), "has no column 'label'", "its columns are size"),
    "infinite": (
        text_of({"size": holes(SIZE, "inf"), "price": holes(PRICE, "-inf", 5)}),
        "has infinite values (e.g. 'inf', 18 in all); column 'price' has infinite values (e.g. '-inf', 24 in all)",
        "leave them empty",
    ),
    "infinite and other": (
        text_of({"size": holes(SIZE, "inf"), "price": holes(PRICE, "bad", 5)}),
        "'price' is not numeric (e.g. 'bad'), as most of its values are; column 'size' has infinite values",
        "--drop price,size",
    ),
    "units that differ": (text_of({"price": ["$5", "5 €"] * (N // 2)}), "numbers of several units ($, €)", "--drop"),
    "a unit at times": (text_of({"size": ["5", "5 %"] * (N // 2)}), "several units (%, none)", "correct that"),
    "dates of several forms": (
        text_of({"day": np.where(SIZE > 50, BASE["day"], DAY.strftime("%d.%m.%Y"))}),
        "but not in one form", "--drop day",
    ),
    "the line of a spreadsheet": ("sep=;\n" + text_of(sep=";"), "delete its first line", ""),
    "blanks between columns": (text_of(sep=" "), "has no column 'label'", "if blanks divide them: --sep ' '"),
    "years of two digits": (
        text_of({"day": DAY.strftime("%d/%m/%y")}), "whose years have two digits", "write them as 2020-12-31",
    ),
    "comments above": (
        "# made by a tool\n# 2024\n" + PLAIN, "line 3 has 5 values, but the first line names 1 column",
        "delete the lines above the names",
    ),
    "a total below": (PLAIN + "Total,1.5,,,no\n", "line 122: column 'size' is not numeric (e.g. 'Total')", "--drop"),
    "targets that all differ": (
        text_of({"label": [f"name {i}" for i in range(N)]}), "120 different texts as targets in 120 rows",
        "--target names another column",
    ),
    "rows too long": (PLAIN + "1,2,3,4,5,6,7\n", "line 122 has 7 values, but the first line names 5", "--sep"),
    "a quotation mark": (PLAIN + '"1,2,3,4,5\n', "a quotation mark is not closed", ""),
    "no names": ("1.5,2.5,yes\n3.5,4.5,no\n", "has no column 'label'", "its columns are 1.5"),
    "names twice": (PLAIN.replace("price", "size", 1), "more than one column 'size'", ""),
    "a column without a name": (PLAIN.replace("price", "", 1), "column 2 has no name: name it", "or drop it"),
    "nothing": ("", "it is empty", ""),
    "only names": ("size,label\n", "0 rows", ""),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is not text", ""),
    "ids alone": (
        text_of({"size": None, "price": None, "day": None, "city": [f"n{i}" for i in range(N)]}),
        "only columns in which nearly every row has another text: 'city'", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_they_are_refused_in_a_sentence(run, case):
    content, said, advice = BAD[case]
    write("a.csv", content)
    message = run("train", "a.csv", "--target", "label", "--epochs", 1).failed()
    assert said in message and advice in message
    assert os.listdir() == ["a.csv"]


WRONG = {
    "--drop siz,prise": "has no columns 'siz', 'prise': did you mean 'size' and 'price'? its columns are size",
    "--categorical city,shop --id nr": "has no columns 'nr', 'shop'",
    "--id label": "column 'label' is the target: it can be neither an id nor dropped",
    "--drop label": "column 'label' is the target: it can be neither an id nor dropped",
    "--test 20%": "--test must be a file, or a fraction of the rows, as 0.2; got 20%",
    "--test 0,2": "--test must be a file, or a fraction of the rows, as 0.2; got 0,2",
    "--encoding ascii": "it is not ascii text (byte 0xc3): leave out --encoding, or give another one",
    "--sep ;": "is the separator another one?",
}


@pytest.mark.parametrize("options", WRONG)
def test_wrong_options_are_refused_in_a_sentence(run, options):
    write("a.csv", PLAIN)
    assert WRONG[options] in run("train", "a.csv", "--target", "label", *options.split()).failed()


def test_other_kinds_of_files_are_refused_with_what_to_do(run):
    for name, advice in {
        "a.xlsx": "save the sheet as .csv",
        "a.txt": "name it .csv",
        "a.json": "make a .parquet",
    }.items():
        write(name, PLAIN)
        assert advice in run("train", name, "--target", "label").failed()
    write("a.csv", text_of({"label": SIZE}))
    assert "--class-weight is for classes" in run("train", "a.csv", "--target", "label", "--class-weight").failed()


def test_a_new_folder_each_time(run):
    write("a.csv", PLAIN)
    for folder in ("nmfnet-a", "nmfnet-a-2", "nmfnet-a-3"):
        assert run("train", "a.csv", "--target", "label", "--epochs", 1).status == 0 and Path(folder).is_dir()


def test_test_files_and_arrays(run):
    write("a.csv", PLAIN)
    write("b.csv", text_of(sep=";", decimal=","))
    result = run("train", "a.csv", "--target", "label", "--epochs", 2, "--test", "b.csv")
    assert "120 test rows" in result.out and "Test error" in result.out
    X = np.stack([SIZE, PRICE, LABEL == "yes"], axis=1)
    np.save("x.npy", X[:, :2])
    np.save("y.npy", LABEL)
    np.save("xy.npy", X)
    assert run("train", "xy.npy", "--target", "2", "--epochs", 2, "--out", "out").status == 0
    assert "of 120 rows)" in run("evaluate", "out", "xy.npy").out  # the model knows the column
    for arguments in (("x.npy", "--target", "y.npy"), ("xy.npy", "--target", "2"), ("xy.npy", "--target", "-1")):
        assert run("train", *arguments, "--epochs", 2, "--out", "out", "--force").status == 0
        assert run("predict", "out", "x.npy").out.count("\n") == N + 1
    assert "neither a .npy file nor the number of" in run("train", "xy.npy", "--target", "7").failed()
    assert (
        "--test must be a file, or a fraction" in run("train", "a.csv", "--target", "label", "--test", "1.5").failed()
    )


def test_options_of_the_training(run):
    write("a.csv", PLAIN)
    options = ("--max-time", 0, "--patience", 3, "--dropout", 0.3, "--class-weight", "--threads", 1)
    result = run("train", "a.csv", "--target", "label", "--out", "out", *options)
    assert result.status == 0 and "--max-time ended the training: with more of it, --resume goes on." in result.out
    model = nmfnet.load("out/model.safetensors")
    assert len(model.history_) == 1 and model.n_iter_no_change == 3 and model.class_weight == "balanced"
    assert model.solver.dropout == 0.3
    assert (
        "--dropout: pinv has no such setting"
        in run("train", "a.csv", "--target", "label", "--solver", "pinv", "--dropout", 0.3).failed()
    )


def test_rows_to_test_on_where_a_class_has_one_row_alone(run):
    """Rows cannot be held out class by class then: any are."""
    write("a.csv", PLAIN)
    frame = pd.read_csv("a.csv")
    frame.loc[0, "label"] = "rare"
    frame.to_csv("b.csv", index=False)
    result = run("train", "b.csv", "--target", "label", "--epochs", 1, "--test", 0.2, "--validation", 0)
    assert result.status == 0 and "24 test rows" in result.out


def test_models_of_data_frames_know_their_columns(run):
    frame = pd.DataFrame({**BASE, "day": DAY})
    model = nmfnet.NMFNetClassifier((10,), random_state=0).fit(frame.drop(columns="label"), LABEL)
    model.save("model")
    write("a.csv", PLAIN)
    assert run("predict", "model", "a.csv").out.split()[1:] == list(model.predict(frame.drop(columns="label")))
    assert "which column is to be learned?" in run("evaluate", "model", "a.csv").failed()
    assert run("evaluate", "model", "a.csv", "--target", "label").status == 0


# --- fuzzing of the reader ---

NAMES = st.lists(
    st.text("abcXYZé _.1", min_size=1, max_size=6).filter(lambda s: s.strip()), min_size=2, max_size=5, unique=True
)
CELL = st.one_of(
    st.text(max_size=8), st.floats().map(str), st.integers().map(str), st.dates().map(str),
    st.sampled_from(["", "NA", "?", "true", "1,5", "1.234,5", "1,234.5", "03/04/2020", "31.12.2020", '"', ";"]),
)  # fmt: skip


@st.composite
def files(draw):
    """Bytes of a table, whole or damaged, or of anything."""
    names, sep = draw(NAMES), draw(st.sampled_from(",;\t|"))
    rows = draw(st.lists(st.lists(CELL, min_size=len(names), max_size=len(names)), max_size=8))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=sep, lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    writer.writerows([names, *rows])
    content = out.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16"])), "replace")
    content = draw(st.sampled_from([bytes, gzip.compress]))(content)
    if draw(st.booleans()):
        at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 20))
        content = content[:at] + draw(st.binary(max_size=8)) + content[at + length :]
    return content


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(files(), st.binary(max_size=200)))
def test_any_file_is_read_or_refused_in_a_line(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    try:
        dataset = read_file(path)
    except DataError as error:
        assert str(path) in str(error) and len(str(error)) < 2000
    else:
        assert dataset.X_train.shape[1] == len(dataset.feature_names) and len(dataset.X_train)


NUMBER = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=12), sep=st.sampled_from(",;\t|"),
    decimal=st.sampled_from(".,"), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)  # fmt: skip
def test_numbers_come_back_however_they_are_written(tmp_path, values, sep, decimal, encoding):
    frame = pd.DataFrame(values, columns=["größe", "b"])
    (tmp_path / "a.csv").write_bytes(frame.to_csv(sep=sep, decimal=decimal, index=False).encode(encoding))
    path = tmp_path / "a.csv"
    schema = nmfnet.datasets.Schema(dialect=Dialect(decimal=decimal, thousands=""))
    dataset = read_file(path, schema=schema)
    assert dataset.feature_names == ("größe", "b")
    np.testing.assert_array_equal(dataset.X_train, frame.to_numpy())
