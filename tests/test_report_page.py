"""The report: what it finds, that it holds what it should, and that nothing from the data becomes markup."""

import json
import re
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from nmfnet import Callback, NMFNetClassifier, NMFNetRegressor
from nmfnet.layers import Conv2d
from nmfnet.report import RunReport, charts, choices, findings, report_page
from nmfnet.report.findings import _written

HOSTILE = "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(1)>&amp;$x^{y}$"


class Page(HTMLParser):
    """Elements of a page, and what they would load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.ids, self.handlers, self.texts = set(), [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.loads += [value for name, value in attrs if name.split(":")[-1] in ("src", "href", "data", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.texts.append(data)

    def check(self):
        assert not self.tags & {"script", "iframe", "object", "embed", "link", "form"} and not self.handlers
        assert all(value.startswith(("data:image/png;base64,", "#")) for value in self.loads)
        assert len(self.ids) == len(set(self.ids))
        return self


def classifier(labels=("a", "b", "c"), seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(labels), 200)
    X = rng.standard_normal((200, 4)) + np.eye(len(labels), 4)[y]
    return NMFNetClassifier((10,), max_iter=2, random_state=0).fit(X, np.array(labels)[y]), X, np.array(labels)[y]


def run_of(model, found, name="data", names=()):
    task = "classification" if hasattr(model, "classes_") else "regression"
    score = {"error": 0.25, "rmse": 0.5}
    settings = {
        "asked": {"data": name, "target": name, "epochs": 2},
        "data": {"name": name, "task": task},
        "result": {"epochs": 2, "seconds": 0.1, "interrupted": False, "training": score, "test": score},
        "versions": {"nmfnet": name},
        "machine": {"machine": name},
    }
    parts = np.asarray(model.coefs_[0].T)
    return RunReport(name, settings, model.history_, "4-10", found, choices(model), parts, None, names)


def test_findings_of_a_classifier():
    model, X, y = classifier()
    found = findings(model, X, y, feature_names=["p", "q", "r", "s"])
    wrong = model.predict(X) != y
    assert found["rows"] == 200 and found["classes"] == ["a", "b", "c"] and found["unknown"] == 0
    np.testing.assert_allclose(found["error"], wrong.mean())
    confusion = np.array(found["confusion"])
    assert confusion.sum() == 200 and confusion.trace() == (~wrong).sum()
    assert [wrong for _, _, wrong in found["per_class"]] == (confusion.sum(1) - confusion.diagonal()).tolist()
    assert sum(rows for _, _, rows in found["calibration"]) == 200
    for each in found["worst"]:
        i = each["row"] - 1
        assert each["true"] == y[i] != each["predicted"] == model.predict(X)[i]
        assert each["columns"]["p"] == f"{X[i, 0]:.4g}"
    assert json.loads(json.dumps(found)) == found


def test_labels_that_the_model_does_not_know_and_many_classes():
    model, X, y = classifier()
    found = findings(model, X[:2], np.array(["z", y[1]]))
    assert found["unknown"] == 1 and found["error"] >= 0.5
    assert report_page([run_of(model, found)])
    many = [f"class {i}" for i in range(40)]
    y = np.array(many * 5)
    model = NMFNetClassifier((5,), max_iter=1, random_state=0).fit(X, y)
    found = findings(model, X, y)
    assert found["confusion"] is None and len(found["confused"]) == 10
    assert "taken for" in report_page([run_of(model, found)])


def test_findings_of_a_regressor():
    _, X, _ = classifier()
    model = NMFNetRegressor((10,), max_iter=2, random_state=0).fit(X, X[:, 0])
    found = findings(model, X, X[:, 0])
    np.testing.assert_allclose(found["rmse"], np.sqrt(np.mean((model.predict(X) - X[:, 0]) ** 2)))
    np.testing.assert_allclose(found["r2"], model.score(X, X[:, 0]))
    assert findings(model, X, np.ones(200))["r2"] is None
    assert "Predictions and targets" in report_page([run_of(model, found)])
    with pytest.raises(ValueError, match="one target for each of at least one row"):
        findings(model, X[:0], X[:0, 0])


def test_nothing_from_the_data_becomes_markup():
    labels = (HOSTILE, "b\x1b[31m", "c" * 5000)
    model, X, y = classifier(labels)
    names = [HOSTILE, "]]>", "--><b>", "</table>"]
    found = findings(model, X, y, HOSTILE, feature_names=names)
    text = report_page([run_of(model, found, HOSTILE, names)])
    page = Page(text).check()
    assert "<script" not in text and "\x1b" not in text
    assert any("<script>alert(1)</script>" in each for each in page.texts)  # shown as it is
    assert not re.search(r"url\((?!#)|@import", text)
    assert "default-src 'none'" in text


def test_pictures_of_images(digits):
    X_train, X_test, y_train, y_test = digits
    model = NMFNetClassifier((10,), max_iter=1, random_state=0).fit(X_train, y_train)
    found = findings(model, X_test, y_test, image_shape=(8, 8))
    assert found["worst"] and len(found["worst"][0]["pixels"]) == 64
    page = Page(report_page([run_of(model, found)])).check()
    assert sum(value.startswith("data:image/png") for value in page.loads) >= len(found["worst"])


def test_several_runs_are_compared():
    runs = [run_of(model, findings(model, X, y), name) for name in ("one", "two") for model, X, y in [classifier()]]
    page = Page(report_page(runs)).check()
    assert {"one", "two", "2 runs", "data", "target"} <= set(page.texts)  # what they differ in is a column
    with pytest.raises(ValueError, match="at least one run"):
        report_page([])


def test_choices_are_those_that_the_user_left_open():
    model, _, _ = classifier()
    chosen = {name: value for name, value, _ in choices(model)}
    assert chosen["batch size"] == "200" and chosen["penalty on the weights, alpha"] == f"{model.alpha_:.3g}"
    model.set_params(batch_size=50, alpha=0.1, solver="pinv")
    left = {name for name, _, _ in choices(model)}
    assert "batch size" not in left and "dropout" not in left and "scaling of the inputs" in left


def test_settings_of_several_networks_are_those_that_one_of_them_had():
    class Noted(Callback):
        def on_train_begin(self, training):
            self.dropout = training.sweep.settings.dropout

    rng, noted = np.random.default_rng(0), Noted()
    X = rng.standard_normal((150, 3))
    model = NMFNetClassifier((70, 40), max_iter=2, callbacks=[noted], random_state=0).fit(X, np.sin(4 * X[:, 0]) > 0)
    chosen = {name: value for name, value, _ in choices(model)}
    assert chosen["networks that share the hidden units"] == f"{model.n_members_}" == "2"
    assert chosen["dropout"] == ", ".join(f"{each:.3g}" for each in np.atleast_1d(noted.dropout))


def test_the_batch_size_is_that_of_images_and_of_many_real_targets():
    rng = np.random.default_rng(0)
    X, Y = rng.random((300, 64), np.float32), rng.random((300, 70))
    images = NMFNetClassifier((Conv2d(2, 3), 4), max_iter=1, input_shape=(1, 8, 8)).fit(X, np.arange(300) % 2)
    for model in (images, NMFNetRegressor((4,), max_iter=1).fit(X, Y)):
        assert {name: value for name, value, _ in choices(model)}["batch size"] == "100"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2023, 1, 6), "2023-01-06"),
        (datetime(2023, 1, 6, 12, 30), "2023-01-06 12:30:00"),
        (pd.NaT, "NaT"),
        (0.123456, "0.1235"),
        ("a", "a"),
    ],
)
def test_values_of_the_worst_rows_are_short(value, text):
    assert _written(value) == text


def test_classes_that_are_left_out_are_counted():
    model, X, y = classifier([f"class {i}" for i in range(33)])
    text = " ".join(Page(report_page([run_of(model, findings(model, X, y))])).check().texts)
    assert "Errors by class, the 30 with the most of 33" in text


def test_settings_that_differ_are_no_results():
    model, X, y = classifier()
    runs = [run_of(model, findings(model, X, y), name) for name in ("r", "s")]
    for share, run in enumerate(runs):
        run.settings["asked"]["test"] = share
    page = report_page(runs)
    assert page.count("<th>--test</th>") == page.count("<th>test</th>") == 1


@pytest.mark.parametrize(("units", "scale"), [((1.0, 1.0), "linear"), ((1.0, 1e9), "log")])
def test_runs_of_other_units_are_seen_together(units, scale, monkeypatch):
    drawn = []
    monkeypatch.setattr(charts, "svg", lambda figure, name: drawn.append(figure) or "")
    histories = {str(unit): [{"epoch": i, "train_error": unit * (3 - i)} for i in (1, 2)] for unit in units}
    charts.comparison_chart(histories, 1)
    panel = drawn[0].axes[0]
    assert panel.get_yscale() == scale and panel.get_ylim()[0] <= units[0]
    assert scale == "linear" or panel.get_ylim()[0] > 0.1 * units[0]


def test_single_epochs_of_more_runs_than_colours_differ(monkeypatch):
    drawn = []
    monkeypatch.setattr(charts, "svg", lambda figure, name: drawn.append(figure) or "")
    charts.comparison_chart({str(i): [{"epoch": 1, "train_error": 0.1}] for i in range(8)}, 100)
    looks = {(line.get_color(), line.get_marker()) for line in drawn[0].axes[0].lines}
    assert len(looks) == 8
