"""Files larger than memory, some rows at a time."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._files import (
    _TABLES,
    _check_there,
    _features,
    _named_columns,
    _table_features,
    read_file,
)
from nmfnet.datasets._formats import reading
from nmfnet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def read_blocks(
    path: str | os.PathLike[str], columns: Sequence[str] | None, numbers: int = 2**22
) -> Iterator[NDArray[np.floating]]:
    """Read the features of a file that may be larger than memory, some rows at a time.

    Parameters
    ----------
    path : path
        As for :func:`read_file`, or ``.npy``: an array like X of a ``.npz``.  Only ``.npz`` is read whole; of its
        arrays X_test is taken, or else X_train or X.
    columns : sequence of str, optional
        Names of a table's feature columns, in the order wanted; left out, all of them.
    numbers : int, default=2**22
        About how many there are in a block.

    Yields
    ------
    ndarray of shape (n_rows, n_features)

    Raises
    ------
    DataError
        As of :func:`read_file`, when the block is read that is unfit.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (*_TABLES, ".npy"):
        dataset = read_file(path)
        yield dataset.X_train if dataset.X_test is None else dataset.X_test
        return
    start = 0
    parts: Generator[Any, None, None] = (
        _array_blocks(path, numbers) if ending == ".npy" else _frames(path, columns, numbers)
    )
    with closing(parts):
        for block in parts:
            if isinstance(block, np.ndarray):
                yield _features(block, path, f"the array from row {start} on,")[0]
            else:
                names = _named_columns(block, path)
                wanted = names if columns is None else list(columns)
                _check_there(wanted, names, path)
                yield _table_features(block[wanted], path, None, start)
            start += len(block)
    if not start:
        raise DataError(f"{path}: has no rows; nothing to read")


def _array_blocks(path: Path, numbers: int) -> Generator[NDArray[Any], None, None]:
    with reading(path, "a .npy file"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim not in (2, 3, 4):
        _features(array, path, "the array")  # says what is wrong with it
    rows = max(1, numbers // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _frames(path: Path, columns: Sequence[str] | None, numbers: int) -> Generator[pd.DataFrame, None, None]:
    """A table in parts."""
    try:
        import pandas as pd
    except ImportError as error:
        raise DataError(f"{path}: reading {path.suffix} files needs pandas") from error
    ending = path.suffix.lower()
    with ExitStack() as opened:
        with reading(path, f"a {ending} file"):
            if ending == ".parquet":
                from pyarrow.parquet import ParquetFile

                # What is read ahead would be kept until the end: all of the file.
                file = opened.enter_context(ParquetFile(path, pre_buffer=False, buffer_size=2**20))
                known = file.schema_arrow.names
                _check_there(columns or (), known, path)
                wanted = known if columns is None else list(columns)
                rows = max(1, numbers // max(1, len(wanted)))
                parts: Iterator[pd.DataFrame] = (
                    batch.to_pandas() for batch in file.iter_batches(rows, columns=wanted)
                )
            else:
                width = max(1, len(pd.read_csv(path, index_col=False, nrows=0).columns))
                rows = max(1, numbers // width)
                parts = opened.enter_context(pd.read_csv(path, index_col=False, low_memory=False, chunksize=rows))
        while True:
            with reading(path, f"a {ending} file"), warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # as in _read_frame
                frame = next(parts, None)
            if frame is None:
                return
            yield frame
