"""Files larger than memory, some rows at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmfnet.datasets._files import _features, load_npy, read_file
from nmfnet.datasets._kinds import NUMBERS
from nmfnet.datasets._schema import TABLES, Schema, ending
from nmfnet.datasets._tables import table_blocks
from nmfnet.errors import DataError


def read_blocks(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None, numbers: int = 2**22
) -> Iterator[Any]:
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
    # Every block must be of the same kinds: without a model that knows them, all columns are numbers.
    known = Schema(columns=columns, kinds=dict.fromkeys(columns or (), NUMBERS))
    for block, _ in read_parts(path, known, numbers):
        yield block


def read_parts(
    path: str | os.PathLike[str], schema: Schema, numbers: int = 2**22
) -> Iterator[tuple[Any, NDArray[Any] | None]]:
    """Read features as :func:`read_blocks` does, each block with the names of its rows (or None).

    Parameters
    ----------
    path : path
    schema : Schema
        Of a model: with the kinds of the columns.
    numbers : int, default=2**22
    """
    path = Path(path)
    if ending(path) in TABLES:
        blocks = table_blocks(path, schema, numbers)
    elif path.suffix.lower() == ".npy":
        blocks = ((block, None) for block in _array_blocks(path, numbers))
    else:
        dataset = read_file(path)
        blocks = iter([(dataset.X_train if dataset.X_test is None else dataset.X_test, None)])
    some = False
    for block, ids in blocks:
        if len(block):
            some = True
            yield block, ids
    if not some:
        raise DataError(f"{path}: has no rows; nothing to read")


def _array_blocks(path: Path, numbers: int) -> Iterator[NDArray[np.floating]]:
    array = load_npy(path)
    if array.ndim not in (2, 3, 4):
        _features(array, path, "the array")  # says what is wrong with it
    rows = max(1, numbers // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        yield _features(array[start : start + rows], path, f"the array from row {start} on,")[0]
