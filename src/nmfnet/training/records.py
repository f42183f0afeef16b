"""What an epoch leaves in ``history_``."""

from __future__ import annotations

from typing import TypedDict


class EpochRecord(TypedDict, total=False):
    """One epoch in ``history_``.

    Attributes
    ----------
    epoch : int
        From 1.
    objective : float
        What is minimized: `train_loss` plus the penalty over the number of samples.
    train_loss : float
        Loss a sample: half the squared error, of the targets as the network scales them; with ``solver="relaxed"``
        the cross-entropy of classes, labels smoothed.  Averaged over the epoch's batches, each seen just before its
        update.
    train_error : float
        Fraction misclassified (classifier) or mean squared error (regressor), averaged likewise.
    val_loss, val_error : float
        The same on the validation set after the epoch; only where there is one.
    retries : int
        Factorizations that failed and were repeated with more damping; only where there were any.
    seconds : float
        Time since the fit began, pre-training included, callbacks not.
    """

    epoch: int
    objective: float
    train_loss: float
    train_error: float
    val_loss: float
    val_error: float
    retries: int
    seconds: float
