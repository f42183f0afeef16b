"""Values as people write them in files: months by name, negative numbers in brackets, blanks around text."""

from __future__ import annotations

import unicodedata
import warnings

import numpy as np
import pytest

from nmfnet.datasets import Schema, read_file, read_parts
from nmfnet.datasets._dialect import Dialect
from nmfnet.datasets._kinds import CATEGORIES, Unfit, as_kind, kind_of
from nmfnet.datasets._months import FURTHER_NAMES
from nmfnet.datasets._units import plain_numbers, without_unit
from nmfnet.datasets._values import labels_as
from nmfnet.errors import DataError

DATES = {
    "German": (["31. Dezember 2020", "3. März 2021", "2 Jän. 2020"], ["2020-12-31", "2021-03-03", "2020-01-02"]),
    "French": (["1er janvier 2020", "3 juil. 2020", "12 août 2019"], ["2020-01-01", "2020-07-03", "2019-08-12"]),
    "Spanish": (["31 de diciembre de 2020", "1 ene 2021"], ["2020-12-31", "2021-01-01"]),
    "Italian": (["31 dicembre 2020", "2 mag 2020 13:45"], ["2020-12-31", "2020-05-02T13:45"]),
    "Dutch": (["31 mrt 2020", "1 mei 2020", "2 februari 2020"], ["2020-03-31", "2020-05-01", "2020-02-02"]),
    "Portuguese": (["1 de março de 2020", "2 fev. 2020"], ["2020-03-01", "2020-02-02"]),
    "Danish": (["1. marts 2020", "2. maj 2020"], ["2020-03-01", "2020-05-02"]),
    "Polish": (["31 grudnia 2020", "2 paź 2021", "maj 2019"], ["2020-12-31", "2021-10-02", "2019-05-01"]),
    "Czech": (["31. prosince 2020", "2. čvc 2021", "ledna 2020"], ["2020-12-31", "2021-07-02", "2020-01-01"]),
    "Finnish": (["14. elokuuta 2022", "marraskuu 2021", "1 tammi 2020"], ["2022-08-14", "2021-11-01", "2020-01-01"]),
    "Turkish": (["14 Ağustos 2022", "1 KASIM 2021", "Mayıs 2020"], ["2022-08-14", "2021-11-01", "2020-05-01"]),
    "Hungarian": (["2 szept. 2020", "július 2021"], ["2020-09-02", "2021-07-01"]),
    "Romanian": (["2 ianuarie 2020", "noiembrie 2021"], ["2020-01-02", "2021-11-01"]),
    "Russian": (["14 августа 2022", "май 2020", "1 янв. 2021"], ["2022-08-14", "2020-05-01", "2021-01-01"]),
    "Ukrainian": (["14 серпня 2022", "листопад 2020"], ["2022-08-14", "2020-11-01"]),
    "Greek": (["14 Αυγούστου 2022", "Μάιος 2020"], ["2022-08-14", "2020-05-01"]),
    "English among Finnish letters": (["2 Mar 2020", "Mar 2021"], ["2020-03-02", "2021-03-01"]),
    "English": (["31st of December 2020", "March 2nd, 2019"], ["2020-12-31", "2019-03-02"]),
    "years of two digits": (["31-DEC-20", "01-JAN-99"], ["2020-12-31", "1999-01-01"]),
    "nothing between": (["31DEC2020", "01JAN2021"], ["2020-12-31", "2021-01-01"]),
    "Chinese, Japanese, Korean": (["2020年12月31日", "2020년 3월 1일 13:45"], ["2020-12-31", "2020-03-01T13:45"]),
    "no day": (["Dec 2020", "janvier 2021"], ["2020-12-01", "2021-01-01"]),
    "accents as marks": ([unicodedata.normalize("NFD", "3. März 2021")], ["2021-03-03"]),
}


@pytest.mark.parametrize("case", DATES)
def test_months_by_name(case):
    texts, expected = DATES[case]
    np.testing.assert_array_equal(as_kind(texts, kind_of(texts)), np.array(expected, dtype="datetime64[us]"))


@pytest.mark.parametrize("language", FURTHER_NAMES)
def test_months_of_further_languages(language):
    """Each name is its own month, also with a capital; none takes a meaning from those that were there before."""
    names = FURTHER_NAMES[language].split()
    expected = np.array([f"2020-{month:02}-01" for month in range(1, 13)], dtype="datetime64[us]")
    for written in (names, [name.capitalize() for name in names]):
        texts = [f"{name} 2020" for name in written]
        np.testing.assert_array_equal(as_kind(texts, kind_of(texts)), expected)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["Dec-20", "Jan-21"], "nothing tells a day from a year of two digits"),
        (["1 Dec 2020", "15 ožujka 2020"], "month 'ožujka' is of no language that is known here"),
        (["prosinca 1, 2020", "ožujka 15, 2020"], "month 'ožujka' is of no language that is known here"),
        (["siječanj 2020", "jan 2021"], "month 'siječanj' is of no language that is known here"),
        (["12 jui 2020", "3 mai 2020"], "month 'jui' is of no language that is known here"),  # juin or juillet
    ],
)
def test_months_that_are_unclear_are_refused_with_the_recipe(texts, why):
    found = kind_of(texts)
    assert isinstance(found, Unfit) and why in found.why and "write them as 2020-12-31" in found.why


def test_limits_of_a_laboratory_are_refused_with_what_to_write():
    found = kind_of(["<0,5", "1.2", "3.4"])
    assert isinstance(found, Unfit) and "(e.g. '<0,5')" in found.why and "0.25 or 0.5 for <0.5" in found.why
    assert "measured" not in kind_of(["odd", "1.2", "3.4"]).why


@pytest.mark.parametrize(
    "texts", [["Summer 2020", "Spring 2021"], ["Golf 5 2010", "Polo 4 2011"], ["31. Feb 2020", "1. Feb 2020"]]
)
def test_words_and_years_that_are_no_dates_are_categories(texts):
    assert kind_of(texts) == CATEGORIES


def test_targets_with_a_unit_and_missing_ones(tmp_path):
    path = tmp_path / "a.csv"
    for word in ("--", "NA", "", "?"):
        path.write_text("x,price\n" + "".join(f'{i},"EUR {1000 + i:,.2f}"\n' for i in range(30)) + f"99,{word}\n")
        with pytest.warns(UserWarning, match="1 of 31 rows have no target"):
            data = read_file(path, target="price")
        assert data.y_train.tolist() == [1000.0 + i for i in range(30)] and len(data.X_train) == 30


def test_brackets_are_negative():
    texts = "(991.84)", "$(5)", "($5)", "(12 %)", "(12) %", "(EUR 5)", "1.5 (sic)"
    assert [without_unit(text) for text in texts] == [
        ("-991.84", ""), ("-5", "$"), ("-5", "$"), ("-12", "%"), ("-12", "%"), ("-5", "EUR"), ("1.5 (sic)", ""),
    ]  # fmt: skip
    plain = Dialect(decimal=",", thousands=".").plain
    assert plain_numbers([" (1.234,50)", "3,5", "-"], plain) == ["-1234.50", "3.5", "-"]
    assert plain_numbers(["(a1)", "(5)", "x"], plain) == ["(a1)", "-5", "x"]
    assert plain_numbers(["(1)", "good"], plain, words=False) == ["(1)", "good"]  # labels stay


def test_a_column_with_brackets_in_a_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('profit,y\n"1,200.50",a\n"(991.84)",b\n(3),a\n')
    assert read_file(path, target="y").X_train.ravel().tolist() == [1200.5, -991.84, -3.0]


def test_blanks_around_labels_and_categories_do_not_count(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('city, size, y\nRome, 1, " yes"\n Rome ,2,yes \nOslo , 3, "no, never"\n')
    data = read_file(path, target="y")
    assert data.y_train.tolist() == ["yes", "yes", "no, never"]
    assert data.X_train["city"].tolist() == ["Rome", "Rome", "Oslo"]
    assert data.X_train["size"].tolist() == [1, 2, 3]


def test_labels_of_models_whose_classes_have_blanks():
    classes = np.array([" no", " yes"])
    y, known = labels_as(["yes", " yes", "no ", "maybe"], classes)
    assert y.tolist() == [" yes", " yes", " no", "maybe"] and known.tolist() == [True, True, True, False]
    y, known = labels_as(["a", " b"], np.array(["a ", " a", "b"]))  # which of the two is it?
    assert known.tolist() == [False, True] and y[1] == "b"


def test_targets_with_a_word_behind_are_numbers_where_they_are_amounts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,w\n" + "".join(f"{i},{i}.5 kg\n" for i in range(30)))
    with pytest.warns(UserWarning, match="column 'w', is read as numbers of kg"):
        data = read_file(path, target="w")
    assert data.y_train.tolist() == [i + 0.5 for i in range(30)]
    assert read_file(path, target="w", labels="numbers").y_train.tolist() == data.y_train.tolist()  # as a model does
    path.write_text("x,w\n" + "".join(f"{i},{i % 3} kg\n" for i in range(30)))
    assert set(read_file(path, target="w").y_train) == {"0 kg", "1 kg", "2 kg"}
    path.write_text("x,w\n" + "".join(f"{i},{i} {'kg' if i % 2 else 'g'}\n" for i in range(30)))
    assert read_file(path, target="w").y_train.dtype.kind == "U"  # which the estimators refuse


def test_text_that_excel_was_made_to_keep(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('n,city,y\n="12",="Rome","=""01"""\n="7",Rome,="02"\n')
    data = read_file(path, target="y")
    assert data.X_train["n"].tolist() == [12, 7] and data.X_train["city"].tolist() == ["Rome", "Rome"]
    assert data.y_train.tolist() == ["01", "02"]


def test_columns_between_blanks(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("   size   weight y\n    1.5     2.25 a\n   12.5    14.25 b\n")
    with pytest.raises(DataError, match=r"if blanks divide them: --sep ' ', or pandas\.read_fwf"):
        read_file(path, target="y")
    data = read_file(path, schema=Schema("y", dialect=Dialect(" ")))
    assert data.X_train.tolist() == [[1.5, 2.25], [12.5, 14.25]] and data.y_train.tolist() == ["a", "b"]


def test_text_named_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_text("x,y\n1,a\n2,b\n")
    schema = Schema("y", ["x"], kinds={"x": "numbers"})
    for read in (lambda: read_file(path, target="y"), lambda: list(read_parts(path, schema))):
        with pytest.raises(DataError, match=r"is not a \.parquet file: if it is text, name it \.csv"):
            read()


SCRIPTS = {
    "cp932": ("東京", "大阪"), "shift_jis": ("ﾄｳｷｮｳ", "ｵｵｻｶ"), "gb18030": ("北京", "上海"), "euc-kr": ("서울", "부산"),
    "cp1251": ("Москва", "Казань"), "cp1253": ("Αθήνα", "Πάτρα"),
}  # fmt: skip


@pytest.mark.parametrize("encoding", SCRIPTS)
def test_other_scripts_are_noticed(encoding, tmp_path):
    """Wherever in the file they are."""
    path = tmp_path / "a.csv"
    path.write_bytes(
        "\n".join(["city,y", *["-,a"] * 400, *(f"{city},b" for city in SCRIPTS[encoding])]).encode(encoding)
    )
    with pytest.warns(UserWarning, match="if text looks wrong, give another --encoding, as cp932"):
        read_file(path, target="y")


@pytest.mark.parametrize(
    "text",
    [
        "été à Nîmes",
        "«¿Qué? ¡Sí!»",
        "10 m²·K/W: ± ½ °C",
        "“Ah…” – ‘so’",
        "———— •••• ……",
        "ÜBERGRÖSSE",
        "5 € · 3 £",
        "§§ 12 ··· 5",
    ],
)
def test_western_text_is_no_other_script(text, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(f"text,y\n{text},a\nb,b\n".encode("cp1252"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_file(path, target="y").X_train["text"][0] == text
