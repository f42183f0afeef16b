"""Would ranks be faster if each layer's Gram matrix was factorized by one of them, which sends the inverse?

    python benchmarks/owners.py model            table for docs/messages.md, from measured products and factors
    python benchmarks/owners.py measure N        two ranks, two layers of N inputs, over gloo: seconds of both ways

Without owners each rank factorizes all of them.  With owners each factorizes about one L-th of L layers, and is told
the other inverses: a triangle each, n (n + 1) / 2 numbers.  `model` says what owners spare of an epoch, in %, whether
or not nmfnet has owners in this case, which the last column says.
"""

from __future__ import annotations

import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from nmfnet.linalg import owners
from nmfnet.linalg.cholesky import cholesky_inverse, damped_cholesky
from nmfnet.planning.epoch import Epoch, Part
from nmfnet.planning.messages import Message, Wire, triangle
from nmfnet.planning.operations import FACTORS, SOLVES, factorizations
from nmfnet.planning.rates import MeasuredRates
from nmfnet.planning.task import LayerSizes, Task

ROWS, EPOCHS, LATENCY = 54_000, 20, 50e-6
NETWORKS = {  # inputs of the layers, outputs of the last; batch
    "1000-500": ((334, 1000, 500, 10), 784),
    "1000-1000-1000": ((1000, 1000, 1000, 1000, 10), 1000),
    "2000-2000-2000": ((2000, 2000, 2000, 2000, 10), 2000),
    "4096-4096": ((4096, 4096, 4096, 10), 4096),
}
BATCHES = 1000, 4000, 10_000
RANKS, GIGABITS = (2, 4, 16, 64), (1, 10, 100)


class Rates(MeasuredRates):
    """Factors of large matrices are measured, too; calls are those of a small network, measured once."""

    def factorization(self, n: int) -> float:
        return self._factorization(n)


def task_of(name: str, batch: int) -> Task:
    sizes, features = NETWORKS[name]
    layers = tuple(LayerSizes(n, k) for n, k in pairwise(sizes))
    return Task(layers, ROWS, batch, EPOCHS, features, recorded=5000, dropout=True, penalty=True)


def without_owners(epoch: Epoch, rates: Rates, wire: Wire) -> dict[str, Part]:
    before, owners.MIN_SPARED = owners.MIN_SPARED, float("inf")
    try:
        return epoch.parts(rates, wire)
    finally:
        owners.MIN_SPARED = before


def most_loaded(seconds: list[float], ranks: int) -> float:
    """Of the owners, where each takes the largest that is left."""
    load = [0.0] * ranks
    for each in sorted(seconds, reverse=True):
        load[load.index(min(load))] += each
    return max(load)


def model() -> None:
    rates = Rates(clock=time.process_time)
    for n in (500, 1000, 2000, 4096):
        print(f"n = {n}: factor and inverse {rates.factorization(n):.4f} s", flush=True)
    for name in NETWORKS:
        for batch in BATCHES:
            task = task_of(name, batch)
            inverted = factorizations(task)
            of_each = [rates.factorization(n) for n, _ in inverted]
            refreshes = inverted[0][1]
            for ranks in RANKS:
                for gigabits in GIGABITS:
                    owned = owners.owners([n for n, _ in inverted], ranks) is not None
                    wire = Wire(gigabits * 1.25e8, LATENCY)
                    parts = without_owners(Epoch(task, ranks), rates, wire)
                    total = sum(part.seconds for part in parts.values())
                    sent = wire.seconds([Message("Inverses", 1, 4 * sum(triangle(n) for n, _ in inverted))], ranks)
                    gain = sum(of_each) - most_loaded(of_each, ranks) - sent
                    print(
                        f"{name:15s} batch {batch:6d} ranks {ranks:3d} {gigabits:4d} Gbit/s: epoch {total:7.2f} s, "
                        f"factors {100 * parts[FACTORS].seconds / total:5.1f} %, steps "
                        f"{100 * parts[SOLVES].seconds / total:5.1f} %, refreshes {refreshes:5.1f}, "
                        f"gain {100 * refreshes * gain / total:6.1f} %, {'owners' if owned else 'all'}", flush=True,
                    )  # fmt: skip


def both_ways(rank: int, n: int, repeats: int, store: str) -> None:
    """Seconds of two factorizations by each rank, and of one by each with a message."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2, init_method=f"file://{store}")
    X = torch.randn(2 * n, n, generator=torch.Generator().manual_seed(0))
    grams = [X.T @ X / len(X)] * 2
    ridge, upper = torch.ones(()), torch.triu_indices(n, n)
    flat = upper[0] * n + upper[1]
    found: dict[str, list[Any]] = {"each": [], "owner": [], "message": []}
    for _ in range(repeats):
        dist.barrier()
        start = time.perf_counter()
        for G in grams:
            cholesky_inverse(damped_cholesky(G, ridge)[0])
        dist.barrier()
        found["each"].append(time.perf_counter() - start)
        start = time.perf_counter()
        own = cholesky_inverse(damped_cholesky(grams[rank], ridge)[0])
        computed = time.perf_counter()
        triangles = [own.reshape(-1)[flat] if owner == rank else torch.empty(len(flat)) for owner in range(2)]
        for work in [dist.broadcast(each, owner, async_op=True) for owner, each in enumerate(triangles)]:
            work.wait()
        other = torch.empty(n, n)
        other.view(-1)[flat] = triangles[1 - rank]
        other.T.reshape(-1)  # the other triangle
        other = other.triu() + other.triu(1).T
        found["message"].append(time.perf_counter() - computed)
        dist.barrier()
        found["owner"].append(time.perf_counter() - start)
        assert torch.allclose(other, own, atol=1e-5)
    if not rank:
        for name, seconds in found.items():
            print(f"n = {n}, {name}: median {statistics.median(seconds):.4f} s, lowest {min(seconds):.4f} s")
    dist.destroy_process_group()


def main() -> None:
    if sys.argv[1:] == ["model"]:
        torch.set_num_threads(1)
        model()
    elif len(sys.argv) == 3 and sys.argv[1] == "measure":
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            mp.spawn(both_ways, (int(sys.argv[2]), 15, f"{folder}/store"), nprocs=2)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
