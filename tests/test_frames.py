"""Data frames of categories, text, truth values, dates and missing values in the estimators."""

import datetime
import json
import pickle
from decimal import Decimal

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import nmfnet
from nmfnet import ModelFileError, NMFNetClassifier, NMFNetRegressor
from nmfnet.data.columns import table_of
from nmfnet.data.missing import MissingValues
from nmfnet.data.table_encoder import TableEncoder, fewest_rows

pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))

N = 400
RNG = np.random.default_rng(0)
CITIES = np.array(["Rome", "Paris", "Oslo", None], dtype=object)
SIZE = np.where(np.arange(N) % 7 == 0, np.nan, RNG.normal(size=N))
FRAME = pd.DataFrame(
    {
        "size": SIZE,
        "city": CITIES[RNG.integers(0, 4, N)],
        "ok": RNG.random(N) < 0.5,
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), unit="D"),
        "grade": pd.Categorical.from_codes(RNG.integers(0, 3, N), ["low", "mid", "high"]),
    }
)
Y = np.where((FRAME.city == "Rome") ^ FRAME.ok ^ FRAME["size"].isna(), "yes", "no")
LIBRARIES = {"pandas": lambda f: f, "polars": pl.from_pandas, "Arrow": lambda f: pl.from_pandas(f).to_arrow()}
libraries = pytest.mark.parametrize("library", LIBRARIES)


def fitted(frame=FRAME, y=Y, **parameters):
    return NMFNetClassifier((20,), random_state=0, max_iter=10, **parameters).fit(frame, y)


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
    ],
)
def test_numbers_of_every_type(values, expected):
    column = table_of(pd.DataFrame({"x": values})).columns[0]
    if column.kind == "numbers":
        np.testing.assert_allclose(column.values, expected)
    else:  # pandas takes nothing but None for text
        assert column.kind == "categories" and column.values.tolist() == [None] * 3


def test_every_column_that_is_nothing_of_this_is_named():
    frame = pd.DataFrame(
        {"good": SIZE, "mixed": [1, "a"] * 200, "lists": [[1]] * N, "c": ["x"] * N,
         "span": pd.period_range("2020", periods=N, freq="D")}
    )  # fmt: skip
    with pytest.raises(
        ValueError, match=r"'mixed' \(some are int, others str\), 'lists' \(list\), 'span' \(Period\)\. Make"
    ):
        fitted(frame)
    with pytest.raises(ValueError, match=r"infinite values in 'good'"):
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
    with pytest.warns(UserWarning, match="X: 'row', 'customer_id' numbers the rows, as an id does"):
        fitted(FRAME.assign(row=RNG.permutation(N) + 5, customer_id=7 * np.arange(N), other=3 * np.arange(N)))
    with pytest.raises(ValueError, match="only columns in which nearly every row has another text: 'name'"):
        fitted(pd.DataFrame({"name": names}))


# --- everything else that a model does ---


def test_files_and_pickles(tmp_path):
    for frame in (FRAME, FRAME[["size"]]):
        model = fitted(frame)
        model.save(tmp_path / "a")
        for read in (nmfnet.load(tmp_path / "a"), pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(read.predict_proba(frame), model.predict_proba(frame))
            assert (
                read.n_features_in_ == frame.shape[1] and read.input_encoder_.state() == model.input_encoder_.state()
            )
            read.set_params(warm_start=True, max_iter=1).fit(frame, Y).partial_fit(frame, Y)
    json.dumps(model.input_encoder_.state(), allow_nan=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["missing"]["fill"].pop(),
        lambda s: s["missing"].update(indicated=[5, 0]),
        lambda s: s["missing"].update(indicated=[10**6]),
        lambda s: s["table"].pop(),
        lambda s: s["table"][1].pop("other"),
        lambda s: s["table"][1].update(values=["a", "a", "b"]),
        lambda s: s["table"][0].update(values=["a"]),
        lambda s: s["table"][0].update(kind="numbers", hours=True),
        lambda s: s.update(missing=None),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, change):
    from safetensors.torch import load_file, safe_open, save_file

    fitted().save(tmp_path / "a")
    with safe_open(tmp_path / "a", framework="pt") as file:
        header = json.loads(file.metadata()["nmfnet"])
    change(header["state"]["input_encoder_"])
    save_file(load_file(tmp_path / "a"), tmp_path / "a", metadata={"nmfnet": json.dumps(header)})
    with pytest.raises(ModelFileError):
        nmfnet.load(tmp_path / "a")


def test_streams_keep_what_the_first_rows_and_types_say():
    model = NMFNetClassifier((10,), random_state=0)
    model.partial_fit(FRAME[:10], Y[:10], classes=["no", "yes"])
    names = model.input_encoder_.get_feature_names_out()
    assert {"grade_low", "grade_mid", "grade_high", "city_other", "city_missing", "day_hour_sin"} <= set(names)
    for start in range(10, N, 30):
        model.partial_fit(FRAME[start : start + 30].assign(city="Tokio"), Y[start : start + 30])
    assert model.input_encoder_.get_feature_names_out() == names


def test_warm_starts_keep_the_encoding():
    model = fitted(warm_start=True)
    names = model.input_encoder_.get_feature_names_out()
    model.fit(FRAME.assign(city="Tokio"), Y)
    assert model.input_encoder_.get_feature_names_out() == names
    with pytest.raises(ValueError, match="X has 4 columns, but 5 in the fit"):
        model.fit(FRAME.drop(columns="ok"), Y)
    assert clone(model).fit(FRAME.drop(columns="ok"), Y).n_features_in_ == 4


def test_validation_data_and_searches():
    model = NMFNetClassifier((10,), early_stopping=True, random_state=0, max_iter=5)
    assert "val_error" in model.fit(FRAME, Y, X_val=FRAME[:50], y_val=Y[:50]).history_[-1]
    assert cross_val_score(model, FRAME, Y, cv=3).min() > 0.6
    regressor = NMFNetRegressor((10,), random_state=0).fit(FRAME, FRAME.ok.astype(float))
    assert regressor.score(FRAME, FRAME.ok.astype(float)) > 0.9


def test_names_are_checked():
    model = fitted()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(FRAME[FRAME.columns[::-1]])
    table = LIBRARIES["Arrow"](FRAME)
    model = fitted(table)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table.select(table.column_names[::-1]))
    model = fitted()
    with pytest.raises(ValueError, match="4 features"):
        make_pipeline(model).predict(FRAME.to_numpy()[:, :4])


def test_modules_and_graphs_say_what_they_leave_out(tmp_path):
    model = fitted()
    for export in (model.to_torch, lambda **k: model.to_onnx(tmp_path / "a.onnx", **k)):
        with pytest.raises(ValueError, match=r"stays outside: 'city', 'day', 'grade'\. Pass encoded=True"):
            export()
    X = model.input_encoder_.transform(FRAME)
    with torch.no_grad():
        found = model.to_torch(encoded=True)(torch.tensor(X)).numpy()
    np.testing.assert_allclose(found, model.predict_proba(FRAME), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_modules_and_graphs_of_missing_values(tmp_path, dtype):
    runtime = pytest.importorskip("onnxruntime")
    X = np.stack([SIZE, FRAME.ok], axis=1).astype(dtype)
    model = fitted(X)
    with torch.no_grad():
        np.testing.assert_allclose(model.to_torch()(torch.tensor(X)).numpy(), model.predict_proba(X), atol=1e-6)
    for method, output, expected in (("predict", 1, model.predict_proba), ("transform", 0, model.transform)):
        model.to_onnx(tmp_path / "a.onnx", method)
        session = runtime.InferenceSession(tmp_path / "a.onnx")
        np.testing.assert_allclose(session.run(None, {"X": X})[output], expected(X), atol=1e-5)


def test_sparse_inputs_have_nothing_missing():
    X = sparse.csr_array(np.where(np.isnan(SIZE), 0, SIZE)[:, None] * np.ones((1, 3)))
    bad = X.copy()
    bad.data[3] = np.nan
    with pytest.raises(ValueError, match=r"NaN in a sparse matrix\. Pass a dense X"):
        fitted(bad)
    model = fitted(X)
    with pytest.raises(ValueError, match="does not know what to fill in"):
        model.predict(np.full((1, 3), np.nan))
    dense = fitted(np.where(X.toarray() > 1, np.nan, X.toarray()))
    np.testing.assert_allclose(dense.predict_proba(X), dense.predict_proba(X.toarray()))
