"""What the columns of a table are: numbers, categories or dates; decided by all rows once, then known."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._values import floats, is_missing, number

NUMBERS, CATEGORIES = "numbers", "categories"
YEAR_FIRST, DAY_FIRST, MONTH_FIRST = "dates, year first", "dates, day first", "dates, month first"
DATES = (YEAR_FIRST, DAY_FIRST, MONTH_FIRST)
_TIME = r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?)?(?:Z|[+-]\d{2}:?\d{2})?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}", re.ASCII)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}", re.ASCII)


class Unfit(NamedTuple):
    """Why a column cannot be used, and the first value that says so."""

    why: str
    row: int


def kind_of(texts: Sequence[str]) -> str | Unfit:
    """Kind of a column of text, by all of its values.

    Numbers if all are that; dates if all are dates of one form; categories otherwise, unless most values are numbers.
    """
    different = {text for text in set(texts) if not is_missing(text)}
    if not different:
        return NUMBERS
    words = {text for text in different if number(text) is None}
    if all(text.strip() in UNKNOWN for text in words) and len(words) < len(different):
        return NUMBERS
    dates = _dates_of(different)
    if dates is not None:
        first = next(row for row, text in enumerate(texts) if text in different)
        return Unfit(f"has dates such as {texts[first]!r}, of which nothing tells day from month: write them as "
                     "2020-12-31", first) if dates == "" else dates  # fmt: skip
    numeric = sum(text in different and text not in words for text in texts)
    if 2 * numeric > sum(text in different for text in texts):
        first = next(row for row, text in enumerate(texts) if text in words)
        return Unfit(f"is not numeric (e.g. {texts[first][:30]!r}), as most of its values are", first)
    return CATEGORIES


UNKNOWN = {"?", "-", "--", "."}  # what says among numbers, besides the words for it, that one is missing


def _dates_of(different: set[str]) -> str | None:
    """Form of dates; None if they are none, and "" if day and month cannot be told apart."""
    if all(_date(text, YEAR_FIRST) is not None for text in different):
        return YEAR_FIRST
    if not all(_YEAR_LAST.fullmatch(text.strip()) for text in different):
        return None
    forms = [form for form in (DAY_FIRST, MONTH_FIRST) if all(_date(text, form) is not None for text in different)]
    if len(forms) == 2 and all("." in text for text in different):
        return DAY_FIRST
    return None if not forms else forms[0] if len(forms) == 1 else ""


def _date(text: str, form: str) -> datetime.datetime | None:
    match = (_YEAR_FIRST if form == YEAR_FIRST else _YEAR_LAST).fullmatch(text.strip())
    if match is None:
        return None
    a, b, c = match[1], match[3], match[4]
    year, month, day = {YEAR_FIRST: (a, b, c), DAY_FIRST: (c, b, a), MONTH_FIRST: (c, a, b)}[form]
    try:
        hour, minute, second = (int(part or 0) for part in match.groups()[4:])
        return datetime.datetime(int(year), int(month), int(day), hour, minute, second)
    except ValueError:  # there is no such day
        return None


def as_kind(texts: Sequence[str], kind: str) -> NDArray[Any] | Unfit:
    """Values of a column of a known kind: floats, objects with None, or datetime64."""
    if kind == NUMBERS:
        values, unreadable = floats(["" if text.strip() in UNKNOWN else text for text in texts])
        row = int(unreadable.argmax()) if unreadable.any() else -1
        return values if row < 0 else Unfit(f"is not numeric (e.g. {texts[row][:30]!r})", row)
    if kind == CATEGORIES:
        objects = np.empty(len(texts), dtype=object)
        objects[:] = [None if is_missing(text) else text.strip() for text in texts]
        return objects
    known = {text: None if is_missing(text) else _date(text, kind) for text in set(texts)}
    for row, text in enumerate(texts):
        if known[text] is None and not is_missing(text):
            return Unfit(f"has no date, {kind.removeprefix('dates, ')}, in {text[:30]!r}", row)
    return np.array([known[text] for text in texts], dtype="datetime64[us]")
