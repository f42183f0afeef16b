"""Files of samples that are larger than memory: .npy as they are, all others copied once to where they can be read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch

from nmfnet.data.column_messages import listed
from nmfnet.data.on_disk import Array, Part, RowsOnDisk
from nmfnet.data.sparse_on_disk import SparseOnDisk, is_sparse_archive
from nmfnet.errors import DataError

COPIED = (".npz", ".parquet", ".csv")
ENDINGS = (".npy", *COPIED)
BLOCK_ROWS = 2**16  # of a table that are in memory at a time


class Stored(NamedTuple):
    """Inputs in files, and their targets in memory."""

    X: RowsOnDisk
    y: Any


def opened(path: Path, y: Any) -> Stored:
    """Open a file or a folder of files.

    Parameters
    ----------
    path : Path
        A .npy, .npz, .parquet or .csv file, or a folder of files of one kind, whose order is that of their names.
    y : str, path-like or array-like
        Targets, or where they are: a .npy file; in a folder of .npy files what the names of those with targets begin
        with, where those of the inputs begin with X; the array of .npz files; the column of tables.

    Raises
    ------
    DataError
        If there are no such files, or they do not fit together.
    """
    files, kind = _files(path)
    if kind == ".npy":
        return _arrays(path, files, y)
    if not isinstance(y, str):
        raise DataError(f"y must name the {'array' if kind == '.npz' else 'column'} of the targets in {path}.")
    return _copied(_archives(files, y) if kind == ".npz" else _tables(files, y), f"{path}")


def opened_inputs(path: Path) -> RowsOnDisk | SparseOnDisk:
    """Open a file or a folder of files without targets, as :func:`opened` does, or of SciPy's sparse matrices.

    Raises
    ------
    DataError
        If there are no such files, or they do not fit together.
    """
    files, kind = _files(path)
    if kind == ".npy":
        return _rows(path, [each for each in files if each.name.startswith("X")] or files)
    if kind == ".npz" and is_sparse_archive(files[0]):
        return SparseOnDisk(files)
    return _copied(_archives(files, None) if kind == ".npz" else _tables(files, None), f"{path}").X


def _files(path: Path) -> tuple[list[Path], str]:
    """The files, in the order of their names, and their kind."""
    if not path.exists():
        raise DataError(f"X: there is no {path}.")
    files = sorted(each for each in path.iterdir() if each.suffix in ENDINGS) if path.is_dir() else [path]
    kinds = sorted({each.suffix for each in files})
    if len(kinds) != 1 or kinds[0] not in ENDINGS:
        raise DataError(f"X: {path} must be or hold files of one kind, {', '.join(ENDINGS)}; found {kinds or 'none'}.")
    return files, kinds[0]


def _arrays(path: Path, files: Sequence[Path], y: Any) -> Stored:
    if path.is_dir():
        if not isinstance(y, str):
            raise DataError(f"y must say what the names of the files with targets in {path} begin with, as 'y'.")
        targets = [each for each in files if each.name.startswith(y)]
        files = [each for each in files if each.name.startswith("X")]
        if len(files) != len(targets) or not files:
            raise DataError(
                f"{path} has {len(files)} files X*.npy and {len(targets)} files {y}*.npy: as many of both."
            )
        y = np.concatenate([np.load(each, allow_pickle=False) for each in targets])
    elif isinstance(y, (str, Path)):
        y = np.load(y, allow_pickle=False)
    return Stored(_rows(path, files), y)


def _rows(path: Path, files: Sequence[Path]) -> RowsOnDisk:
    parts = [Part.of(each) for each in files]
    if len({part.width for part in parts}) > 1:
        raise DataError(f"X: the files of {path} differ in the numbers of a row.")
    single = all(part.dtype == np.float32 for part in parts)
    return RowsOnDisk(parts, torch.float32 if single else torch.float64)


class Block(NamedTuple):
    """Some rows of inputs and targets, where these were asked for, and the names of the columns."""

    X: Array
    y: Array | None
    names: list[str] | None


def _archives(files: Sequence[Path], y: str | None) -> Iterator[Block]:
    for each in files:
        with np.load(each, allow_pickle=False) as archive:
            wanted = ["X"] if y is None else ["X", y]
            if any(name not in archive for name in wanted):
                raise DataError(f"{each} must have {' and '.join(wanted)}; it has {', '.join(archive)}.")
            X = archive["X"]
            yield Block(X.reshape(len(X), -1), None if y is None else archive[y], None)


def _tables(files: Sequence[Path], y: str | None) -> Iterator[Block]:
    try:
        from pyarrow import dataset
    except ImportError:
        raise DataError("Tables larger than memory need pyarrow: pip install 'nmfnet[tables]'.") from None
    table = dataset.dataset([str(each) for each in files], format=files[0].suffix[1:])
    names = [name for name in table.schema.names if name != y]
    if y is not None and y not in table.schema.names:
        raise DataError(f"y: {files[0]} has no column {y!r}; it has {', '.join(names[:20])}.")
    for batch in table.to_batches(batch_size=BLOCK_ROWS):
        columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in table.schema.names}
        text = [name for name in names if columns[name].dtype.kind not in "biuf"]
        if text:
            raise DataError(
                f"X has columns that are not numbers: {listed(text)}. A path to files larger than memory must have "
                "numbers alone: leave these columns out, or pass one file alone, in Python as a data frame."
            )
        if len(batch):
            yield Block(np.stack([columns[name] for name in names], 1), None if y is None else columns[y], names)


def _copied(blocks: Iterator[Block], what: str) -> Stored:
    """Write the inputs to a temporary file, which is gone with them."""
    folder = tempfile.TemporaryDirectory(prefix="nmfnet-")
    try:
        return _copied_to(folder, blocks, what)
    except BaseException:
        folder.cleanup()
        raise


def _copied_to(folder: tempfile.TemporaryDirectory[str], blocks: Iterator[Block], what: str) -> Stored:
    """As :func:`_copied`, to a file in a folder."""
    path, targets, rows, names = Path(folder.name, "X"), list[Array](), 0, None
    dtype: np.dtype[Any] | None = None
    width = 0
    with path.open("wb") as file:
        for block in blocks:
            if dtype is None:
                dtype = np.dtype(np.float32 if block.X.dtype == np.float32 else np.float64)
                width, names = block.X.shape[1], block.names
            if block.X.shape[1] != width:
                raise DataError(f"X: the files of {what} differ in the numbers of a row.")
            _write(file, block.X.astype(dtype, copy=False))
            targets += [] if block.y is None else [block.y]
            rows += len(block.X)
    if dtype is None:
        raise DataError(f"X: {what} has no rows.")
    X = RowsOnDisk([Part(path, dtype, 0, rows, width)], torch.float32 if dtype == np.float32 else torch.float64)
    X.folder, X.names = folder, names
    return Stored(X, np.concatenate(targets) if targets else None)


def _write(file: BinaryIO, X: Array) -> None:
    np.ascontiguousarray(X).tofile(file)
