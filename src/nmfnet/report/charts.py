"""Figures as SVG for a page: in its colours, light or dark, and without fonts or files from elsewhere."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from nmfnet._text import printable
from nmfnet.plotting.axes import VERBATIM, whole_numbers
from nmfnet.report.curves import suit_scale
from nmfnet.training import EpochRecord

Array = NDArray[Any]
# Colours that a figure is drawn in, and what the page puts in their place.
INK, LINE, BLUE, ORANGE, GREEN = "#010203", "#dddddd", "#0072b2", "#d55e00", "#009e73"
VARIABLES = {
    INK: "currentColor", "#000000": "currentColor", "#666666": "currentColor", LINE: "var(--line)",
    BLUE: "var(--blue)", ORANGE: "var(--orange)", GREEN: "var(--green)",
}  # fmt: skip
LONGEST_NAME, LONGEST_RUN = 25, 80  # characters of a column's name, of a run's
SERIES = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9")
STYLES, MARKERS = ("-", "--", ":", "-."), "osD^"
UNNEEDED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)


def svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element; `name` keeps the ids of several figures of a page apart."""
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has its own fonts
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = UNNEEDED.sub("", stream.getvalue())
    for drawn, shown in VARIABLES.items():
        text = re.sub(f"(?<=[ :\"']){drawn}(?=[;\"'])", shown, text, flags=re.IGNORECASE)
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    return re.sub(
        r'<svg [^>]*?(viewBox="[^"]+")[^>]*>',
        r'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" \1>',
        text,
        count=1,
    )


def axes(width: float, height: float) -> tuple[Figure, Any]:
    """Empty axes in the page's colours."""
    figure = Figure(figsize=(width, height), layout="constrained")
    panel = figure.subplots()
    panel.grid(color=LINE, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    return figure, panel


def calibration_chart(bins: Sequence[Sequence[float]]) -> str:
    """Reliability diagram."""
    figure, panel = axes(4.4, 3.6)
    said, true, rows = np.transpose(bins)
    panel.plot([0, 1], [0, 1], "--", color=INK, linewidth=0.8, label="perfect")
    panel.plot(said, true, color=BLUE, linewidth=1.5)
    panel.scatter(said, true, s=20 + 180 * rows / rows.max(), color=BLUE, label="rows, by number", clip_on=False)
    panel.set(xlabel="probability of the predicted class", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    panel.legend(frameon=False, loc="upper left")
    return svg(figure, "calibration")


def scatter_chart(points: Sequence[Sequence[float]]) -> str:
    """Predictions against targets."""
    figure, panel = axes(4.4, 3.6)
    true, predicted = np.transpose(points)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    panel.plot(ends, ends, "--", color=INK, linewidth=0.8)
    panel.plot(true, predicted, ".", color=BLUE, markersize=4)
    panel.set(xlabel="target", ylabel="prediction")
    return svg(figure, "scatter")


def comparison_chart(histories: Mapping[str, Sequence[EpochRecord]], unit: float) -> str:
    """Error of several runs over the epochs: validation rows where there are some, else training rows."""
    figure, panel = axes(8, 3.6 + 0.18 * len(histories))
    for number, (name, history) in enumerate(histories.items()):
        what = "val_error" if "val_error" in history[0] else "train_error"
        rows = "validation" if what == "val_error" else "training"
        records: Any = history
        errors = [unit * record[what] if unit == 100 else record[what] ** 0.5 for record in records]
        style = {"color": SERIES[number % 6], "linestyle": STYLES[number // 6 % len(STYLES)]}
        line = panel.plot([record["epoch"] for record in history], errors, **style)[0]
        line.set_marker(MARKERS[number // 6 % len(MARKERS)] if len(history) == 1 else "")
        line.set_label(f"{printable(name, LONGEST_RUN)}, {rows} rows")
    whole_numbers(panel.xaxis)
    panel.set(xlabel="epoch", ylabel="error (%)" if unit == 100 else "root mean squared error")
    suit_scale(panel)
    if panel.get_yscale() == "linear":
        panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
    legend = figure.legend(frameon=False, loc="outside lower center")
    for text in legend.get_texts():
        text.set(**VERBATIM)
    return svg(figure, "comparison")


def parts_chart(parts: Array, image_shape: tuple[int, ...] | None, names: Sequence[str]) -> str:
    """Weights of first-layer units: pictures, or the rows of a heat map."""
    reach = float(np.abs(parts).max()) or 1.0
    if image_shape is not None:
        images = mosaic((parts / reach).reshape(len(parts), *image_shape))
        figure = Figure(figsize=(8, 8 * images.shape[0] / images.shape[1]))
        panel = figure.add_axes((0, 0, 1, 1))
        panel.axis("off")
        panel.imshow(images, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="none", aspect="auto")
        return svg(figure, "parts")
    figure, panel = axes(8, 3.6)
    panel.grid(visible=False)
    drawn = panel.imshow(parts, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="none", aspect="auto")
    panel.set(ylabel="unit", xlabel="" if names else "column")
    for axis in (panel.xaxis, panel.yaxis):
        whole_numbers(axis)
    if names:
        written = [printable(name, LONGEST_NAME) for name in names]
        panel.set_xticks(range(len(names)), written, rotation=60, ha="right", fontsize=8, **VERBATIM)
    figure.colorbar(drawn, ax=panel, label="weight")
    return svg(figure, "parts")


def mosaic(images: Array) -> Array:
    """One image of images (n, height, width) or (n, height, width, channels) from -1 to 1, in rows of eight with gaps.

    Shape (rows, columns), where gaps are NaN; of three channels (rows, columns, 4), where gaps are transparent.
    """
    if images.ndim == 4:
        colours = images.shape[3] == 3
        images = np.insert((1 + images) / 2, 3, 1.0, axis=3) if colours else images[..., 0]
    n, height, width = images.shape[:3]
    columns, gap = 8, max(1, width // 8)
    size = -(-n // columns) * (height + gap) - gap, columns * (width + gap) - gap
    found = np.full((*size, *images.shape[3:]), np.nan)
    for number, image in enumerate(images):
        top, left = (height + gap) * (number // columns), (width + gap) * (number % columns)
        found[top : top + height, left : left + width] = image
    return found if images.ndim == 3 else np.nan_to_num(found, nan=0.0)


def picture(pixels: Sequence[float], image_shape: Sequence[int]) -> str:
    """Data URI of an image of numbers from 0 to 1."""
    image = np.clip(np.array(pixels, float).reshape(tuple(image_shape)), 0, 1)
    stream = io.BytesIO()
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    imsave(stream, image, format="png", cmap="gray", vmin=0, vmax=1)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
