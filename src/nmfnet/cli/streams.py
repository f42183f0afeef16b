"""Text to terminals and files whose encoding may lack characters that we or the user's data have."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any

from nmfnet._text import printable

PLAIN = {"²": "^2", "·": ".", "…": "..."}  # what stands for characters of our own
LONGEST = 2000  # characters of a line on stderr


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded: characters of our own by plain ones, all others by escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in characters), error.end


codecs.register_error("nmfnet-plain", _plain)


@contextmanager
def lenient(stream: Any, errors: str = "nmfnet-plain") -> Iterator[None]:
    """Have a stream replace characters that its encoding lacks, where it would raise an error."""
    if not isinstance(stream, TextIOWrapper):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors=errors)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # it may be closed, or a pipe that nobody reads any more
            stream.reconfigure(errors=before)


def say(text: str) -> None:
    """Print a line to stderr."""
    print(printable(text, LONGEST), file=sys.stderr, flush=True)
