"""How fast this machine is, measured in a few seconds: products of given shapes, memory, factorizations, calls."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nmfnet.distributed import alone
from nmfnet.estimators import NMFNetClassifier
from nmfnet.linalg.cholesky import damped_cholesky
from nmfnet.planning.operations import Product
from nmfnet.training import Callback

REPEATS, MOST_SECONDS = 5, 0.2  # of each measurement
MOST_OPERATIONS = 2e10  # of a product that is measured; larger ones are scaled
MOST_FACTORIZED = 1500  # rows of a matrix, likewise
MOVED_NUMBERS = 2**20, 2**24  # of the matrices that memory is measured with
SMALL_BATCH, SMALL_WIDTH, SMALL_EPOCHS = 64, 8, 6  # of networks that only calls take time in,
FEW_UPDATES, MORE_UPDATES = 4, 24  # with epochs of so many updates


class Rates(Protocol):
    """Seconds that parts of an epoch take."""

    def product(self, product: Product) -> float:
        """One product of such a shape."""

    def factorization(self, n: int) -> float:
        """Cholesky factor and inverse of one matrix (n, n)."""

    def moving(self, numbers: float, of: float) -> float:
        """Read or write so many numbers, in matrices `of` so many each."""

    def calls(self, layers: int, updates: int) -> float:
        """Calls of an epoch of so many updates, whatever the sizes."""

    def step(self, layers: int) -> float:
        """Calls of a step of backpropagation."""


class Ends(Callback):
    """Notes when epochs end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.times = clock, list[float]()

    def on_epoch_end(self, network: Any, record: Any) -> None:  # noqa: D102
        self.times.append(self.clock())


class MeasuredRates:
    """Rates of this machine now, each measured when it is first asked for.

    Parameters
    ----------
    device : torch.device
    dtype : torch.dtype, default=torch.float32
    clock : callable, default=time.perf_counter
        Beside other work `time.process_time` tells more, of one thread.
    """

    def __init__(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        self.device, self.dtype, self.clock = torch.device(device), dtype, clock
        self._product, self._factorization = cache(self._measured_product), cache(self._measured_factorization)
        self._bandwidth = cache(self._measured_bandwidth)
        self._epoch, self.step = cache(self._measured_epoch), cache(self._measured_step)

    def product(self, product: Product) -> float:
        """One product of such a shape and layout; of a very large one scaled from fewer rows."""
        m, n, k = (max(1, round(size)) for size in (product.m, product.n, product.k))
        return self._product(m, n, k, product.left, product.right) * product.m * product.n * product.k / (m * n * k)

    def factorization(self, n: int) -> float:
        """Of a large one scaled from a smaller one, by n³."""
        measured = min(n, MOST_FACTORIZED)
        return self._factorization(measured) * (n / measured) ** 3

    def moving(self, numbers: float, of: float) -> float:
        """By the nearest of a few sizes: small matrices stay in the processor's own memory."""
        size = min(MOVED_NUMBERS, key=lambda size: abs(np.log(size / max(1.0, of))))
        return numbers * self._bandwidth(size)

    def calls(self, layers: int, updates: int) -> float:
        """From epochs of few and of more updates, as those of an epoch and those of an update."""
        few, more = self._epoch(layers, FEW_UPDATES), self._epoch(layers, MORE_UPDATES)
        of_update = max(0.0, more - few) / (MORE_UPDATES - FEW_UPDATES)
        return few + of_update * (updates - FEW_UPDATES)

    def _measured_product(self, m: int, n: int, k: int, left: bool, right: bool) -> float:
        smaller = max(1, min(m, int(MOST_OPERATIONS / (2 * n * k))))
        A = self._numbers(n, smaller).T if left else self._numbers(smaller, n)
        B = self._numbers(k, n).T if right else self._numbers(n, k)
        C = self._numbers(smaller, k)
        return self._seconds(lambda: torch.mm(A, B, out=C)) * m / smaller

    def _measured_factorization(self, n: int) -> float:
        G, ridge = torch.eye(n, dtype=self.dtype, device=self.device), torch.ones((), device=self.device)
        return self._seconds(lambda: torch.cholesky_inverse(damped_cholesky(G, ridge)[0]))

    def _measured_bandwidth(self, size: int) -> float:
        A, B = self._numbers(size), self._numbers(size)
        return self._seconds(lambda: A + B) / (3 * size)

    def _measured_epoch(self, layers: int, updates: int) -> float:
        """Of a small network."""
        rng, rows = np.random.default_rng(0), updates * SMALL_BATCH
        X, y = rng.standard_normal((rows, SMALL_WIDTH), dtype=np.float32), rng.integers(0, 3, rows)
        model = NMFNetClassifier(
            (SMALL_WIDTH,) * (layers - 1), batch_size=SMALL_BATCH, max_iter=SMALL_EPOCHS, alpha=0.0, random_state=0,
            device=str(self.device), n_iter_no_change=SMALL_EPOCHS, callbacks=[ends := Ends(self.clock)],
        )  # fmt: skip
        with alone():
            model.fit(X, y)
        return statistics.median(np.diff(ends.times).tolist())

    def _measured_step(self, layers: int) -> float:
        """AdamW on a small network."""
        widths = [m for _ in range(layers - 1) for m in (nn.Linear(SMALL_WIDTH, SMALL_WIDTH), nn.ReLU())]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            net = nn.Sequential(*widths, nn.Linear(SMALL_WIDTH, 3)).to(self.device)
            X = torch.randn(SMALL_BATCH, SMALL_WIDTH).to(self.device)
            y = torch.randint(3, (SMALL_BATCH,)).to(self.device)
            optimizer = torch.optim.AdamW(net.parameters())

            def step() -> None:
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(X), y).backward()
                optimizer.step()

            return self._seconds(step)

    def _numbers(self, *shape: int) -> Tensor:
        return torch.ones(*shape, dtype=self.dtype, device=self.device)

    def _seconds(self, work: Callable[[], Any]) -> float:
        """Median of a few runs, after one that warms up."""
        found, end = list[float](), self.clock() + MOST_SECONDS
        for _ in range(1 + REPEATS):
            self._wait()
            start = self.clock()
            work()
            self._wait()
            found.append(self.clock() - start)
            if self.clock() > end and len(found) > 1:
                break
        return statistics.median(found[1:])

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
