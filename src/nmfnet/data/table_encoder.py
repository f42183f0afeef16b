"""Tables as people have them to numbers: categories one-hot or as mean targets, dates as their parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmfnet.data.column_messages import listed, refuse_infinite, warn_of_text
from nmfnet.data.columns import DAY, Column, Table
from nmfnet.data.containers import Array, missing
from nmfnet.data.target_means import MIN_ROWS_OF_A_CATEGORY, TargetMeans
from nmfnet.distributed import now

MOST_CATEGORIES = 255  # of a column, as in HistGradientBoosting; a column of more becomes mean targets
MIN_SHARE_NAMED = 0.1  # of rows whose category has a column of its own; with fewer they are ids and remarks
YEAR = 365.2425  # days


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, which stays as it is; NaN where one is missing."""

    kind: ClassVar[str] = "numbers"
    name: str

    def names(self) -> list[str]:
        """Names of what the column becomes."""
        return [self.name]

    def encode(self, column: Column) -> list[Array]:
        """What it becomes, each of shape (n,)."""
        return [column.values]


@dataclass(frozen=True)
class Categories:
    """A column of categories, each of which becomes a column of zeros and ones.

    Attributes
    ----------
    name : str
    values : tuple of str
        Categories that have a column of their own.
    other : bool
        Whether all others, rare and unknown ones, share a column; without it they have zeros everywhere.
    missing : bool
        Whether missing ones have a column.
    """

    kind: ClassVar[str] = "categories"
    name: str
    values: tuple[str, ...]
    other: bool
    missing: bool

    @classmethod
    def of(cls, column: Column, complete: bool) -> Self:
        """Learn the categories; not `complete` where the rows are the first of many."""
        n, counts = 0, Counter[Any]()
        for rows, found in now().objects((len(column.values), Counter(column.values.tolist()))):
            n, counts = n + rows, counts + found
        absent = counts.pop(None, 0) > 0
        named: Counter[str] = Counter()
        for value, count in counts.items():
            named[text_of(value)] += count
        if not complete:
            named.update({text_of(value): 0 for value in column.declared})
            return cls(column.name, tuple(sorted(named)), other=True, missing=True)
        fewest = fewest_rows(n)
        kept = [value for value, count in named.most_common(MOST_CATEGORIES) if count >= fewest]
        if sum(named[value] for value in kept) < MIN_SHARE_NAMED * named.total():
            kept = []
        return cls(column.name, tuple(sorted(kept)), len(kept) < len(named), absent)

    def names(self) -> list[str]:
        """Names of what the column becomes."""
        others = ["other"] * self.other + ["missing"] * self.missing
        return [f"{self.name}_{value}" for value in (*self.values, *others)]

    def encode(self, column: Column) -> list[Array]:
        """Indicators, each of shape (n,)."""
        place = {value: i for i, value in enumerate(self.values)}
        other = len(place) if self.other else -1
        absent = len(place) + self.other if self.missing else -1
        values = column.values.tolist()
        known = {v: absent if v is None else place.get(text_of(v), other) for v in set(values)}
        codes = np.fromiter((known[v] for v in values), np.intp, len(values))
        return [codes == i for i in range(len(place) + self.other + self.missing)]


@dataclass(frozen=True)
class Dates:
    """A column of dates, which becomes the time as a number, the season, the day of the week, and the hour if any has.

    Attributes
    ----------
    name : str
    hours : bool
        Whether any date has a time of the day.
    """

    kind: ClassVar[str] = "dates"
    name: str
    hours: bool

    @classmethod
    def of(cls, column: Column, complete: bool) -> Self:
        """Learn whether there are times of the day; of the first of many rows nobody knows."""
        days = column.values.astype("datetime64[D]")
        present = ~np.isnat(column.values)
        return cls(column.name, not complete or now().any(bool((column.values != days)[present].any())))

    def names(self) -> list[str]:
        """Names of what the column becomes."""
        weekdays = "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
        parts = ["year", "season_sin", "season_cos", *weekdays, *(["hour_sin", "hour_cos"] if self.hours else [])]
        return [f"{self.name}_{part}" for part in parts]

    def encode(self, column: Column) -> list[Array]:
        """The parts, each of shape (n,): the time is NaN, and all else 0, where the date is missing."""
        present = ~np.isnat(column.values)
        times = column.values[present].astype("datetime64[us]")
        days, years = times.astype("datetime64[D]"), times.astype("datetime64[Y]")
        elapsed = (times - np.datetime64(0, "us")) / DAY / YEAR
        season = ((days - years.astype("datetime64[D]")) / DAY) * (2 * np.pi / YEAR)
        weekday = (days.astype(np.int64) + 3) % 7  # the first day of 1970 was a Thursday
        parts = [1970 + elapsed, np.sin(season), np.cos(season), *(weekday == day for day in range(7))]
        if self.hours:
            hour = (times - days) / DAY * (2 * np.pi)
            parts += [np.sin(hour), np.cos(hour)]
        found = []
        for part, nothing in zip(parts, [np.nan] + [0.0] * len(parts), strict=False):
            values = np.full(len(present), nothing)
            values[present] = part
            found.append(values)
        return found


Encoded: TypeAlias = Numbers | Categories | Dates | TargetMeans
KINDS: dict[str, type[Encoded]] = {cls.kind: cls for cls in (Numbers, Categories, Dates, TargetMeans)}


@dataclass(frozen=True)
class TableEncoder:
    """What a model knows of the columns of a table.

    Attributes
    ----------
    columns : tuple of Numbers, Categories, Dates or TargetMeans
    """

    columns: tuple[Encoded, ...]

    @classmethod
    def of(cls, table: Table, complete: bool = True, Y: Array | None = None, weight: Array | None = None) -> Self:
        """Learn from a table.

        Parameters
        ----------
        table : Table
        Y : ndarray of shape (n, k), optional
            Targets, for columns of very many categories.
        complete : bool, default=True
            Whether the rows are all there are, and not the first of many: of these every category is kept, those that
            the type of a column names, too, and what comes later is "other".
        weight : ndarray of shape (n,), optional
            Of the rows, for means of the targets.

        Warns
        -----
        UserWarning
            Names the columns of text that are left out, because nearly every row has its own, and dates and numbers
            that are text.
        """
        make: dict[str, Callable[[Column], Encoded]] = {
            "numbers": lambda column: Numbers(column.name),
            "categories": lambda column: _categories(column, complete, Y, weight),
            "dates": lambda column: Dates.of(column, complete),
        }
        found = tuple(make[column.kind](column) for column in table.columns)
        useless = [each.name for each in found if isinstance(each, Categories) and not each.values]
        if useless and len(useless) == len(found):
            raise ValueError(
                f"X has only columns in which nearly every row has another text: {listed(useless)}. To learn from the "
                "words of a text, make numbers of them, as with sklearn.feature_extraction.text.TfidfVectorizer."
            )
        _warn_of_text(found, table)
        return cls(found)

    def transform(self, table: Table, Y: Array | None = None, weight: Array | None = None) -> NDArray[np.float64]:
        """Numbers (n, width), NaN where one is missing.

        Parameters
        ----------
        table : Table
        Y : ndarray of shape (n, k), optional
            Targets, where the rows are to be trained on: mean targets are then of other rows than each.
        weight : ndarray of shape (n,), optional
            Of these rows.

        Raises
        ------
        ValueError
            Names the columns that are of another kind than in the fit.
        """
        if len(table.columns) != len(self.columns):
            raise ValueError(f"X has {len(table.columns)} columns, but {len(self.columns)} in the fit.")
        names, there = [column.name for column in self.columns], [column.name for column in table.columns]
        if (
            table.named and names != there and sorted(names) == sorted(there)
        ):  # Arrow's, which scikit-learn passes over
            raise ValueError("The feature names should match those that were passed during fit: their order differs.")
        other = [
            f"{known.name!r} ({column.kind}; in the fit {kind_read(known)})"
            for known, column in zip(self.columns, table.columns, strict=True)
            if not _fits(known, column)
        ]
        if other:
            raise ValueError(f"X has columns that are not what they were in the fit: {', '.join(other)}.")
        X, at = np.empty((len(table), self.width)), 0
        for known, column in zip(self.columns, table.columns, strict=True):
            for values in _encoded(known, _as(known, column), Y, weight):
                X[:, at] = values
                at += 1
        if not np.isfinite(X.sum()):
            refuse_infinite(X, self.get_feature_names_out())
        return X

    @property
    def width(self) -> int:
        """Columns of the result."""
        return len(self.get_feature_names_out())

    def get_feature_names_out(self) -> list[str]:
        """Names of the columns of the result."""
        return [name for column in self.columns for name in column.names()]

    @property
    def not_numbers(self) -> list[str]:
        """Names of the columns that are encoded."""
        return [column.name for column in self.columns if not isinstance(column, Numbers)]

    def state(self) -> list[dict[str, Any]]:
        """As JSON holds it."""
        return [{"kind": column.kind, **asdict(column)} for column in self.columns]

    @classmethod
    def from_state(cls, state: Sequence[dict[str, Any]]) -> Self:
        """Inverse of :meth:`state`, checked."""
        columns = []
        for fields in map(dict, state):
            kind = KINDS[fields.pop("kind")]
            if "values" in fields:
                fields["values"] = tuple(fields["values"])
                if len(set(fields["values"])) < len(fields["values"]):
                    raise ValueError(f"the categories of {fields['name']!r:.50} are not different.")
            if "means" in fields:
                fields |= {"means": tuple(map(tuple, fields["means"])), "overall": tuple(fields["overall"])}
            columns.append(kind(**fields))
            if isinstance(columns[-1], TargetMeans):
                columns[-1].check()
        return cls(tuple(columns))


def _warn_of_text(found: Sequence[Encoded], table: Table) -> None:
    """Warn of columns of text of which nothing is learned, or less than of what it stands for."""
    texts = {
        each.name: {value for value in set(column.values.tolist()) if value is not None}
        for each, column in zip(found, table.columns, strict=True)
        if isinstance(each, (Categories, TargetMeans))
    }
    warn_of_text(texts, [each.name for each in found if isinstance(each, Categories) and not each.values])


def _categories(column: Column, complete: bool, Y: Array | None, weight: Array | None) -> Categories | TargetMeans:
    """Categories of which each has a column; or, where they are very many and no ids, their mean targets."""
    if complete and Y is not None:
        present = [value for value in column.values.tolist() if value is not None]
        found = now().objects((len(present), {text_of(value) for value in set(present)}))
        rows, n = sum(count for count, _ in found), len(set().union(*(texts for _, texts in found)))
        if n > MOST_CATEGORIES and rows >= MIN_ROWS_OF_A_CATEGORY * n:
            return TargetMeans.of(column, Y, weight, text_of)
    return Categories.of(column, complete)


def _encoded(known: Encoded, column: Column, Y: Array | None, weight: Array | None) -> list[Array]:
    """What a column of the kind that is known becomes."""
    return known.encode(column, text_of, Y, weight) if isinstance(known, TargetMeans) else known.encode(column)


def kind_read(known: Encoded) -> str:
    """Kind that a column must be of to be encoded so."""
    return known.reads if isinstance(known, TargetMeans) else known.kind


def fewest_rows(n: int) -> int:
    """Rows that a category must be in to have a column of its own: 1 % of them, between 2 and 10."""
    return min(10, max(2, n // 100))


def text_of(category: Any) -> str:
    """A category as text: the number 1, whole or not, is "1"."""
    if isinstance(category, str):
        return str(category)
    if isinstance(category, (float, np.floating)) and category.is_integer():
        return str(int(category))
    return str(category)


def _fits(known: Encoded, column: Column) -> bool:
    """Whether a column can be encoded; one without any value always, and categories may be numbers, too."""
    kind = kind_read(known)
    same = kind == column.kind or (kind, column.kind) == ("categories", "numbers")
    return same or bool(missing(column.values).all())


NOTHING: dict[str, Any] = {"numbers": np.nan, "categories": None, "dates": np.datetime64("NaT", "us")}


def _as(known: Encoded, column: Column) -> Column:
    """The column, which fits, as one of the kind that is known."""
    kind = kind_read(known)
    if kind == column.kind:
        return column
    if kind == "categories":
        values = column.values.astype(object)
        values[missing(column.values)] = None
        return column._replace(values=values)
    return column._replace(values=np.full(len(column.values), NOTHING[kind]))
