"""Axes, ticks and text of all plots; matplotlib is imported where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Text of others is drawn as it is: a "$" in it begins no formula.
VERBATIM: dict[str, Any] = {"parse_math": False, "usetex": False}
LONGEST = 40  # characters of a tick's label
MOST_NAMES = 30  # of columns or labels that are written out


def pyplot() -> Any:
    """Matplotlib, or an error that names the extra."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'nmfnet[cli]'") from error
    return plt


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers alone: of epochs, units and samples."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def new_axes(ax: Axes | None, width: float = 6.4, height: float = 4.8) -> tuple[Any, Any]:
    """Axes to draw in, new ones if there are none, and their figure; the size in inches."""
    if ax is None:
        _, ax = pyplot().subplots(figsize=(width, height), layout="constrained")
    return ax, ax.figure
