"""Data frames of any library, and arrays of objects, as named columns of numbers, categories or dates."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Real
from typing import Any, Literal, NamedTuple, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np
from narwhals.exceptions import DuplicateError
from sklearn.utils import check_array

from nmfnet.data.column_messages import listed
from nmfnet.data.containers import Array, missing

Kind: TypeAlias = Literal["numbers", "categories", "dates"]
DAY = np.timedelta64(1, "D")
ID_NAME = re.compile(r"(.*[ _.-])?(id|uuid|guid|index|key|rownames?)|.*[a-z]Id", re.IGNORECASE | re.ASCII)
NINES = re.compile(r"-?9{2,}(\.9+)?")
MIN_ROWS_OF_IDS = 20  # in which whole numbers that are all different say anything
MAX_RANGE_OF_IDS = 1.5  # of numbers that count rows, over the rows: a split has left some of these out


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    name : str
    kind : {"numbers", "categories", "dates"}
    values : ndarray of shape (n,)
        Numbers in float64, categories as objects, dates as datetime64; NaN, None and NaT where one is missing.
    declared : sequence of object
        Categories that the type of the column names, whether there are any of them or not.
    """

    name: str
    kind: Kind
    values: Array
    declared: Sequence[Any] = ()


@dataclass(frozen=True)
class Table:
    """The columns of a table.

    Attributes
    ----------
    columns : list of Column
    categorical : tuple of int
        Positions of those that are categories whatever their type.
    named : bool
        Whether the columns have names of their own, and not numbers for names.
    """

    columns: list[Column]
    categorical: tuple[int, ...] = ()
    named: bool = True

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def rows(self, rows: Any) -> Table:
        """Some of the rows."""
        return replace(self, columns=[column._replace(values=column.values[rows]) for column in self.columns])


def is_frame(X: Any) -> bool:
    """Whether X is a data frame: of pandas, polars, Arrow or another library that narwhals knows."""
    return isinstance(_wrapped(X), nw.DataFrame)


def _wrapped(X: Any) -> Any:
    """A frame as narwhals wraps it; anything else stays."""
    try:
        return nw.from_native(X, eager_only=True, pass_through=True)
    except DuplicateError:
        names = [str(name) for name in X.columns]
        repeated = listed(sorted({name for name in names if names.count(name) > 1}))
        raise ValueError(f"X has more than one column {repeated}: give each a name of its own.") from None


def has_numbers_alone(X: Any) -> bool:
    """Whether an array, or every column of a frame, holds numbers or truth values only."""
    frame = _wrapped(X)
    if isinstance(frame, nw.DataFrame):
        return all(_is_of_numbers(frame[:, i]) for i in range(frame.shape[1]))
    return not (isinstance(X, np.ndarray) and X.dtype == object and any(isinstance(v, str) for v in X.ravel()))


def table_of(X: Any, categorical: tuple[int, ...] = ()) -> Table:
    """Read a frame, or an array of shape (n, k), whose columns are named by their numbers.

    Parameters
    ----------
    X : data frame or ndarray
    categorical : tuple of int
        As in :class:`Table`.

    Raises
    ------
    ValueError
        If there are no rows or columns, or columns of other kinds, all of which are named.
    """
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        series = [frame[:, i] for i in range(frame.shape[1])]
        names = [str(name) for name in frame.columns]
    else:
        X = check_array(X, dtype=None, ensure_all_finite=False)
        series = list(X.T)
        names = [f"x{i}" for i in range(len(series))]
    if not series or not len(series[0]):
        raise ValueError(f"Found array with 0 samples or features (shape={X.shape}) while a minimum of 1 is required.")
    columns, unfit = [], []
    for position, (name, values) in enumerate(zip(names, series, strict=True)):
        try:
            column = _column(name, values)
            columns.append(_as_categories(column) if position in categorical else column)
        except TypeError as error:
            unfit.append(f"{name!r} ({error})")
    if unfit:
        raise ValueError(
            f"X has columns that are neither numbers nor categories nor dates: {', '.join(unfit)}. Make numbers, text "
            "or dates of them, or leave them out."
        )
    return Table(columns, categorical, is_frame(X))


def ids_among(X: Any) -> list[str]:
    """Names of the columns of a frame whose whole numbers count the rows, or name each of them."""
    frame = nw.from_native(X, eager_only=True)
    return [str(name) for i, name in enumerate(frame.columns) if _identifies(frame[:, i])]


def _identifies(series: nw.Series[Any]) -> bool:
    n = len(series)
    if n < MIN_ROWS_OF_IDS or not series.dtype.is_numeric() or series.dtype.is_decimal() or series.null_count():
        return False
    counts = float(series.max()) - float(series.min()) < MAX_RANGE_OF_IDS * n
    if not (counts or ID_NAME.fullmatch(str(series.name))) or series.n_unique() < n:
        return False
    whole = (series.cast(nw.Float64).to_numpy() % 1 == 0).all()  # files have no whole numbers
    return series.dtype.is_integer() or bool(whole)


def sentinels_among(X: Any) -> dict[str, str]:
    """Columns of a frame with a number of nines, as -999, there repeatedly and far from all others; with it as text.

    Far is farther than these are from each other.
    """
    frame = nw.from_native(X, eager_only=True)
    columns = {str(name): frame[:, i] for i, name in enumerate(frame.columns)}
    numbers = {name: column for name, column in columns.items() if column.dtype.is_numeric()}
    found = {name: sentinel_of(column.cast(nw.Float64).to_numpy()) for name, column in numbers.items()}
    return {name: value for name, value in found.items() if value}


def sentinel_of(values: Array) -> str:
    """Such a number among numbers (n,), as text; empty if there is none."""
    values = values[np.isfinite(values)]
    for value in (values.min(), values.max()) if len(values) else ():
        text = f"{value:.15g}"
        if not NINES.fullmatch(text):
            continue
        others = values[values != value]
        if len(others) and len(values) - len(others) > 1 and np.abs(others - value).min() > np.ptp(others) > 0:
            return text
    return ""


def _is_of_numbers(series: nw.Series[Any]) -> bool:
    dtype = series.dtype
    if dtype == nw.Object:
        try:
            return _kind_of_objects(series.to_numpy()) == "numbers"
        except TypeError:
            return False
    if dtype == nw.Unknown:  # pandas' sparse columns, complex numbers, which scikit-learn refuses by name, and others
        return series.to_numpy().dtype.kind in "biufc"
    return dtype == nw.Boolean or dtype.is_numeric()


def _column(name: str, series: Any) -> Column:
    """A column; TypeError says what it holds that cannot be used."""
    if isinstance(series, np.ndarray):
        return _of_objects(name, series)
    dtype = series.dtype
    if dtype.is_decimal() or dtype in (nw.Object, nw.Unknown):
        return _of_objects(name, series.to_numpy())
    if dtype == nw.Boolean or dtype.is_numeric():
        return Column(name, "numbers", series.cast(nw.Float64).to_numpy())
    if dtype in (nw.Categorical, nw.Enum):
        return Column(name, "categories", _objects(series.to_list()), _declared(series))
    if dtype == nw.String:
        return Column(name, "categories", _objects(series.to_list()))
    if dtype in (nw.Date, nw.Datetime):
        dated = series.cast(nw.Datetime("us")) if dtype == nw.Date else series.dt.replace_time_zone(None)
        return Column(name, "dates", dated.to_numpy().astype("datetime64[us]"))
    if dtype == nw.Duration:
        return Column(name, "numbers", _in_days(series.to_numpy()))
    if dtype == nw.Time:
        return Column(name, "numbers", _in_hours(_objects(series.to_list())))
    raise TypeError(str(dtype).lower())


def _declared(series: nw.Series[Any]) -> list[Any]:
    """Categories that the type of a column names; pandas does not tell those of Arrow's dictionaries."""
    try:
        return series.cat.get_categories().to_list()
    except AttributeError:
        return []


def _of_objects(name: str, values: Array) -> Column:
    if values.dtype.kind in "biuf":
        return Column(name, "numbers", values.astype(np.float64))
    if values.dtype.kind == "M":
        return Column(name, "dates", values.astype("datetime64[us]"))
    if values.dtype.kind == "m":
        return Column(name, "numbers", _in_days(values))
    objects = _objects(values)
    kind = _kind_of_objects(objects)
    if kind == "categories":
        return Column(name, kind, objects)
    absent = objects == None  # noqa: E711  elementwise
    if kind == "numbers":
        return Column(name, kind, np.where(absent, np.nan, objects).astype(np.float64))
    if kind == "times":
        return Column(name, "numbers", _in_hours(objects))
    if kind == "durations":
        return Column(name, "numbers", _in_days(objects.astype("timedelta64[us]")))
    dates = [None if v is None else v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for v in objects]
    return Column(name, kind, np.array(dates, dtype="datetime64[us]"))


def _kind_of_objects(objects: Array) -> Kind | Literal["times", "durations"]:
    """What objects are, those that are missing aside; TypeError if they are of several kinds, or of none."""
    present = objects[~missing(objects)]
    kinds = {_kind(value): type(value).__name__ for value in present.tolist()}
    if not kinds:
        return "numbers"
    if len(kinds) > 1:
        raise TypeError(f"some are {', others '.join(sorted(kinds.values()))}")
    kind, name = kinds.popitem()
    if kind is None:
        raise TypeError(name)
    return kind


def _kind(value: Any) -> Kind | Literal["times", "durations"] | None:
    if isinstance(value, (str, np.str_)):
        return "categories"
    if isinstance(value, (Real, Decimal, np.bool_)):
        return "numbers"
    if isinstance(value, datetime.time):
        return "times"
    if isinstance(value, datetime.timedelta):
        return "durations"
    return "dates" if isinstance(value, (datetime.date, np.datetime64)) else None


def _objects(values: Any) -> Array:
    """Values as an array of objects, None where one is missing."""
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    objects[missing(objects)] = None
    return objects


def _in_days(durations: Array) -> Array:
    return np.where(np.isnat(durations), np.nan, durations / DAY)


def _in_hours(times: Array) -> Array:
    """Hours since midnight of times of the day, NaN for None."""
    return np.array([np.nan if t is None else t.hour + t.minute / 60 + t.second / 3600 for t in times], np.float64)


def _as_categories(column: Column) -> Column:
    if column.kind == "dates":
        raise TypeError("dates, which are no categories")
    return (
        column if column.kind == "categories" else column._replace(kind="categories", values=_objects(column.values))
    )
