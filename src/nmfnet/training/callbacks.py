"""Hooks into training: a base class of no-ops, and the one that ``verbose=True`` uses."""

from __future__ import annotations

from typing import TypedDict

from nmfnet.network import Network


class EpochRecord(TypedDict, total=False):
    """One epoch in ``history_``.

    Attributes
    ----------
    epoch : int
        From 1.
    objective : float
        Loss a sample (half the squared error; with `solver="relaxed"` the cross-entropy of classes, labels smoothed),
        plus the penalty over the samples, averaged over the epoch's batches, each seen just before its update.
    train_error : float
        Fraction misclassified (classifier) or mean squared error (regressor), averaged likewise.
    val_error : float
        The same on the validation set after the epoch; only where there is one.
    retries : int
        Factorizations that failed and were repeated with more damping; only where there were any.
    seconds : float
        Time since the fit began, pre-training included, callbacks not.
    """

    epoch: int
    objective: float
    train_error: float
    val_error: float
    retries: int
    seconds: float


class Callback:
    """Base class: override the hooks you need."""

    def on_fit_begin(self, network: Network, max_iter: int) -> None:
        """Called once, before pre-training."""

    def on_pretrain_layer(self, layer: int, n_layers: int) -> None:
        """Called before hidden layer `layer` (from 1) of `n_layers` is pre-trained."""

    def on_batch_end(self, batch: int, n_batches: int) -> None:
        """Called after each batch, from 1, of an epoch of `n_batches`."""

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:
        """Called after each epoch with its entry in ``history_``."""


class PrintLog(Callback):
    """Print a line per epoch, and one per pre-trained layer."""

    def on_pretrain_layer(self, layer: int, n_layers: int) -> None:  # noqa: D102
        print(f"Pre-training layer {layer} of {n_layers}", flush=True)

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:  # noqa: D102
        print(
            ", ".join(f"{k} = {v:.6g}" if isinstance(v, float) else f"{k} {v}" for k, v in record.items()),
            flush=True,
        )
