"""Ticks of the benchmarks' figures."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

STEPS = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1,))
MOST_TICKS = 9


def plain_numbers(ax: Axes, name: str) -> None:
    """Make the axis x or y logarithmic, with plain numbers, also where it spans less than a decade."""
    getattr(ax, f"set_{name}scale")("log")
    low, high = getattr(ax, f"get_{name}lim")()
    axis = getattr(ax, f"{name}axis")
    for steps in STEPS:
        ticks = [step * 10.0**power for power in range(-12, 13) for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) <= MOST_TICKS:
            break
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
