"""Hooks into training: a base class of no-ops, and the one that ``verbose=True`` uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace

from nmfnet.network import Network
from nmfnet.training.records import EpochRecord
from nmfnet.training.state import Training

# What each callback keeps of the fit under way, by its id.  Fits in threads and fits within fits have their own.
_FIT: ContextVar[dict[int, SimpleNamespace]] = ContextVar("nmfnet_fit")


class Callback:
    """Base class of callbacks: override the hooks that you need.

    A hook may keep the network that it is given, and its weights; later epochs do not change them.

    ``clone``, and so a grid search, makes a deep copy of a callback (`copy.deepcopy`), and the fit calls the copy.  A
    callback that should see the fits of all clones returns itself from ``__sklearn_clone__``, as
    :class:`nmfnet.callbacks.History` does.  Threads may then call it at the same time.

    Examples
    --------
    >>> from nmfnet import Callback, NMFNetClassifier
    >>> class UntilGood(Callback):
    ...     def on_epoch_end(self, network, record):
    ...         return record["train_error"] < 0.05  # True ends the training
    >>> model = NMFNetClassifier((20,), callbacks=[UntilGood()], random_state=0)
    """

    @property
    def _now(self) -> SimpleNamespace:
        """What is kept of the fit under way; neither other fits nor copies and pickles see it."""
        fit = _FIT.get(None)
        if fit is None:  # the hooks are called by hand
            fit = {}
            _FIT.set(fit)
        return fit.setdefault(id(self), SimpleNamespace())

    def on_fit_begin(self, network: Network, max_iter: int) -> None:
        """Called once, before pre-training."""

    def on_pretrain_layer(self, layer: int, n_layers: int) -> None:
        """Called before each hidden layer is pre-trained: number `layer`, from 1, of `n_layers`."""

    def resumes(self) -> bool:
        """Whether :meth:`on_train_begin` will restore a stored state, so that there is nothing to pre-train."""
        return False

    def on_train_begin(self, training: Training) -> None:
        """Called before the first batch; `training` holds the state of the training."""

    def on_train_end(self) -> None:
        """Called when the training ends, also after an error."""

    def on_batch_end(self, batch: int, n_batches: int) -> None:
        """Called after each batch: number `batch`, from 1, of the `n_batches` of the epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Called before each epoch: number `epoch`, from 1."""

    def on_epoch_end(self, network: Network, record: EpochRecord) -> bool | None:
        """Called after each epoch with its entry in ``history_``.  Return True to end the training."""

    def on_fit_end(self, network: Network) -> None:
        """Called once, also after an error.  Weights that are written into `network` become those of the model."""


@contextmanager
def announced(callbacks: Sequence[Callback], network: Network, max_iter: int) -> Iterator[None]:
    """Tell callbacks of the begin and, whatever happens, those that heard of it of the end."""
    begun, outer = [], _FIT.set({})
    try:
        for callback in callbacks:
            callback.on_fit_begin(network, max_iter)
            begun.append(callback)
        yield
    finally:
        try:
            for callback in begun:
                callback.on_fit_end(network)
        finally:
            _FIT.reset(outer)


class PrintLog(Callback):
    """Print a line per epoch, and one per pre-trained layer."""

    def on_pretrain_layer(self, layer: int, n_layers: int) -> None:  # noqa: D102
        print(f"Pre-training layer {layer} of {n_layers}", flush=True)

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        print(
            ", ".join(f"{k} = {v:.6g}" if isinstance(v, float) else f"{k} {v}" for k, v in record.items()),
            flush=True,
        )
