"""What the columns of a table are: numbers, categories or dates; decided by all rows once, then known."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._date_forms import is_no_date, rewritten
from nmfnet.datasets._months import NamedMonths
from nmfnet.datasets._units import HALF_OF_DAY, hour_of_day, hours
from nmfnet.datasets._values import UNKNOWN, floats, is_missing, number

NUMBERS, CATEGORIES, TIMES = "numbers", "categories", "times"
YEAR_FIRST, DAY_FIRST, MONTH_FIRST = "dates, year first", "dates, day first", "dates, month first"
FIRST_OF_1900S = 69  # years of two digits from here on are of the 1900s, as in POSIX
DATES = (YEAR_FIRST, DAY_FIRST, MONTH_FIRST)
_ZONE = r"(?:\s*(?:UTC|GMT|MSK|[A-Z]{1,3}T))?(?:\s*(?:Z|[+-]\d{2}(?::?\d{2})?))?(?:\[[\w/+-]+\])?"  # which is left out
_TIME = rf"(?:[T ]+(\d{{1,2}}):(\d{{2}})(?::(\d{{2}})(?:[.,]\d+)?)?{HALF_OF_DAY}{_ZONE}|Z|[+-]\d{{2}}:?\d{{2}})?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}", re.ASCII)
_SHORT_YEAR = re.compile(rf"(\d{{1,2}})([/.])(\d{{1,2}})\2(\d{{2}}){_TIME}", re.ASCII)
_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})", re.ASCII)  # 2020-12
_NAMED = NamedMonths(_TIME)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}", re.ASCII)


class Unfit(NamedTuple):
    """Why a column cannot be used, the first value that says so, and whether that is a word among numbers."""

    why: str
    row: int
    word: bool = False


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
    dated = {text for text in different if not _is_undated(text)}
    if dated and all(hours(text) is not None for text in dated):
        return TIMES
    dates = _dates_of({rewritten(text) for text in dated}) if dated else None
    if dates is not None and not dates.startswith(UNCLEAR):
        return dates
    if dates is not None:
        first = next(row for row, text in enumerate(texts) if text in dated)
        why = dates.removeprefix(UNCLEAR)
        return Unfit(f"has dates such as {texts[first]!r}, {why}: write them as 2020-12-31", first)
    numbers = {text for text in different - words if not isinstance(number(text), bool)}  # true, unknown: categories
    numeric = sum(text in numbers for text in texts)
    if 2 * numeric > sum(text in different for text in texts):
        first = next(row for row, text in enumerate(texts) if text in words)
        why = f"is not numeric (e.g. {texts[first][:30]!r}), as most of its values are"
        return Unfit(why + (LIMIT if any(text.strip().startswith(("<", ">")) for text in words) else ""), first, True)
    return CATEGORIES


UNCLEAR = "unclear: "
LIMIT = " (for a value below or above what can be measured, write a number, as 0.25 or 0.5 for <0.5)"


def _dates_of(different: set[str]) -> str | None:
    """Form of dates; None if they are none, and what begins with UNCLEAR says why it cannot be told."""
    if all(_date(text, YEAR_FIRST) is not None for text in different):
        return YEAR_FIRST
    if all(_SHORT_YEAR.fullmatch(text.strip()) for text in different):
        if all("." in text for text in different) and all(_date(text, DAY_FIRST) is not None for text in different):
            return DAY_FIRST
        found = any(all(_date(text, form) is not None for text in different) for form in (DAY_FIRST, MONTH_FIRST))
        return f"{UNCLEAR}whose years have two digits" if found else None
    if not all(_YEAR_LAST.fullmatch(text.strip()) for text in different):
        mixed = all(any(_date(text, form) is not None for form in DATES) for text in different)
        why = "but not in one form" if mixed else _NAMED.unclear(different)
        return None if why is None else f"{UNCLEAR}{why}"
    forms = [form for form in (DAY_FIRST, MONTH_FIRST) if all(_date(text, form) is not None for text in different)]
    if len(forms) == 2 and all("." in text for text in different):
        return DAY_FIRST
    return None if not forms else forms[0] if len(forms) == 1 else f"{UNCLEAR}of which nothing tells day from month"


def _is_undated(text: str) -> bool:
    """Whether a text says that among dates or times one is missing."""
    return is_missing(text) or text.strip() in UNKNOWN or is_no_date(text)


def _date(text: str, form: str) -> datetime.datetime | None:
    parts = _parts(rewritten(text), form)
    if parts is None:
        return None
    try:
        year, month, day, hour, minute, second, half = parts
        of_day = hour_of_day(hour, half), int(minute or 0), int(second or 0)
        return datetime.datetime(int(year), int(month), int(day), *of_day)
    except ValueError:  # there is no such day
        return None


def _parts(text: str, form: str) -> list[Any] | None:
    """Year, month, day, hour, minute, second and half of the day as they stand in a date of a form."""
    if form == YEAR_FIRST:
        if match := _MONTH.fullmatch(text):
            return [match[1], match[2], 1, None, None, None, None]
        if parts := _NAMED.parts(text):
            return [_whole_year(parts[0]), *parts[1:]]
    match = (
        _YEAR_FIRST.fullmatch(text)
        if form == YEAR_FIRST
        else _YEAR_LAST.fullmatch(text) or _SHORT_YEAR.fullmatch(text)
    )
    if match is None:
        return None
    a, b, c = match[1], match[3], match[4]
    if form != YEAR_FIRST:
        c = _whole_year(c)
    return [*{YEAR_FIRST: (a, b, c), DAY_FIRST: (c, b, a), MONTH_FIRST: (c, a, b)}[form], *match.groups()[4:]]


def _whole_year(year: str) -> str:
    """With the century, where there are two digits."""
    return year if len(year) > 2 else f"{20 if int(year) < FIRST_OF_1900S else 19}{year}"


def as_kind(texts: Sequence[str], kind: str) -> NDArray[Any] | Unfit:
    """Values of a column of a known kind: floats, objects with None, or datetime64."""
    if kind == NUMBERS:
        values, unreadable = floats(["" if text.strip() in UNKNOWN else text for text in texts])
        row = int(unreadable.argmax()) if unreadable.any() else -1
        return values if row < 0 else Unfit(f"is not numeric (e.g. {texts[row][:30]!r})", row)
    if kind == TIMES:
        times = {text: np.nan if _is_undated(text) else hours(text) for text in set(texts)}
        for row, text in enumerate(texts):
            if times[text] is None:
                return Unfit(f"has no time, as 13:45 or 1h 20m, in {text[:30]!r}", row)
        return np.array([times[text] for text in texts], dtype=np.float64)
    if kind == CATEGORIES:
        objects = np.empty(len(texts), dtype=object)
        objects[:] = [None if is_missing(text) else text.strip() for text in texts]
        return objects
    # Whatever the form is, one with the year first can be read in one way only.
    known = {text: None if _is_undated(text) else _date(text, kind) or _date(text, YEAR_FIRST) for text in set(texts)}
    for row, text in enumerate(texts):
        if known[text] is None and not _is_undated(text):
            return Unfit(
                f"has no date, {kind.removeprefix('dates, ')}, in {text[:30]!r} (2020-12-31 always is one)", row
            )
    return np.array([known[text] for text in texts], dtype="datetime64[us]")
