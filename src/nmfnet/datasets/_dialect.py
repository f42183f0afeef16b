"""How a .csv file is written, found in it: compression, encoding, separator, decimal mark, thousands."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, TextIO

from nmfnet.datasets._units import without_unit
from nmfnet.errors import DataError

SEPARATORS = ",;\t|"
SAMPLE_LINES = 200  # rows that are looked at
MIN_SHARE_OF_ONE_WIDTH = 0.9  # share of them that a separator divides as it does the first
CHUNK_BYTES = 2**20  # bytes
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
ENDINGS = (".gz", ".bz2", ".xz", ".zip")
# Numbers that tell which mark is which: 3,14 and 1.234,5 against 3.14 and 1,234.5; 1,234 tells nothing.
COMMA = re.compile(
    r"[+-]?(?:\d{1,3}(?:[. '\u00a0\u202f]\d{3})+,\d+|\d+,(?:\d{1,2}|\d{4,}))(?:[eE][+-]?\d+)?", re.ASCII
)
POINT = re.compile(
    r"[+-]?(?:\d{1,3}(?:[, '\u00a0\u202f]\d{3})+\.\d+|\d*\.(?:\d{1,2}|\d{4,}))(?:[eE][+-]?\d+)?", re.ASCII
)
GROUPED = re.compile(r"[+-]?\d{1,3}(?:([., '\u00a0\u202f])\d{3})(?:\1\d{3})*(?:[.,]\d+)?", re.ASCII)


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
        if any("\0" in line for line in sample):
            raise DataError(f"{path}: cannot be read as a .csv file: it is not text, or --encoding is another one")
        sep = found.sep or separator_of(sample, path)
        cells = [without_unit(cell)[0] for row in csv.reader(sample[1:], **divided_by(sep)) for cell in row]
        decimal = found.decimal or decimal_of(cells, sep)
        thousands = found.thousands if found.thousands is not None else thousands_of(cells, decimal)
        return replace(found, sep=sep, decimal=decimal, thousands=thousands)

    @contextmanager
    def open(self, path: Path, errors: str = "strict") -> Iterator[TextIO]:
        """Open a file, compressed or not, as text with the line ends that it has."""
        with opened(path) as file:
            encoding = "utf-8-sig" if codecs.lookup(self.encoding or "utf-8").name == "utf-8" else self.encoding
            yield io.TextIOWrapper(file, encoding=encoding, errors=errors, newline="")

    def plain(self, text: str) -> str:
        """A number as it is written with a decimal point and without thousands; anything else stays."""
        if self.decimal in (None, ".") and not self.thousands:
            return text
        number = text.strip()
        if self.thousands and self.thousands in number:
            grouped = GROUPED.fullmatch(number)
            if grouped is None or grouped[1] != self.thousands:
                return text
            number = number.replace(self.thousands, "")
        if self.decimal == ",":
            return number.replace(",", ".") if "." not in number else text
        return number

    def state(self) -> dict[str, str | None]:
        """As JSON holds it."""
        return asdict(self)


def divided_by(sep: str) -> dict[str, Any]:
    """Options of readers; blanks behind a separator do not count, so that quotation marks may follow them."""
    return {"delimiter": sep, "skipinitialspace": not sep.isspace()}


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, whose first bytes say how it is compressed."""
    with open(path, "rb") as file:
        start = file.read(6)
    for mark, opener in OPENERS.items():
        if start.startswith(mark):
            with opener(path, "rb") as file:
                yield file
            return
    if start.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise DataError(f"{path}: holds {len(names)} files, not one: unpack it, and name the one to read")
            with archive.open(names[0]) as member:
                yield member
            return
    with open(path, "rb") as file:
        yield file


def encoding_of(path: Path) -> str:
    """UTF-8 where all of the file is that, UTF-16 by its first bytes, or else Windows' Western code page."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(path) as file:
        start = file.read(CHUNK_BYTES)
        for mark, name in MARKS.items():
            if start.startswith(mark):
                return name
        try:
            chunk = start
            while chunk:
                decoder.decode(chunk)
                chunk = file.read(CHUNK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252" if _is_western(start) else "latin-1"
    return "utf-8"


def _is_western(start: bytes) -> bool:
    try:
        start.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return True


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
    for match in map(GROUPED.fullmatch, cells):
        if match is not None and match[1] != decimal:
            found[match[1]] += 1
    return max(found, key=found.__getitem__, default="")
