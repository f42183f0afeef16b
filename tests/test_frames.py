"""Data frames of categories, text, truth values, dates and missing values in the estimators."""

import datetime
from decimal import Decimal

import numpy as np
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from frames import FRAME, LIBRARIES, RNG, SIZE, N, Y, fitted
from nmfnet import NMFNetClassifier, NMFNetRegressor
from nmfnet.data.columns import ids_among, sentinels_among, table_of
from nmfnet.data.missing import MissingValues
from nmfnet.data.table_encoder import TableEncoder, fewest_rows

pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))

libraries = pytest.mark.parametrize("library", LIBRARIES)


@libraries
def test_every_library_gives_the_same_model(library):
    frame = LIBRARIES[library](FRAME)
    model = fitted(frame)
    assert model.n_features_in_ == 5 and model.score(frame, Y) > 0.95
    np.testing.assert_allclose(model.predict_proba(frame), fitted().predict_proba(FRAME), rtol=1e-6)


def test_encoding_is_scikit_learns():
    frame = FRAME.drop(columns="day")
    reference = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["city"]),
        (SimpleImputer(add_indicator=True), ["size"]),
        (OneHotEncoder(sparse_output=False), ["grade"]),
    )
    ours = fitted(frame).input_encoder_
    names = ours.get_feature_names_out()
    assert names == [
        "size", "city_Oslo", "city_Paris", "city_Rome", "city_missing", "ok", "grade_high", "grade_low", "grade_mid",
        "size_missing",
    ]  # fmt: skip
    order = [n for n in names if n.startswith("city")] + ["size", "size_missing"] + [n for n in names if "grade" in n]
    np.testing.assert_allclose(
        ours.transform(frame)[:, [names.index(n) for n in order]], reference.fit_transform(frame)
    )


def test_missing_values_are_scikit_learns():
    X = np.where(RNG.random((50, 6)) < [0, 0.1, 0.5, 0, 0.9, 1.0], np.nan, RNG.normal(size=(50, 6)) * 1e3)
    ours = MissingValues.of(torch.tensor(X))
    reference = SimpleImputer(add_indicator=True, keep_empty_features=True).fit(X)
    np.testing.assert_allclose(ours(torch.tensor(X)).numpy(), reference.transform(X))
    weight = RNG.integers(1, 4, 50)
    weighted = MissingValues.of(torch.tensor(X), torch.tensor(weight.astype(float)))
    repeated = MissingValues.of(torch.tensor(np.repeat(X, weight, axis=0)))
    np.testing.assert_allclose(weighted.fill, repeated.fill)


def test_means_that_overflow():
    X = torch.full((3, 2), 1.7e308, dtype=torch.float64)
    np.testing.assert_allclose(MissingValues.of(X).fill, X[0])


def test_rows_of_weight_zero_are_left_out_of_the_encoding():
    weight = (np.arange(N) % 3 > 0).astype(float)
    kept = weight > 0
    one = NMFNetClassifier((5,), random_state=0, max_iter=2).fit(FRAME, Y, weight)
    other = NMFNetClassifier((5,), random_state=0, max_iter=2).fit(FRAME[kept], Y[kept], weight[kept])
    np.testing.assert_array_equal(one.predict_proba(FRAME), other.predict_proba(FRAME))


# --- categories ---


def test_rare_and_unknown_categories_are_others():
    city = np.array(["a"] * 197 + ["b"] * 200 + ["x", "y", "z"], dtype=object)
    model = fitted(pd.DataFrame({"city": city, "n": SIZE}), np.arange(N) < 197)
    assert fewest_rows(N) == 4
    assert model.input_encoder_.get_feature_names_out()[:3] == ["city_a", "city_b", "city_other"]
    new = pd.DataFrame({"city": ["x", "never seen"], "n": [0.0, 0.0]})
    one, other = model.predict_proba(new)
    np.testing.assert_array_equal(one, other)


def test_unknown_categories_where_none_was_rare_have_zeros():
    encoder = fitted().input_encoder_
    X = encoder.transform(FRAME.head(1).assign(city="Tokio"))
    assert X[0, 1:5].tolist() == [0, 0, 0, 0]


def test_a_column_may_be_all_missing_later():
    model = fitted()
    given = FRAME.head(3).assign(size=None, city=None, day=pd.NaT, grade=None)
    assert np.isfinite(model.predict_proba(given)).all()


def test_declared_categories_that_are_not_there_have_no_column():
    grade = pd.Categorical(["low", "high"] * 200, ["low", "mid", "high"])
    assert fitted(pd.DataFrame({"g": grade})).input_encoder_.get_feature_names_out() == ["g_high", "g_low"]


def test_numbers_of_any_type_are_the_same_category():
    codes = RNG.integers(0, 3, N)
    frame = pd.DataFrame({"code": pd.Categorical(codes), "x": SIZE})
    model = fitted(frame, codes == 1)
    expected = model.predict_proba(frame)
    for other in (codes.astype(float), codes.astype(str), pd.Categorical(codes.astype(str))):
        np.testing.assert_array_equal(model.predict_proba(frame.assign(code=other)), expected)


@pytest.mark.parametrize("asked", [["code"], [1], [False, True]])
def test_categorical_features(asked):
    codes = RNG.integers(0, 3, N).astype(float)
    y = codes == 1
    frame = pd.DataFrame({"x": SIZE, "code": codes})
    model = fitted(frame, y, categorical_features=asked)
    assert model.input_encoder_.get_feature_names_out() == ["x", "code_0", "code_1", "code_2", "x_missing"]
    assert fitted(frame, y).network_.sizes[0] == 3
    if asked != ["code"]:
        array = fitted(frame.to_numpy(), y, categorical_features=asked)
        np.testing.assert_array_equal(array.predict_proba(frame.to_numpy()), model.predict_proba(frame))


@pytest.mark.parametrize("asked", [["cod"], [7], [-1], [True], [0.5]])
def test_categorical_features_that_are_not_there(asked):
    with pytest.raises(ValueError, match="categorical_features: X has no columns"):
        fitted(pd.DataFrame({"x": SIZE, "code": 1.0}), categorical_features=asked)


def test_arrays_of_objects_are_tables():
    X = np.array([["a", 1.0], ["b", None]] * 20, dtype=object)
    y = np.arange(40) % 2
    model = NMFNetClassifier((5,), random_state=0).fit(X, y)
    assert model.score(X, y) == 1 and model.network_.sizes[0] == 4
    assert model.input_encoder_.get_feature_names_out() == ["x0_a", "x0_b", "x1", "x1_missing"]


# --- dates and what is in objects ---


def test_parts_of_dates():
    dates = np.array(["2020-02-29T12:00", "1969-12-31T23:59", "NaT", "2024-01-01T06:00"], dtype="datetime64[us]")
    encoder = TableEncoder.of(table_of(pd.DataFrame({"d": dates})))
    parts = dict(
        zip(encoder.get_feature_names_out(), encoder.transform(table_of(pd.DataFrame({"d": dates}))).T, strict=True)
    )
    np.testing.assert_allclose(parts["d_year"], [2020.163, 1969.999, np.nan, 2024.0], atol=2e-3)
    weekdays = [name for name, values in parts.items() if values[0] == 1 and "day" in name]
    assert weekdays == ["d_saturday"] and parts["d_wednesday"][1] == 1 and parts["d_monday"].tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(parts["d_hour_cos"], [-1, np.cos(2 * np.pi / 1440), 0, 0], atol=1e-12)
    assert parts["d_season_cos"][3] == 1 and parts["d_season_sin"][0] > 0


@pytest.mark.parametrize(
    "dates",
    [
        pd.to_datetime(["2020-01-01", None, "2020-06-01"]),
        pd.to_datetime(["2020-01-01", None, "2020-06-01"]).tz_localize("Europe/Berlin"),
        [datetime.date(2020, 1, 1), None, datetime.date(2020, 6, 1)],
        pd.array([datetime.date(2020, 1, 1), None, datetime.date(2020, 6, 1)], dtype=pd.ArrowDtype(pa.date32())),
        np.array(["2020-01-01", "NaT", "2020-06-01"], dtype="datetime64[D]").astype(object),
    ],
)
def test_dates_of_every_type(dates):
    frame = pd.DataFrame({"d": dates})
    column = table_of(frame).columns[0]
    assert column.kind == "dates"
    assert column.values.astype("datetime64[D]").astype(str).tolist() == ["2020-01-01", "NaT", "2020-06-01"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False, None], [1, 0, np.nan]),
        ([Decimal("1.5"), None, Decimal(2)], [1.5, np.nan, 2]),
        (pd.to_timedelta([1, None, 36], unit="h"), [1 / 24, np.nan, 1.5]),
        (pd.array([1, None, 3], dtype="Int8"), [1, np.nan, 3]),
        (pd.array([True, None, False], dtype="boolean"), [1, np.nan, 0]),
        (pd.arrays.SparseArray([0, 0, 1.5]), [0, 0, 1.5]),
        ([1, 2.5, np.nan], [1, 2.5, np.nan]),
        ([None, None, None], [np.nan] * 3),
        (pd.Series([datetime.timedelta(1), None, datetime.timedelta(hours=6)], dtype=object), [1, np.nan, 0.25]),
        (pl.Series([2**90, None, 3], dtype=pl.Int128), [2.0**90, np.nan, 3]),
    ],
)
def test_numbers_of_every_type(values, expected):
    library = pl if isinstance(values, pl.Series) else pd
    column = table_of(library.DataFrame({"x": values})).columns[0]
    if column.kind == "numbers":
        np.testing.assert_allclose(column.values, expected)
    else:  # pandas takes nothing but None for text
        assert column.kind == "categories" and column.values.tolist() == [None] * 3


def test_whole_numbers_of_128_bits_are_checked_as_others_are():
    assert ids_among(pl.DataFrame({"id": pl.Series(range(60), dtype=pl.Int128)})) == ["id"]


def test_dictionaries_of_arrow_are_categories():
    text = pd.Series(["x", "y", None], dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())))
    column = table_of(pd.DataFrame({"a": text})).columns[0]
    assert column.kind == "categories" and column.values.tolist() == ["x", "y", None]


TIMES = [datetime.time(6, 30), None, datetime.time(23, 0, 36)]


@pytest.mark.parametrize("frame", [pd.DataFrame({"t": TIMES}), pl.DataFrame({"t": TIMES})], ids=["pandas", "polars"])
def test_times_of_the_day_are_hours(frame):
    column = table_of(frame).columns[0]
    assert column.kind == "numbers"
    np.testing.assert_allclose(column.values, [6.5, np.nan, 23.01])


def test_every_column_that_is_nothing_of_this_is_named():
    frame = pd.DataFrame(
        {"good": SIZE, "mixed": [1, "a"] * 200, "lists": [[1]] * N, "c": ["x"] * N,
         "span": pd.period_range("2020", periods=N, freq="D")}
    )  # fmt: skip
    with pytest.raises(
        ValueError, match=r"'mixed' \(some are int, others str\), 'lists' \(list\), 'span' \(Period\)\. Make"
    ):
        fitted(frame)
    with pytest.raises(ValueError, match=r"infinite values in 'good' \(\d+\): correct them"):
        fitted(frame[["good", "c"]].assign(good=np.inf))


def test_columns_of_another_kind_are_named():
    model = fitted()
    with pytest.raises(
        ValueError, match=r"'size' \(categories; in the fit numbers\), 'day' \(categories; in the fit dates\)"
    ):
        model.predict(FRAME.assign(size="big", day="monday"))


# --- ids ---


def test_ids_are_noticed():
    names = np.array([f"customer {i}" for i in range(N)])
    with pytest.warns(UserWarning, match="nearly every row has a text of its own in 'name'"):
        fitted(FRAME.assign(name=names))
    with pytest.warns(UserWarning, match="X: 'row', 'customer_id' number the rows, as an id does: leave them out"):
        fitted(FRAME.assign(row=RNG.permutation(N) + 5, customer_id=7 * np.arange(N), other=3 * np.arange(N)))
    with pytest.raises(ValueError, match="only columns in which nearly every row has another text: 'name'"):
        fitted(pd.DataFrame({"name": names}))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (1000.0 + np.arange(60), True),  # a file gives every number as a float
        (1000.0 + RNG.permutation(75)[:60], True),  # a fifth of the rows are held out
        (1000.5 + np.arange(60), False),
        (2.0 * np.arange(60), False),
    ],
)
def test_numbers_that_count_rows_in_a_file_are_noticed(numbers, expected):
    assert (ids_among(pd.DataFrame({"Nr": numbers})) == ["Nr"]) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (np.where(np.arange(60) % 9, np.arange(60), -999), "-999"),
        (np.where(np.arange(60) % 9, np.arange(60) / 60, 99.99), "99.99"),
        (np.where(np.arange(60) % 9, np.nan, 9999.0), None),  # no others
        (np.where(np.arange(60) % 9, 40.0 * np.arange(60), -999.0), None),  # near the others
        (np.where(np.arange(60) == 9, -999, np.arange(60)), None),  # once
        (np.where(np.arange(60) % 9, np.arange(60), -1000), None),
    ],
)
def test_numbers_that_stand_for_missing_ones_are_noticed(numbers, expected):
    assert sentinels_among(pd.DataFrame({"size": numbers})).get("size") == expected


def test_a_number_that_stands_for_missing_ones_is_told():
    with pytest.warns(UserWarning, match="X: 'size': -999 is far from all other values. If it stands for a missing"):
        fitted(FRAME.assign(size=np.where(np.arange(N) % 9, RNG.random(N), -999)))
    with pytest.warns(UserWarning, match="y: -999 is far from all other values. If it stands .* leave these rows out"):
        NMFNetRegressor((5,), max_iter=1).fit(RNG.random((N, 2)), np.where(np.arange(N) % 9, RNG.random(N), -999))


# --- everything else that a model does ---


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([f"2020-01-{1 + i % 28:02}" for i in range(60)], "'new' has dates as text"),
        ([f"2020-01-{1 + i % 2} 10:00" for i in range(60)], "'new' has dates as text"),
        ([f"{i}.5" for i in range(60)], "'new' has numbers as text, another one in nearly every row"),
        ([f"EUR {i // 2 if i < 4 else i}" for i in range(60)], "text of its own in 'new'"),
    ],
)
def test_text_that_stands_for_something_else_is_told(values, said):
    frame = pd.DataFrame({"a": np.arange(60) % 7, "new": values})
    with pytest.warns(UserWarning, match=said) as told:
        NMFNetClassifier((2,), max_iter=1).fit(frame, np.arange(60) % 2)
    assert len(told) == 1


@pytest.mark.parametrize("values", [[None] * 60, ["1", "2"] * 30])
def test_other_text_is_not(values, recwarn):
    frame = pd.DataFrame({"a": np.arange(60) % 7, "new": values})
    NMFNetClassifier((2,), max_iter=1).fit(frame, np.arange(60) % 2)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("X", "advice"),
    [
        (pl.DataFrame({"a": [1.0, 2.0]}).lazy(), r"X is a LazyFrame: pass X.collect\(\)"),
        (pa.RecordBatch.from_pydict({"a": [1.0, 2.0], "b": ["x", "y"]}), r"pass pyarrow.Table.from_batches\(\[X\]\)"),
        ([{"a": 1.0}, {"a": 2.0}], "X is a list: pass a data frame"),
        ({"a": [1.0, 2.0]}, "X is a dict: pass a data frame"),
        (np.array([(1.0, 2)], dtype=[("a", "f8"), ("b", "i8")]), "pass a data frame"),
        ([[1.0, "x"], [2.0, "y"]], "X is an array or a list of text: pass a data frame"),
        (pd.DataFrame([[1.0, 2.0]] * 2, columns=["a", "a"]), "more than one column 'a': give each a name of its own"),
    ],
)
def test_what_is_nearly_a_data_frame_is_refused_with_what_to_pass(X, advice):
    with pytest.raises((TypeError, ValueError), match=advice):
        NMFNetClassifier().fit(X, [0, 1])
