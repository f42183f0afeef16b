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

from nmfnet.data.columns import Column
from nmfnet.data.containers import Array
from nmfnet.distributed import now

FOLDS = 5
MIN_ROWS_OF_A_CATEGORY = 2  # on average; with fewer the column is an id


@dataclass(frozen=True)
class TargetMeans:
    """A column of categories that becomes the mean of each output's targets in the rows of its category.

    Means are drawn towards that of all rows, the more the fewer rows they are of, as scikit-learn's `TargetEncoder`
    does; they are weighted where samples have weights.  A mean that holds a row's own target would betray it: the rows
    of a fit get means of the other four fifths of the rows, as in ``TargetEncoder.fit_transform``.

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
    def of(cls, column: Column, Y: Array, weight: Array | None, text_of: Callable[[Any], str]) -> Self:
        """Learn from a column (n,), the targets Y (n, k) and the weights (n,) of the rows."""
        codes, values = _codes(column, text_of)
        codes, Y, weight, _ = _of_all_ranks(codes, Y, weight)
        present, Y = codes >= 0, _distinct(Y)
        means, overall = _means(codes[present], Y[present], weight[present], len(values))
        return cls(
            column.name, values, tuple(map(tuple, means.tolist())), tuple(overall.tolist()), not bool(present.all())
        )

    def names(self) -> list[str]:
        """Names of what the column becomes."""
        k = len(self.overall)
        means = [f"{self.name}_mean"] if k == 1 else [f"{self.name}_mean_{i}" for i in range(k)]
        return [*means, *([f"{self.name}_missing"] if self.missing else [])]

    def encode(
        self, column: Column, text_of: Callable[[Any], str], Y: Array | None = None, weight: Array | None = None
    ) -> list[Array]:
        """Means, each of shape (n,); with the targets Y (n, k) of these rows, those of other rows than each."""
        if Y is None:
            place = {value: i for i, value in enumerate(self.values)}
            table = np.array([*self.means, self.overall])
            known = {v: -1 if v is None else place.get(text_of(v), -1) for v in set(column.values.tolist())}
            codes = np.fromiter((known[v] for v in column.values.tolist()), np.intp, len(column.values))
            found = table[codes]  # -1 is the last row, that of all
        else:
            codes, values = _codes(column, text_of)
            codes, Y, weight, own = _of_all_ranks(codes, Y, weight)
            found = np.tile(self.overall, (len(codes), 1))
            present = codes >= 0
            found[present] = _of_other_rows(codes[present], _distinct(Y)[present], weight[present], len(values))
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


def _means(codes: Array, Y: Array, weight: Array, n: int) -> tuple[Array, Array]:
    """Mean targets (n, k) of n categories, and (k,) of all rows.

    As `TargetEncoder` has them with ``smooth="auto"``: between the mean of a category and that of all rows by an
    empirical Bayes estimate (Micci-Barreca, 2001), from the variances of the targets and within the category.  Rows of
    different weights count as the effective number of Kish (1965), which the scale of the weights does not change.

    Parameters
    ----------
    codes : ndarray of shape (m,)
    Y : ndarray of shape (m, k)
    weight : ndarray of shape (m,)
    n : int
    """

    def sums(values: Array) -> Array:
        return np.stack([np.bincount(codes, each, n) for each in values.T], axis=1)

    overall = np.average(Y, axis=0, weights=weight)
    variance = np.average((Y - overall) ** 2, axis=0, weights=weight)
    with np.errstate(invalid="ignore"):  # a category without rows, or without any variance
        w = weight[:, None]
        total = sums(w)
        counts, own = total**2 / sums(w**2), sums(w * Y) / total
        trust = variance * counts / (variance * counts + sums(w * (Y - own[codes]) ** 2) / total)
        return np.where(np.isnan(trust), overall, trust * own + (1 - trust) * overall), overall


def _of_other_rows(codes: Array, Y: Array, weight: Array, n: int) -> Array:
    """Mean targets (m, k) of codes (m,), each by the four fifths of the rows that it is not in."""
    found = np.empty_like(Y)
    for others, rows in KFold(FOLDS, shuffle=True, random_state=0).split(codes):
        found[rows] = _means(codes[others], Y[others], weight[others], n)[0][codes[rows]]
    return found


def _codes(column: Column, text_of: Callable[[Any], str]) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Number of each row's category, -1 where it is missing, and the categories of all ranks in order."""
    texts = {value: text_of(value) for value in set(column.values.tolist()) if value is not None}
    values = tuple(sorted(set().union(*now().objects(set(texts.values())))))
    place = {value: i for i, value in enumerate(values)}
    rows = column.values.tolist()
    return np.fromiter((-1 if v is None else place[texts[v]] for v in rows), np.intp, len(rows)), values


def _of_all_ranks(
    codes: NDArray[np.intp], Y: Array, weight: Array | None
) -> tuple[NDArray[np.intp], Array, Array, slice]:
    """Codes (n,), targets (n, k) and weights (n,) of the rows of all ranks, and where those at hand are among them."""
    before = sum(now().objects(len(codes))[: now().rank])
    parts = (codes, Y, np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=np.float64))
    codes_of_all, Y_of_all, weights = (
        now().gathered(torch.from_numpy(np.ascontiguousarray(p))).numpy() for p in parts
    )
    return codes_of_all, Y_of_all, weights, slice(before, before + len(codes))


def _distinct(Y: Array) -> NDArray[np.float64]:
    """Targets (n, k) in float64, of two classes that of the second alone."""
    Y = np.asarray(Y, dtype=np.float64)
    return Y[:, 1:] if Y.shape[1] == 2 and bool((Y.sum(1) == 1).all() and (Y.min(1) == 0).all()) else Y
