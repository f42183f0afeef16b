"""What model files and checkpoints share: safetensors with a JSON header, read with distrust, written durably.

A file is read once, whole, into bytes, never mapped: a file that is cut short meanwhile would kill the process.
Nothing is allocated by a size that the file declares before that size is compared with the file's own.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as bytes_from_tensors
from torch import Tensor

ITEMSIZE = {"F32": 4, "F64": 8, "U8": 1}  # the only dtypes there are in our files
MAX_MEMORY_PER_BYTE, FREE_BYTES = 10, 2**20  # bytes of memory for a byte of a file; those that are no worry
COPIES_WHILE_READ = 2  # of a file while it is read: its bytes, and its text
MAX_CHEAP_NAMES = 500
# The end of the text ends a string, too, or each of its quotes would be tried as another string's first.
TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)(?:\s*+:)?|[{[]', re.DOTALL)


class Content(NamedTuple):
    """What a file holds: its header, its tensors, and its size in bytes."""

    header: dict[str, Any]
    tensors: dict[str, Tensor]
    size: int


def read(path: str | os.PathLike[str], key: str) -> Content:
    """Read a file.

    Parameters
    ----------
    path : path-like
    key : str
        Entry of the safetensors metadata that has the header.

    Raises
    ------
    ValueError, OSError
        And other errors, if anything about the file is not as :func:`write` makes it.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe or device may never end
        raise ValueError("it is not a regular file.")
    data = Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise ValueError("it is no safetensors file, or cut short.")
    text = data[8 : 8 + size].decode("ascii")
    cost = check_cost(text, len(data))
    table = parse(text)
    metadata = table.pop("__metadata__", None)
    _check_table(table, len(data) - 8 - size)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(key), str):
        raise ValueError(f"it is a safetensors file, but has no {key!r} in its metadata.")
    check_cost(metadata[key], len(data), cost)
    header = parse(metadata[key])
    # Copies: in memory that is aligned, as that of fresh tensors.
    return Content(header, {name: t.clone() for name, t in tensors_from_bytes(data).items()}, len(data))


def check_cost(text: str, size: int, cost: int = 0) -> int:
    """Refuse JSON whose values would take many times the memory of the file of `size` bytes; return the cost.

    In bytes, as Python keeps them, more rather than less: a number 32, text 50 and its length, a list 56, an object
    200, a place in a list 16, in an object 56.  Names cost 200 more and their length where they are new, which they
    are not in a history.
    """
    most = (MAX_MEMORY_PER_BYTE - COPIES_WHILE_READ) * size + FREE_BYTES
    known = {"{": 200, "[": 72}
    a_place = 16 + 32  # in a list, with a number: what each comma between values stands for
    cost += a_place * text.count(",")
    for token in map(itemgetter(0), TOKENS.finditer(text)):
        price = known.get(token)
        if price is None:
            in_it = a_place * token.count(",")  # stands for nothing
            if token[-1] != ":":
                price = 50 + len(token) - in_it
            else:
                price = 240 + len(token) - in_it
                if len(known) < MAX_CHEAP_NAMES:
                    known[token] = 40 - in_it
        cost += price
    if cost > most:
        raise ValueError("its header has too many values for its size.")
    return cost


def parse(text: str) -> dict[str, Any]:
    """JSON object without what JSON does not have (NaN), and without names that occur twice."""
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    if not isinstance(value, dict):
        raise ValueError("its header is not a JSON object.")
    return value


def unparse(header: Mapping[str, Any]) -> str:
    """Inverse of :func:`parse`; ValueError if the header has numbers that are not finite."""
    return json.dumps(header, allow_nan=False)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header has a name twice.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"its header has the number {name}, which JSON does not have.")


def _check_table(table: Mapping[str, Any], size: int) -> None:
    """Tensors must lie one behind the other and fill the `size` bytes of the file that are theirs."""
    spans = []
    for name, entry in table.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"the entry of tensor {name!r:.50} is not one of safetensors.")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in ITEMSIZE:
            raise ValueError(f"tensor {name!r:.50} is of dtype {dtype!r:.20}, not {', '.join(ITEMSIZE)}.")
        if not _whole_numbers(shape, 1) or len(shape) > 2 or not _whole_numbers(offsets, 0) or len(offsets) != 2:
            raise ValueError(f"tensor {name!r:.50} is no vector or matrix with its place in the file.")
        if math.prod(shape) * ITEMSIZE[dtype] != offsets[1] - offsets[0]:
            raise ValueError(f"tensor {name!r:.50} has shape {shape}, which is not of its size.")
        spans.append((offsets[0], offsets[1]))
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise ValueError("its tensors overlap, or leave gaps.")
        end = stop
    if end != size:
        raise ValueError(f"its tensors take {end} bytes, but it has {size}.")


def _whole_numbers(value: Any, lowest: int) -> bool:
    return isinstance(value, list) and all(type(n) is int and lowest <= n < 2**48 for n in value)


def write(path: str | os.PathLike[str], key: str, text: str, tensors: Mapping[str, Tensor]) -> None:
    """Write a file that is there whole or not at all, whenever the process or the machine stops.

    It is written under another name, forced to the disk and renamed; a write that fails leaves the old file whole.

    Parameters
    ----------
    path : path-like
    key : str
        As in :func:`read`.
    text : str
        The header as JSON, by :func:`unparse`.
    tensors : mapping of str to Tensor

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace(Path(path), bytes_from_tensors(plain, metadata={key: text}))


def replace(path: Path, data: bytes) -> None:
    """Replace the content of a file, durably and all at once."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.absolute().parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk, too, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
