"""Models of data frames: files, streams, searches, exports."""

import json
import pickle

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import nmfnet
from frames import FRAME, LIBRARIES, SIZE, N, Y, fitted
from nmfnet import ModelFileError, NMFNetClassifier, NMFNetRegressor

pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))


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
    with pytest.raises(ValueError, match=r"NaN in a sparse matrix, \d+ of its .*SimpleImputer, which keeps it sparse"):
        fitted(bad)
    model = fitted(X)
    with pytest.raises(ValueError, match="does not know what to fill in"):
        model.predict(np.full((1, 3), np.nan))
    dense = fitted(np.where(X.toarray() > 1, np.nan, X.toarray()))
    np.testing.assert_allclose(dense.predict_proba(X), dense.predict_proba(X.toarray()))
