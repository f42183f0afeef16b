"""Sparse rows in files of SciPy's, of which a few are in memory at a time."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from nmfnet.errors import DataError
from nmfnet.linalg.arrays import canonical

MOST_FILES = 2  # in memory: the one that is computed with, and the one being read


class SparseOnDisk:
    """Rows (m, n) of files that `scipy.sparse.save_npz` has written, in the order given.

    While the rows of one file are computed with, the next one is read.

    Parameters
    ----------
    paths : sequence of Path
    """

    names = None

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        shapes = [_shape(path) for path in self.paths]
        if len({width for _, width in shapes}) > 1:
            raise DataError(f"X: the files of {self.paths[0].parent} differ in the numbers of a row.")
        self.ends = list(accumulate(rows for rows, _ in shapes))
        self.shape = self.ends[-1], shapes[0][1]
        dtypes = {_stored_dtype(path) for path in self.paths}
        self.dtype = np.dtype(np.float32 if dtypes == {np.dtype(np.float32)} else np.float64)
        self._coming: OrderedDict[int, Future[Any]] = OrderedDict()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nmfnet-read-ahead")

    def __len__(self) -> int:
        return self.shape[0]

    def parts(self, rows: slice) -> Iterator[tuple[slice, Any]]:
        """CSR matrices of the rows, with their places among these."""
        for number, end in enumerate(self.ends):
            first = self.ends[number - 1] if number else 0
            start, stop = max(rows.start, first), min(rows.stop, end)
            if start < stop:
                X = self._file(number)
                part = X if (start, stop) == (first, end) else X[start - first : stop - first]
                yield slice(start - rows.start, stop - rows.start), part

    def _file(self, number: int) -> Any:
        self._read(number)
        found = self._coming[number].result()
        self._read((number + 1) % len(self.paths))
        return found

    def _read(self, number: int) -> None:
        if number not in self._coming:
            while len(self._coming) >= MOST_FILES:
                self._coming.popitem(last=False)
            self._coming[number] = self._pool.submit(self._load, self.paths[number])
        self._coming.move_to_end(number)

    def _load(self, path: Path) -> Any:
        return canonical(scipy.sparse.csr_array(scipy.sparse.load_npz(path)).astype(self.dtype, copy=False))


def is_sparse_archive(path: Path) -> bool:
    """Whether it is a sparse matrix of SciPy's."""
    with zipfile.ZipFile(path) as archive:
        return {"format.npy", "shape.npy", "data.npy"} <= set(archive.namelist())


def _shape(path: Path) -> tuple[int, int]:
    with np.load(path, allow_pickle=False) as archive:
        if "shape" not in archive:
            raise DataError(f"{path} must be a sparse matrix of SciPy's, as the others are.")
        m, n = archive["shape"].tolist()
    return m, n


def _stored_dtype(path: Path) -> np.dtype[Any]:
    """Dtype of the values, from the header of their array."""
    with zipfile.ZipFile(path) as archive, archive.open("data.npy") as file:
        read = np.lib.format.read_array_header_1_0 if np.lib.format.read_magic(file) == (1, 0) else None
        return (read or np.lib.format.read_array_header_2_0)(file)[2]
