"""What is known of a table before it is read: by a user, or by a model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from nmfnet.datasets import _csv
from nmfnet.datasets._dialect import ENDINGS, Dialect
from nmfnet.datasets._kinds import NUMBERS
from nmfnet.datasets._values import number
from nmfnet.errors import DataError

Labels: TypeAlias = NDArray[Any] | Literal["numbers"] | None

TABLES = (".csv", ".tsv", ".parquet")
LISTED = 20  # names of columns that fit in one line of an error
SHOWN = 30  # characters of a value in an error


def is_nameless(name: str) -> bool:
    """Whether a column has no name; pandas calls such columns Unnamed, and a number."""
    return not name.strip() or re.fullmatch(r"Unnamed: \d+", name) is not None


def ending(path: Path) -> str:
    """Ending of a table, that of its compression aside, in lower case."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = len(suffixes) > 1 and suffixes[-1] in ENDINGS and suffixes[-2] in (".csv", ".tsv")
    return suffixes[-2] if compressed else path.suffix.lower()


def stem(path: Path) -> str:
    """Name of a file without its ending, and that of its compression."""
    return path.stem if ending(path) == path.suffix.lower() else Path(path.stem).stem


@dataclass(frozen=True)
class Schema:
    """How a table is read; a model stores it for later files.  The file decides what is None here.

    Attributes
    ----------
    target : str or None
        Name of the column of targets.
    columns : sequence of str or None
        Names of the columns of features, in order.
    labels : ndarray, "numbers" or None
        The classes that targets are read as; "numbers" for real targets.
    drop : sequence of str
        Columns to leave out.
    categorical : sequence of str
        Columns that are categories, whatever their values look like.
    id : str or None
        Column that names the rows; it is not a feature.
    kinds : mapping of str to str
        Kind of each column: "numbers", "categories", "times", or dates, as in "dates, year first".
    dialect : Dialect
    """

    target: str | None = None
    columns: Sequence[str] | None = None
    labels: Labels = None
    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()
    id: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    dialect: Dialect = field(default_factory=Dialect)

    def text(self, names: Sequence[str]) -> list[str]:
        """Columns whose values are to be left as the text they are."""
        known = [name for name, kind in self.kinds.items() if kind != NUMBERS]
        wanted = {self.target, self.id, *self.categorical, *known}
        return [name for name in names if name in wanted]

    def wanted(self, names: Sequence[str], path: Path) -> list[str]:
        """Return the names of the features among those of a file, which must have them."""
        named = dict.fromkeys((self.target, self.id, *self.drop, *self.categorical))
        absent = [name for name in named if name is not None and name not in names]
        if absent:
            raise DataError(_no_such_columns(absent, names, path))
        if self.target is not None and self.target in (self.id, *self.drop):
            raise DataError(f"{path}: column {self.target!r} is the target: it can be neither an id nor dropped")
        if self.columns is None:
            others = {self.target, self.id, *self.drop}
            return [name for name in names if name not in others and not is_nameless(name)]
        there = set(names)
        missing = [name for name in self.columns if name not in there]
        if missing:
            raise DataError(_no_such_columns(missing, names, path))
        return list(self.columns)


def place(path: Path, row: int, schema: Schema) -> str:
    """Say where a row of the data, counted from 0, is: in a .csv by the line in which it begins."""
    line = None if ending(path) == ".parquet" else _csv.line_of(path, row, schema.dialect)
    return f"{path}, row {row + 1}" if line is None else f"{path}, line {line}"


def _no_such_columns(absent: Sequence[str], names: Sequence[str], path: Path) -> str:
    by_lower = {name.lower(): name for name in names}
    close = [found for name in absent[:LISTED] for found in difflib.get_close_matches(name.lower(), by_lower, n=1)]
    hint = f"did you mean {' and '.join(repr(by_lower[name]) for name in dict.fromkeys(close))}? " if close else ""
    listed = ", ".join(names[:LISTED])
    more = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    not_there = ", ".join(map(repr, absent[:LISTED])) + (", ..." if len(absent) > LISTED else "")
    what = f"column{'s' if len(absent) > 1 else ''} {not_there}"
    if names[0].startswith("#"):
        more += "; if that line is a comment, delete it: the first line must name the columns"
    elif any(number(name) is not None for name in names):
        more += "; if these are values, put a line with the names of the columns above them"
    undivided = len(names) == 1 and re.search(r"\w\W+\w", names[0])
    advice = f"; {_csv.BLANKS if re.search(r'[^ ] +[^ ]', names[0]) else _csv.ADVICE}" if undivided else ""
    return f"{path}: has no {what}: {hint}its columns are {listed}{more}{advice}"
