"""Plots of a training's history; needs matplotlib."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from nmfnet._text import printable
from nmfnet.plotting.axes import VERBATIM, whole_numbers
from nmfnet.training import EpochRecord

Kind = Literal["classification", "regression"]

# Of Okabe and Ito's palette, which the colour-blind can tell apart; the markers differ too.
TRAINING, VALIDATION, TEST = "#0072B2", "#D55E00", "#009E73"
GREY = "#666666"
MOST_MARKERS = 40  # more epochs than these are lines without markers
LONGEST_TITLE = 80  # characters
MOST_DECADES = 10  # that have ticks
WORTH_A_LOG_SCALE = 3  # largest over smallest value


def curves(
    history: Sequence[EpochRecord],
    path: str | os.PathLike[str] | None = None,
    *,
    test_error: float | None = None,
    title: str | None = None,
    kind: Kind = "classification",
) -> Figure:
    """Draw the error and the loss over epochs and over time.

    Both are those of the weights that predict, after each epoch, as :class:`nmfnet.callbacks.EpochRecord` says.  For a
    regression, where the loss would be the square of the error, the objective is drawn, as it is in training.

    Parameters
    ----------
    history : sequence of dict
        `history_` of a fitted estimator.
    path : path-like, optional
        File to save the figure in; its ending is the format.
    test_error : float, optional
        Error of the final weights, in the unit of the history: the fraction misclassified or the
        mean squared error.
    title : str, optional
    kind : {"classification", "regression"}, default="classification"
        Whether errors are shown in percent, or as root mean squared errors.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the history is empty.
    """
    if not history:
        raise ValueError("history is empty: there is no epoch to draw.")
    figure = Figure(figsize=(9.6, 6.4), dpi=150, layout="constrained")
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    epochs = [float(record["epoch"]) for record in history]
    seconds, unit = _time([record["seconds"] for record in history])
    for column, x in enumerate((epochs, seconds)):
        _draw_errors(axes[0, column], x, history, test_error, kind)
        if kind == "classification" and all("train_loss" in record for record in history):
            loss = "Loss per sample"
            _draw_parts(axes[1, column], x, history, "loss", float)
        else:
            loss = "Objective per sample, in training"
            _draw_line(axes[1, column], x, [record["objective"] for record in history], "training", TRAINING, "o")
    axes[0, 0].set_ylabel("Error (%)" if kind == "classification" else "Root mean squared error")
    axes[1, 0].set_ylabel(loss)
    axes[1, 0].set_xlabel("Epoch")
    axes[1, 1].set_xlabel(f"Training time ({unit})")
    whole_numbers(axes[1, 0].xaxis)
    axes[1, 0].set_xlim(epochs[0] - 0.5 - 0.02 * len(epochs), epochs[-1] + 0.5 + 0.02 * len(epochs))
    axes[1, 1].set_xlim(0, 1.05 * seconds[-1])  # the ring around the last point is whole
    axes[1, 1].xaxis.set_major_locator(MaxNLocator(6))
    for panel in axes.flat:
        _style(panel)
    suit_scale(axes[0, 0])
    suit_scale(axes[1, 0])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    if title:
        figure.suptitle(printable(title, LONGEST_TITLE), fontsize=12, **VERBATIM)
    if path is not None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box stands for it
            figure.savefig(path)
    return figure


def _draw_errors(
    panel: Axes, x: Sequence[float], history: Sequence[EpochRecord], test_error: float | None, kind: Kind
) -> None:
    def shown(error: float) -> float:
        return 100 * error if kind == "classification" else math.sqrt(error)

    _draw_parts(panel, x, history, "error", shown)
    if test_error is not None:
        value = shown(test_error)
        label = f"test: {value:.2f}%" if kind == "classification" else f"test: {value:.4g}"
        panel.axhline(value, color=TEST, linestyle="--", linewidth=1.5, label=label)


def _draw_parts(
    panel: Axes,
    x: Sequence[float],
    history: Sequence[EpochRecord],
    what: Literal["loss", "error"],
    shown: Callable[[float], float],
) -> None:
    """Training and validation rows, and a ring around the epoch that early stopping keeps."""
    records: Any = history
    _draw_line(panel, x, [shown(record[f"train_{what}"]) for record in records], "training rows", TRAINING, "o")
    held_out = [i for i, record in enumerate(records) if f"val_{what}" in record]
    if not held_out:
        return
    values = {i: shown(records[i][f"val_{what}"]) for i in held_out}
    _draw_line(panel, [x[i] for i in held_out], list(values.values()), "validation rows", VALIDATION, "s")
    best = min(held_out, key=lambda i: (records[i].get("val_loss", 0.0), records[i].get("val_error", 0.0)))
    ring = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgecolor": VALIDATION}
    panel.plot(x[best], values[best], linestyle="none", label="least validation loss", **ring)  # type: ignore[arg-type]


def _draw_line(panel: Axes, x: Sequence[float], y: Sequence[float], label: str, colour: str, marker: str) -> None:
    small: dict[str, Any] = {"marker": marker, "markersize": 4} if len(x) <= MOST_MARKERS else {}
    panel.plot(x, y, color=colour, linewidth=1.6, label=label, clip_on=False, **small)  # markers at the edge are whole


def _time(seconds: Sequence[float]) -> tuple[list[float], str]:
    """Times in the unit that suits the longest."""
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds[-1] >= 2 * length:
            return [second / length for second in seconds], unit
    return list(seconds), "seconds"


def _style(panel: Axes) -> None:
    panel.grid(color="#DDDDDD", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(GREY)
    panel.tick_params(colors=GREY, labelcolor="black", labelsize=9)


def suit_scale(panel: Axes) -> None:
    """Log scale where the values span enough of one; a zero among them goes to the bottom."""
    values = [float(y) for line in panel.lines for y in np.ravel(line.get_ydata()) if np.isfinite(y)]
    positive = [value for value in values if value > 0]
    if values and not positive and min(values) == 0:
        panel.set_ylim(-0.05, 1)  # all are 0
    if not positive or min(values) < 0 or max(values) < WORTH_A_LOG_SCALE * min(positive):
        return
    low, high = min(positive), max(values)
    if min(values) == 0:
        panel.set_yscale("symlog", linthresh=low, linscale=0.4)
        panel.set_ylim(-0.1 * low, 1.3 * high)  # room for the markers
    else:
        panel.set_yscale("log")
    panel.yaxis.set_major_locator(FixedLocator([0.0] * (min(values) == 0) + _ticks(low, high)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within the range, or the powers alone where it is wide, or some of them."""
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 4 else (1,)
    decades = decades[:: math.ceil(len(decades) / MOST_DECADES)]
    return [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
