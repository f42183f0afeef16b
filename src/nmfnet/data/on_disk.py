"""Samples whose inputs are larger than memory: rows that are read from files when they are needed."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmfnet.data.source import Batch, InMemory, n_batches
from nmfnet.data.windows import share_of, windows

if TYPE_CHECKING:
    from nmfnet.data.first_reading import FirstReading

Array = NDArray[Any]

BLOCK_NUMBERS = 2**22  # that are read at a time where all rows are read in their order


class Part(NamedTuple):
    """Rows one after another in a .npy file; each of `width` numbers of a dtype, from a byte on."""

    path: Path
    dtype: np.dtype[Any]
    offset: int
    rows: int
    width: int

    @classmethod
    def of(cls, path: Path) -> Part:
        """The array in a .npy file, whose first axis are the rows."""
        array = np.load(path, mmap_mode="r")
        if array.ndim < 2 or array.dtype.kind not in "biuf" or not array.flags.c_contiguous:
            raise ValueError(
                f"{path} must hold numbers in rows, in C order; got {array.dtype} of shape {array.shape}."
            )
        return cls(path, array.dtype, array.offset, len(array), math.prod(array.shape[1:]))

    def read(self, start: int, out: Array) -> None:
        """As many rows as `out` (m, width) has, from `start` on: pages of a memory map would stay in memory."""
        found = out if out.dtype == self.dtype and out.flags.c_contiguous else np.empty(out.shape, self.dtype)
        left = memoryview(found.reshape(-1).view(np.uint8).data)
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset + start * self.width * self.dtype.itemsize)
            while len(left):  # one read has at most 2 GiB
                count = file.readinto(left)
                if not count:
                    raise ValueError(f"{self.path} has become shorter while it is read.")
                left = left[count:]
        if found is not out:
            out[:] = found


class RowsOnDisk:
    """Rows (n, width) of some files, or some of them, with what a source asks of a tensor.

    Parameters
    ----------
    parts : sequence of Part
    dtype : torch.dtype
        Of the rows that are read.
    index : ndarray of shape (n,), optional
        Numbers of the rows, in ascending order; left out, all.
    device : torch.device
        Where they are read to.
    """

    ndim = 2
    folder: Any = None  # a temporary one that the files are in
    names: list[str] | None = None  # of the columns
    first: FirstReading | None = None  # what a reading of just these rows has found

    def __init__(
        self, parts: Sequence[Part], dtype: torch.dtype, index: Array | None = None, device: Any = "cpu"
    ) -> None:
        self.parts, self.dtype, self.index, self.device = parts, dtype, index, torch.device(device)
        self.ends = list(accumulate(part.rows for part in parts))
        self.shape = (self.ends[-1] if index is None else len(index), parts[0].width)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Tensor:
        """Rows of a slice, of numbers in any order, or of a mask."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._range(start, max(start, stop))
            rows = torch.arange(start, stop, step)
        rows = np.asarray(rows)
        return self._picked(np.flatnonzero(rows) if rows.dtype == bool else rows)

    def blocks(self) -> Iterator[Tensor]:
        """All rows in their order, as many at a time as are easily held."""
        return read_ahead(self, max(64, BLOCK_NUMBERS // self.shape[1]))

    def to(self, device: Any) -> RowsOnDisk:
        """The same, read to a device."""
        other = self._like(self.index, device)
        other.first = self.first
        return other

    def subset(self, rows: Array) -> RowsOnDisk:
        """Some of them, in ascending order."""
        return self._like(rows if self.index is None else self.index[rows], self.device)

    def _like(self, index: Array | None, device: Any) -> RowsOnDisk:
        other = RowsOnDisk(self.parts, self.dtype, index, device)
        other.folder, other.names = self.folder, self.names
        return other

    def read(self, start: int, out: Tensor) -> None:
        """Rows from `start` on into a tensor (m, width) on the CPU, as many as it has."""
        if self.index is None:
            self._read(start, out.numpy())
        else:
            out.copy_(self._range(start, start + len(out)))

    def _range(self, start: int, stop: int) -> Tensor:
        if self.index is None or start == stop:
            return self._rows(start, stop).to(self.device)
        wanted = self.index[start:stop]
        first, end = int(wanted[0]), int(wanted[-1]) + 1
        if end - first > 4 * len(wanted):  # most of what is between them would be read for nothing
            return self._picked(np.arange(start, stop))
        return self._rows(first, end)[torch.from_numpy(wanted - first)].to(self.device)

    def _picked(self, rows: Array) -> Tensor:
        """Rows by their numbers: neighbours in one read."""
        numbers = rows if self.index is None else self.index[rows]
        order = np.argsort(numbers, kind="stable")
        ordered, found = numbers[order], torch.empty(len(rows), self.shape[1], dtype=self.dtype)
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(ordered) > 1) + 1):
            if len(run):
                first = int(ordered[run[0]])
                read = self._rows(first, int(ordered[run[-1]]) + 1)
                found[torch.from_numpy(order[run])] = read[torch.from_numpy(ordered[run] - first)]
        return found.to(self.device)

    def _rows(self, start: int, stop: int) -> Tensor:
        """Rows of all files from `start` to before `stop`, on the CPU."""
        found = torch.empty(stop - start, self.shape[1], dtype=self.dtype)
        self._read(start, found.numpy())
        return found

    def _read(self, start: int, out: Array) -> None:
        """Rows of all files from `start` on, as many as `out` has."""
        stop, done = start + len(out), 0
        for number in range(bisect_right(self.ends, start), len(self.parts)):
            if done == len(out):
                break
            first = self.ends[number] - self.parts[number].rows
            count = min(stop, self.ends[number]) - (start + done)
            self.parts[number].read(start + done - first, out[done : done + count])
            done += count


def read_ahead(X: RowsOnDisk, rows: int) -> Iterator[Tensor]:
    """All rows in their order, so many at a time; the next ones are read while these are used."""
    starts = range(0, len(X), rows)
    with ThreadPoolExecutor(1, thread_name_prefix="nmfnet-read-ahead") as pool:
        coming = pool.submit(X.__getitem__, slice(0, rows))
        for start in starts:
            found = coming.result()
            if start + rows < len(X):
                coming = pool.submit(X.__getitem__, slice(start + rows, start + 2 * rows))
            yield found


class ReadAhead:
    """Blocks of rows in the order in which they are needed, window by window, the next one read meanwhile.

    There is memory for two windows: the one that is read goes where the one before the last was.

    Parameters
    ----------
    X : RowsOnDisk
    windows : sequence of list of (start, stop)
        The blocks of each window.
    first : int
        The window to begin with.
    """

    def __init__(self, X: RowsOnDisk, windows: Sequence[Sequence[tuple[int, int]]], first: int = 0) -> None:
        self.X, self.windows, self.next = X, windows, first
        most = max((sum(stop - start for start, stop in window) for window in windows[first:]), default=0)
        pinned = X.device.type == "cuda"
        self.free = [torch.empty(most, X.shape[1], dtype=X.dtype, pin_memory=pinned) for _ in range(2)]
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="nmfnet-read-ahead")
        self.coming: Future[Tensor] | None = None
        self._begin()

    def window(self) -> Tensor:
        """Rows of the next window, on the CPU; valid until the next call."""
        assert self.coming is not None
        found = self.coming.result()
        self._begin()
        return found

    def close(self) -> None:
        """Read no more."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> None:
        if self.next < len(self.windows):
            self.free.reverse()
            self.coming = self.pool.submit(self._read, self.windows[self.next], self.free[0])
        self.next += 1

    def _read(self, blocks: Sequence[tuple[int, int]], out: Tensor) -> Tensor:
        done = 0
        for start, stop in blocks:
            self.X.read(start, out[done : done + stop - start])
            done += stop - start
        return out[:done]


@dataclass(frozen=True)
class OnDisk(InMemory):
    """A source of inputs that are read from files, with targets and weights in memory.

    An epoch takes blocks of `block_bytes` in random order.  Blocks of `window_bytes` together are a window, whose rows
    are shuffled.  So rows are near each other in an epoch if they are in the same block; where files are sorted, rows
    of a batch come from as many places as there are blocks in a window.  Two windows are in memory at a time: while
    one is computed with, the next is read.
    """

    block_bytes: ClassVar[int] = 2**20
    window_bytes: ClassVar[int] = 2**26

    def batches(
        self, batch_size: int, generator: torch.Generator, start: int = 0, min_rows: int = 1
    ) -> Iterator[Batch]:
        """All samples in an order that is random by blocks and within windows, in batches of about equal size."""
        blocks, orders = self._order(generator)
        numbers = [
            torch.cat([torch.arange(*block) for block in window])[order]
            for window, order in zip(blocks, orders, strict=True)
        ]
        parts = torch.cat(numbers).tensor_split(n_batches(self.n_rows, batch_size))
        return self._read_batches(parts, blocks, orders, start, min_rows)

    def _input_blocks(self, rows: int) -> Iterator[Tensor]:
        """The same; the next block is read while one is used."""
        return read_ahead(self.X, rows)  # type: ignore[arg-type]

    def subset(self, rows: Tensor) -> InMemory:  # type: ignore[override]
        """Some of the samples, read into memory."""
        return InMemory(self.X[rows], self.Y[rows], None if self.weight is None else self.weight[rows])

    def _order(self, generator: torch.Generator) -> tuple[list[list[tuple[int, int]]], list[Tensor]]:
        """Blocks of each window, and the order of its rows."""
        row_bytes = max(1, self.n_features * self.dtype.itemsize)
        rows, per_window = max(1, self.block_bytes // row_bytes), self.window_bytes // self.block_bytes
        firsts = torch.arange(0, self.n_rows, rows)
        shuffled = firsts[torch.randperm(len(firsts), generator=generator)].split(per_window)
        blocks = [[(first, min(first + rows, self.n_rows)) for first in window.tolist()] for window in shuffled]
        sizes = [sum(stop - first for first, stop in window) for window in blocks]
        return blocks, [torch.randperm(size, generator=generator) for size in sizes]

    def _read_batches(
        self,
        parts: Sequence[Tensor],
        blocks: Sequence[Sequence[tuple[int, int]]],
        orders: Sequence[Tensor],
        start: int,
        min_rows: int,
    ) -> Iterator[Batch]:
        """Batches of these rows, from the `start`-th on, their inputs from the windows."""
        begun = sum(map(len, parts[:start]))
        ends = list(accumulate(map(len, orders)))
        first = bisect_right(ends, begun)
        ahead = ReadAhead(self.X, blocks, first)  # type: ignore[arg-type]
        place, order, held = 0, torch.empty(0, dtype=torch.long), torch.empty(0)
        skip = begun - (ends[first - 1] if first else 0)
        try:
            for window in islice(windows(parts, 0, min_rows), start, None):
                needed, found = window.n_new, list[Tensor]()
                while needed:
                    if place == len(order):
                        held, order, place, skip = ahead.window(), orders[first], skip, 0
                        first += 1
                    taken = order[place : place + needed]
                    found.append(held.index_select(0, taken).to(self.device))
                    place, needed = place + len(taken), needed - len(taken)
                earlier = window.rows[: len(window.rows) - window.n_new]
                if len(earlier):
                    found.insert(0, self.X[earlier])  # type: ignore[arg-type]
                X = found[0] if len(found) == 1 else torch.cat(found)
                rows = window.rows.to(self.Y.device)
                weight = None if self.weight is None else self.weight[rows]
                yield Batch(X, self.Y[rows], weight, window.n_new, share_of(window, min_rows, weight))
        finally:
            ahead.close()
