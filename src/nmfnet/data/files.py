"""Files of samples that are larger than memory: .npy as they are, all others copied once to where they can be read."""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch

from nmfnet.data.column_messages import listed
from nmfnet.data.on_disk import BLOCK_NUMBERS, Array, Part, RowsOnDisk
from nmfnet.data.sparse_on_disk import SparseOnDisk, is_sparse_archive
from nmfnet.errors import DataError

TABLES = (".parquet", ".csv", ".arrow", ".feather")  # pyarrow's names of formats
STORES = {".h5": "h5py", ".hdf5": "h5py", ".zarr": "zarr"}  # and the packages that read them
COPIED = (".npz", *TABLES, *STORES)
ENDINGS = (".npy", *COPIED)
BLOCK_ROWS = 2**16  # of a table that are in memory at a time


class Stored(NamedTuple):
    """Inputs in files, and their targets in memory."""

    X: RowsOnDisk
    y: Any


def opened(path: str | Path, y: Any) -> Stored:
    """Open a file or a folder of files.

    Parameters
    ----------
    path : str or Path
        A file, or a folder of files of one kind, whose order is that of their names: .npy, .npz, tables (.parquet,
        .csv, .arrow, .feather), HDF5 (.h5, .hdf5) or Zarr (.zarr).  Tables may be at any URL that fsspec knows.
    y : str, path-like or array-like
        Targets, or where they are: a .npy file; in a folder of .npy files what the names of those with targets begin
        with, where those of the inputs begin with X; the array of .npz, HDF5 and Zarr files; the column of tables.

    Raises
    ------
    DataError
        If there are no such files, or they do not fit together.
    """
    files, kind, system = _files(path)
    if kind == ".npy":
        return _arrays(Path(path), files, y)
    if not isinstance(y, str):
        raise DataError(f"y must name the {'column' if kind in TABLES else 'array'} of the targets in {path}.")
    return _copied(_blocks(files, kind, y, system), f"{path}")


def opened_inputs(path: str | Path) -> RowsOnDisk | SparseOnDisk:
    """Open a file or a folder of files without targets, as :func:`opened` does, or of SciPy's sparse matrices.

    Raises
    ------
    DataError
        If there are no such files, or they do not fit together.
    """
    files, kind, system = _files(path)
    if kind == ".npy":
        return _rows(Path(path), [each for each in files if each.name.startswith("X")] or files)
    if kind == ".npz" and is_sparse_archive(files[0]):
        return SparseOnDisk(files)
    return _copied(_blocks(files, kind, None, system), f"{path}").X


def _files(path: str | Path) -> tuple[list[Any], str, Any]:
    """The files in the order of their names, their kind, and the file system of a URL."""
    system: Any = None
    place: Any
    endings: tuple[str, ...]
    inside: list[Any] | None = None
    if "://" in str(path):
        system, name = import_module("fsspec").core.url_to_fs(path)
        place, there, endings = PurePath(name), system.exists(name), TABLES
        if system.isdir(name):
            inside = [PurePath(each) for each in system.ls(name, detail=False)]
    else:
        place, there, endings = Path(path), Path(path).exists(), ENDINGS
        if place.is_dir() and place.suffix not in STORES:
            inside = list(place.iterdir())
    if not there:
        raise DataError(f"X: there is no {path}.")
    files = [place] if inside is None else sorted(each for each in inside if each.suffix in endings)
    kinds = sorted({each.suffix for each in files})
    if len(kinds) != 1 or kinds[0] not in endings:
        raise DataError(f"X: {path} must be or hold files of one kind, {', '.join(endings)}; found {kinds or 'none'}.")
    return files, kinds[0], system


def _blocks(files: Sequence[Any], kind: str, y: str | None, system: Any) -> Iterator[Block]:
    """Some rows after the others of files that are not read in place."""
    if kind in TABLES:
        return _tables(files, y, system)
    return _archives(files, y) if kind == ".npz" else _stores(files, STORES[kind], y)


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


def _stores(files: Sequence[Path], package: str, y: str | None) -> Iterator[Block]:
    """Arrays X and y of HDF5 or Zarr files."""
    try:
        module = import_module(package)
    except ImportError:
        raise DataError(
            f"{files[0]} needs {package}: pip install 'nmfnet[{'zarr' if package == 'zarr' else 'hdf5'}]'."
        ) from None
    for each in files:
        store = module.File(each, "r") if package == "h5py" else module.open_group(each, mode="r")
        if any(name not in store for name in ("X", y or "X")):
            raise DataError(f"{each} must have {'X' if y is None else f'X and {y}'}; it has {', '.join(store)}.")
        X, targets = store["X"], None if y is None else store[y]
        rows = max(1, BLOCK_NUMBERS // math.prod(X.shape[1:]))
        for start in range(0, X.shape[0], rows):
            part = slice(start, start + rows)
            found = X[part]
            yield Block(found.reshape(len(found), -1), None if targets is None else targets[part], None)


def _tables(files: Sequence[Any], y: str | None, system: Any = None) -> Iterator[Block]:
    try:
        from pyarrow import dataset
    except ImportError:
        raise DataError("Tables larger than memory need pyarrow: pip install 'nmfnet[tables]'.") from None
    table = dataset.dataset([str(each) for each in files], format=files[0].suffix[1:], filesystem=system)
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


class TemporaryFolder:
    """A folder that is gone with the last to refer to it; :class:`tempfile.TemporaryDirectory` would warn of that."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="nmfnet-")
        self.cleanup = weakref.finalize(self, shutil.rmtree, self.name, ignore_errors=True)


def _copied(blocks: Iterator[Block], what: str) -> Stored:
    """Write the inputs to a temporary file, which is gone with them."""
    folder = TemporaryFolder()
    try:
        return _copied_to(folder, blocks, what)
    except BaseException:
        folder.cleanup()
        raise


def _copied_to(folder: TemporaryFolder, blocks: Iterator[Block], what: str) -> Stored:
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
