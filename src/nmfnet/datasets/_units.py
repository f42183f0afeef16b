"""Numbers as people write them: with a unit, as 12 %, $5, 3 kg or EUR 7, as accountants do, and times of the day."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nmfnet.datasets._values import UNKNOWN, is_missing, number, with_plain_marks

SYMBOLS = "[%‰€$£¥₹₽₩]"
CURRENCIES = "USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|CAD|AUD|BRL|MXN|ZAR|KRW|TRY"
_AMOUNT = re.compile(f"{SYMBOLS}|{CURRENCIES}")
_FRONT = re.compile(rf"(?P<sign>[+-]?)\s*(?P<unit>{SYMBOLS}|(?:{CURRENCIES})(?=[\s\d.+-]))\s*(?P<number>.+)")
_BEHIND = re.compile(rf"(?P<number>.*[\d.,)-])\s*(?P<unit>{SYMBOLS}|{CURRENCIES})")
_WORD = re.compile(r"(?P<number>.*\d[.,]?)\s*(?P<unit>°|°?[^\W\d_]{1,8}[²³]?(?:/[^\W\d_]{1,4}[²³]?)?\.?)")
# Units of one quantity: where several of these stand in a column, its numbers cannot be compared.
_MEASURE = re.compile("[kKMBGT]|[kKMGT]i?B|[mk]?g|t|lbs?|oz|[mck]?m|in|ft|mi|m?s|sec|min|hr?|d|°[CF]")
_IN_BRACKETS = re.compile(r"\(([^()+-]*\d[^()+-]*)\)")
_MINUS_BEHIND = re.compile(r"(\d[\d.,' \u00a0\u202f]*)-")
HALF_OF_DAY = r"(?:\s*([AaPp])\.?[Mm]\.?)?"
_SECONDS = r"[0-5]\d(?:[.,]\d+)?"
_CLOCK = re.compile(rf"(\d{{1,3}}):([0-5]\d)(?::({_SECONDS}))?{HALF_OF_DAY}", re.ASCII)
_DAYS = re.compile(rf"([+-]?\d+) days?,? \+?(\d{{1,2}}):([0-5]\d):({_SECONDS})", re.ASCII)  # of pandas and Python
_MINUTES = re.compile(r"()()(\d{1,3}):([0-5]\d[.,]\d+)", re.ASCII)  # 4:05.2
_UNITS_OF_TIME = ("d(?:ays?)?", "h(?:(?:ou)?rs?)?", r"m(?:in(?:ute)?s?)?\.?", r"s(?:ec(?:ond)?s?)?\.?")
_SPELLED = re.compile(
    "".join(rf"(?:(\d+(?:[.,]\d+)?)\s*{unit},?\s*)?" for unit in _UNITS_OF_TIME), re.IGNORECASE | re.ASCII
)  # 1h 20m
_HOURS = re.compile(r"()(\d+)\s*h\s*([0-5]\d)()", re.IGNORECASE | re.ASCII)  # 1h20
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?)?", re.ASCII)
_DURATIONS = (_DAYS, _MINUTES, _HOURS, _SPELLED, _ISO)


def signed(text: str) -> str:
    """A number with a minus in front, where accountants have brackets or a minus behind: (5) and 5- are -5."""
    match = _IN_BRACKETS.fullmatch(text) or _MINUS_BEHIND.fullmatch(text)
    return text if match is None else f"-{match[1].strip()}"


def without_unit(text: str, words: bool = True) -> tuple[str, str]:
    """A text without the unit in front of it or behind it, and the unit, which may be nothing.

    Units are per cent and those of money; with `words` also a word behind the number, as in 3 kg.
    """
    text = signed(with_plain_marks(text.strip()))
    if match := _FRONT.fullmatch(text):
        value, word = _divided(_WORD.fullmatch(match["number"]) if words else None, match["number"])
        return match["sign"] + value, match["unit"] + word
    return _divided(_BEHIND.fullmatch(text) or (_WORD.fullmatch(text) if words else None), text)


def _divided(match: re.Match[str] | None, text: str) -> tuple[str, str]:
    """The number and the unit of a match, or the number that a text is."""
    return (signed(text), "") if match is None else (signed(match["number"].rstrip()), match["unit"])


def units_of(texts: Sequence[str], plain: Callable[[str], str], words: bool = True) -> set[str]:
    """Units of a column in which every value is a number, missing ones aside; nothing of any other column.

    Words that differ are no units: 1 room, 2 rooms.
    """
    units = set()
    for text in set(texts):
        if is_missing(text) or text.strip() in UNKNOWN:
            continue
        value, unit = without_unit(text, words)
        if number(plain(value)) is None:
            return set()
        units.add(unit)
    amounts = any(_AMOUNT.match(unit) for unit in units) or all(_MEASURE.fullmatch(unit) for unit in units - {""})
    return units if amounts or len(units) == 1 else set()


def plain_numbers(texts: Sequence[str], plain: Callable[[str], str], words: bool = True) -> list[str]:
    """Texts as numbers are written plainly, by the function `plain`: without the unit if all have the same one.

    Where not all are numbers, and these are the values of features (`words`), those that are.
    """
    units = units_of(texts, plain, words)
    if len(units) == 1:
        return [plain(without_unit(text, words)[0]) for text in texts]
    return [_plain_number(text, plain) if words else plain(text) for text in texts]


def _plain_number(text: str, plain: Callable[[str], str]) -> str:
    found = plain(signed(text.strip()))
    return plain(text) if number(found) is None else found


def hour_of_day(hour: str | None, half: str | None) -> int:
    """The hour from 0 to 23, where `half` is the first letter of am or pm; ValueError if there is no such hour."""
    if half is None:
        return int(hour or 0)
    if not 1 <= int(hour or 0) <= 12:
        raise ValueError(f"{hour} {half}m")
    return int(hour or 0) % 12 + 12 * (half in "pP")


def hours(text: str) -> float | None:
    """Hours of a time of the day, or of a duration, as 1:20, 1h 20m, PT1H20M, 0 days 01:20:00; None if it is none."""
    text = text.strip()
    match = _CLOCK.fullmatch(text)
    if match is None:
        return _hours_of_duration(text)
    try:
        return hour_of_day(match[1], match[4]) + int(match[2]) / 60 + _decimal(match[3]) / 3600
    except ValueError:
        return None


def _hours_of_duration(text: str) -> float | None:
    match = next((match for form in _DURATIONS if (match := form.fullmatch(text))), None)
    if match is None or not any(match.groups()):
        return None
    days, hour, minute, second = map(_decimal, match.groups())
    return 24 * days + hour + minute / 60 + second / 3600


def _decimal(text: str | None) -> float:
    return float((text or "0").replace(",", "."))
