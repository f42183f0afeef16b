"""Rows and columns of a table in an order that follows from what they hold, whatever the order they came in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

ROUNDS = 3  # of keys of rows from those of columns, and back: all that differ have other keys after two
AT_A_TIME = 2**20  # numbers
ODD = (-7046029254386353131, -4658895280553007687, -7723592293110705685)  # factors of SplitMix64, modulo 2^64


@dataclass(frozen=True)
class Contents:
    """The different rows of a table.

    Attributes
    ----------
    X, Y : Tensor of shape (m, n) and (m, k)
        Inputs and targets; rows and columns are in an order by contents.
    weight : Tensor of shape (m,) or None
        Sums over equal rows, divided by their mean; None where each row is there as often, without weights.
    copies : Tensor of shape (m,)
        How often each row is there, in the least whole numbers of these ratios: 1 if every row is given twice.
    columns, outputs : Tensor of shape (n,) and (k,)
        Numbers that the columns of X and Y had.
    """

    X: Tensor
    Y: Tensor
    weight: Tensor | None
    copies: Tensor
    columns: Tensor
    outputs: Tensor

    def repeated(self, most: int, generator: torch.Generator) -> Contents:
        """Each row as often as it is there, copies side by side with equal shares of its weight.

        Of more than `most` rows, some at random.
        """
        rows = torch.arange(len(self.X)).repeat_interleave(self.copies)
        if len(rows) > most:
            rows = rows[torch.randperm(len(rows), generator=generator)[:most].sort().values]
        weight = None if self.weight is None else (self.weight / self.copies)[rows]
        if weight is not None:
            weight = None if torch.allclose(weight, weight[0]) else weight / weight.mean()
        return replace(self, X=self.X[rows], Y=self.Y[rows], weight=weight, copies=torch.ones_like(rows))


def by_contents(X: Tensor, Y: Tensor, weight: Tensor | None = None) -> Contents:
    """Merge equal rows, and sort rows and columns by what they hold.

    Each row gets a key from the values in its columns and the columns' keys, each column one from its values and the
    rows' keys, in turn, as in the colour refinement of graphs (Weisfeiler and Leman, 1968).  Of a value only its rank
    in the column counts, so that other units give the same order.  Rows and columns that can be exchanged without
    changing the table stay in the order that they have.

    Parameters
    ----------
    X, Y : Tensor of shape (m, n) and (m, k)
        Inputs and targets.
    weight : Tensor of shape (m,), optional
        Positive; by default 1.
    """
    ranks, kind = _table(X, Y)
    group = torch.unique(_keys(ranks, torch.arange(ranks.shape[1])), return_inverse=True)[1]
    count = int(group.max()) + 1
    first = torch.full((count,), len(X)).scatter_reduce_(0, group, torch.arange(len(X)), "amin")
    total = torch.zeros(count, dtype=torch.float64)
    total.index_add_(0, group, torch.ones(len(X), dtype=torch.float64) if weight is None else weight.double())
    first, by_place = first.sort()
    ranks, total, copies = ranks[first], total[by_place], group.bincount(minlength=count)[by_place]

    of_columns, of_rows = kind, kind
    for _ in range(ROUNDS):
        of_rows = _keys(ranks, of_columns)
        of_columns = _mixed(_keys(ranks.T, of_rows) + kind)
    rows = of_rows.argsort(stable=True)
    columns, outputs = (keys.argsort(stable=True) for keys in of_columns.split([X.shape[1], Y.shape[1]]))
    first, total = first[rows], total[rows]
    same = weight is None and bool((total == total[0]).all())
    return Contents(
        X[first][:, columns],
        Y[first][:, outputs],
        None if same else (total / total.mean()).to(X),
        copies[rows] // math.gcd(*copies.tolist()),
        columns,
        outputs,
    )


def drawn_by_contents(X: Tensor, Y: Tensor, most: int, seed: int) -> Tensor:
    """Numbers of random rows, by what they hold: of at most so many different ones, each with all its copies.

    Rows whose values are the same in another order of the columns count as one.
    """
    if len(X) <= most:
        return torch.arange(len(X))
    ranks, kind = _table(X, Y)
    keys = _mixed(_keys(ranks, kind) + seed)
    different = torch.unique(keys)
    return torch.arange(len(X)) if len(different) <= most else (keys < different[most]).nonzero()[:, 0]


def _table(X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
    """Ranks (m, n + k) of all values, and for each column (n + k,) 0 if it is of the inputs, 1 if of the targets."""
    ranks = torch.cat([_ranks(X), _ranks(Y)], 1)
    return ranks, (torch.arange(ranks.shape[1]) >= X.shape[1]).long()


def _ranks(values: Tensor) -> Tensor:
    """Ranks (m, n) of values in their column, the same for equal ones, without gaps."""
    found = []
    for part in values.T.split(max(1, AT_A_TIME // len(values))):
        ascending, order = part.contiguous().sort(1)
        steps = torch.zeros_like(order)
        steps[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
        found.append(torch.empty_like(order).scatter_(1, order, steps.cumsum(1)).int())
    return torch.cat(found).T


def _keys(ranks: Tensor, others: Tensor) -> Tensor:
    """A key (m,) of each row of ranks (m, n), from the keys (n,) of the columns, in whatever order these come."""
    added = _mixed(others)
    parts = ranks.split(max(1, AT_A_TIME // ranks.shape[1]))
    return torch.cat([_mixed(part + added).sum(1) for part in parts])


def _mixed(numbers: Tensor) -> Tensor:
    """Hashes of integers, by SplitMix64 (Steele, Lea and Flood, 2014)."""
    mixed = (numbers + 1) * ODD[0]
    mixed = (mixed ^ mixed >> 30) * ODD[1]
    mixed = (mixed ^ mixed >> 27) * ODD[2]
    return mixed ^ mixed >> 31
