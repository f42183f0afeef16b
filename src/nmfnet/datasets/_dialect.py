"""How a .csv file is written, found in it: compression, encoding, separator, decimal mark, thousands."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from nmfnet.datasets._containers import encoding_of, opened
from nmfnet.datasets._units import without_unit
from nmfnet.datasets._values import number, with_plain_marks
from nmfnet.errors import DataError

SEPARATORS = ",;\t|"
SAMPLE_LINES = 200  # rows that are looked at
MIN_SHARE_OF_ONE_WIDTH = 0.9  # share of them that a separator divides as it does the first
ENDINGS = (".gz", ".bz2", ".xz", ".zip")
LONGEST_VALUE = 2**31 - 1  # characters; Python's own limit is 131,072
# What Western languages seldom have: many letters or signs of the upper half together, two signs that begin a word.
_SIGNS = "\u0080-\u009f¢-¦¨-ª¬-¶¸-º¼-¾‚ƒ†‡ˆ‰"
_OTHER_SCRIPT = re.compile(
    f"[\u0080-\u009fÀ-ÿ]{{3}}|[^\0-\x7f\xa0—–…•·¯]{{4}}|(?<![A-Za-z0-9\u0080-ÿ])(?:[À-ÿ»¿·]*[{_SIGNS}]){{2}}"
)
# Numbers that tell which mark is which: 3,14 and 1.234,5 against 3.14 and 1,234.5; 1,234 tells nothing.
COMMA = re.compile(
    r"[+-]?(?:\d{1,3}(?:[. '\u00a0\u202f]\d{3})+,\d+|\d+,(?:\d{1,2}|\d{4,}))(?:[eE][+-]?\d+)?", re.ASCII
)
POINT = re.compile(
    r"[+-]?(?:\d{1,3}(?:[, '\u00a0\u202f]\d{3})+\.\d+|\d{1,2}(?:,\d{2})+,\d{3}\.\d+|\d*\.(?:\d{1,2}|\d{4,}))"
    r"(?:[eE][+-]?\d+)?",
    re.ASCII,
)
GROUPED = re.compile(r"[+-]?\d{1,3}(?:([., '\u00a0\u202f])\d{3})(?:\1\d{3})*(?:[.,]\d+)?", re.ASCII)
LAKHS = re.compile(r"[+-]?\d{1,2}(?:(,)\d{2})+,\d{3}(?:\.\d+)?", re.ASCII)  # 12,34,567.50, as in India


@dataclass(frozen=True)
class Dialect:
    """How a .csv file is written.  The file decides what is None here.

    Attributes
    ----------
    sep, decimal : str or None
        Separator of columns, and decimal mark of numbers.
    thousands : str or None
        Mark that groups the digits of numbers; "" is none.
    encoding : str or None
    """

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.sep is not None and len(self.sep) != 1:
            raise DataError(f"--sep must be a single character, or tab; got {self.sep!r}")
        if self.decimal is not None and self.decimal not in (".", ","):
            raise DataError(f"--decimal must be . or ,; got {self.decimal!r}")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                raise DataError(f"--encoding {self.encoding!r} is not known; latin-1 and utf-8 are") from None

    def of(self, path: Path) -> Dialect:
        """The same, with what is None found in a file."""
        found = replace(self, encoding=self.encoding or encoding_of(path))
        with found.open(path) as file:
            sample = list(islice(_lines(file), SAMPLE_LINES))
            if not sample:
                raise DataError(f"{path}: cannot be read as a .csv file: it is empty")
            _refuse_zeros(sample, path)
            sep = found.sep or separator_of(sample, path)
            rows = csv.reader(sample[1:], **divided_by(sep))
            cells = [without_unit(with_plain_marks(cell))[0] for row in rows for cell in row]
            guessed = self.encoding is None and found.encoding in ("cp1252", "latin-1")
            odd = (line for line in chain(sample, file) if not line.isascii())  # most lines are, and need no search
            if guessed and any(map(_OTHER_SCRIPT.search, odd)):
                warnings.warn(
                    f"{path}: is not UTF-8, and read as {found.encoding}: if text looks wrong, give another "
                    "--encoding, as cp932 of Japan, gb18030 of China, euc-kr of Korea or cp1251 of Russia",
                    stacklevel=5,
                )
        decimal = found.decimal or decimal_of(cells, sep)
        thousands = found.thousands if found.thousands is not None else thousands_of(cells, decimal)
        return replace(found, sep=sep, decimal=decimal, thousands=thousands)

    @contextmanager
    def open(self, path: Path, errors: str = "strict") -> Iterator[TextIO]:
        """Open a file, compressed or not, as text with the line ends that it has."""
        with opened(path) as file, long_values():
            encoding = "utf-8-sig" if codecs.lookup(self.encoding or "utf-8").name == "utf-8" else self.encoding
            yield io.TextIOWrapper(file, encoding=encoding, errors=errors, newline="")

    def plain(self, text: str) -> str:
        """A number as it is written with a decimal point and without thousands; anything else stays."""
        found = self._with_point(with_plain_marks(text.strip()))
        return text if found is None or number(found) is None else found

    def _with_point(self, text: str) -> str | None:
        """A text without thousands and with a decimal point, None where it cannot be a number."""
        if self.thousands and self.thousands in text:
            grouped = GROUPED.fullmatch(text) or LAKHS.fullmatch(text)
            if grouped is None or grouped[1] != self.thousands:
                return None
            text = text.replace(self.thousands, "")
        if self.decimal != ",":
            return text
        return None if "." in text else text.replace(",", ".")

    def state(self) -> dict[str, str | None]:
        """As JSON holds it."""
        return asdict(self)


@contextmanager
def long_values() -> Iterator[None]:
    """Let values of a .csv be as long as they are, for as long as a file is open."""
    before = csv.field_size_limit(LONGEST_VALUE)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _refuse_zeros(sample: list[str], path: Path) -> None:
    number = next((i for i, line in enumerate(sample, 1) if "\0" in line), None)
    if number is not None:
        raise DataError(
            f"{path}: cannot be read as a .csv file: it is not text, or --encoding is another one: line {number} has "
            "a zero byte"
        )


def divided_by(sep: str) -> dict[str, Any]:
    """Options of readers; blanks behind a separator do not count, so that quotation marks may follow them.

    Of several blanks that separate columns one counts.
    """
    return {"delimiter": sep, "skipinitialspace": sep != "\t"}


def _lines(file: TextIO) -> Iterator[str]:
    """Lines with anything in them, as the reader of rows takes them."""
    return (line for line in file if line.strip())


def separator_of(sample: list[str], path: Path) -> str:
    """What divides the first line into the most columns, and nearly all others into as many."""
    best, most = ",", 1
    order = "\t,;|" if ".tsv" in path.suffixes else SEPARATORS
    for sep in order:
        widths = [len(row) for row in csv.reader(sample, **divided_by(sep))]
        alike = sum(width == widths[0] for width in widths) / len(widths)
        if widths[0] > most and alike >= MIN_SHARE_OF_ONE_WIDTH:
            best, most = sep, widths[0]
    return best if most > 1 else next((sep for sep in order if sep in sample[0] and sep not in ",."), ",")


def decimal_of(cells: list[str], sep: str) -> str:
    """The mark that numbers speak for; between commas, and where none speaks, a point."""
    commas, points = (sum(map(bool, map(pattern.fullmatch, cells))) for pattern in (COMMA, POINT))
    if sep != "," and not points and not commas:  # 1,234 among semicolons
        commas = sum(match is not None and match[1] == "," for match in map(GROUPED.fullmatch, cells))
    return "," if commas > points else "."


def thousands_of(cells: list[str], decimal: str) -> str:
    """The mark that groups digits most often, if any does; it is never the decimal mark."""
    found: Counter[str] = Counter()
    for cell in cells:
        match = GROUPED.fullmatch(cell) or LAKHS.fullmatch(cell)
        if match is not None and match[1] != decimal:
            found[match[1]] += 1
    return max(found, key=found.__getitem__, default="")
