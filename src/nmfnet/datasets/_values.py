"""What text in a table means: numbers, truth values, missing values, labels.

Each text is read by itself: what it means depends neither on the rest of the file nor on where a block of rows ends.
Only the type of a target that no model knows yet is decided, once, by the whole column.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,300}", re.ASCII)  # longer ones are infinite
_PADDED = re.compile(r"[+-]?0\d+", re.ASCII)  # as in postal codes, where the zeros count
_WORDS = {"true": True, "false": False} | {
    sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in ("inf", "infinity")
}
NULL = r"\N"  # what databases write for nothing, and nobody else
# As pandas has them, and in any case.
_MISSING = {
    "", NULL.lower(), "na", "n/a", "nan", "-nan", "none", "null", "<na>", "#n/a", "#n/a n/a", "#na", "1.#ind",
    "-1.#ind", "1.#qnan", "-1.#qnan",
}  # fmt: skip


# What says among numbers, besides the words for it, that one is missing; and the errors of spreadsheets.
MOST_NUMBERED_CLASSES = 20  # different numbers in a target, beyond which ? is no class
UNKNOWN = {"?", "-", "--", "–", "—", ".", "n.a.", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?"}


# Marks and digits that people and their programs write numbers with, as ASCII has them.
_MARKS = {ord("−"): "-", ord("’"): "'", 0x2007: "\u202f", 0x2009: "\u202f"} | {
    start + digit: str(digit) for start in (0x660, 0x6F0, 0xFF10) for digit in range(10)
}
_MARKS |= {0x66B: ".", 0x66C: "'"}  # of Arabic and Persian, in which they mean nothing else


def with_plain_marks(text: str) -> str:
    """A text with other minuses, blanks between thousands, apostrophes and digits as numbers mostly have them."""
    return text if text.isascii() else text.translate(_MARKS)


def number(text: str) -> float | None:
    """Return the number or truth value that a text is, None if it is neither; whole numbers are exact."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return int(text) if _WHOLE.fullmatch(text) else float(text)
    return _WORDS.get(text.lower())


def is_blank(text: str) -> bool:
    """Whether there is nothing to see, or a database says so."""
    return text.strip() in ("", NULL)


def is_missing(text: str) -> bool:
    """Whether a text says that among numbers one is missing."""
    return text.strip().lower() in _MISSING


def floats(texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the numbers that texts are, NaN for missing ones, and which of the texts cannot be read."""
    known: dict[str, float] = {}
    unreadable = set()
    for text in set(texts):
        value = None if is_missing(text) else number(text)
        known[text] = np.nan if value is None else float(value)
        if value is None and not is_missing(text):
            unreadable.add(text)
    values = np.fromiter((known[text] for text in texts), np.float64, len(texts))
    return values, np.fromiter((text in unreadable for text in texts), np.bool_, len(texts))


def decided(texts: Sequence[str]) -> tuple[NDArray[Any], set[str]]:
    """Decide what a column of targets is, and return its values and the texts that mean missing ones.

    Text unless every value can be read as a number (or a truth value): NA, None and inf are labels among others,
    but missing or infinite among more different numbers; among many also what else stands for nothing, as ? and --.
    Whole numbers with leading zeros are codes, and text.  Blanks around text do not count.

    Returns
    -------
    ndarray of shape (n,)
        Of truth values, integers, floats or text.
    set of str
        If it is not empty, the values are of no use.
    """
    different = set(texts)
    blank = set(filter(is_blank, different))
    numbers = {text: value for text in different if (value := number(text)) is not None}
    words = different - set(numbers) - blank
    if not any(map(math.isfinite, numbers.values())):
        numbers = {}  # inf and -inf alone are labels
    elif len(words) < len(numbers) and all(is_missing(word) or _is_nothing(word, numbers) for word in words):
        blank |= words
    dtype = None if len(numbers) < len(different) else _dtype(numbers)
    if blank or dtype is None:
        return np.array([text.strip() for text in texts], dtype=str), blank
    return np.array([numbers[text] for text in texts], dtype), set()


def _is_nothing(word: str, numbers: Collection[str]) -> bool:
    """Whether a word stands for a missing value among so many different numbers, and is no class besides them."""
    return word.strip() in UNKNOWN and len(numbers) > MOST_NUMBERED_CLASSES


def _dtype(numbers: dict[str, float]) -> type | None:
    """Type of a column in which these texts are these numbers; None for one that is better left text."""
    values = numbers.values()
    truths = sum(isinstance(value, bool) for value in values)
    if truths:
        return bool if truths == len(values) else None
    if not all(isinstance(value, int) for value in values):
        return float
    if any(_PADDED.fullmatch(text.strip()) for text in numbers):
        return None
    for dtype in (np.int64, np.uint64):
        if np.iinfo(dtype).min <= min(values) and max(values) <= np.iinfo(dtype).max:
            return dtype
    return None  # as floats, different ones could be the same


def labels_as(values: Iterable[Any], classes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read labels as those that a model knows, whatever type the file gives them.

    A value is the class that is written like it, or else the one that is but for blanks around it, or else the class
    that is the same number: 1, 1.0, " 1", "01" and "1.0" are the class 1; "1" and 1.0 are the class "1", but "01" is
    not.

    Parameters
    ----------
    values : iterable
        Text, numbers or truth values.
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    ndarray of shape (n,)
        Of the type of `classes`, or of objects where there are labels that are no class: these stay as they were.
    ndarray of bool, of shape (n,)
        Which of them are classes.
    """
    values = values.tolist() if isinstance(values, np.ndarray) else list(values)
    known: list[Any] = classes.tolist()
    codes = any(isinstance(label, str) for label in known)
    same = {label: i for i, label in enumerate(known)}
    bare = _only_ones([label.strip() if isinstance(label, str) else None for label in known])
    equal = _only_ones([_number(label, codes) for label in known])

    def index_of(value: Any) -> int:
        written = same.get(value, same.get(str(value), bare.get(str(value).strip())))
        return equal.get(_number(value, codes), -1) if written is None else written

    found = {value: index_of(value) for value in set(values)}
    index = np.fromiter((found[value] for value in values), np.intp, len(values))
    if (index >= 0).all():
        return classes[index], index >= 0
    mixed = np.empty(len(values), dtype=object)
    mixed[:] = [value if i < 0 else known[i] for i, value in zip(index, values, strict=True)]
    return mixed, index >= 0


def _number(label: Any, codes: bool) -> float | None:
    """Return the number that a label is; with `codes`, text with leading zeros is none."""
    if not isinstance(label, str):
        return label
    return None if codes and _PADDED.fullmatch(label.strip()) else number(label)


def _only_ones(values: list[Any]) -> dict[Any, int]:
    """Places of the values that are in a list once; None is no value."""
    times = Counter(values)
    return {value: i for i, value in enumerate(values) if value is not None and times[value] == 1}
