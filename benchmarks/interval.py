"""How reports write the mean of a few runs."""

import statistics

from scipy.stats import t


def interval(values: list[float], mean: str = ".3g", half: str = ".1g") -> str:
    """Mean and, of three values or more, half-width of its 95 % confidence interval, in these formats."""
    if not values:
        return ""
    middle = statistics.mean(values)
    if len(values) < 3:
        return f"{middle:{mean}}"
    width = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{middle:{mean}} ± {width:{half}}"
