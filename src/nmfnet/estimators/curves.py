"""The history under the names that scikit-learn's MLP estimators have for it."""

from __future__ import annotations

import math

from nmfnet.training import EpochRecord


class CurvesMixin:
    """Attributes that are read off `history_`, so that files, pickles and warm starts have them, too."""

    history_: list[EpochRecord]
    best_epoch_: int | None

    @property
    def n_iter_(self) -> int:
        """Number of epochs, over all warm starts."""
        return len(self.history_)

    @property
    def t_(self) -> int:
        """Number of training samples seen, over all epochs."""
        if not all("n_samples" in record for record in self.history_):
            raise AttributeError("t_ is not known: the model was trained by an earlier nmfnet.")
        return sum(record["n_samples"] for record in self.history_)

    @property
    def loss_curve_(self) -> list[float]:
        """The objective of each epoch: loss plus penalty."""
        return [record["objective"] for record in self.history_]

    @property
    def loss_(self) -> float:
        """The objective of the last epoch."""
        return self._last["objective"]

    @property
    def best_loss_(self) -> float | None:
        """The lowest objective; None with ``early_stopping=True``."""
        return None if "val_score" in self._last else min(self.loss_curve_)

    @property
    def validation_scores_(self) -> list[float] | None:
        """Accuracy or R² on the validation set after each epoch; None without ``early_stopping=True``."""
        if "val_score" not in self._last:
            return None
        scores = [record["val_score"] for record in self.history_ if "val_score" in record]
        return [math.nan if score is None else score for score in scores]  # files have null for NaN

    @property
    def best_validation_score_(self) -> float | None:
        """Validation score of `best_epoch_`; None without ``early_stopping=True``."""
        if self.validation_scores_ is None or self.best_epoch_ is None:
            return None
        score = self.history_[self.best_epoch_ - 1]["val_score"]
        return math.nan if score is None else score

    @property
    def _last(self) -> EpochRecord:
        if not self.history_:
            raise AttributeError("The model was not trained for any epoch: its weights are those of a module.")
        return self.history_[-1]
