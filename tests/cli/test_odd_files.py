"""Files of kinds that are seldom met: read for what they mean, or refused in a sentence that says what to do."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nmfnet.datasets import Dialect, Schema, read_file
from nmfnet.errors import DataError

N = 100
RNG = np.random.default_rng(3)
LEVEL = RNG.normal(0, 20, N).round(1)
COUNT = RNG.integers(1000, 9_000_000, N)
DAY = pd.Timestamp("2021-03-01") + pd.to_timedelta(RNG.integers(0, 500, N), unit="D")
LABEL = np.where(LEVEL > 3, "yes", "no")
FIGURES = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def table(sep=",", **columns):
    frame = pd.DataFrame({"level": LEVEL, "count": COUNT, "label": LABEL} | columns)
    return frame.to_csv(sep=sep, index=False)


def grouped(mark):
    return [f"{count:,}".replace(",", mark) for count in COUNT]


def in_lakhs(count):
    text, rest = f"{count % 1000:03}", count // 1000
    while rest:
        text, rest = f"{rest % 100:02},{text}" if rest >= 100 else f"{rest},{text}", rest // 100
    return text


def archived(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__dot__", ".").replace("__in__", "/"), content)
    return file.getvalue()


# Files, the column to look at, and what must be read.
NUMBERS = {
    "thin blanks between thousands": (table(count=grouped("\u2009")), "count", COUNT),
    "apostrophes as in Switzerland": (table(count=grouped("’")), "count", COUNT),
    "lakhs as in India": (table(count=[in_lakhs(count) for count in COUNT]), "count", COUNT),
    "Arabic figures": (table(count=[str(count).translate(FIGURES) for count in COUNT]), "count", COUNT),
    "minuses of typesetters": (table(level=[str(v).replace("-", "−") for v in LEVEL]), "level", LEVEL),
    "minuses behind": (table(level=[f"{abs(v)}-" if v < 0 else v for v in LEVEL]), "level", LEVEL),
    "minuses behind, with a unit": (
        table(level=[f"{abs(v)}- €" if v < 0 else f"{v} €" for v in LEVEL]), "level", LEVEL,
    ),
    "degrees": (table(level=[f"{v}°C" for v in LEVEL]), "level", LEVEL),
    "millions of dollars": (table(level=[f"${v}M" for v in LEVEL]), "level", LEVEL),
}  # fmt: skip


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers(case):
    content, column, expected = NUMBERS[case]
    Path("a.csv").write_text(content, encoding="utf-8")
    dataset = read_file("a.csv", target="label")
    np.testing.assert_array_equal(dataset.X_train[:, dataset.feature_names.index(column)], expected)


def week(day):
    year, number, weekday = day.isocalendar()
    return f"{year}-W{number:02}-{weekday}"


DATES = {
    "weeks": [week(day) for day in DAY],
    "no hyphens": [day.strftime("%Y%m%dT%H%M%SZ") for day in DAY],
    "ctime": [day.strftime("%a %b %d %H:%M:%S %Y") for day in DAY],
    "RFC 2822": [day.strftime("%a, %d %b %Y %H:%M:%S +0000") for day in DAY],
    "the weekday in front": [day.strftime("%A, %d %B %Y") for day in DAY],
    "names of zones": [day.strftime("%Y-%m-%d %H:%M:%S CET") for day in DAY],
    "Java's zones": [day.strftime("%Y-%m-%dT%H:%M:%S+02:00[Europe/Berlin]") for day in DAY],
    "none as MySQL writes it": ["0000-00-00" if i % 9 == 0 else str(day.date()) for i, day in enumerate(DAY)],
    "none as a dash": ["-" if i % 9 == 0 else str(day.date()) for i, day in enumerate(DAY)],
}


@pytest.mark.parametrize("case", DATES)
def test_dates(case):
    Path("a.csv").write_text(table(day=DATES[case]), encoding="utf-8")
    dataset = read_file("a.csv", target="label")
    there = np.arange(N) % 9 > 0 if case.startswith("none") else np.ones(N, bool)
    np.testing.assert_array_equal(dataset.X_train["day"][there], DAY[there])
    assert dataset.X_train["day"].isna().sum() == N - there.sum()


def test_quarters_and_the_first_words_of_dates():
    Path("a.csv").write_text(table(day=[["2021-Q3", "Q3 2021"][i % 2] for i in range(N)]), encoding="utf-8")
    assert set(read_file("a.csv", target="label").X_train["day"]) == {pd.Timestamp("2021-07-01")}
    Path("a.csv").write_text(table(day=[["Dec. 31, 2020", "mar. 31 déc. 2020"][i % 2] for i in range(N)]), "utf-8")
    assert set(read_file("a.csv", target="label").X_train["day"]) == {pd.Timestamp("2020-12-31")}


PLAIN = table()
FILES = {
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "its other order": PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "what macOS puts into archives": archived(data__in__a__dot__csv=PLAIN, __MACOSX__in__data__in__a__dot__csv="x"),
    "a value of 200,000 characters": table(note=["x" * 200_000, *["y"] * (N - 1)]).encode(),
    "truth and what is not known": table(note=[["true", "false", "unknown"][i % 3] for i in range(N)]).encode(),
}


@pytest.mark.parametrize("case", FILES)
def test_they_train_evaluate_and_predict(run, case, monkeypatch):
    monkeypatch.setattr("nmfnet.cli.results.draw", lambda run, path: False)
    name = "a.csv.zip" if "archives" in case else "a.csv"
    Path(name).write_bytes(FILES[case])
    limit = csv.field_size_limit()
    trained = run("train", name, "--target", "label", "--epochs", 3, "--out", "out")
    assert trained.status == 0 and not trained.err, trained.err
    assert "AUC" in run("evaluate", "out", name).out
    rows = list(csv.DictReader(io.StringIO(run("predict", "out", name).out)))
    assert np.mean([row["prediction"] == label for row, label in zip(rows, LABEL, strict=True)]) > 0.8
    assert csv.field_size_limit() == limit  # as it was


REFUSED = {
    "zstd": ("a.csv", b"\x28\xb5\x2f\xfd\x00\x01", "it is compressed by zstd: unpack it first"),
    "a web page": ("a.csv", b"<!DOCTYPE html>\n<html>log in, please</html>", "it is a web page"),
    "Git LFS": ("a.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "a spreadsheet": ("a.csv", archived(xl="", **{"[Content_Types]__dot__xml": ""}), "save the sheet as .csv"),
    "Arrow's": ("a.csv", b"PAR1\x15\x04", "it is a .parquet file: name it so"),
    "no ending": ("table", PLAIN.encode(), "if it is a table, name it .csv"),
    "an archive": ("a.csv.tar.gz", gzip.compress(b""), "unpack it"),
    "zeros": ("a.csv", PLAIN.replace("yes", "y\0s", 1).encode(), "has a zero byte"),
    "a title with separators": ("a.csv", b"Sales,,\n" + PLAIN.encode(), "if the names are in a later line"),
    "colons": ("a.csv", PLAIN.replace(",", ":").encode(), "is the separator another one?"),
    "thousands and millions": (
        "a.csv", table(count=[f"{c / 1e6:.2f}M" if c > 10**6 else f"{c / 1e3:.1f}K" for c in COUNT]).encode(),
        "numbers of several units (K, M)",
    ),
    "one row of a class": ("a.csv", b"a,label\n1,yes\n2,no\n3,no\n", "use --validation 0"),
    "amounts of several units": (
        "a.csv", table(label=[f"{c} {'$€'[i % 2]}" for i, c in enumerate(COUNT)]).encode(), "with one unit at most",
    ),
}  # fmt: skip


def test_weights_in_kg_are_predicted(run, monkeypatch):
    monkeypatch.setattr("nmfnet.cli.results.draw", lambda run, path: False)
    Path("a.csv").write_text(table(label=[f"{2 * v + 1:.1f} kg" for v in LEVEL]), "utf-8")
    trained = run("train", "a.csv", "--target", "label", "--epochs", 9, "--out", "out")
    assert trained.status == 0 and "read as numbers of kg" in trained.err
    assert "R²" in run("evaluate", "out", "a.csv").out
    rows = list(csv.DictReader(io.StringIO(run("predict", "out", "a.csv").out)))
    assert np.corrcoef([float(row["prediction"]) for row in rows], LEVEL)[0, 1] > 0.9


@pytest.mark.parametrize("case", REFUSED)
def test_they_are_refused_with_what_to_do(run, case):
    name, content, advice = REFUSED[case]
    Path(name).write_bytes(content)
    assert advice in run("train", name, "--target", "label", "--epochs", 1).failed()


def test_lines_that_are_too_short_are_said():
    lines = PLAIN.splitlines()
    Path("a.csv").write_text("\n".join(["level,label,count", "1.5,yes", *(f"{i},no,3" for i in range(9)), "4,no"]))
    with pytest.warns(UserWarning, match=r"2 lines have fewer values than .* \(line 2: 2 of 3\)"):
        count = read_file("a.csv", target="label").X_train[:, 1]
    assert np.isnan(count[[0, -1]]).all() and (count[1:-1] == 3).all()
    Path("b.csv").write_text("\n".join([*lines[:5], lines[5].split(",", 1)[1], *lines[6:]]).replace(",", " "))
    schema = Schema("label", dialect=Dialect(sep=" "))
    with pytest.raises(DataError, match=r"b\.csv, line 6 has 2 values, .* 3 columns, .* write NA for each"):
        read_file("b.csv", schema=schema)


def test_pipes_are_refused(run):
    os.mkfifo("pipe.csv")
    for name in ("pipe.csv", "-"):
        assert "can be read only once" in run("train", name, "--target", "label").failed()


def test_labels_that_are_nearly_alike_are_said():
    Path("a.csv").write_text(table(label=["YES" if i % 2 else "no" for i in range(N - 1)] + ["yes"]), "utf-8")
    with pytest.warns(UserWarning, match="differ by capitals or the like alone \\('YES' and 'yes'\\)"):
        read_file("a.csv", target="label")


def test_labels_keep_their_commas():
    lines = ["level;label", *(f"{str(v).replace('.', ',')};{'Wien, Graz' if v > 0 else 'Linz'}" for v in LEVEL)]
    Path("a.csv").write_text("\n".join(lines), "utf-8")
    assert set(read_file("a.csv", target="label").y_train) == {"Wien, Graz", "Linz"}


def test_another_script_is_said_to_be_guessed():
    Path("a.csv").write_bytes(table(city=["Москва" if i % 2 else "Казань" for i in range(N)]).encode("cp1251"))
    with pytest.warns(UserWarning, match="give another --encoding"):
        read_file("a.csv", target="label")


def test_types_of_parquet():
    frame = pd.DataFrame({"span": pd.to_timedelta(COUNT, unit="s"), "label": LABEL})
    frame.loc[0, "span"] = pd.NaT
    frame.to_parquet("a.parquet")
    span = read_file("a.parquet", target="label").X_train[:, 0]
    assert np.isnan(span[0])
    np.testing.assert_allclose(span[1:], COUNT[1:] / 3600)
    frame.assign(list=[[1, 2]] * N, raw=[b"x"] * N).to_parquet("b.parquet")
    with pytest.raises(DataError, match=r"'list' has lists or structures.*; column 'raw' has bytes.*--drop list,raw"):
        read_file("b.parquet", target="label")
    frame.assign(at=[datetime.time(i % 24, 30) for i in range(N)]).to_parquet("c.parquet")
    assert read_file("c.parquet", target="label").X_train[1, 1] == 1.5


def test_later_files_that_do_not_fit(run, monkeypatch):
    monkeypatch.setattr("nmfnet.cli.results.draw", lambda run, path: False)
    content = table(city=[["Linz", "Graz"][i % 2] for i in range(N)])
    Path("a.csv").write_text(content, "utf-8")
    assert run("train", "a.csv", "--target", "label", "--epochs", 1, "--out", "out").status == 0
    Path("b.csv").write_text(content.replace("level", "LEVEL"), "utf-8")
    assert "has no column 'level': did you mean 'LEVEL'?" in run("predict", "out", "b.csv").failed()
    np.save("c.npy", LEVEL[:, None])
    assert (
        "there are 1 columns, but the model was trained on 3: level, count" in run("predict", "out", "c.npy").failed()
    )


def test_folders_of_tables_have_numbers_alone(run):
    os.mkdir("tables.csv")
    Path("tables.csv/a.csv").write_text(table(city=["Linz"] * N, land=["x"] * N), "utf-8")
    message = run("train", "tables.csv", "--target", "label", "--epochs", 1).failed()
    assert "'city', 'land'. A path to files" in message and "or pass one file alone" in message
