"""The plots: what is drawn, on which scale, and into which file."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from matplotlib.image import imread

from nmfnet.report import curves
from nmfnet.report.charts import mosaic


def records(train_errors, val_errors=None, objectives=None, seconds=1.0):
    """Return a history of these errors."""
    history = []
    for i, error in enumerate(train_errors):
        record = {"epoch": i + 1, "objective": (objectives or train_errors)[i], "train_error": error}
        if val_errors is not None:
            record["val_error"] = val_errors[i]
        history.append({**record, "seconds": seconds * (i + 1)})
    return history


def lines(panel):
    """Return the lines of a panel by their labels."""
    return {line.get_label(): line for line in panel.lines}


def test_draws_errors_and_objective_over_epochs_and_time():
    history = records([0.5, 0.2, 0.1], [0.4, 0.15, 0.3], [2.0, 1.0, 0.5], seconds=7.0)
    figure = curves(history, test_error=0.25, title="a title")
    by_epoch, by_time, objective, objective_by_time = figure.axes
    for panel, x in ((by_epoch, [1, 2, 3]), (by_time, [7, 14, 21])):
        drawn = lines(panel)
        np.testing.assert_allclose(drawn["training rows"].get_xydata(), np.transpose([x, [50, 20, 10]]))
        np.testing.assert_allclose(drawn["validation rows"].get_xydata(), np.transpose([x, [40, 15, 30]]))
        np.testing.assert_allclose(drawn["least validation loss"].get_xydata(), [(x[1], 15)])
        np.testing.assert_allclose(drawn["test: 25.00%"].get_ydata(), 25)
    np.testing.assert_allclose(objective.lines[0].get_xydata(), [(1, 2.0), (2, 1.0), (3, 0.5)])
    np.testing.assert_allclose(objective_by_time.lines[0].get_xydata(), [(7, 2.0), (14, 1.0), (21, 0.5)])
    assert figure.get_suptitle() == "a title"
    assert by_epoch.get_ylabel() == "Error (%)" and objective.get_ylabel() == "Objective per sample, in training"
    assert objective.get_xlabel() == "Epoch" and objective_by_time.get_xlabel() == "Training time (seconds)"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["training rows", "validation rows", "least validation loss", "test: 25.00%"]


def test_the_loss_of_classes_and_the_epoch_that_is_kept():
    history = records([0.5, 0.2, 0.1], [0.4, 0.15, 0.15])
    for record, train, val in zip(history, [1.0, 0.5, 0.4], [1.0, 0.75, 0.5], strict=True):
        record.update(train_loss=train, val_loss=val)
    errors, _, losses, _ = curves(history).axes
    assert losses.get_ylabel() == "Loss per sample"
    np.testing.assert_allclose(lines(losses)["training rows"].get_ydata(), [1.0, 0.5, 0.4])
    np.testing.assert_allclose(lines(losses)["validation rows"].get_ydata(), [1.0, 0.75, 0.5])
    for panel, value in ((errors, 15), (losses, 0.5)):
        np.testing.assert_allclose(lines(panel)["least validation loss"].get_xydata(), [(3, value)])


def test_regression_shows_root_mean_squared_errors():
    figure = curves(records([9.0, 4.0], [16.0, 1.0]), test_error=2.25, kind="regression")
    drawn = lines(figure.axes[0])
    assert list(drawn["training rows"].get_ydata()) == [3, 2]
    assert list(drawn["validation rows"].get_ydata()) == [4, 1]
    assert "test: 1.5" in drawn
    assert figure.axes[0].get_ylabel() == "Root mean squared error"


@pytest.mark.parametrize(
    ("errors", "scale", "ticks"),
    [
        ([0.9, 0.1, 0.011], "log", [2, 5, 10, 20, 50]),
        ([0.9, 0.1, 0.0], "symlog", [0, 10, 20, 50]),
        ([0.11, 0.10, 0.09], "linear", None),  # a log scale would have no tick
        ([0.0, 0.0], "linear", None),
    ],
)
def test_scale(errors, scale, ticks):
    panel = curves(records(errors)).axes[0]
    assert panel.get_yscale() == scale
    if ticks:
        np.testing.assert_allclose(panel.get_yticks(), ticks)
    assert panel.get_ylim()[0] <= 100 * min(errors) and panel.get_ylim()[1] >= 100 * max(errors)


def test_ticks_of_many_decades_are_powers_of_ten():
    panel = curves(records([0.5] * 3, objectives=[1e4, 10.0, 0.01])).axes[2]
    np.testing.assert_allclose(panel.get_yticks(), [0.01, 0.1, 1, 10, 100, 1e3, 1e4])


def test_ticks_of_very_many_decades_have_room():
    assert len(curves(records([1e-18, 1e18])).axes[0].get_yticks()) <= 10


def test_values_that_are_not_finite_do_not_spoil_the_scale():
    panel = curves(records([0.5] * 3, objectives=[math.inf, 1.0, 0.1])).axes[2]
    assert panel.get_yscale() == "log"


@pytest.mark.parametrize(("epochs", "marker"), [(1, "o"), (20, "o"), (100, "None")])
def test_short_histories_have_markers(epochs, marker):
    panel = curves(records([0.5] * epochs)).axes[0]
    assert panel.lines[0].get_marker() == marker
    low, high = panel.get_xlim()
    assert low < 1 and high > epochs


@pytest.mark.parametrize(
    ("seconds", "last", "unit"), [(100, 100, "seconds"), (150, 2.5, "minutes"), (9000, 2.5, "hours")]
)
def test_unit_of_time(seconds, last, unit):
    panel = curves(records([0.5], seconds=seconds)).axes[3]
    assert panel.get_xlabel() == f"Training time ({unit})"
    assert panel.lines[0].get_xdata()[-1] == last


def test_the_ring_around_the_last_point_is_whole():
    """Epochs of a late start are close to each other, so that margins by their range would cut it."""
    history = [
        {"epoch": i, "objective": 1.0, "train_error": 0.2, "val_error": 0.5 - 0.1 * i, "train_loss": 0.2,
         "val_loss": 0.5 - 0.1 * i, "seconds": 10 + 0.01 * i}
        for i in (1, 2, 3)
    ]  # fmt: skip
    figure = curves(history)
    figure.canvas.draw()
    for panel in figure.axes:
        ring = next(line for line in panel.lines if line.get_label() == "least validation loss")
        x = panel.transData.transform(ring.get_xydata())[0, 0]
        assert panel.bbox.x1 - x > ring.get_markersize() / 2 * figure.dpi / 72


@pytest.mark.parametrize("epochs", [1, 5])
def test_saves(tmp_path, epochs):
    history = records([0.5] * epochs, [0.4] * epochs)
    curves(history, tmp_path / "curves.png", test_error=0.3)
    height, width, _ = imread(tmp_path / "curves.png").shape
    assert (width, height) == (1440, 960)


@pytest.mark.parametrize("title", ["a $x^ b", "日本🎉", "\udce9\x00\n", "n" * 10_000])
def test_titles_are_drawn_as_they_are(tmp_path, title):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = curves(records([0.5]), tmp_path / "curves.png", title=title)
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert figure.get_suptitle() == (title if title.isprintable() else r"\udce9\x00\n")[:100] or len(title) > 100


def test_empty_history_is_refused(tmp_path):
    with pytest.raises(ValueError, match="history is empty"):
        curves([], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_parts_are_one_image_in_rows_of_eight():
    images = np.arange(10 * 6.0).reshape(10, 2, 3) / 60
    shown = mosaic(images)
    assert shown.shape == (2 * 2 + 1, 8 * 3 + 7)
    np.testing.assert_array_equal(shown[3:, 4:7], images[9])
    assert np.isnan(shown[2]).all() and np.isnan(shown[3:, 7:]).all()
    colours = mosaic(np.stack([images] * 3, 3))
    assert colours.shape == (5, 31, 4) and np.isfinite(colours).all()
    np.testing.assert_allclose(colours[3:, 4:7, :3], (1 + np.stack([images[9]] * 3, 2)) / 2)
    assert (colours[2] == 0).all() and (colours[:2, :3, 3] == 1).all()
