"""Gram matrices that are each factorized by one of several ranks, who tells the others the inverse."""

from __future__ import annotations

from collections.abc import Sequence

from nmfnet.linalg.gram_solver import GramSolver
from nmfnet.linalg.holders import Holders

# Operations that must be spared for each number that is sent.  At 50 billion operations a second 320 take as long as
# to send a number of 4 bytes at 10 Gbit/s.
MIN_SPARED = 1000.0


def owners(sizes: Sequence[int], ranks: int) -> list[int] | None:
    """Rank that factorizes each of some matrices (n, n): the largest first, by who has least to do.

    None if it is faster that all ranks factorize all of them.
    """
    load, found = [0] * ranks, [0] * len(sizes)
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        found[number] = min(range(ranks), key=load.__getitem__)
        load[found[number]] += sizes[number] ** 3
    spared, sent = sum(load) - max(load), sum(n * (n + 1) // 2 for n in sizes)
    return found if spared > MIN_SPARED * sent else None


def factorize_together(solvers: Sequence[GramSolver], ranks: Holders) -> None:
    """Factorize the running Gram matrices of layers, which are the same on all ranks.

    The owner of a matrix puts its inverse into a sum to which the others add 0: so all ranks have the same numbers, in
    one message.
    """
    grams = [solver.gram for solver in solvers if solver.gram is not None]
    on_cpu = all(G.device.type == "cpu" for G in grams)  # a GPU is faster than what messages go over
    owner = owners([len(G) for G in grams], ranks.size) if on_cpu else None
    if owner is None:
        for solver in solvers:
            solver.factorize()
        return
    said = [each.inverse_to_tell(rank == ranks.rank) for each, rank in zip(solvers, owner, strict=True)]
    for solver, told in zip(solvers, ranks(said), strict=True):
        solver.take_inverse(told)
