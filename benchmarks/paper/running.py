"""One run: a network, a method and a seed; errors after every epoch, and seconds of what leads to them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import nmfnet
from nmfnet import Callback, NMFNetClassifier, NMFPretraining, Pinv
from nmfnet.network import Network
from nmfnet.training import EpochRecord

from ..bench.objective import Objective
from ..bench.problem import Part, Problem
from ..bench.solvers.adam import fit_adamw
from . import backpropagation
from .configurations import METHODS, Hidden, Method, Scale, network_name

Array = NDArray[Any]
# The settings that the tuning of benchmarks/bench found on validation data of both data sets.
ADAMW = {
    "batch": 256, "schedule": "cosine", "noise": 0.2, "dropout": 0.0, "smoothing": 0.1, "rate": 0.003, "decay": 0.3,
}  # fmt: skip


class Clock:
    """Seconds of training alone: it stands still while errors are measured."""

    def __init__(self, data: nmfnet.datasets.Dataset) -> None:
        self.data, self.seconds, self.since = data, 0.0, time.perf_counter()
        self.before = 0.0  # seconds until the first epoch
        self.epochs: list[dict[str, float]] = []

    def begin(self) -> None:
        """Note what was before the first epoch."""
        self.before = self.seconds + time.perf_counter() - self.since

    def record(self, classes: Callable[[Array], Array]) -> None:
        """Errors in % after an epoch, by the classes (m,) of inputs (m, n)."""
        self.seconds += time.perf_counter() - self.since
        errors = {
            name: 100 * float((classes(X) != y).mean())
            for name, X, y in (
                ("train", self.data.X_train, self.data.y_train),
                ("test", self.data.X_test, self.data.y_test),
            )
        }
        self.epochs.append({"epoch": len(self.epochs) + 1, "seconds": self.seconds, **errors})
        self.since = time.perf_counter()


class Recorder(Callback):
    """Has a clock record every epoch of a fit."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_epoch_begin(self, epoch: int) -> None:
        """Note the time before the first one."""
        if epoch == 1:
            self.clock.begin()

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:
        """Measure."""
        self.clock.record(lambda X: network.predict(torch.from_numpy(X)).argmax(1).numpy())


loaded = lru_cache(1)(nmfnet.datasets.load)


def run(scale: Scale, data_name: str, hidden: Hidden, name: str, seed: int) -> dict[str, Any]:
    """Train, and return what is stored."""
    whole, rows = loaded(data_name), scale.rows[data_name]
    data = replace(whole, X_train=whole.X_train[:rows], y_train=whole.y_train[:rows])
    method, epochs, clock = METHODS[name], scale.epochs[data_name], Clock(data)
    wall, processor = time.perf_counter(), time.process_time()
    if method.kind == "adamw":
        _adamw(clock, hidden, epochs, seed)
    elif method.kind == "adam":
        before = scale.autoencoder_epochs if method.pretrain else 0
        _adam(clock, hidden, epochs, seed, before, scale.autoencoder_rate[data_name])
    else:
        model = _estimator(scale, data_name, hidden, method, seed, epochs)
        model.set_params(callbacks=[Recorder(clock)]).fit(data.X_train, data.y_train)
    share = (time.process_time() - processor) / (time.perf_counter() - wall) / torch.get_num_threads()
    return {
        "network": network_name(hidden),
        "method": name,
        "seed": seed,
        "rows": rows,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "load": os.getloadavg()[0],
        "share": share,  # of its cores that the run had
        "versions": {"nmfnet": nmfnet.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "before": clock.before,
        "epochs": clock.epochs,
    }


def _estimator(scale: Scale, data: str, hidden: Hidden, method: Method, seed: int, epochs: int) -> NMFNetClassifier:
    """What a method of this package is."""
    if method.kind == "relaxed":
        return NMFNetClassifier(hidden, max_iter=epochs, n_iter_no_change=np.inf, random_state=seed)
    inner = {"n_w": 25, "n_z": 25} if data == "cifar10" else {}
    solver = Pinv.paper().set_params(**inner, **method.solver)
    pretraining = None
    if method.pretrain:
        pretraining = NMFPretraining(n_ae=scale.rounds, delta_x=solver.delta_x, batch_size=scale.batch)
    parameters: dict[str, Any] = {"fit_intercept": False, "alpha": 0.0, **method.estimator}
    return NMFNetClassifier(
        hidden, solver=solver, pretrain=pretraining, batch_size=scale.batch, max_iter=epochs,
        n_iter_no_change=np.inf, random_state=seed, **parameters,
    )  # fmt: skip


def _adam(clock: Clock, hidden: Hidden, epochs: int, seed: int, pretraining: int, rate: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    X, y = torch.from_numpy(clock.data.X_train), torch.from_numpy(clock.data.y_train).long()
    network = backpropagation.layers([X.shape[1], *hidden, int(y.max()) + 1], generator)
    backpropagation.pretrain(network, X, pretraining, rate, generator)
    optimizer = backpropagation.adam(network)
    clock.begin()
    for _ in range(epochs):
        backpropagation.train_epoch(network, optimizer, X, y, generator)
        with torch.no_grad():
            clock.record(lambda X: backpropagation.forward(network, torch.from_numpy(X)).argmax(1).numpy())


class _Judge(Objective):
    """Has a clock record every epoch of one of the solvers of benchmarks/bench."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.data.X_test, clock.data.y_test, "error %")
        self.clock = clock

    def record(self, epoch: int, predict: Callable[[Array], Array], updates: int | None = None) -> bool:
        """Measure."""
        self.clock.record(lambda X: predict(X).argmax(1))
        return True


def _adamw(clock: Clock, hidden: Hidden, epochs: int, seed: int) -> None:
    train = Part(clock.data.X_train, clock.data.y_train.astype(np.int64))
    problem = Problem(train, hidden, int(train.y.max()) + 1, epochs, classification=True)
    clock.begin()
    fit_adamw(problem, ADAMW, seed, _Judge(clock))
