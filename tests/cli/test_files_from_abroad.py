"""Exports with many peculiarities at once, of which each alone has a test elsewhere."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

N = 160
RNG = np.random.default_rng(1)
SALES, COUNT = RNG.normal(2000, 3000, N).round(2), RNG.integers(1, 4000, N)
LAND = RNG.choice(["Österreich", "Schweiz", "Südtirol"], N)
DAY = pd.Timestamp("2019-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), unit="D")
LEAVES = SALES + 2000 * (LAND == "Schweiz") > 2500
GERMAN = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "Sept.", "Okt.", "Nov.", "Dez."]
FRENCH = ["janvier", "février", "mars", "avril", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."]
COMMAS = str.maketrans(",.", ".,")


def accounts():
    """Windows' code page, semicolons, negative euros in brackets, months in German, blanks."""
    rows = ["Kunde;Umsatz;Menge;Land;Datum;Status"]
    for i in range(N):
        amount = f"{abs(SALES[i]):,.2f}".translate(COMMAS) + " €"
        amount = amount if SALES[i] >= 0 else f"({amount})"
        day = f"{DAY[i].day}. {GERMAN[DAY[i].month - 1]} {DAY[i].year}"
        status = "gekündigt" if LEAVES[i] else "bleibt"
        count = f"{COUNT[i]:,}".translate(COMMAS)
        rows.append(f"K{i:04}; {amount} ;{count}; {LAND[i]} ;{day}; {status}")
    return gzip.compress("\r\n".join(rows).encode("cp1252"))


def customers():
    """UTF-16, tabs, narrow blanks between thousands, per cent, months in French, missing values of two kinds."""
    rows = ["n°\tchiffre d'affaires\tpart\tactif\tdate d’entrée\tdépart"]
    for i in range(N):
        amount = f"{SALES[i]:,.1f}".replace(",", "\u202f").replace(".", ",") if i % 9 else ""
        day = "1er" if DAY[i].day == 1 else DAY[i].day
        date = f"{day} {FRENCH[DAY[i].month - 1]} {DAY[i].year}" if i % 11 else "n.a."
        part = f"{COUNT[i] / 40:.1f} %".replace(".", ",")
        rows.append("\t".join([str(i + 1), amount, part, ["oui", "non"][i % 2], date, "oui" if LEAVES[i] else "non"]))
    return "\n".join(rows).encode("utf-16")


def census():
    """Blanks behind commas, quotation marks behind blanks, ?, dates of Oracle, labels with blanks, blank lines."""
    rows = ["age, work class, income from, pay, since, class"]
    for i in range(N):
        place = "?" if i % 8 == 0 else f'"{LAND[i]}, EU"'
        amount = f'"(${-SALES[i]:,.2f})"' if SALES[i] < 0 else f'"${SALES[i]:,.2f}"'
        day = DAY[i].strftime("%d-%b-%y").upper()
        rows.append(f"{18 + i % 60}, {place}, {amount}, {COUNT[i]}K, {day}, {' >50K.' if LEAVES[i] else '<=50K'}")
    return ("\n".join(rows) + "\n\n").encode()


def parts():
    """A zip of tabs, weights in kg, durations, tiny numbers, times to twelve."""
    rows = ["id\tGewicht\tDauer\tMessung\tZeit\tlabel"]
    for i in range(N):
        size = f"{SALES[i] / 100:.2f} kg"
        clock = f"{1 + i % 12}:{i % 60:02} {'PM' if i % 2 else 'AM'}"
        rows.append(
            f"{i:06}\t{size}\t{i % 90}:{i % 60:02}:00\t{SALES[i] * 1e-9:.4E}\t{clock}\t{'ja' if LEAVES[i] else 'nein'}"
        )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("daten.tsv", "\n".join(rows))
    return file.getvalue()


def shops():
    """BOM, an index, odd names, decimal commas in quotation marks, offsets of times, labels of digits, nothing."""
    rows = [",grüße 😀,plz,when,ok,const," + "x" * 80 + ",code"]
    for i in range(N):
        amount = f'"{SALES[i] / 100:.3f}"'.replace(".", ",")
        when = DAY[i].strftime("%Y-%m-%dT%H:%M:%S+02:00")
        other = "NULL" if i % 13 == 0 else COUNT[i] % 17
        rows.append(f"{i},{amount},{1000 + i % 30 * 7:05},{when},{'YN'[i % 2]},,{other},0{1 + LEAVES[i]}")
    return b"\xef\xbb\xbf" + "\n".join(rows).encode()


# name of the file, content, target, classes in the order of LEAVES, further options
CASES = {
    "accounts": ("konten.csv.gz", accounts, "Status", ("bleibt", "gekündigt"), ("--id", "Kunde")),
    "customers": ("clients.csv", customers, "départ", ("non", "oui"), ("--drop", "n°")),
    "census": ("adult.csv", census, "class", ("<=50K", ">50K."), ()),
    "parts": ("teile.tsv.zip", parts, "label", ("nein", "ja"), ("--id", "id")),
    "shops": ("shops.csv", shops, "code", ("01", "02"), ()),
}


@pytest.mark.parametrize("case", CASES)
def test_they_train_evaluate_and_predict(run, case, monkeypatch):
    monkeypatch.setattr("nmfnet.cli.results.draw", lambda run, path: False)
    name, content, target, classes, options = CASES[case]
    Path(name).write_bytes(content())
    trained = run("train", name, "--target", target, "--epochs", 8, "--out", "out", "--test", 0.2, *options)
    assert trained.status == 0, trained.err
    assert "of its own" not in trained.err and "categories" not in trained.err  # nothing was taken for mere text
    evaluated = run("evaluate", "out", name)
    assert evaluated.status == 0 and "AUC" in evaluated.out, evaluated.err
    predicted = run("predict", "out", name)
    assert predicted.status == 0, predicted.err
    rows = list(csv.DictReader(io.StringIO(predicted.out)))
    right = np.mean([row["prediction"] == classes[int(leaves)] for row, leaves in zip(rows, LEAVES, strict=True)])
    assert len(rows) == N and right > 0.75, right


def test_a_later_file_may_be_written_otherwise(run, monkeypatch):
    monkeypatch.setattr("nmfnet.cli.results.draw", lambda run, path: False)
    Path("konten.csv.gz").write_bytes(accounts())
    assert run("train", "konten.csv.gz", "--target", "Status", "--id", "Kunde", "--out", "out").status == 0
    Path("later.csv").write_text(
        "Extra,Land,Kunde,Datum,Menge,Umsatz\nx,Schweiz,A,2020-12-31,1042,\"€8,036.75\"\n"
        "y, Schweiz,B,31 Dec 2020,12,\"(€8,036.75)\"\nz,Liechtenstein,C,,,-\n"
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(run("predict", "out", "later.csv").out)))
    assert [row["Kunde"] for row in rows] == ["A", "B", "C"]
    assert [row["prediction"] for row in rows[:2]] == ["gekündigt", "bleibt"]
