"""Tables, .csv and .parquet: which columns are wanted, and what their values mean."""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets import _csv
from nmfnet.datasets._columns import features, selected, texts_of
from nmfnet.datasets._formats import reading
from nmfnet.datasets._schema import LISTED, Schema, ending, is_nameless, stem
from nmfnet.datasets._targets import read_targets, targets_there
from nmfnet.datasets._types import Dataset
from nmfnet.datasets._values import is_missing, number
from nmfnet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FEWEST_IN_ORDER = 10  # names that are numbers, of which the order says that they are names


def read_table(path: Path, schema: Schema) -> Dataset:
    """Read a whole table; see :func:`nmfnet.datasets.read_file`."""
    check_pandas(path)
    refuse_pipe(path)
    if ending(path) != ".parquet":
        schema, names = _csv_schema(path, schema)
        frame = _csv.read(path, names, schema.dialect, schema.text(names))
    else:
        frame = _read_parquet(path)
        names = _named_columns(frame, path)
    if frame.empty:
        raise DataError(f"{path}: has {len(frame)} rows and {len(names)} columns; nothing to read")
    if schema.columns is None:
        _check_nameless(frame, path)
    columns = schema.wanted(names, path)
    if schema.columns is None and is_nameless(names[0]):
        warnings.warn(f"{path}: column 1 has no name and is left out, as a row index", stacklevel=3)
    if schema.columns is None and ending(path) != ".parquet" and _are_values(names):
        warnings.warn(
            f"{path}: the first line has numbers, as {next(name for name in names if number(name) is not None)}, and "
            "is taken for the names of the columns: if it is none, put a line of names above it",
            stacklevel=3,
        )
    if not columns:
        raise DataError(
            f"{path}: has no column besides the target {schema.target!r}: there must be others to predict it from"
        )
    X, kinds = features(selected(frame, columns), path, schema)
    y = None
    if schema.target is not None:
        there = targets_there(frame[schema.target], path, schema)
        if not there.all():
            X, frame = X[there], frame[there]
        y = read_targets(frame[schema.target], path, schema)
    ids = None if schema.id is None else np.array(texts_of(frame[schema.id]), dtype=object)
    named = replace(schema, kinds=kinds)
    return Dataset(stem(path), X, y, feature_names=tuple(columns), source=str(path), ids=ids, schema=named)


def table_blocks(path: Path, schema: Schema, numbers: int) -> Iterator[tuple[Any, NDArray[Any] | None]]:
    """Yield features and ids of a table, so many rows at a time that they are about so many numbers."""
    check_pandas(path)
    refuse_pipe(path)
    parts, start = _parquet_parts, 0
    if ending(path) != ".parquet":
        schema, _ = _csv_schema(path, schema)
        parts = _csv_parts
    with closing(parts(path, schema, numbers)) as frames:
        for frame in frames:
            ids = None if schema.id is None else np.array(texts_of(frame[schema.id]), dtype=object)
            yield features(selected(frame, schema.wanted(list(frame.columns), path)), path, schema, start)[0], ids
            start += len(frame)


def column_names(path: str | os.PathLike[str], schema: Schema) -> list[str]:
    """Names of the columns of a table, without its rows."""
    path = Path(path)
    check_pandas(path)
    refuse_pipe(path)
    if ending(path) != ".parquet":
        return _csv_schema(path, schema)[1]
    with reading(path, "a .parquet file"):
        from pyarrow.parquet import read_schema

        _check_parquet(path)
        return [str(name) for name in read_schema(path).names]


def check_pandas(path: Path) -> None:
    """Name the extra where pandas is missing."""
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise DataError(f"{path}: reading {path.suffix} files needs pip install 'nmfnet[tables]'") from error


def refuse_pipe(path: Path) -> None:
    """Tables are read more than once."""
    if path.is_fifo() or path.is_char_device() or path.is_socket():
        raise DataError(f"{path}: is a pipe, which can be read only once: write it to a .csv file first")


def _csv_schema(path: Path, schema: Schema) -> tuple[Schema, list[str]]:
    """The schema with the dialect of a file, and the names of its columns."""
    with reading(path, "a .csv file"):
        schema = replace(schema, dialect=schema.dialect.of(path))
    names = _header(path, schema)
    _check_names(names, path)
    return schema, names


def _are_values(names: Sequence[str]) -> bool:
    """Whether numbers among names look like those of a row: not like years, places or wavelengths, which are in order.

    Of a few numbers with decimals also those in order.
    """
    found = (number(name) for name in names)
    numbers = [each for each in found if each is not None and not isinstance(each, bool) and math.isfinite(each)]
    steps = [after - before for before, after in pairwise(numbers)]
    in_order = all(step > 0 for step in steps) or all(step < 0 for step in steps)
    few = len(numbers) < FEWEST_IN_ORDER and any(isinstance(each, float) for each in numbers)
    return bool(numbers) and (few or not in_order)


def _header(path: Path, schema: Schema) -> list[str]:
    """Names of the columns, as a model has them where it was trained on names with blanks around them."""
    known = {name.strip(): name for name in schema.columns or ()}
    return [known.get(name, name) for name in _csv.header(path, schema.dialect)]


def _csv_parts(path: Path, schema: Schema, numbers: int) -> Generator[pd.DataFrame, None, None]:
    names = _header(path, schema)
    schema.wanted(names, path)
    yield from _csv.parts(path, names, max(1, numbers // len(names)), schema.dialect, schema.text(names))


def _check_parquet(path: Path) -> None:
    """Say it in plain words where a file is none."""
    with open(path, "rb") as file:
        if file.read(4) not in (b"PAR1", b"PARE"):
            raise DataError(f"{path}: is not a .parquet file: if it is text, name it .csv; else fetch it again")


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    with reading(path, "a .parquet file"):
        if path.is_dir():  # in parts
            return pd.read_parquet(path)
        _check_parquet(path)
        with open(path, "rb") as file:  # Arrow opens no names that are not UTF-8
            return pd.read_parquet(file)


def _parquet_parts(path: Path, schema: Schema, numbers: int) -> Generator[pd.DataFrame, None, None]:
    with ExitStack() as opened:
        with reading(path, "a .parquet file"):
            from pyarrow.parquet import ParquetFile

            _check_parquet(path)
            source = opened.enter_context(open(path, "rb"))
            # What is read ahead would be kept until the end: all of the file.
            file = opened.enter_context(ParquetFile(source, pre_buffer=False, buffer_size=2**20))
            wanted = schema.wanted(file.schema_arrow.names, path)
            batches = file.iter_batches(
                max(1, numbers // max(1, len(wanted))), columns=[*wanted, *([schema.id] if schema.id else [])]
            )
        while True:
            with reading(path, "a .parquet file"):
                batch = next(batches, None)
                frame = None if batch is None else batch.to_pandas()
            if frame is None:
                return
            _named_columns(frame, path)
            yield frame


# --- names ---


def _named_columns(frame: pd.DataFrame, path: Path) -> list[str]:
    """Give columns names that are text, and return them, checked."""
    frame.columns = names = [str(column) for column in frame.columns]
    _check_names(names, path)
    return names


def _check_names(names: Sequence[str], path: Path) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1 and name]
    if repeated:
        listed = ", ".join(map(repr, repeated[:LISTED]))
        raise DataError(f"{path}: has more than one column {listed}: give each a name of its own")


def _check_nameless(frame: pd.DataFrame, path: Path) -> None:
    """Refuse columns without a name, but for two kinds, which are left out.

    The first one is nearly always the row index that to_csv writes unasked, which as a feature would betray the order
    of the rows; and those without any value come of separators at the ends of the lines.
    """
    for i, name in enumerate(frame.columns):
        if i and is_nameless(name) and not all(map(is_missing, texts_of(frame.iloc[:, i]))):
            above = "" if ending(path) == ".parquet" else "; if the names are in a later line, delete those above it"
            raise DataError(f"{path}: column {i + 1} has no name: name it, or drop it{above}")
