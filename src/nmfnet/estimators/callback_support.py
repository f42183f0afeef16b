"""scikit-learn's callbacks, experimental and from its version 1.9: the only file that knows of them.

``model.set_callbacks(sklearn.callback.ProgressBar())`` shows the epochs, also of the fits inside a grid search whose
own callback it is.  With an earlier scikit-learn there is no `set_callbacks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from nmfnet.network import Network
from nmfnet.training import Callback, EpochRecord

if TYPE_CHECKING:
    from nmfnet.estimators.base import BaseNMFNet

F = TypeVar("F", bound=Callable[..., Any])

try:
    from sklearn import callback as experimental
except ImportError:  # scikit-learn before 1.9
    experimental = None


class _NoSupport:
    """Where there is nothing to support."""


CallbackSupport: Any = _NoSupport if experimental is None else experimental.CallbackSupportMixin


def with_callbacks(method: F) -> F:
    """Let a `fit` tear down, whatever happens, what scikit-learn's callbacks have set up."""
    return method if experimental is None else experimental.with_callbacks(method)


class FitTasks(Callback):
    """Tells scikit-learn's callbacks of the fit and, one task each, of its epochs."""

    def __init__(self, estimator: BaseNMFNet, X: Any, y: Any, sample_weight: Any) -> None:
        self.estimator = estimator
        self.data = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
        self.fit: Any = None
        self.epoch: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self.fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)

    def on_fit_begin(self, network: Network, max_iter: int) -> None:  # noqa: D102
        if self.fit is not None:
            self.fit.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def on_epoch_begin(self, epoch: int) -> None:  # noqa: D102
        if self.fit is not None:
            self.epoch = self.fit.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def on_epoch_end(self, network: Network, record: EpochRecord) -> bool | None:  # noqa: D102
        if self.epoch is None:
            return None
        return bool(self.epoch.call_on_fit_task_end(**self._after(network, [record])))

    def on_fit_end(self, network: Network) -> None:  # noqa: D102
        if self.fit is not None:
            self.fit.call_on_fit_task_end(**self._after(network, []))

    def _after(self, network: Network, history: list[EpochRecord]) -> dict[str, Any]:
        """What callbacks may ask for after a task; a model that predicts is made only if one does."""
        fitted = {"network_": network.with_weights(network.weights), "history_": history}
        return {"estimator": self.estimator, "reconstruction_attributes": fitted, **self.data}
