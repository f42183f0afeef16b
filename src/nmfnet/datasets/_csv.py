"""CSV files: their first line, their rows as pandas reads them, and where in the file something is."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nmfnet.datasets._dialect import SEPARATORS, Dialect, divided_by
from nmfnet.datasets._formats import reading, reason
from nmfnet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

ADVICE = "is the separator another one? --sep, and --decimal for numbers such as 3,14"
BLANKS = (
    "if blanks divide them: --sep ' ', or pandas.read_fwf and to_csv if places are empty; else --sep names what does"
)


def header(path: Path, dialect: Dialect) -> list[str]:
    """Return the names in the first line, without blanks around them; columns without a name are Unnamed: NUMBER."""
    with reading(path, "a .csv file"):
        names = next((row for _, row in rows(path, dialect)), None)
        if names is None:
            raise DataError(f"{path}: cannot be read as a .csv file: it is empty")
        if re.fullmatch("sep=.?", names[0].strip()):
            raise DataError(f"{path}: cannot be read as a .csv file: delete its first line, which is not of the table")
    return [name.strip() or f"Unnamed: {i}" for i, name in enumerate(names)]


def read(path: Path, names: Sequence[str], dialect: Dialect, text: Sequence[str]) -> pd.DataFrame:
    """Read all rows; see :func:`parts`."""
    import pandas as pd

    with parsing(path, names, dialect), dialect.open(path) as file:
        frame = pd.read_csv(file, **_options(names, dialect, text))
    if _ends_empty(frame):
        _check_short(path, names, dialect)
    return frame


def parts(
    path: Path, names: Sequence[str], size: int, dialect: Dialect, text: Sequence[str]
) -> Generator[pd.DataFrame, None, None]:
    """Read `size` rows at a time: columns of numbers or truth values as such, all others as the text they are.

    pandas takes nothing for a missing value here, and gives no column another name; columns in `text` stay text.
    """
    import pandas as pd

    with dialect.open(path) as file:
        with parsing(path, names, dialect):
            reader = pd.read_csv(file, **_options(names, dialect, text), chunksize=size)
        checked = False
        with reader:
            while True:
                with parsing(path, names, dialect):
                    frame = next(reader, None)
                if frame is None:
                    return
                if not checked and _ends_empty(frame):
                    _check_short(path, names, dialect)
                    checked = True
                yield frame


def _options(names: Sequence[str], dialect: Dialect, text: Sequence[str]) -> dict[str, Any]:
    # low_memory would guess types by chunk and mix numbers and text in one column.
    options = {"header": 0, "names": list(names), "index_col": False, "low_memory": False, "na_filter": False}
    options |= {"decimal": dialect.decimal, **divided_by(dialect.sep or ",")}
    # Converters, as with a dtype of one column pandas makes a Series of each.
    return options | ({"converters": dict.fromkeys(text, str)} if text else {})


@contextmanager
def parsing(path: Path, names: Sequence[str], dialect: Dialect) -> Iterator[None]:
    """Say in plain words what keeps pandas from reading rows."""
    import pandas as pd

    with reading(path, "a .csv file"), warnings.catch_warnings():
        # Rows longer than the header: with index_col=False pandas drops what is too much, with only a warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            yield
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            found = _too_long(path, names, dialect) or _in_plain_words(error)
            raise DataError(f"{path}: cannot be read as a .csv file: {found}") from error


def _too_long(path: Path, names: Sequence[str], dialect: Dialect) -> str | None:
    """Find the first row that has more values than the header has names."""
    with suppress(csv.Error):
        for line, row in rows(path, dialect, "replace"):
            if len(row) > len(names):
                named = "1 column" if len(names) == 1 else f"{len(names)} columns"
                why = _why_longer(row, names)
                return f"line {line} has {len(row)} values, but the first line names {named} ({why})"
    return None


def _why_longer(row: Sequence[str], names: Sequence[str]) -> str:
    """What may be wrong where a row has more values than there are names."""
    if len(row) == len(names) + 1 and not row[-1].strip():
        return "if all lines but the first end with a separator, end the first with one, too"
    advice = []
    if any(value.strip().startswith("'") for value in row):
        advice.append("if text is in single quotation marks, write double ones")
    if len(row) > len(names) + 1 or len(names) <= 2:
        advice.append("delete the lines above the names of the columns")
    if len(row) == len(names) + 1:
        advice.append("if lines begin with a number or name of the row, as R writes them, begin the first with one")
    return "; or ".join([*advice, ADVICE])


def _ends_empty(frame: pd.DataFrame) -> bool:
    """Whether a row has nothing in its last column, as pandas gives it where a line is too short."""
    last = frame.iloc[:, -1]
    return bool(last.dtype.kind == "O" and (last == "").any())


def _check_short(path: Path, names: Sequence[str], dialect: Dialect) -> None:
    """Say which rows have fewer values than the header has names; between blanks, refuse them."""
    short = [(line, row) for line, row in rows(path, dialect, "replace") if len(row) < len(names)]
    if not short:
        return
    line, n = short[0][0], len(short[0][1])
    for other_line, row in short:
        if len(row) == 1 and (sep := _other_separator(row[0], len(names), dialect)):
            raise DataError(
                f"{path}, line {other_line} is divided by {sep!r}, but the first line by {dialect.sep!r}: make them "
                "alike"
            )
    if dialect.sep == " ":  # several blanks count as one, so that any of the values may be missing
        raise DataError(
            f"{path}, line {line} has {n} values, but the first line names {len(names)} columns, and blanks do not "
            "tell which are missing: write NA for each, or separate the columns by commas"
        )
    said = "1 line has" if len(short) == 1 else f"{len(short)} lines have"
    warnings.warn(
        f"{path}: {said} fewer values than the first line has names (line {line}: {n} of {len(names)}): those at the "
        "end count as missing",
        stacklevel=3,
    )


def _other_separator(text: str, n: int, dialect: Dialect) -> str | None:
    """What divides a line into n values, where that is not the separator of the file; of two, a text may look so."""
    others = (sep for sep in SEPARATORS if sep != dialect.sep)
    return next((sep for sep in others if text.count(sep) == n - 1), None) if n > 2 else None


def _in_plain_words(error: Exception) -> str:
    if "EOF inside string" in str(error):
        return "a quotation mark is not closed"
    return reason(error).removeprefix("Error tokenizing data. C error: ")


def rows(path: Path, dialect: Dialect, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
    """Yield every row that is not blank, the header among them, with the number of the line that it begins in."""
    last = ""

    def lines(file: TextIO) -> Iterator[str]:
        nonlocal last
        for last in file:  # noqa: UP028  # "yield from" would not keep the last line
            yield last

    with dialect.open(path, errors) as file:
        reader, line = csv.reader(lines(file), **divided_by(dialect.sep or ",")), 1
        for row in reader:
            if len(row) > 1 or (row and last.strip()):  # "" in quotation marks is a row, blanks are none
                yield line, row
            line = reader.line_num + 1


def line_of(path: Path, row: int, dialect: Dialect) -> int | None:
    """Return the line that a row of the data, counted from 0, begins in; None where it cannot be found."""
    with suppress(OSError, csv.Error):
        return next((line for i, (line, _) in enumerate(rows(path, dialect, "replace")) if i == row + 1), None)
    return None
