"""Small batches: each is a share of an update, made from a window of rows of which it is the newest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """Numbers of rows, and how many of them are new: the last ones."""

    rows: Tensor
    n_new: int


def windows(batches: Sequence[Tensor], before: int, min_rows: int) -> Iterator[Window]:
    """Batches, those of less than `min_rows` rows together with the rows that came before them.

    Parameters
    ----------
    batches : sequence of Tensor
        Numbers of the new rows, from 0.
    before : int
        Rows that precede them in the data.  Where there are none, the last batches precede the first.
    min_rows : int
    """
    order = torch.cat([torch.arange(before, device=batches[0].device), *(rows + before for rows in batches)])
    end, n = before, len(order)
    for rows in batches:
        end += len(rows)
        start = end - max(len(rows), min(min_rows, n))
        missing = order[n + start :] if start < 0 and not before else order[:0]
        yield Window(torch.cat([missing, order[max(0, start) : end]]), len(rows))


def share_of(window: Window, min_rows: int, sample_weight: Tensor | None) -> float:
    """Share of an update of `min_rows` rows that the new rows of a window make; relative to the weights (m,)."""
    rows, new = len(window.rows), window.n_new
    if new >= min_rows:
        return 1.0
    full = rows / min_rows  # fewer rows say less, and less well
    if sample_weight is None:
        return full * (new / min_rows)
    return full * full * float(sample_weight[rows - new :].double().sum() / sample_weight.double().sum())
