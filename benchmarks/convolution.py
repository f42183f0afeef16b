"""Convolutional networks: the relaxed sweep beside backpropagation, on MNIST, Fashion-MNIST, CIFAR-10 or MNIST-1D.

    python benchmarks/convolution.py TASK METHOD [NAME=VALUE ...]      one run, stored in results/convolution
    python benchmarks/convolution.py report                            docs/results/convolution.md

TASK is mnist, fashion-mnist, cifar10, cifar10-deep or mnist1d.  METHOD is nmfnet, or of backprop.py, with one-cycle
schedules: adamw, sgd, muon, or local (AdamW on a loss of each layer's own).  Names: rows, epochs, seed (0), batch,
score (validation, validation-10000 or test), augment (1: random shifts, and mirror images of CIFAR-10); those of
`nmfnet.Relaxed`, alpha, and gram_rows (patches in a Gram matrix), for nmfnet; rate, decay, smoothing, dropout for the
others.  Settings are chosen on the 5000 (10,000; MNIST-1D: 800) training rows behind those that are trained on; test
rows are for the runs that are reported.  A run that is cut off keeps the epochs it has made.
Data: FOLDER/TASK.npz, where FOLDER is $NMFNET_DATA; MNIST-1D is generated.  One thread, and seconds are those of the
processor, so that runs may share a machine.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from backprop import train
from bench.datasets import _mnist1d
from convolution_report import report
from store import RESULTS, Store
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nmfnet import Augmentation, Callback, NMFNetClassifier, Relaxed
from nmfnet.layers import Conv1d, Conv2d, GlobalAvgPool, MaxPool1d, MaxPool2d
from nmfnet.linalg import patches

# Convolutions, as channels and kernel sizes; the first so many have pooling behind them.
IMAGES = ((32, 3), (64, 3), (128, 3))
CONVOLUTIONS = {
    "mnist": IMAGES[:2],
    "fashion-mnist": IMAGES[:2],
    "cifar10": IMAGES,
    "cifar10-deep": (*IMAGES, (128, 3)),  # with global average pooling behind them
    "mnist1d": ((32, 5), (64, 3), (64, 3)),
}
POOLED = {"mnist": 2, "fashion-mnist": 2, "cifar10": 3, "cifar10-deep": 3, "mnist1d": 2}
UNITS = {"mnist": 128, "fashion-mnist": 128, "cifar10": 128, "cifar10-deep": 128, "mnist1d": 64}
ROWS = {"mnist": 10000, "fashion-mnist": 10000, "cifar10": 10000, "cifar10-deep": 50000, "mnist1d": 3200}
EPOCHS = {"mnist": 5, "fashion-mnist": 5, "cifar10": 6, "cifar10-deep": 30, "mnist1d": 60}
GLOBALLY_AVERAGED = {"cifar10-deep"}
HELD_OUT = {"validation": 5000, "validation-10000": 10000}  # training rows to score on, behind those that are used
TEMPERATURES = np.geomspace(0.1, 10, 81)
FIELDS = ("method", "rows", "epochs", "seed", "batch", "score", "settings")
STORE = Store(RESULTS / "convolution", *FIELDS)
Record = Callable[[Callable[[Tensor], Tensor]], None]


def arrays(task: str) -> list[np.ndarray]:
    """Training inputs and labels; then those of the test.  Images are as they are in the file."""
    if task == "mnist1d":
        X, y = _mnist1d.generate(5000)
        return [X[:4000, None], y[:4000], X[4000:, None], y[4000:]]
    data = np.load(Path(os.environ["NMFNET_DATA"]) / f"{task.removesuffix('-deep')}.npz")
    labels = [data[name].ravel().astype(int) for name in ("y_train", "y_test")]
    return [data["X_train"], labels[0], data["X_test"], labels[1]]


def made(task: str, X: np.ndarray) -> np.ndarray:
    """Inputs, channels first; of the rows that are used alone, as they count as memory of the run."""
    if task == "mnist1d":
        return X
    X = X.reshape(len(X), *(32, 32, 3) if task.startswith("cifar10") else (28, 28, 1))
    return np.ascontiguousarray(X.transpose(0, 3, 1, 2)) / np.float32(255)


def load(task: str, rows: int, score: str) -> list[np.ndarray]:
    """Training inputs and labels, and those to score on."""
    X, y, T, t = arrays(task)
    if score in HELD_OUT:
        held = 800 if task == "mnist1d" else HELD_OUT[score]
        T, t = X[rows : rows + held], y[rows : rows + held]
        if len(T) < held:
            raise ValueError(f"rows leave no {held} rows for validation.")
    return [made(task, X[:rows]), y[:rows], made(task, T), t]


class Clock:
    """Seconds of training, and errors and losses (best temperature) after each epoch, which `store` keeps at once."""

    def __init__(self, T: Tensor, t: Tensor, store: Callable[[Clock], None]) -> None:
        self.T, self.t, self.store = T, t, store
        self.errors: list[float] = []
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.spent, self.since = 0.0, time.process_time()

    @torch.no_grad()
    def record(self, predict: Callable[[Tensor], Tensor]) -> None:
        self.spent += time.process_time() - self.since
        outputs = torch.cat([predict(part) for part in self.T.split(1000)])
        self.errors.append(round(100 * float((outputs.argmax(1) != self.t).double().mean()), 3))
        losses = [float(cross_entropy(outputs / each, self.t)) for each in TEMPERATURES]
        self.losses.append(round(min(losses), 4))
        self.seconds.append(round(self.spent, 2))
        print(len(self.errors), self.seconds[-1], self.errors[-1], self.losses[-1], flush=True)
        self.store(self)
        self.since = time.process_time()


class Watch(Callback):
    """Records every epoch."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __deepcopy__(self, memo: Any) -> Watch:
        return self

    def on_epoch_end(self, network: Any, record: Any) -> None:
        self.clock.record(lambda part: network.predict(part.flatten(1)))


def augmentation(task: str) -> Augmentation:
    """Shifts by up to 2 pixels; of CIFAR-10 by up to 4, and mirror images."""
    return Augmentation(shift=4, flip=True) if task.startswith("cifar10") else Augmentation(shift=2)


def nmfnet(
    task: str, X: np.ndarray, y: np.ndarray, clock: Clock, epochs: int, seed: int, batch: Any, augment: int = 0,
    alpha: Any = "auto", **settings: Any,
) -> None:  # fmt: skip
    patches.GRAM_ROWS = settings.pop("gram_rows", patches.GRAM_ROWS)
    hidden: list[Any] = []
    convolution, pooling = (Conv1d, MaxPool1d) if X.ndim == 3 else (Conv2d, MaxPool2d)
    for number, (width, kernel) in enumerate(CONVOLUTIONS[task]):
        hidden += [convolution(width, kernel, padding="same"), *([pooling(2)] if number < POOLED[task] else [])]
    if task in GLOBALLY_AVERAGED:
        hidden.append(GlobalAvgPool())
    model = NMFNetClassifier(
        (*hidden, UNITS[task]), solver=Relaxed(**settings), max_iter=epochs, random_state=seed, batch_size=batch,
        alpha=alpha, n_iter_no_change=np.inf, callbacks=[Watch(clock)],
        augmentation=augmentation(task) if augment else None,
    )  # fmt: skip
    model.fit(X, y)


def reference(task: str, shape: tuple[int, ...], dropout: float) -> nn.Sequential:
    """The same network in PyTorch, for inputs of a shape; pooling in front of the activation, which is less work."""
    convolution, pooling = (nn.Conv1d, nn.MaxPool1d) if len(shape) == 3 else (nn.Conv2d, nn.MaxPool2d)
    layers: list[nn.Module] = []
    channels, size = shape[1], shape[2:]
    for number, (width, kernel) in enumerate(CONVOLUTIONS[task]):
        layers += [convolution(channels, width, kernel, padding=kernel // 2)]
        if number < POOLED[task]:
            layers += [pooling(2)]
            size = tuple(side // 2 for side in size)
        layers += [nn.ReLU()]
        channels = width
    units = UNITS[task]
    if task in GLOBALLY_AVERAGED:
        layers += [nn.AdaptiveAvgPool2d(1)]
        size = (1, 1)
    layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels * math.prod(size), units), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(units, 10))


def backprop(
    task: str, X: np.ndarray, y: np.ndarray, clock: Clock, epochs: int, seed: int, batch: Any,
    method: str = "adamw", rate: float = 3e-3, decay: float = 0.01, smoothing: float = 0.1, dropout: float = 0.0,
    augment: int = 0,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    module, change = reference(task, X.shape, dropout), augmentation(task)

    def augmented(inputs: Tensor, generator: torch.Generator) -> Tensor:
        return change(inputs.flatten(1), X.shape[1:], generator).view(inputs.shape)

    size = 128 if batch == "auto" else batch
    train(method, module, torch.from_numpy(X), torch.from_numpy(y), clock.record, epochs, seed, size, rate, decay,
          smoothing, augmented if augment else None)  # fmt: skip


def value(text: str) -> Any:
    """A number, several with commas between them, or text."""
    if "," in text:
        return tuple(map(value, text.split(",")))
    try:
        return float(text) if "." in text or ("e" in text and text != "auto") else int(text)
    except ValueError:
        return text


def run(task: str, method: str, given: dict[str, Any]) -> None:
    rows, seed = given.pop("rows", ROWS[task]), given.pop("seed", 0)
    epochs, batch = given.pop("epochs", EPOCHS[task]), given.pop("batch", "auto")
    score = given.pop("score", "validation")
    settings = " ".join(f"{key}={each}" for key, each in sorted(given.items()))
    name = (method, rows, epochs, seed, str(batch), score, settings)
    found = STORE.find(task, *name)
    if found is not None and len(found["errors"]) == epochs:
        return
    torch.set_num_threads(1)

    def store(clock: Clock) -> None:  # after every epoch, so that a run that is cut off is not lost
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # MB, data and libraries included
        measured = {"errors": clock.errors, "losses": clock.losses, "seconds": clock.seconds, "peak": peak}
        STORE.add(task, {"task": task, **dict(zip(FIELDS, name, strict=True)), **measured})

    X, y, T, t = load(task, rows, score)
    clock = Clock(torch.from_numpy(T), torch.from_numpy(t), store)
    if method == "nmfnet":
        nmfnet(task, X, y, clock, epochs, seed, batch, **given)
    else:
        backprop(task, X, y, clock, epochs, seed, batch, method, **given)


if __name__ == "__main__":
    if sys.argv[1:] == ["report"]:
        report(STORE, CONVOLUTIONS)
    else:
        task, method, *pairs = sys.argv[1:]
        run(task, method, {key: value(text) for key, text in (pair.split("=") for pair in pairs)})
