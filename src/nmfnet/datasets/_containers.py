"""Files as they lie on the disk: compression by the first bytes, what a .csv is that is none, and its encoding."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nmfnet.errors import DataError

CHUNK_BYTES = 2**20
# UTF-32's marks begin as UTF-16's do.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
UNREAD = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar"}
SPREADSHEET = "it is a spreadsheet: save the sheet as .csv"
# What files that are no .csv begin with, by lower-case bytes, and what to do with them.
FOREIGN = {
    b"par1": "it is a .parquet file: name it so",
    b"\xd0\xcf\x11\xe0": SPREADSHEET,
    b"<!doctype": "it is a web page, perhaps that of a login: fetch the file itself",
    b"<html": "it is a web page, perhaps that of a login: fetch the file itself",
    b"<?xml": "it is XML: make a .parquet of it, as with pandas",
    b"%pdf": "it is a PDF: save its table as .csv",
    b"version https://git-lfs": "it is a pointer of Git LFS: fetch the file itself, as with git lfs pull",
}
MOSTLY = 0.4  # share of the bytes at even or odd places that are zero in UTF-16 of a Western language,
FEWEST_BYTES = 16  # where there are so many in all


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, whose first bytes say how it is compressed; refuse what is no text, with what to do."""
    with open(path, "rb") as file:
        start = file.read(64)
    refuse_foreign(path, start)
    for mark, opener in OPENERS.items():
        if start.startswith(mark):
            with opener(path, "rb") as file:
                yield file
            return
    if start.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive, path)) as member:
            yield member
        return
    with open(path, "rb") as file:
        yield file


def _only_member(archive: zipfile.ZipFile, path: Path) -> str:
    """The one file of an archive, what macOS puts beside it aside."""
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise DataError(f"{path}: cannot be read as a .csv file: {SPREADSHEET}")
    names = [name for name in names if not re.search(r"(^|/)(__MACOSX/|\.)", name)]
    if len(names) != 1:
        raise DataError(f"{path}: holds {len(names)} files, not one: unpack it, and name the one to read")
    return names[0]


def refuse_foreign(path: Path, start: bytes) -> None:
    """Say what a file is that cannot be a table of text, by its first bytes, and what to do with it."""
    packed = next((name for mark, name in UNREAD.items() if start.startswith(mark)), None)
    said = None if packed is None else f"it is compressed by {packed}: unpack it first"
    plain = start.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    said = said or next((advice for mark, advice in FOREIGN.items() if plain.startswith(mark)), None)
    if said is not None:
        raise DataError(f"{path}: cannot be read as a .csv file: {said}")


def encoding_of(path: Path) -> str:
    """UTF-8 where all of the file is that, UTF-16 by its bytes, or else Windows' Western code page."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(path) as file:
        start = file.read(CHUNK_BYTES)
        for mark, name in MARKS.items():
            if start.startswith(mark):
                return name
        for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):  # without a mark
            half = start[first::2]
            other = start[1 - first :: 2]
            if len(start) >= FEWEST_BYTES and half.count(0) > MOSTLY * len(half) > 2 * other.count(0):
                return name
        try:
            chunk = start
            while chunk:
                decoder.decode(chunk)
                chunk = file.read(CHUNK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252" if _is_western(start) else "latin-1"
    return "utf-8"


def _is_western(start: bytes) -> bool:
    try:
        start.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return True
