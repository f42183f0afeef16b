"""Hooks into training, for the parameter ``callbacks`` of the estimators."""

from __future__ import annotations

import copy
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nmfnet.network import Network
from nmfnet.training import Callback, EpochRecord

if TYPE_CHECKING:
    from nmfnet.training import Training

__all__ = ["Callback", "EarlyStopping", "EpochRecord", "History", "MLflowLogger", "Progress", "TensorBoardLogger"]


class History(Callback):
    """Collect the histories of all fits, also of the fits whose models a grid search throws away.

    Clones share the callback, so it sees all fits of searches, cross-validation and ensembles, also in threads.  Other
    processes have copies of it: with ``n_jobs=2`` it sees the refit only.  Then let joblib use threads
    (``joblib.parallel_config("threading")``), or read ``history_`` of the models that
    ``cross_validate(..., return_estimator=True)`` returns.

    Attributes
    ----------
    fits : list of list of dict
        One list for each fit, in the order in which they began: its ``history_``.

    Examples
    --------
    >>> from nmfnet import NMFNetClassifier
    >>> from nmfnet.callbacks import History
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> history = History()
    >>> model = NMFNetClassifier(max_iter=3, callbacks=[history], random_state=0)
    >>> search = GridSearchCV(model, {"hidden_layer_sizes": [(5,), (10,)]}, cv=2).fit(*load_iris(return_X_y=True))
    >>> len(history.fits)  # 2 times 2, and the best one again
    5
    """

    def __init__(self) -> None:
        self.fits: list[list[EpochRecord]] = []

    def __sklearn_clone__(self) -> Self:
        return self

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        self._now.records = []
        self.fits.append(self._now.records)

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        self._now.records.append(record)


class EarlyStopping(Callback):
    """End the training when a number in the history has not fallen for some epochs.

    The estimators' own ``early_stopping=True`` monitors the validation loss.  This callback monitors any entry.

    Parameters
    ----------
    monitor : str, default="val_loss"
        Key of the dicts in ``history_``.  Those that begin with ``val_`` need a validation set.
    patience : int or np.inf, default=10
        Training ends after this number of epochs in a row without an improvement; np.inf: it does not.
    min_delta : float, default=0
        Smallest improvement that counts.
    restore_best : bool, default=True
        Whether the weights of the best epoch become those of the model.

    Attributes
    ----------
    best_epoch : int or None
        Epoch with the lowest value, in the last fit.
    """

    def __init__(
        self, monitor: str = "val_loss", patience: float = 10, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        if not (patience >= 1 and min_delta >= 0):
            raise ValueError(
                f"patience must be at least 1 and min_delta at least 0; got {patience!r} and {min_delta!r}."
            )
        self.monitor, self.patience, self.min_delta, self.restore_best = monitor, patience, min_delta, restore_best
        self.best_epoch: int | None = None

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        self.best_epoch, now = None, self._now
        now.best, now.waited, now.weights = math.inf, 0, None

    def on_epoch_end(self, network: Network, record: EpochRecord) -> bool:  # noqa: D102
        if self.monitor not in record:
            raise ValueError(
                f"EarlyStopping: there is no {self.monitor!r} to monitor, only {', '.join(map(repr, record))}. "
                "Those of a validation set need X_val and y_val, or early_stopping=True."
            )
        value, now = float(record[self.monitor]), self._now  # type: ignore[literal-required]
        now.waited = 0 if value < now.best - self.min_delta else now.waited + 1
        if value < now.best:
            self.best_epoch, now.best, now.weights = record["epoch"], value, list(network.weights)
        return bool(now.waited >= self.patience)

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        if self.restore_best and self._now.weights is not None:
            network.weights[:] = self._now.weights


class Progress(Callback):
    """Show a progress bar over the epochs, and below it the loss and error of the last epoch.

    The bar moves with every batch.  Needs rich: ``pip install 'nmfnet[cli]'``.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; the terminal by default.
    transient : bool, default=False
        Whether the bar disappears at the end.
    """

    def __init__(self, console: Any = None, transient: bool = False) -> None:
        self.console, self.transient = console, transient

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "console": None}  # its locks cannot be pickled; elsewhere there is another terminal

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return copy.copy(self)  # on the same console

    def describe(self, record: EpochRecord) -> str:
        """What is shown of an epoch."""
        values = numbers(record)
        names = ("train_loss", "train_error", "val_loss", "val_error")
        return ", ".join(f"{name} {values[name]:.4g}" for name in names if name in values)

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        try:
            from rich.console import Group
            from rich.errors import LiveError
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
        now = self._now
        now.bar = Bar(*columns, console=self.console, expand=True, speed_estimate_period=600)
        now.bar.add_task("starting", total=None, batch="", left="")
        now.status = Text(style="dim")
        now.live = Live(Group(now.bar, now.status), console=self.console, transient=self.transient)
        now.epoch, now.epochs, now.training = 0, max_iter, False
        try:
            now.live.start()
        except LiveError:  # before rich 14.1 a console shows one bar, that of the fit that came first
            now.live = None

    def on_pretrain_layer(self, layer: int, n_layers: int) -> None:  # noqa: D102
        self._update(description=f"pre-training layer {layer} of {n_layers}")

    def on_train_begin(self, training: Training) -> None:  # noqa: D102
        self._now.epoch = training.epochs  # where it goes on from a checkpoint

    def on_batch_end(self, batch: int, n_batches: int) -> None:  # noqa: D102
        now = self._now
        if not now.training:  # the time left is of the epochs, not the pre-training
            now.training = True
            now.bar.reset(now.bar.task_ids[0], total=now.epochs, batch="", left="left")
        self._update(
            description=f"epoch {now.epoch + 1}/{now.epochs}",
            completed=now.epoch + batch / n_batches,
            batch=f"batch {batch}/{n_batches}",
        )

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        self._now.epoch += 1
        self._now.status.plain = f"after epoch {record['epoch']}: {self.describe(record)}"

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        if self._now.live is not None:
            self._now.live.stop()
            if not self._now.live.console.is_terminal:  # where rich leaves its last line open
                self._now.live.console.line()

    def _update(self, **fields: Any) -> None:
        bar = self._now.bar
        bar.update(bar.task_ids[0], **fields)


class _Logger(Callback):
    """A callback whose clones, as of a search, log each fit by itself."""

    keeps_weights = False
    _cloned = False

    def __sklearn_clone__(self) -> Self:
        clone = copy.copy(self)
        clone._cloned = True
        return clone


class TensorBoardLogger(_Logger):
    """Write the numbers of every epoch for TensorBoard; needs ``pip install 'nmfnet[tensorboard]'``.

    Parameters
    ----------
    log_dir : path-like, optional
        Folder of the run.  By default a folder in ``runs``, named by date and machine.  The clones of a search make a
        folder for each fit in `log_dir`, or in ``runs``.
    """

    def __init__(self, log_dir: str | os.PathLike[str] | None = None) -> None:
        self.log_dir = log_dir

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoardLogger needs tensorboard: pip install 'nmfnet[tensorboard]'") from error
        folder = None if self.log_dir is None else os.fspath(self.log_dir)
        if self._cloned:
            parent = Path(folder or "runs")
            parent.mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(prefix="fit-", dir=parent)
        self._now.writer = SummaryWriter(folder)

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        for name, value in numbers(record).items():
            self._now.writer.add_scalar(name, value, record["epoch"])

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        self._now.writer.close()


class MLflowLogger(_Logger):
    """Log the network and the numbers of every epoch to MLflow; needs ``pip install 'nmfnet[mlflow]'``.

    They go to the active run, or to a new run for each fit if none is active.  The clones of a search log each fit to
    a run of its own, nested in the active one.
    """

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        try:
            import mlflow
        except ImportError as error:
            raise ImportError("MLflowLogger needs mlflow: pip install 'nmfnet[mlflow]'") from error
        active, now = mlflow.active_run() is not None, self._now
        now.mlflow, now.own_run = mlflow, self._cloned or not active
        if now.own_run:
            mlflow.start_run(nested=active)
        network_of = {"units": "-".join(map(str, network.sizes)), "activation": str(network.activation_names)}
        mlflow.log_params({**network_of, "output": network.output.name, "max_iter": max_iter})

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        self._now.mlflow.log_metrics(numbers(record), step=record["epoch"])

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        if self._now.own_run:
            self._now.mlflow.end_run()


def numbers(record: EpochRecord) -> dict[str, float]:
    """What is shown of an epoch: all but its number, and what is none."""
    shown = {name: value for name, value in record.items() if name != "epoch" and not isinstance(value, str)}
    return {name: float(value) for name, value in shown.items()}  # type: ignore[arg-type]
