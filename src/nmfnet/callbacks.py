"""Hooks into training, for the parameter ``callbacks`` of the estimators."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from nmfnet.network import Network
from nmfnet.training import Callback, EpochRecord

if TYPE_CHECKING:
    from torch import Tensor

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
    """A progress bar over the epochs, with the last one's loss and error; needs rich.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; the terminal by default.
    """

    def __init__(self, console: Any = None) -> None:
        self.console = console
        self._bar: Any = None

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )  # fmt: skip
        self._bar = Bar(*columns, console=self.console)
        self._bar.add_task("", total=max_iter)
        self._bar.start()

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        names = ("train_loss", "train_error", "val_loss", "val_error")
        text = ", ".join(f"{name} {record[name]:.4g}" for name in names if name in record)  # type: ignore[literal-required]
        self._bar.update(self._bar.task_ids[0], advance=1, description=text)

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        if self._bar is not None:
            self._bar.stop()
        self._bar = None  # so that it can be copied and pickled


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
        if self._writer is not None:
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
        if self._mlflow is not None and self._own_run:
            self._mlflow.end_run()
        self._mlflow = None


def numbers(record: EpochRecord) -> dict[str, float]:
    """What is plotted of an epoch: all but its number."""
    return {name: float(value) for name, value in record.items() if name != "epoch"}  # type: ignore[arg-type]
