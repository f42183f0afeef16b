"""Text of others (names of files and columns, labels) made fit for terminals and plots."""

from __future__ import annotations

import unicodedata

# What would move the cursor, break the line, reverse what follows or cannot be encoded.
_UNFIT = {"Cc", "Cs", "Zl", "Zp"}
_REVERSING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: object, limit: int | None = None) -> str:
    r"""Return text on one line, with control characters and undecodable bytes as escapes such as ``\x1b``.

    Parameters
    ----------
    text : object
        Its ``str`` is taken.
    limit : int, optional
        Most characters; the middle of a longer text is left out.
    """
    text = str(text)
    if not text.isprintable():
        text = "".join(_escaped(c) for c in text)
    if limit is None or len(text) <= limit:
        return text
    tail = (limit - 3) // 3
    return f"{text[: limit - 3 - tail]}...{text[len(text) - tail :]}"


def _escaped(character: str) -> str:
    unfit = unicodedata.category(character) in _UNFIT or character in _REVERSING
    return character.encode("unicode_escape").decode("ascii") if unfit else character
