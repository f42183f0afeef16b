"""Tables as other programs export them: databases, R, loggers with a line of units, surveys, banks."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from nmfnet.datasets import read_file
from nmfnet.errors import DataError

N = 40
LEVEL = np.random.default_rng(0).normal(size=N).round(3)
LABEL = np.where(LEVEL > 0, "on", "off")
ROWS = [f"{level},{i % 7},{label}" for i, (level, label) in enumerate(zip(LEVEL, LABEL, strict=True))]
NAMES = "level,count,label"


@pytest.fixture
def table(tmp_path):
    """Write lines to a file, and return its path."""

    def write(lines, name="a.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding)
        return path

    return write


def test_nulls_of_databases_are_missing(table):
    lines = ["level\tcity\tday\tlabel"]
    for i in range(N):
        values = [LEVEL[i], ["Linz", "Graz"][i % 2], f"2020-01-{1 + i % 28:02}", LABEL[i]]
        lines.append("\t".join(r"\N" if i % 10 == place else str(value) for place, value in enumerate(values)))
    path = table(lines, "a.tsv")
    with pytest.warns(UserWarning, match=r"4 of 40 rows have no target in column 'label'"):
        data = read_file(path, target="label")
    assert set(data.y_train) == {"on", "off"} and len(data.X_train) == N - 4
    assert data.X_train.isna().sum().tolist() == [4, 4, 4]
    assert data.schema.kinds == {"level": "numbers", "city": "categories", "day": "dates, year first"}


def test_decimal_marks_of_arabic(table):
    digits = str.maketrans("0123456789.,", "٠١٢٣٤٥٦٧٨٩٫٬")
    values = np.linspace(900, 2900, N).round(2)
    lines = ["level,label", *(f"{f'{v:,}'.translate(digits)},{x}" for v, x in zip(values, LABEL, strict=True))]
    np.testing.assert_array_equal(read_file(table(lines), target="label").X_train[:, 0], values)


REFUSED = {
    "a line of units": (
        [NAMES, "m,1/s,", *ROWS],
        r"line 2: column 'level' is not numeric .* if that line has units or texts of questions, delete it$",
    ),
    "lines above of two values": (
        ["Account:,AT61", "From:,1.1.2020", NAMES, *ROWS],
        r"line 3 has 3 values, but the first line names 2 columns \(delete the lines above the names",
    ),
    "names of rows without a name": (
        [NAMES, *(f"r{i},{row}" for i, row in enumerate(ROWS))],
        r"line 2 has 4 values, but the first line names 3 columns \(if lines begin with a number or name of the row",
    ),
    "separators at the ends of all lines but the first": (
        [NAMES, *(f"{row}," for row in ROWS)],
        r"\(if all lines but the first end with a separator, end the first with one, too\)",
    ),
    "single quotation marks": (
        [NAMES, *ROWS[:3], "1.5,'a, b',on"],
        r"line 5 has 4 values, .* \(if text is in single quotation marks, write double ones; or",
    ),
    "two separators": (
        [NAMES, *ROWS[:9], ROWS[9].replace(",", ";"), *ROWS[10:]],
        r"line 11 is divided by ';', but the first line by ',': make them alike",
    ),
    "names twice": (
        ["count,level,count,level,label", "1,2,3,4,x"],
        "more than one column 'count', 'level': give each",
    ),
    "the target alone": (["label", *LABEL], "no column besides the target 'label': there must be others"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_they_are_refused_with_what_to_do(table, case):
    lines, said = REFUSED[case]
    with pytest.raises(DataError, match=said):
        read_file(table(lines), target="label")


def test_a_word_further_down_is_no_line_of_units(table):
    with pytest.raises(DataError, match="line 4: column 'level' is not numeric") as error:
        read_file(table([NAMES, *ROWS[:2], "much,1,on", *ROWS[3:]]), target="label")
    assert "units" not in str(error.value)


def test_text_with_a_mark_is_no_other_separator(table):
    with pytest.warns(UserWarning, match="1 line has fewer values"):
        data = read_file(table(["remark,label", *(f"good,{x}" for x in LABEL), "bad; late"]), target="label")
    assert len(data.X_train) == N


@pytest.mark.parametrize("first", ["0.7,3,on", "5.1,3.5,label", "3,1,2", "0.1,0.2,on"])
def test_a_first_line_of_values_is_said(table, first):
    with pytest.warns(UserWarning, match="is taken for the names of the columns: if it is none, put a line of names"):
        read_file(table([first, *ROWS]), target=first.split(",")[2])


@pytest.mark.parametrize(
    "names",
    [
        NAMES.split(","),
        ["2019", "2020", "label"],
        ["0", "1", "2"],
        [*(f"{4000 - 3.5 * i}" for i in range(12)), "label"],
    ],
)
def test_names_that_are_numbers_in_order_are_names(table, names):
    path = table([""])
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.normal(size=(N, len(names) - 1))).assign(y=LABEL).to_csv(path, index=False, header=names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_file(path, target=names[-1]).feature_names == tuple(names[:-1])
