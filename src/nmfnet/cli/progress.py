"""What `nmfnet train` shows while it runs, and how Ctrl-C ends it."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console

from nmfnet.callbacks import Progress
from nmfnet.cli.data import Task
from nmfnet.network import Network
from nmfnet.training import Callback, EpochRecord


def shown_error(error: float, task: Task) -> str:
    """Error of a history for people to read, in percent or as a root mean squared error."""
    return f"{100 * error:.2f}%" if task == "classification" else f"{math.sqrt(error):.4g}"


def describe(record: EpochRecord, task: Task) -> str:
    """Losses and errors of an epoch; for a regression the loss is the square of the error, and left out."""
    what, found = "error" if task == "classification" else "RMSE", []
    values: Any = record
    for part, name in (("train", "training"), ("val", "validation")):
        if f"{part}_error" in values:
            loss = f"loss {values[f'{part}_loss']:.4g}, " if task == "classification" else ""
            found.append(f"{name} {loss}{what} {shown_error(values[f'{part}_error'], task)}")
    return "; ".join(found)


class Lines(Callback):
    """A line per epoch, for a log."""

    def __init__(self, console: Console, task: Task, before: int = 0) -> None:
        self.console, self.task, self.before = console, task, before
        self.epochs = 0

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        self.epochs = self.before + max_iter

    def on_pretrain_layer(self, layer: int, n_layers: int) -> None:  # noqa: D102
        self._print(f"pre-training layer {layer} of {n_layers}")

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        self._print(f"epoch {record['epoch']}/{self.epochs}: {describe(record, self.task)}, {record['seconds']:.1f} s")

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)


class Bar(Progress):
    """The bar of the callbacks, with errors in the words of the command line."""

    def __init__(self, console: Console, task: Task) -> None:
        super().__init__(console, transient=True)
        self.task = task

    def describe(self, record: EpochRecord) -> str:  # noqa: D102
        return describe(record, self.task)


def reporter(console: Console, task: Task, before: int = 0) -> Callback:
    """Return a bar on a terminal, and lines elsewhere; `before` are the epochs that were done before."""
    return Bar(console, task) if console.is_terminal else Lines(console, task, before)


@contextmanager
def rows_done() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many rows are done; the function that is given adds to them."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda rows: None
        return
    begun, total = time.monotonic(), 0
    with console.status("reading rows") as status:  # the first may take a while

        def add(rows: int) -> None:
            nonlocal total
            total += rows
            status.update(f"{total:,} rows, {total / max(time.monotonic() - begun, 1e-9):,.0f} a second")

        yield add


@contextmanager
def ended_cleanly() -> Iterator[None]:
    """Let the signals that end a process do so by an exception, after which no half-written file is left."""
    kinds = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {kind: signal.signal(kind, end) for kind in kinds if signal.getsignal(kind) is signal.SIG_DFL}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


class CtrlC(Callback):
    """Turns the first Ctrl-C after the first epoch into an end of the training after the batch.

    Before, there is nothing to save, and Ctrl-C ends the command at once.  Further ones change nothing:
    left to itself, Ctrl-C could strike while the model is being written, and lose the training.
    """

    def __init__(self) -> None:
        self.pressed = False
        self.epochs = 0
        self._before: Any = None

    def __enter__(self) -> Self:
        # Where Ctrl-C is ignored (nohup, a job in the background) it stays so.
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if usual and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.epochs == 0:
            raise KeyboardInterrupt
        self.pressed = True
        os.write(2, b"\nstopping after this batch, then saving: a moment\n")

    def on_batch_end(self, batch: int, n_batches: int) -> None:  # noqa: D102
        if self.pressed:
            raise KeyboardInterrupt

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        self.epochs += 1
