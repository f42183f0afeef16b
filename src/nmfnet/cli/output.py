"""Tables that the commands write part by part, and files that have their name only when they are whole."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeAlias

from nmfnet.cli.data import Array
from nmfnet.cli.streams import lenient
from nmfnet.errors import NMFNetError

Write: TypeAlias = Callable[[Mapping[str, Array]], None]

TEMPORARY = re.compile(r"\.nmfnet-(\d+)\.\w+", re.ASCII)
ABANDONED_AFTER = 3600.0  # seconds without a write; on a shared disk, its process may be one of another machine


@contextmanager
def table_writer(path: Path | None) -> Iterator[Write]:
    """Open a table to be written part by part, each by a call with columns of equal length under their names.

    It has its name when it is whole.

    Parameters
    ----------
    path : pathlib.Path or None
        ``.parquet`` or ``.csv``; None prints CSV.

    Raises
    ------
    NMFNetError
        If PyArrow is missing.
    OSError
        If it cannot be written.
    """
    if path is None:
        with lenient(sys.stdout, "backslashreplace"):  # labels are data: none is to look like another one
            yield csv_writer(sys.stdout)
        return
    with whole_file(path) as file:
        if path.suffix.lower() == ".csv":
            text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
            yield csv_writer(text)
            text.flush()
            text.detach()
        else:
            with contextlib.closing(ParquetTable(path, file)) as table:
                yield table.write


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when it is whole, and of which nothing is left otherwise.

    On Linux it has no name until then, so that not even SIGKILL leaves anything.  Elsewhere, and on file systems that
    have no such files, it has a name of its own, and what is left of it goes with the next file in the folder.
    """
    temporary = temporary_name(path)
    remove_abandoned(path.parent)
    nameless = _nameless_file(path.parent)
    try:
        with open(temporary, "wb") if nameless is None else nameless as file:
            yield file
            file.flush()
            if nameless is not None:
                _name(nameless, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _nameless_file(folder: Path) -> BinaryIO | None:
    """A file that vanishes with its process unless it is given a name; None where there are none (see open(2))."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.fdopen(os.open(folder, flag | os.O_RDWR, 0o666), "w+b")
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return None
        raise


def _name(file: BinaryIO, path: Path) -> None:
    """Name a file without a name, or copy it where the file system does not let it have one."""
    try:
        os.link(f"/proc/self/fd/{file.fileno()}", path, follow_symlinks=True)
    except OSError:
        file.seek(0)
        with open(path, "wb") as copy:
            shutil.copyfileobj(file, copy)


def temporary_name(path: Path) -> Path:
    """Name for a file beside `path` until it is whole: as short as it may be, with the same ending."""
    return path.with_name(f".nmfnet-{os.getpid()}{path.suffix}")


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed have left of files in a folder."""
    if os.name != "posix":  # elsewhere asking for a process may end it
        return
    with contextlib.suppress(OSError):
        for path in folder.glob(".nmfnet-*"):
            match = TEMPORARY.fullmatch(path.name)
            old = match is not None and time.time() - path.stat().st_mtime > ABANDONED_AFTER
            if match is not None and old and not _runs(int(match[1])):
                path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def csv_writer(file: TextIO) -> Write:
    """Return a function that writes columns, at first with their names."""
    writer, begun = csv.writer(file, lineterminator="\n"), False

    def write(columns: Mapping[str, Array]) -> None:
        nonlocal begun
        if not begun:
            writer.writerow(columns)
        begun = True
        writer.writerows(zip(*(map(str, column) for column in columns.values()), strict=True))

    return write


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class ParquetTable:
    """A parquet file that grows; its types are those of the first part."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise NMFNetError(f"{path}: writing .parquet files needs pip install 'nmfnet[tables]'") from error
        self.arrow, self.file = pyarrow, file
        self.writer: Any = None

    def write(self, columns: Mapping[str, Array]) -> None:
        """Add columns of equal length."""
        table = self.arrow.table(
            {
                _encodable(name): self.arrow.array(list(map(_encodable, column.tolist())))
                for name, column in columns.items()
            }
        )
        if self.writer is None:
            self.writer = self.arrow.parquet.ParquetWriter(self.file, table.schema)
        self.writer.write_table(table)

    def close(self) -> None:
        """Write what a parquet file ends with."""
        if self.writer is not None:
            self.writer.close()
