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
        What is minimized: the mean loss of a training sample, plus the penalty over the number of samples.  For
        ``solver="relaxed"`` and classes or labels the loss is the cross-entropy of smoothed targets.  Otherwise it is
        half the squared error, of targets as the network scales them.  It is the mean over the batches of the epoch,
        each measured just before its update, of the weights in training and under dropout.
    train_loss : float
        Loss on the training samples after the epoch, of the weights that predict.  The cross-entropy of the predicted
        probabilities (of several labels the mean over the labels), or for real targets the mean squared error in the
        unit of y.  Where a classifier's outputs are fits of 0/1 targets, as of ``solver="pinv"``, it is the mean
        squared error of these.  Of more than 5000 samples a tenth counts, at least 2000 and at most 5000 of them,
        always the same ones.
    train_error : float
        Fraction misclassified (classifier) or mean squared error in the unit of y (regressor), likewise.
    val_loss, val_error : float
        The same on the validation set.  Missing without one.
    val_score : float
        With `early_stopping`, what `score` says of the validation set.
    n_samples : int
        Training samples seen in the epoch.
    alpha : float
        The penalty that was chosen from the data.  Missing if none was.
    held_out_loss : float
        Of networks with this penalty, on rows that they were not trained on.  Likewise.
    n_members : int
        Networks that the model adds up or averages, this one included.  Likewise.
    numeric_encoding : {"standard", "piecewise"}
        Encoding of numbers that was chosen likewise.  Missing if there was no choice.
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
    alpha: float
    held_out_loss: float
    n_members: int
    numeric_encoding: str
    retries: int
    seconds: float
