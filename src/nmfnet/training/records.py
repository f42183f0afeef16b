"""What is recorded of an epoch in ``history_``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class EpochRecord(TypedDict, total=False):
    """One epoch in ``history_``.

    Attributes
    ----------
    epoch : int
        Number of the epoch, from 1.
    objective : float
        What is minimized: the mean loss of a training sample, plus the penalty divided by the number of samples.  For
        classification with ``solver="relaxed"`` the loss is the cross-entropy of smoothed targets.  Otherwise it is
        half the squared error of the targets as the network scales them.  It is a mean over the batches of the epoch.
        Each is measured just before its update, with the working weights and under dropout.
    train_loss : float
        Loss on the training samples after the epoch, with the weights that predict.  For classification it is the
        cross-entropy of the predicted probabilities (multi-label: its mean over the labels), for regression the mean
        squared error in the unit of y.  With ``solver="pinv"`` a classifier's outputs are fits of 0/1 targets; there
        it is the mean squared error of these.  With more than 5000 samples it is measured on a tenth of them, at least
        2000 and at most 5000, and always the same ones.
    train_error : float
        Fraction misclassified (classifier) or mean squared error in the unit of y (regressor), on the same samples.
    val_loss, val_error : float
        The same on the validation set.  Missing without one.
    val_score : float
        With `early_stopping`, accuracy or R² on the validation set.
    n_samples : int
        Training samples seen in the epoch.
    alpha : float
        The penalty that a cross-validation has chosen.  Missing without one.
    held_out_loss : float
        Loss of the networks of the folds with this penalty, on rows that they were not trained on.  Missing without a
        cross-validation.
    n_members : int
        Number of networks that the model averages or adds up, this one included.  Missing without a cross-validation.
    naive_bayes : bool
        True where the other one is naive Bayes.  Otherwise missing.
    numeric_encoding : {"standard", "piecewise"}
        Encoding of numbers that the cross-validation has chosen.  Missing if it had no choice.
    retries : int
        Number of matrix factorizations that failed and were repeated with more damping, and of rejected updates.
        Missing if there were none.
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
    naive_bayes: bool
    numeric_encoding: str
    retries: int
    seconds: float


def has_naive_bayes(history: Sequence[EpochRecord]) -> bool:
    """Whether naive Bayes is a part of the model, with a hidden unit for each class."""
    return any(record.get("naive_bayes", False) for record in history)
