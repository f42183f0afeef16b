"""The one file that scores: no solver measures its own error or its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Predict = Callable[[Array], Array]

SMALLEST = 1e-7  # probability that the log-loss counts: float32's resolution, for every solver


class Objective:
    """Scores predictions after every epoch; the clock runs only while the solver does.

    Parameters
    ----------
    X, y : ndarray
        What to score on.
    metric : {"error %", "RMSE", "squared error"}
        For classification, for regression, for reconstructions (the squared error summed over a row).
    """

    def __init__(self, X: Array, y: Array, metric: str) -> None:
        self.X, self.y, self.metric = X, y, metric
        self.records: list[dict[str, Any]] = []
        self.status = "done"
        self.seconds = 0.0
        self._since: float | None = None

    def start(self) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Stop the clock."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None

    def record(self, epoch: int, predict: Predict) -> bool:
        """Stop the clock, score, start it again; False if predictions are not finite and going on is useless.

        A second record of an epoch replaces the first.
        """
        self.stop()
        outputs = np.asarray(predict(self.X))
        good = bool(np.isfinite(outputs).all())
        if self.records and self.records[-1]["epoch"] == epoch:
            self.records.pop()
        if good:
            self.records.append({"epoch": epoch, "seconds": self.seconds, **score(outputs, self.y, self.metric)})
        else:
            self.status = "diverged"
        self.start()
        return good


def score(outputs: Array, y: Array, metric: str) -> dict[str, float]:
    """Return the error by the task's metric, and the loss behind it."""
    if metric == "error %":
        outputs = outputs.reshape(len(y), -1).astype(np.float64)
        true = outputs[np.arange(len(y)), y].clip(SMALLEST, 1)
        return {
            "error": 100 * float((outputs.argmax(1) != y).mean()),
            "loss": float(-np.log(true).mean()),
        }
    squares = np.square(outputs.reshape(y.shape).astype(np.float64) - y)
    if metric == "RMSE":
        return {"error": float(np.sqrt(squares.mean())), "loss": float(squares.mean())}
    return {"error": float(squares.sum(1).mean()), "loss": float(squares.mean())}
