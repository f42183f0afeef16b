"""Does an epoch cost what its matrix products warrant?

    python benchmarks/rate.py [THREADS]     writes docs/results/rate.md

Every matrix product of an epoch (MNIST, 784-1000-500-10, float32) is recorded as it happens.  In the same run each
product is timed alone, with operands of the same shape, layout and type, and the sum over the epoch is set against
the epoch's own seconds.  Decompositions, activation functions and everything else are overhead.  Let the machine
have nothing else to do.
"""

import os
import platform
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import nmfnet
from nmfnet.data.source import InMemory
from nmfnet.layers import Dense
from nmfnet.layers.activations import get_activation
from nmfnet.network import Network, initial_weights
from nmfnet.solvers import Pinv, Relaxed
from nmfnet.solvers.base import Plan

OUT = Path(__file__).resolve().parent.parent / "docs" / "results" / "rate.md"
aten = torch.ops.aten
PRODUCTS = {aten.mm.default: 0, aten.addmm.default: 1, aten.addmm_.default: 1, aten.mm.out: 0, aten.addmm.out: 1}


class Recorder(TorchDispatchMode):
    """Counts matrix products by shape, layout and type."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS:
            left, right = args[PRODUCTS[func] : PRODUCTS[func] + 2]
            transposed = left.stride(0) < left.stride(1), right.stride(0) < right.stride(1)
            self.products[(*left.shape, right.shape[1], left.dtype, *transposed)] += 1
        return func(*args, **(kwargs or {}))


def time_product(m: int, k: int, n: int, dtype: torch.dtype, left_t: bool, right_t: bool) -> float:
    """Median seconds of one product, its operands already in memory."""
    left = torch.randn(k, m, dtype=dtype).T if left_t else torch.randn(m, k, dtype=dtype)
    right = torch.randn(n, k, dtype=dtype).T if right_t else torch.randn(k, n, dtype=dtype)
    out = torch.empty(m, n, dtype=dtype)
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def epoch(sweep: Any, X: torch.Tensor, Y: torch.Tensor, batch_size: int, seed: int) -> float:
    """Seconds of one pass over the batches."""
    start = time.perf_counter()
    for batch in InMemory(X, Y).batches(batch_size, torch.Generator().manual_seed(seed)):
        sweep(*batch)
    return time.perf_counter() - start


def pinv(X: torch.Tensor, delta_x: float) -> Any:
    """The paper's sweep on its network."""
    layers = [Dense(784, 1000, False), Dense(1000, 500, False), Dense(500, 10, False)]
    weights = initial_weights(layers, torch.Generator().manual_seed(0), torch.float32)
    network = Network(weights, get_activation("relu"), intercept=False)
    return Pinv(delta=1e-14, delta_x=delta_x).prepare(network, InMemory(X, X), Plan(n_samples=len(X)))


def relaxed(X: torch.Tensor, y: Any) -> Any:
    """The relaxed sweep on the network that its estimator builds, with its scaling of the inputs."""
    model = nmfnet.NMFNetClassifier((1000, 500), max_iter=1, random_state=0).fit(X.numpy(), y)
    return Relaxed().prepare(model.network_, InMemory(X, X), Plan(n_samples=len(X), n_updates=15 * len(X) // 1000))


def measured(title: str, sweep: Any, X: torch.Tensor, Y: torch.Tensor, batch_size: int) -> list[str]:
    """Record the products of an epoch, time them alone, time epochs; lines of the report."""
    for seed in range(2):  # warm-up, past the early updates
        epoch(sweep, X, Y, batch_size, seed)
    with Recorder() as recorder:
        epoch(sweep, X, Y, batch_size, 2)
    seconds = [epoch(sweep, X, Y, batch_size, 3 + repeat) for repeat in range(3)]
    alone, flops, table = 0.0, 0.0, []
    for (m, k, n, *kind), count in recorder.products.items():
        one = time_product(m, k, n, *kind)
        alone, flops = alone + count * one, flops + count * 2 * m * k * n
        table.append((count * one, count, m, k, n, str(kind[0]).removeprefix("torch."), 2 * m * k * n / one / 1e9))
    now = statistics.median(seconds)
    two_passes = getattr(sweep, "adversary", None) is not None and sweep.adversary.radius > 0
    lines = [
        f"## {title}",
        "",
        *(["With adversarial inputs, so that each batch takes two forward passes.", ""] if two_passes else []),
        "| | seconds | GFLOP/s |",
        "| --- | ---: | ---: |",
        f"| the products of an epoch, alone | {alone:.2f} | {flops / alone / 1e9:.0f} |",
        f"| the epoch: median of {', '.join(f'{s:.2f}' for s in seconds)} | {now:.2f} | {flops / now / 1e9:.0f} |",
        f"| **share of the epoch** | **{100 * alone / now:.0f} %** | |",
        "",
        f"An epoch has {flops / 1e12:.3g} x 10^12 operations in matrix products. The ten kinds that take longest:",
        "",
        "| seconds an epoch | products | (m, k) x (k, n) | type | GFLOP/s alone |",
        "| ---: | ---: | --- | --- | ---: |",
    ]
    for total, count, m, k, n, dtype, rate in sorted(table, reverse=True)[:10]:
        lines.append(f"| {total:.2f} | {count} | ({m}, {k}) x ({k}, {n}) | {dtype} | {rate:.0f} |")
    return [*lines, ""]


def main() -> None:
    if len(sys.argv) > 1:
        torch.set_num_threads(int(sys.argv[1]))
    torch.set_flush_denormal(True)
    data = nmfnet.datasets.load("mnist")
    X = torch.from_numpy(data.X_train)
    Y = torch.nn.functional.one_hot(torch.from_numpy(data.y_train)).float()
    lines = measured('solver="relaxed", defaults, batches of 1000', relaxed(X, data.y_train), X, Y, 1000)
    for delta_x in (5e-3, 4e-2):
        title = f'solver="pinv", delta_x = {delta_x:g}, batches of 5000, n_w = 10, n_z = 1'
        lines += measured(title, pinv(X, delta_x), X, Y, 5000)
    head = [
        "# An epoch against its matrix products",
        "",
        "How much of an epoch is spent in matrix products, and how fast are these?",
        "",
        f"- **Task.** MNIST, 784-1000-500-10, float32, {torch.get_num_threads()} threads of {os.cpu_count()} cores",
        f"  ({platform.machine()}), torch {torch.__version__}. Made by `python benchmarks/rate.py`.",
        "- **How.** Every matrix product of an epoch is recorded as it happens. Then each is timed alone, with",
        "  operands of the same shape, layout and type. The sum of these times is divided by the time of the epoch.",
        "- **The rest** of an epoch are decompositions, activation functions, masks and everything else.",
        "",
        "A shape stands in two rows if its operands lie in memory in different ways.",
        "",
    ]
    OUT.write_text("\n".join(head + lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
