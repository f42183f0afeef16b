"""Numbers as people write them: with a unit, as 12 % or $5, and times of the day, as 13:45."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nmfnet.datasets._values import UNKNOWN, is_missing, number

UNITS = "%‰€$£¥₹₽₩"
_CLOCK = re.compile(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d)(?:[.,]\d+)?)?", re.ASCII)


def without_unit(text: str) -> tuple[str, str]:
    """A text without the unit in front of it or behind it, and the unit, which may be nothing."""
    text = text.strip()
    sign, rest = (text[0], text[1:].lstrip()) if text[:1] in ("+", "-") else ("", text)
    if rest[:1] and rest[0] in UNITS:
        unit, rest = rest[0], rest[1:].lstrip()
        sign, rest = (rest[0], rest[1:]) if not sign and rest[:1] in ("+", "-") else (sign, rest)
    elif rest[-1:] and rest[-1] in UNITS:
        unit, rest = rest[-1], rest[:-1].rstrip()
    else:
        unit = ""
    return sign + rest, unit


def units_of(texts: Sequence[str], plain: Callable[[str], str]) -> set[str]:
    """Units of a column in which every value is a number, missing ones aside; nothing of any other column."""
    units = set()
    for text in set(texts):
        if is_missing(text) or text.strip() in UNKNOWN:
            continue
        value, unit = without_unit(text)
        if number(plain(value)) is None:
            return set()
        units.add(unit)
    return units


def plain_numbers(texts: Sequence[str], plain: Callable[[str], str]) -> list[str]:
    """Texts as numbers are written plainly, by the function `plain`: without the unit if all have the same one."""
    units = units_of(texts, plain)
    if len(units) != 1 or units == {""}:
        return [plain(text) for text in texts]
    return [plain(without_unit(text)[0]) for text in texts]


def hours(text: str) -> float | None:
    """Hours of a time of the day, or of a duration, written with colons; None if it is none."""
    match = _CLOCK.fullmatch(text.strip())
    return None if match is None else int(match[1]) + int(match[2]) / 60 + int(match[3] or 0) / 3600
