"""Columns of very many categories: the mean target of each in place of a column of zeros and ones for each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from nmfnet.data.columns import Column
from nmfnet.data.containers import Array
from nmfnet.distributed import now

FOLDS = 5
MIN_ROWS_OF_A_CATEGORY = 2  # on average; with fewer the column is an id


@dataclass(frozen=True)
class TargetMeans:
    """A column of categories that becomes the mean of each output's targets in the rows of its category.

    Means are drawn towards that of all rows, the more the fewer rows they are of, by scikit-learn's `TargetEncoder`.
    A mean that holds a row's own target would betray it: the rows of a fit get means of the other four fifths of the
    rows, as in ``TargetEncoder.fit_transform``.

    Attributes
    ----------
    name : str
    values : tuple of str
        Categories of the fit.
    means : tuple of tuple of float
        Of each category, one for each output, or for the second of two classes.
    overall : tuple of float
        Of all rows: what missing and unknown categories become.
    missing : bool
        Whether missing ones have a column.
    """

    kind: ClassVar[str] = "means"
    reads: ClassVar[str] = "categories"
    name: str
    values: tuple[str, ...]
    means: tuple[tuple[float, ...], ...]
    overall: tuple[float, ...]
    missing: bool

    @classmethod
    def of(cls, column: Column, Y: Array, text_of: Callable[[Any], str]) -> Self:
        """Learn from a column (n,) and the targets Y (n, k)."""
        codes, values = _codes(column, text_of)
        codes, Y, _ = _of_all_ranks(codes, Y)
        present, Y = codes >= 0, _distinct(Y)
        encoders = [_encoder().fit(codes[present, None], y) for y in Y[present].T]
        means = np.stack([encoder.encodings_[0] for encoder in encoders], axis=1)
        overall = tuple(float(encoder.target_mean_) for encoder in encoders)
        return cls(column.name, values, tuple(map(tuple, means.tolist())), overall, not bool(present.all()))

    def names(self) -> list[str]:
        """Names of what the column becomes."""
        k = len(self.overall)
        means = [f"{self.name}_mean"] if k == 1 else [f"{self.name}_mean_{i}" for i in range(k)]
        return [*means, *([f"{self.name}_missing"] if self.missing else [])]

    def encode(self, column: Column, text_of: Callable[[Any], str], Y: Array | None = None) -> list[Array]:
        """Means, each of shape (n,); with the targets Y (n, k) of these rows, those of other rows than each."""
        if Y is None:
            place = {value: i for i, value in enumerate(self.values)}
            table = np.array([*self.means, self.overall])
            known = {v: -1 if v is None else place.get(text_of(v), -1) for v in set(column.values.tolist())}
            codes = np.fromiter((known[v] for v in column.values.tolist()), np.intp, len(column.values))
            found = table[codes]  # -1 is the last row, that of all
        else:
            codes, Y, own = _of_all_ranks(_codes(column, text_of)[0], Y)
            found = np.tile(self.overall, (len(codes), 1))
            present = codes >= 0
            for j, y in enumerate(_distinct(Y)[present].T):
                found[present, j] = _of_other_rows(codes[present, None], y)
            found = found[own]
        absent = np.array([value is None for value in column.values.tolist()])
        return [*found.T, *([absent] if self.missing else [])]

    def check(self) -> None:
        """Refuse what no fit makes.

        Raises
        ------
        ValueError
            If a number is not finite, or the means are not as many as the categories.
        """
        lengths = {len(means) for means in self.means} | {len(self.overall)}
        if len(self.means) != len(self.values) or len(lengths) != 1 or not all(
            math.isfinite(mean) for means in (*self.means, self.overall) for mean in means
        ):  # fmt: skip
            raise ValueError(f"the means of {self.name!r:.50} do not fit its categories.")


def _encoder() -> Any:
    return TargetEncoder(target_type="continuous")


def _of_other_rows(codes: Array, y: Array) -> Array:
    """Mean targets (n,) of codes (n, 1), each by the four fifths of the rows that it is not in."""
    found = np.empty(len(y))
    for others, rows in KFold(FOLDS, shuffle=True, random_state=0).split(codes):
        found[rows] = _encoder().fit(codes[others], y[others]).transform(codes[rows])[:, 0]
    return found


def _codes(column: Column, text_of: Callable[[Any], str]) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Number of each row's category, -1 where it is missing, and the categories of all ranks in order."""
    texts = {value: text_of(value) for value in set(column.values.tolist()) if value is not None}
    values = tuple(sorted(set().union(*now().objects(set(texts.values())))))
    place = {value: i for i, value in enumerate(values)}
    rows = column.values.tolist()
    return np.fromiter((-1 if v is None else place[texts[v]] for v in rows), np.intp, len(rows)), values


def _of_all_ranks(codes: NDArray[np.intp], Y: Array) -> tuple[NDArray[np.intp], Array, slice]:
    """Codes (n,) and targets (n, k) of the rows of all ranks, and where those at hand are among them."""
    before = sum(now().objects(len(codes))[: now().rank])
    of_all = [now().gathered(torch.from_numpy(np.ascontiguousarray(each))).numpy() for each in (codes, Y)]
    return of_all[0], of_all[1], slice(before, before + len(codes))


def _distinct(Y: Array) -> NDArray[np.float64]:
    """Targets (n, k) in float64, of two classes that of the second alone."""
    Y = np.asarray(Y, dtype=np.float64)
    return Y[:, 1:] if Y.shape[1] == 2 and bool((Y.sum(1) == 1).all() and (Y.min(1) == 0).all()) else Y
