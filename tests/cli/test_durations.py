"""Durations and weeks as people and programs write them, and words for what is not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nmfnet.datasets import read_file

N = 60
MINUTES = np.random.default_rng(4).integers(1, 4000, N)
LABEL = np.where(MINUTES > 900, "long", "short")


def written(**columns):
    frame = pd.DataFrame({"size": np.arange(N) * 0.37 % 1} | columns | {"label": LABEL})
    frame.to_csv("a.csv", index=False)
    return read_file("a.csv", target="label").X_train


def of(form):
    return [form(*divmod(int(minutes), 60)) for minutes in MINUTES]


DURATIONS = {
    "units": of(lambda h, m: f"{h}h {m}m"),
    "words": of(lambda h, m: f"{h} hours, {m} minutes"),
    "French": of(lambda h, m: f"{h}h{m:02}"),
    "some in minutes, some in hours": of(lambda h, m: f"{60 * h + m} min" if m % 2 else f"{h + m / 60!r} h"),
    "ISO 8601": of(lambda h, m: f"P{h // 24}DT{h % 24}H{m}M"),
    "pandas": of(lambda h, m: str(pd.Timedelta(hours=h, minutes=m))),
    "Python": of(lambda h, m: str(pd.Timedelta(hours=h, minutes=m).to_pytimedelta())),
    "some missing": ["–" if i % 9 == 0 else text for i, text in enumerate(of(lambda h, m: f"{h}h {m}m"))],
}


@pytest.mark.parametrize("form", DURATIONS)
def test_durations_are_hours(form):
    hours = written(time=DURATIONS[form])[:, 1].astype(float)
    expected = np.where((np.arange(N) % 9 == 0) & (form == "some missing"), np.nan, MINUTES / 60)
    np.testing.assert_allclose(hours, expected, rtol=1e-12)


def test_fractions_of_seconds_count():
    times = [f"0:01:{23 + i / 1000:.3f}" for i in range(N)]
    laps = [time.removeprefix("0:") for time in times]
    found = written(time=times, lap=laps)
    np.testing.assert_allclose(found[:, 1] * 3600, 83 + np.arange(N) / 1000, rtol=1e-12)
    np.testing.assert_array_equal(found[:, 1], found[:, 2])


@pytest.mark.parametrize("form", ["KW {}/2021", "KW{:02}/2021", "CW {} 2021", "2021W{:02}", "2021 KW {}", "W{}-2021"])
def test_weeks_are_dates(form):
    weeks = 1 + np.arange(N) % 52
    found = written(week=[form.format(week) for week in weeks])["week"]
    np.testing.assert_array_equal(found, pd.Timestamp("2021-01-04") + pd.to_timedelta(7 * (weeks - 1), unit="D"))


def test_months_with_the_year_last_are_dates():
    found = written(month=["NaT" if i % 9 == 0 else f"{1 + i % 12:02}/202{i % 3}" for i in range(N)])["month"]
    assert found.isna().sum() == 7 and found[1] == pd.Timestamp("2021-02-01")


def test_dashes_are_missing_numbers():
    found = written(price=["—" if i % 5 == 0 else i for i in range(N)])
    assert np.isnan(found[:, 1]).sum() == N / 5


def test_a_question_mark_among_labels_is_said():
    Path("a.csv").write_text("x,label\n" + "".join(f"{i},{['yes', 'no', '?'][i % 3]}\n" for i in range(30)))
    with pytest.warns(UserWarning, match=r"10 rows have '\?' in the target column 'label', which counts as a class"):
        read_file("a.csv", target="label")
    Path("a.csv").write_text("x,label\n" + "".join(f"{i},{'+-'[i % 2]}\n" for i in range(30)))
    assert set(read_file("a.csv", target="label").y_train) == {"+", "-"}


def test_lines_that_do_not_name_the_columns(run):
    Path("a.csv").write_text("1.5,7,yes\n" + "2.5,6,no\n" * 20)
    assert "if these are values, put a line with the names" in run("train", "a.csv", "--target", "2").failed()
    Path("a.csv").write_text("# of shops, of towns\nx,label\n" + "2.5,no\n3,yes\n" * 20)
    assert "if that line is a comment, delete it" in run("train", "a.csv", "--target", "label").failed()
