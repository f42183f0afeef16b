"""A drawing of the network for the HTML representation, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any, cast

from sklearn.utils import estimator_html_repr

from nmfnet.estimators.images import hidden_layers
from nmfnet.layers import Spec, takes_images, unfolded
from nmfnet.training.records import has_naive_bayes

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet

HEIGHT, WIDTH, GAP, MARGIN = 110, 26, 74, 30  # of the tallest layer, of a layer, between two, around all
BLUE, PALE = "#0072B2", "#D5E8F3"
ENCODINGS = {"piecewise": "; piecewise-linear numbers", "standard": "; standardized numbers", "": ""}  # if chosen


class PictureMixin:
    """The HTML representation of an estimator."""

    def _html_repr(self) -> str:
        """scikit-learn's page of the parameters, with a picture of the network above it."""
        return f"<div>{picture(cast('BaseNMFNet', self))}{estimator_html_repr(self)}</div>"

    def _repr_html_inner(self) -> str:
        """What scikit-learn shows; until 1.6 it does not ask for the page above."""
        return self._html_repr()


def picture(estimator: BaseNMFNet) -> str:
    """Layers as bars whose height is the logarithm of their width, inputs on the left.

    Of the fitted network, or of what the parameters ask for, where inputs and outputs are not known yet.
    """
    names, widths = _layers(estimator)
    labels = ["?" if width is None else f"{width:,}" for width in widths]
    sizes = [math.log1p(width or 3) for width in widths]
    heights = [HEIGHT * max(0.12, size / max(sizes)) for size in sizes]
    middle = MARGIN + HEIGHT / 2
    lefts = [MARGIN + i * (WIDTH + GAP) for i in range(len(widths))]
    shapes = []
    for (x, h), (x_next, h_next) in zip(
        zip(lefts, heights, strict=True), zip(lefts[1:], heights[1:], strict=True), strict=False
    ):
        corners = f"{x + WIDTH},{middle - h / 2:.1f} {x_next},{middle - h_next / 2:.1f} " + (
            f"{x_next},{middle + h_next / 2:.1f} {x + WIDTH},{middle + h / 2:.1f}"
        )
        shapes.append(f'<polygon points="{corners}" fill="{PALE}"/>')
    for x, h, label, name in zip(lefts, heights, labels, names, strict=True):
        centre = x + WIDTH / 2
        shapes.append(
            f'<rect x="{x}" y="{middle - h / 2:.1f}" width="{WIDTH}" height="{h:.1f}" rx="3" fill="{BLUE}"/>'
        )
        shapes.append(f'<text x="{centre}" y="{middle - h / 2 - 6:.1f}">{escape(label)}</text>')
        shapes.append(f'<text x="{centre}" y="{2 * MARGIN + HEIGHT - 6}">{escape(name)}</text>')
    total = 2 * MARGIN + len(widths) * WIDTH + (len(widths) - 1) * GAP
    what = escape(f"network of {'-'.join(labels)} units", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{what}" width="{total}" '
        f'height="{2 * MARGIN + HEIGHT}" viewBox="0 0 {total} {2 * MARGIN + HEIGHT}" '
        f'font-family="sans-serif" font-size="12" text-anchor="middle" fill="currentColor">{"".join(shapes)}</svg>'
        f"{_chosen(estimator)}"
    )


def _chosen(estimator: BaseNMFNet) -> str:
    """What the fit has chosen from held-out rows, and why, in a line."""
    if not hasattr(estimator, "network_"):
        return ""
    if estimator.alpha_ is None:
        return "<p>The network and naive Bayes, added up</p>" if has_naive_bayes(estimator.history_) else ""
    chosen = next(record for record in estimator.history_ if "held_out_loss" in record)
    members = f"; {estimator.n_members_} networks" if estimator.n_members_ > 1 else ""
    encoding = ENCODINGS[chosen.get("numeric_encoding", "")]
    loss = f"with the least loss on held-out rows, {chosen['held_out_loss']:.3g}"
    return f"<p>alpha = {estimator.alpha_:.3g}{encoding}, {loss}{members}</p>"


def _layers(estimator: BaseNMFNet) -> tuple[list[str], list[int | None]]:
    """What stands below each layer, and how many units it has, None where that is not known yet."""
    fitted = hasattr(estimator, "network_")
    asked: Any = estimator.hidden_layer_sizes
    hidden: list[Any] = [asked] if isinstance(asked, str) else hidden_layers(asked)
    images = takes_images(hidden)
    hidden = unfolded(hidden) if images else hidden
    widths: list[int | None] = [None, *(_width(size) for size in hidden), None]
    if images:  # layers as they are written, channels for heights
        widths = [None, *(each.channels if hasattr(each, "channels") else _width(each) for each in hidden), None]
    elif fitted:
        widths = [*estimator.network_.sizes]
    if fitted:
        widths[0], widths[-1] = estimator.network_.sizes[0], estimator.network_.sizes[-1]
    f = estimator.network_.activation_names if fitted else estimator.activation
    n_hidden = len(widths) - 2
    names = [str(f)] * n_hidden if isinstance(f, str) or not isinstance(f, Iterable) else [str(name) for name in f]
    names = (names + ["?"] * n_hidden)[:n_hidden]
    if images:
        names = [repr(each) if isinstance(each, Spec) else "Dense" for each in hidden]
    return ["inputs", *names, estimator.out_activation_ if fitted else "outputs"], widths


def _width(size: Any) -> int | None:
    """A width that can be drawn: parameters are checked by `fit`, not by their representation."""
    try:
        return max(0, int(size))
    except (TypeError, ValueError):
        return None
