"""Hooks into training, for the parameter ``callbacks`` of the estimators."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from nmfnet.network import Network
from nmfnet.training import Callback, EpochRecord

if TYPE_CHECKING:
    from torch import Tensor

    from nmfnet.training import Training

__all__ = ["Callback", "EarlyStopping", "EpochRecord", "History", "MLflowLogger", "Progress", "TensorBoardLogger"]


class History(Callback):
    """Keeps the records of every fit it sees, also of the fits whose models a grid search throws away.

    Attributes
    ----------
    fits : list of list of dict
        One list per fit, with an entry like those of ``history_`` per epoch.
    """

    def __init__(self) -> None:
        self.fits: list[list[EpochRecord]] = []

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        self.fits.append([])

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        self.fits[-1].append(record)


class EarlyStopping(Callback):
    """Ends the training when a number in the history has not improved for some epochs.

    The estimators' own ``early_stopping=True`` watches the validation error; this watches anything that falls.

    Parameters
    ----------
    monitor : str, default="val_loss"
        Key of the records in ``history_``; those of the validation set need one.
    patience : int, default=10
        Epochs in a row without an improvement that end the training.
    min_delta : float, default=0
        Least improvement that counts.
    restore_best : bool, default=True
        Whether the weights of the best epoch become those of the model.

    Attributes
    ----------
    best_epoch : int or None
        Of the last fit.
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 10, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        if patience < 1 or min_delta < 0:
            raise ValueError(
                f"patience must be at least 1 and min_delta at least 0; got {patience!r} and {min_delta!r}."
            )
        self.monitor, self.patience, self.min_delta, self.restore_best = monitor, patience, min_delta, restore_best
        self.best_epoch: int | None = None
        self._best, self._waited = math.inf, 0
        self._weights: list[Tensor] | None = None

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        self.best_epoch, self._best, self._waited, self._weights = None, math.inf, 0, None

    def on_epoch_end(self, network: Network, record: EpochRecord) -> bool:  # noqa: D102
        if self.monitor not in record:
            raise ValueError(
                f"EarlyStopping: there is no {self.monitor!r} to monitor, only {', '.join(map(repr, record))}. "
                "Those of a validation set need X_val and y_val, or early_stopping=True."
            )
        value = float(record[self.monitor])  # type: ignore[literal-required]
        self._waited = 0 if value < self._best - self.min_delta else self._waited + 1
        if value < self._best:
            self.best_epoch, self._best, self._weights = record["epoch"], value, list(network.weights)
        return self._waited >= self.patience

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        if self.restore_best and self._weights is not None:
            network.weights[:] = self._weights
        self._weights = None


class Progress(Callback):
    """A bar over the epochs that moves with every batch, and below it the last epoch's loss and error.

    Needs rich, as in ``pip install 'nmfnet[cli]'``.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; the terminal by default.
    transient : bool, default=False
        Whether the bar goes at the end.
    """

    def __init__(self, console: Any = None, transient: bool = False) -> None:
        self.console, self.transient = console, transient
        self._live: Any = None
        self._bar: Any = None
        self._status: Any = None
        self._epoch = self._epochs = 0
        self._training = False

    def describe(self, record: EpochRecord) -> str:
        """What is shown of an epoch."""
        values = numbers(record)
        names = ("train_loss", "train_error", "val_loss", "val_error")
        return ", ".join(f"{name} {values[name]:.4g}" for name in names if name in values)

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        try:
            from rich.console import Group
            from rich.live import Live
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar
            from rich.text import Text
        except ImportError as error:
            raise ImportError("Progress needs rich: pip install 'nmfnet[cli]'") from error

        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[batch]}"),
            TimeRemainingColumn(), TextColumn("{task.fields[left]}"),
        )  # fmt: skip
        self._bar = Bar(*columns, console=self.console, expand=True, speed_estimate_period=600)
        self._bar.add_task("starting", total=None, batch="", left="")
        self._status = Text(style="dim")
        self._live = Live(Group(self._bar, self._status), console=self.console, transient=self.transient)
        self._epoch, self._epochs, self._training = 0, max_iter, False
        self._live.start()

    def on_pretrain_layer(self, layer: int, n_layers: int) -> None:  # noqa: D102
        self._update(description=f"pre-training layer {layer} of {n_layers}")

    def on_train_begin(self, training: Training) -> None:  # noqa: D102
        self._epoch = training.epochs  # where it goes on from a checkpoint

    def on_batch_end(self, batch: int, n_batches: int) -> None:  # noqa: D102
        if not self._training:  # the time left is of the epochs, not the pre-training
            self._training = True
            self._bar.reset(self._bar.task_ids[0], total=self._epochs, batch="", left="left")
        self._update(
            description=f"epoch {self._epoch + 1}/{self._epochs}",
            completed=self._epoch + batch / n_batches,
            batch=f"batch {batch}/{n_batches}",
        )

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        self._epoch += 1
        self._status.plain = f"after epoch {record['epoch']}: {self.describe(record)}"

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        self._live.stop()
        self._live = self._bar = self._status = None  # so that it can be copied and pickled

    def _update(self, **fields: Any) -> None:
        self._bar.update(self._bar.task_ids[0], **fields)


class TensorBoardLogger(Callback):
    """Writes the numbers of every epoch for TensorBoard; needs ``pip install 'nmfnet[tensorboard]'``.

    Parameters
    ----------
    log_dir : path-like, optional
        Folder of the run; by default one below ``runs`` that PyTorch names by date and machine.
    """

    def __init__(self, log_dir: str | os.PathLike[str] | None = None) -> None:
        self.log_dir = log_dir
        self._writer: Any = None

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoardLogger needs tensorboard: pip install 'nmfnet[tensorboard]'") from error
        self._writer = SummaryWriter(None if self.log_dir is None else os.fspath(self.log_dir))

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        for name, value in numbers(record).items():
            self._writer.add_scalar(name, value, record["epoch"])

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        self._writer.close()
        self._writer = None


class MLflowLogger(Callback):
    """Logs the network and the numbers of every epoch to MLflow; needs ``pip install 'nmfnet[mlflow]'``.

    To the active run, or to one of its own for each fit.
    """

    def __init__(self) -> None:
        self._mlflow: Any = None
        self._own_run = False

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        try:
            import mlflow
        except ImportError as error:
            raise ImportError("MLflowLogger needs mlflow: pip install 'nmfnet[mlflow]'") from error
        self._mlflow, self._own_run = mlflow, mlflow.active_run() is None
        if self._own_run:
            mlflow.start_run()
        network_of = {"units": "-".join(map(str, network.sizes)), "activation": str(network.activation_names)}
        mlflow.log_params({**network_of, "output": network.output.name, "max_iter": max_iter})

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        self._mlflow.log_metrics(numbers(record), step=record["epoch"])

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        if self._own_run:
            self._mlflow.end_run()
        self._mlflow = None


def numbers(record: EpochRecord) -> dict[str, float]:
    """What is shown of an epoch: all but its number."""
    return {name: float(value) for name, value in record.items() if name != "epoch"}  # type: ignore[arg-type]
