"""Dates that machines and calendars write, with the year first: weeks, quarters, ctime, ISO without hyphens."""

from __future__ import annotations

import datetime
import re

_DATE_BEHIND = r"\d{1,4}[-./]\d|\d{1,2}\.?\s+[^\W\d_]|[^\W\d_]{3,}\.?\s+\d"
_WEEKDAY = re.compile(rf"^[^\W\d_]{{2,12}}(?:\.,?|,)\s+(?={_DATE_BEHIND})")
_WEEK = re.compile(r"(\d{4})-?W(\d{2})(?:-?([1-7]))?", re.ASCII)
_NAMED_WEEK = re.compile(r"(?:KW|CW|W)\s?(\d{1,2})[-/ .]\s?(\d{4})|(\d{4})[-/ ]?(?:KW|CW|W)\s?(\d{1,2})", re.ASCII)
_MONTH = re.compile(r"(0?[1-9]|1[0-2])[-/](\d{4})", re.ASCII)  # 12/2020
_QUARTER = re.compile(r"(?:(\d{4})[-/ ]?Q([1-4])|Q([1-4])[-/ ]?(\d{4}))", re.ASCII)
_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)[T ](\d\d)(\d\d)(\d\d(?:[.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_CTIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d)(?: [A-Z]{3,4})? (\d{4})", re.ASCII)
_EASTERN = re.compile(r"(\d{4})[年년]\s*(\d{1,2})[月월]\s*(\d{1,2})[日일]")
_NO_DATE = re.compile(r"0000-00-00(?:[T ]00:00(?::00(?:\.0+)?)?)?|NaT", re.ASCII)  # of MySQL and pandas


def is_no_date(text: str) -> bool:
    """Whether a text stands for a missing date among dates."""
    return _NO_DATE.fullmatch(text.strip()) is not None


def rewritten(text: str) -> str:
    """A date of a week, a quarter or a machine with the year first; without the weekday in front; else the text."""
    text = _EASTERN.sub(r"\1-\2-\3", _WEEKDAY.sub("", text.strip(), count=1), count=1)
    if match := _WEEK.fullmatch(text):
        try:
            return datetime.date.fromisocalendar(int(match[1]), int(match[2]), int(match[3] or 1)).isoformat()
        except ValueError:  # there is no such week
            return text
    if match := _NAMED_WEEK.fullmatch(text):
        return rewritten(f"{match[2] or match[3]}-W{int(match[1] or match[4]):02}")
    if match := _MONTH.fullmatch(text):
        return f"{match[2]}-{match[1]:0>2}"
    if match := _QUARTER.fullmatch(text):
        return f"{match[1] or match[4]}-{3 * int(match[2] or match[3]) - 2:02}-01"
    if match := _BASIC.fullmatch(text):
        year, month, day, hour, minute, second, zone = match.groups()
        return f"{year}-{month}-{day} {hour}:{minute}:{second or '00'}{zone or ''}"
    if match := _CTIME.fullmatch(text):
        return f"{match[2]} {match[1]} {match[4]} {match[3]}"
    return text
