"""What is recorded of an epoch in ``history_``."""

from __future__ import annotations

from typing import TypedDict


class EpochRecord(TypedDict, total=False):
    """One epoch in ``history_``.

    Attributes
    ----------
    epoch : int
        Number of the epoch, from 1.
    objective : float
        What is minimized: `train_loss` plus the penalty over the number of samples.
    train_loss : float
        Mean loss of a training sample.  For ``solver="relaxed"`` and classes or labels it is the cross-entropy of the
        smoothed targets.  Otherwise it is half the squared error, of targets as the network scales them.  It is the
        mean over the batches of the epoch, each measured just before its update.
    train_error : float
        Fraction misclassified (classifier) or mean squared error in the unit of y (regressor), measured as
        `train_loss` is.
    val_loss, val_error : float
        Loss and error on the validation set after the epoch.  Missing without a validation set.
    retries : int
        Factorizations that failed and were repeated with more damping, and updates that were rejected.  Missing if
        there were none.
    seconds : float
        Time since the fit began.  It includes pre-training, but not callbacks.
    """

    epoch: int
    objective: float
    train_loss: float
    train_error: float
    val_loss: float
    val_error: float
    val_score: float
    n_samples: int
    retries: int
    seconds: float
