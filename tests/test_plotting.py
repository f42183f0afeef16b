"""Display objects and the HTML representation."""

from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

from nmfnet import NMFNetClassifier, NMFNetRegressor
from nmfnet.layers import Conv2d
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


def test_weights_as_rows(model):
    display = plot_weights(model, n_parts=3)
    (image,) = display.ax_.images
    sizes = np.linalg.norm(model.coefs_[0], axis=0)
    np.testing.assert_allclose(image.get_array(), model.coefs_[0].T[np.argsort(-sizes)[:3]])
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
    X = np.random.default_rng(0).random((30, channels, 6, 6))
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
