"""Columns of a table as pandas reads them: features of numbers, categories and dates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._dialect import Dialect
from nmfnet.datasets._kinds import CATEGORIES, DATES, NUMBERS, TIMES, YEAR_FIRST, Unfit, as_kind, kind_of
from nmfnet.datasets._schema import LISTED, SHOWN, Schema, ending, place
from nmfnet.datasets._units import plain_numbers, units_of
from nmfnet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def selected(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Some columns, in their order; none is taken out where they are all."""
    return frame if list(frame.columns) == columns else frame[columns]


def features(frame: pd.DataFrame, path: Path, schema: Schema, start: int = 0) -> tuple[Any, dict[str, str]]:
    """Return columns as an array where all are numbers, or else as a data frame, and their kinds.

    Numbers are of float32 if all columns are, NaN where one is missing; categories are text and dates datetime64.

    Parameters
    ----------
    frame : pandas.DataFrame
    path : pathlib.Path
        Of the file, for errors.
    schema : Schema
    start : int
        Row of the file that the first of these is.
    """
    numeric = {dtype: is_numeric(dtype) for dtype in set(frame.dtypes)}
    known = {**schema.kinds, **dict.fromkeys(schema.categorical, CATEGORIES)}
    other = [
        i for i, (name, dtype) in enumerate(zip(frame.columns, frame.dtypes, strict=True))
        if not numeric[dtype] or known.get(name, NUMBERS) != NUMBERS
    ]  # fmt: skip
    single = all(str(dtype).lower() == "float32" for dtype in numeric)
    rest = frame.drop(columns=frame.columns[other]) if other else frame
    nullable = any(not isinstance(dtype, np.dtype) for dtype in rest.dtypes)
    options = {"na_value": np.nan} if nullable else {}
    X = np.ascontiguousarray(rest.to_numpy(np.float32 if single else np.float64, **options))
    infinite = _infinite(X, rest)
    kinds = dict.fromkeys(frame.columns, NUMBERS)
    columns: dict[str, NDArray[Any]] = {}
    unfit: dict[str, Unfit] = {}
    for i in other:
        kind, values = _read_column(frame.iloc[:, i], known.get(frame.columns[i]), schema.dialect)
        kinds[frame.columns[i]] = kind
        if isinstance(values, Unfit):
            unfit[frame.columns[i]] = values
        else:
            columns[frame.columns[i]] = values
    if unfit:
        raise DataError(_all_unfit(unfit | infinite, path, schema, start))
    if infinite:
        raise DataError(_all_infinite(infinite, path, schema, start))
    return (_together(frame, X, columns, kinds) if other else X), kinds


def _together(frame: pd.DataFrame, X: NDArray[Any], others: Mapping[str, Any], kinds: Mapping[str, str]) -> Any:
    """Numbers and other columns in their order."""
    import pandas as pd

    numbers = iter(X.T)
    columns = {name: others[name] if name in others else next(numbers) for name in frame.columns}
    if set(kinds.values()) <= {NUMBERS, TIMES}:
        return np.stack(list(columns.values()), axis=1)
    return pd.DataFrame(columns)


def _read_column(column: pd.Series[Any], known: str | None, dialect: Dialect) -> tuple[str, NDArray[Any] | Unfit]:
    """Kind and values of a column that is not read as numbers already."""
    if column.dtype.kind == "M" and known in (None, *DATES):
        column = column if getattr(column.dt, "tz", None) is None else column.dt.tz_localize(None)
        return YEAR_FIRST, column.to_numpy().astype("datetime64[us]")
    if column.dtype.kind == "m" and known in (None, TIMES):
        return TIMES, column.to_numpy() / np.timedelta64(1, "h")
    if known is None and column.dtype == object and (nested := _nested(column)) is not None:
        return CATEGORIES, nested
    units = units_of(texts_of(column), dialect.plain) if known in (None, NUMBERS) else set()
    if len(units) > 1 and kind_of(texts_of(column)) != TIMES:  # 20 min and 1 h can be compared
        listed = ", ".join(sorted(unit or "none" for unit in units))
        return CATEGORIES, Unfit(f"has numbers of several units ({listed})", 0)
    texts = plain_numbers(texts_of(column), dialect.plain) if known in (None, NUMBERS) else texts_of(column)
    declared = str(column.dtype) == "category" and not is_numeric(column.cat.categories.dtype)
    kind = known or (CATEGORIES if declared else kind_of(texts))
    if isinstance(kind, Unfit):
        return CATEGORIES, kind
    return kind, as_kind(texts if kind == NUMBERS else texts_of(column), kind)


def _nested(column: pd.Series[Any]) -> Unfit | None:
    """Why a column of lists, structures or bytes, as .parquet files have them, is no feature."""
    for row, value in enumerate(column):
        if isinstance(value, (list, tuple, dict, set, np.ndarray)):
            return Unfit("has lists or structures, whose parts need a column each", row)
        if isinstance(value, bytes):
            return Unfit("has bytes", row)
    return None


def _all_unfit(unfit: Mapping[str, Unfit], path: Path, schema: Schema, start: int) -> str:
    """Name every column that cannot be used, and what can be done."""
    said, names = _listed(unfit, path, schema, start)
    advice = f"correct that, or --drop {names}, or --categorical {names}"
    if start == 0 and ending(path) != ".parquet" and all(column.row == 0 and column.word for column in unfit.values()):
        advice += "; if that line has units or texts of questions, delete it"
    return f"{said}: {'correct that' if schema.kinds else advice}"


def _listed(unfit: Mapping[str, Unfit], path: Path, schema: Schema, start: int) -> tuple[str, str]:
    """What is wrong with the columns and where the first is, and their names."""
    shown = list(unfit.items())[:LISTED]
    name, first = shown[0]
    said = [f"{place(path, start + first.row, schema)}: column {name!r} {first.why}"]
    said += [f"column {name!r} {each.why}" for name, each in shown[1:]]
    more = f"; and {len(unfit) - LISTED} more" if len(unfit) > LISTED else ""
    return f"{'; '.join(said)}{more}", ",".join(name for name, _ in shown)


def is_numeric(dtype: Any) -> bool:
    """Whether pandas has numbers or truth values in such a column."""
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    return is_numeric_dtype(dtype) and not is_complex_dtype(dtype)


def texts_of(column: pd.Series[Any]) -> list[str]:
    """Values as text, nothing where one is missing."""
    missing = column.isna().to_numpy()
    values = column.tolist()
    if column.dtype.kind == "f":  # whole numbers are written without a point
        values = [int(value) if float(value).is_integer() else value for value in np.where(missing, np.nan, values)]
    return ["" if gone else _unforced(str(value)) for value, gone in zip(values, missing, strict=True)]


def _unforced(text: str) -> str:
    """What Excel shows of ="0123", by which programs keep it from taking text for a number."""
    return text[2:-1] if text.startswith('="') and text.endswith('"') and len(text) > 2 else text


def _infinite(X: NDArray[Any], frame: pd.DataFrame) -> dict[str, Unfit]:
    """Columns with infinite values, and how many."""
    counts = np.isinf(X).sum(axis=0)
    found = {}
    for i in np.flatnonzero(counts):
        row = int(np.isinf(X[:, i]).argmax())
        value = str(frame.iloc[row, i])[:SHOWN]
        found[frame.columns[i]] = Unfit(f"has infinite values (e.g. {value!r}, {counts[i]} in all)", row)
    return found


def _all_infinite(infinite: Mapping[str, Unfit], path: Path, schema: Schema, start: int) -> str:
    """Name them, and what can be done where nothing else is wrong."""
    said, _ = _listed(infinite, path, schema, start)
    return f"{said}: correct them, or leave them empty, which counts as missing"
