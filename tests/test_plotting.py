"""Display objects and the HTML representation."""

from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

from nmfnet import NMF, NMFAutoencoder, NMFNetClassifier, NMFNetRegressor, NonlinearSemiNMF, SemiNMF
from nmfnet.layers import Conv1d, Conv2d
from nmfnet.plotting import (
    HistoryDisplay,
    LayerCodesDisplay,
    WeightsDisplay,
    plot_history,
    plot_layer_codes,
    plot_weights,
)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture
def model(small):
    X, y = small
    return NMFNetClassifier((7, 4), max_iter=4, early_stopping=True, random_state=0).fit(X, y)


@pytest.mark.parametrize("curve", ["loss", "error"])
def test_history(curve, model):
    display = plot_history(model, curve=curve, linewidth=3)
    assert isinstance(display, HistoryDisplay) and display.figure_ is display.ax_.figure
    assert [line.get_label() for line in display.lines_] == ["training", "validation"]
    for line, part in zip(display.lines_, ("train", "val"), strict=True):
        expected = [(record["epoch"], record[f"{part}_{curve}"]) for record in model.history_]
        np.testing.assert_allclose(line.get_xydata(), expected)
        assert line.get_linewidth() == 3
    again = display.plot(curve=curve, ax=plt.subplots()[1])
    assert len(again.lines_) == 2


def test_history_without_validation(small):
    model = NMFNetRegressor((3,), max_iter=2).fit(*small)
    assert [line.get_label() for line in plot_history(model).lines_] == ["training"]
    with pytest.raises(ValueError, match="curve must be 'loss' or 'error'"):
        plot_history(model, curve="accuracy")
    with pytest.raises(ValueError, match="history is empty"):
        HistoryDisplay([])


def test_weights_as_rows(small):
    """Per standard deviation: a column in millimetres shows as one in kilometres does."""
    X, y = small
    model = NMFNetClassifier((7,), max_iter=4, random_state=0).fit(X * [1, 1, 1, 1, 1e6], y)
    display = plot_weights(model, n_parts=3)
    (image, *_) = display.ax_.images
    W = model.coefs_[0] * (X * [1, 1, 1, 1, 1e6]).std(0)[:, None]
    np.testing.assert_allclose(image.get_array(), W.T[np.argsort(-np.linalg.norm(W, axis=0))[:3]])
    assert image.norm.vmin == -image.norm.vmax == -np.abs(display.parts).max()


def test_weights_as_images(digits):
    X, _, y, _ = digits
    model = NMFNetClassifier((7,), max_iter=1).fit(X, y)
    display = WeightsDisplay.from_estimator(model, image_shape=(8, 8))
    assert sum(bool(panel.images) for panel in display.axes_) == 7
    np.testing.assert_allclose(display.ax_.images[0].get_array().ravel(), display.parts[0])
    with pytest.raises(ValueError, match="image_shape"):
        plot_weights(model, image_shape=(8, 9))
    with pytest.raises(ValueError, match="ax is for the heat map"):
        plot_weights(model, image_shape=(8, 8), ax=plt.subplots()[1])


@pytest.mark.parametrize("layer", [0, -1])
def test_layer_codes(layer, model, small):
    X, y = small
    display = plot_layer_codes(model, X, y, layer=layer)
    order = np.argsort(y, kind="stable")
    np.testing.assert_allclose(display.image_.get_array(), model.layer_codes(X, layer)[order])
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["0", "1", "2"]
    np.testing.assert_allclose(plot_layer_codes(model, X).image_.get_array(), model.transform(X))
    with pytest.raises(ValueError, match="y must have a label for each of the 40 samples"):
        LayerCodesDisplay(model.transform(X), y[:3])


ODD = ["$x^", r"\frac{", "日本", "é[b]", "a\x00\x1b\n", "\udce9", "n" * 500]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("usetex", [False, True])
def test_names_and_labels_are_drawn_as_they_are(usetex, monkeypatch, tmp_path):
    monkeypatch.setitem(mpl.rcParams, "text.usetex", usetex)  # for the user's own text
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(35, 7)), np.array(ODD)[np.arange(35) % 7]
    model = NMFNetClassifier((3,), max_iter=1).fit(X, y)
    expected = [*ODD[:4], r"a\x00\x1b\n", r"\udce9", "n" * 25 + "..." + "n" * 12]
    weights, codes = WeightsDisplay(model.coefs_[0].T, feature_names=ODD).plot(), plot_layer_codes(model, X, y)
    shown = (weights.ax_.get_xticklabels(), codes.ax_.get_yticklabels())
    for labels, texts_ in zip(
        shown, (expected, sorted(expected, key=lambda text: ODD[expected.index(text)])), strict=True
    ):
        assert [label.get_text() for label in labels] == texts_
        assert not any(label.get_parse_math() or label.get_usetex() for label in labels)
    if not usetex:
        weights.figure_.savefig(tmp_path / "a.png")
        codes.figure_.savefig(tmp_path / "b.png")


def svg(model):
    text = model._repr_html_()
    assert type(model).__name__ in text
    return ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])


def texts(tree):
    return [element.text for element in tree.iter() if element.tag.endswith("text")]


def test_picture_of_a_fitted_network(model):
    tree = svg(model)
    assert texts(tree) == ["5", "inputs", "7", "relu", "4", "relu", "3", "softmax"]
    heights = [float(element.get("height")) for element in tree.iter() if element.tag.endswith("rect")]
    assert len(heights) == 4 and heights[1] == max(heights) and heights[3] == min(heights)
    assert tree.get("aria-label") == "network of 5-7-4-3 units"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["?", "inputs", "100", "relu", "?", "outputs"]),
        ({"hidden_layer_sizes": ()}, ["?", "inputs", "?", "outputs"]),
        ({"hidden_layer_sizes": 3, "activation": ["tanh"]}, ["?", "inputs", "3", "tanh", "?", "outputs"]),
        ({"hidden_layer_sizes": "<b>", "activation": "<i>"}, ["?", "inputs", "?", "<i>", "?", "outputs"]),
        ({"hidden_layer_sizes": (2000, None), "activation": None},
         ["?", "inputs", "2,000", "None", "?", "None", "?", "outputs"]),
    ],
)  # fmt: skip
def test_picture_of_what_was_asked_for(parameters, expected):
    """Parameters are not checked before `fit`, and the picture must not fail."""
    assert texts(svg(NMFNetRegressor(**parameters))) == expected


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_filters_of_a_convolution_are_images(channels):
    X = np.random.default_rng(0).normal(size=(30, channels, 6, 6))  # as scaled before
    model = NMFNetClassifier((Conv2d(5, (2, 3)), 4), max_iter=1).fit(X, np.arange(30) % 2)
    display = plot_weights(model)
    shown = [panel.images[0].get_array() for panel in display.axes_[:5]]
    assert {image.shape for image in shown} == {(2, 3, 3) if channels == 3 else (2, 3)}
    filters = model.coefs_[0].T.reshape(5, channels, 2, 3)
    largest = filters[np.argmax(np.linalg.norm(filters.reshape(5, -1), axis=1))]
    if channels < 3:
        np.testing.assert_allclose(shown[0], largest.mean(0))
    else:
        np.testing.assert_allclose(shown[0], largest.transpose(1, 2, 0) / (2 * np.abs(filters).max()) + 0.5)


@pytest.mark.parametrize(
    "model", [NMF(6), SemiNMF(6), NonlinearSemiNMF(6), NMFAutoencoder((8, 6), max_iter=1)], ids=str
)
def test_factorizations(model, digits):
    X, *_ = digits
    model = model.set_params(random_state=0).fit(X[:100])
    display = plot_weights(model, image_shape=(8, 8))
    assert sum(bool(panel.images) for panel in display.axes_) == 6
    (image, *_) = plot_weights(model).ax_.images
    assert sorted(map(tuple, image.get_array())) == sorted(map(tuple, model.components_))
    np.testing.assert_allclose(plot_layer_codes(model, X[:50]).image_.get_array(), model.transform(X[:50]))


def test_ticks_are_whole_numbers_and_targets_of_rows(small, tmp_path):
    X, _ = small
    y = 1000 + 10 * X[:, 0]
    model = NMFNetRegressor((20,), max_iter=7, random_state=0).fit(X, y)
    codes, history, weights = plot_layer_codes(model, X, y), plot_history(model), plot_weights(model)
    for axis in (codes.ax_.xaxis, history.ax_.xaxis, weights.ax_.xaxis, weights.ax_.yaxis):
        assert all(tick == round(tick) for tick in axis.get_majorticklocs())
    labels = [text.get_text() for text in codes.ax_.get_yticklabels()]
    assert labels[0] == f"{y.min():.4g}" and labels[-1] == f"{y.max():.4g}"
    assert codes.ax_.get_ylabel() == "Target of the row, in ascending order"


def test_long_names_fit_into_the_figure(small, tmp_path):
    X, y = small
    names = [f"a long name of a column, number {i}" for i in range(5)]
    model = NMFNetClassifier((20,), max_iter=1, random_state=0).fit(pd.DataFrame(X, columns=names), y)
    display = plot_weights(model)
    display.figure_.savefig(tmp_path / "weights.png")
    box = display.figure_.bbox
    for label in display.ax_.get_xticklabels():
        assert label.get_window_extent().y0 >= box.y0 and label.get_text() in names


def test_labels_of_small_classes_do_not_overlap():
    """The largest classes are named, as far apart as thirty labels are."""
    y = np.array(["many"] * 590 + ["few A"] * 4 + ["few B"] * 6)
    display = LayerCodesDisplay(np.zeros((600, 3)), y).plot()
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["few B", "many"]


def test_codes_of_a_convolution_are_rows(digits):
    X, _, y, _ = digits
    X = X.reshape(-1, 1, 8, 8)
    model = NMFNetClassifier((Conv2d(2, 3), 5), max_iter=1, random_state=0).fit(X, y)
    display = plot_layer_codes(model, X[:9], layer=0)
    np.testing.assert_allclose(display.image_.get_array(), model.layer_codes(X[:9], 0).reshape(9, -1))


def test_a_curve_at_zero_does_not_hide_in_the_axis(small):
    """It is a little above the axis, which has no ticks below 0."""
    X, _ = small
    display = plot_history(NMFNetClassifier((3,), max_iter=2).fit(X, np.zeros(len(X))), curve="error")
    low, high = display.ax_.get_ylim()
    assert -0.05 * high < low < 0 and not any(low <= tick < 0 for tick in display.ax_.get_yticks())


@pytest.mark.parametrize(
    ("model", "loss", "error"),
    [
        (NMFNetClassifier((3,), max_iter=1), "Cross-entropy", "Share misclassified"),
        (
            NMFNetClassifier((3,), max_iter=1, solver="pinv"),
            "Mean squared error of 0/1 targets",
            "Share misclassified",
        ),
        (NMFNetRegressor((3,), max_iter=1), "Mean squared error", "Mean squared error"),
    ],
)
def test_axes_say_what_the_numbers_are(model, loss, error, small):
    model.fit(*small)
    for curve, what in (("loss", loss), ("error", error)):
        assert plot_history(model, curve=curve).ax_.get_ylabel() == f"{what}, after the epoch"
    assert HistoryDisplay(model.history_).plot().ax_.get_ylabel() == "Loss, after the epoch"


def test_factorizations_have_components_and_coefficients(digits):
    X, *_ = digits
    model = NMF(3, random_state=0).fit(X[:50])
    weights, codes = plot_weights(model), plot_layer_codes(model, X[:50])
    bars = [display.figure_.axes[1].get_ylabel() for display in (weights, codes)]
    assert bars == ["Weight in the component", "Coefficient"]
    assert (weights.ax_.get_ylabel(), codes.ax_.get_xlabel()) == ("Component", "Component")


def test_the_largest_of_many_columns_can_be_seen():
    """A screen has fewer columns, and would show means."""
    parts = np.full((2, 4001), 0.1)
    parts[0, 1234], parts[1, 4000] = -5, 3
    (image,) = WeightsDisplay(parts).plot().ax_.images
    shown = image.get_array()
    assert shown.shape[1] <= 300 and (shown[0].min(), shown[1, -1]) == (-5, 3)
    assert tuple(image.get_extent()) == (-0.5, 4000.5, 1.5, -0.5)
    column = np.argmin(shown[0]) / shown.shape[1] * 4001
    assert abs(column - 1234) < 4001 / shown.shape[1]


def test_places_of_filters_of_sequences():
    X = np.random.default_rng(0).normal(size=(30, 2, 9))
    model = NMFNetClassifier((Conv1d(4, 3), 4), max_iter=1, random_state=0).fit(X, np.arange(30) % 2)
    labels = [text.get_text() for text in plot_weights(model).ax_.get_xticklabels()]
    assert labels == [f"channel {c}, place {i}" for c in range(2) for i in range(3)]


@pytest.mark.parametrize(("names", "rotation"), [("abcde", 0), ([f"a long name {i}" for i in range(5)], 90)])
def test_short_names_are_level(names, rotation, small):
    display = WeightsDisplay(np.eye(5), feature_names=list(names)).plot()
    assert {text.get_rotation() for text in display.ax_.get_xticklabels()} == {rotation}


def test_long_labels_leave_the_codes_their_place():
    display = LayerCodesDisplay(
        np.zeros((2, 3)), ["a label of thirty-five characters.." + each for each in "ab"]
    ).plot()
    display.figure_.canvas.draw()
    assert display.ax_.get_position().width * display.figure_.get_figwidth() > 3.5  # inches
