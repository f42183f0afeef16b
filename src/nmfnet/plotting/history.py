"""Losses and errors over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from nmfnet.plotting.axes import new_axes, whole_numbers
from nmfnet.training import EpochRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nmfnet.estimators.base import BaseNMFNet

COLOURS = {"train": "#0072B2", "val": "#D55E00"}  # of Okabe and Ito's palette
LABELS = {"train": "training", "val": "validation"}
MARGIN = 0.02  # below curves that are 0 somewhere, of the axis


class HistoryDisplay:
    """Loss or error of the training and validation samples over the epochs.

    Parameters
    ----------
    history : sequence of dict
        ``history_`` of an estimator.
    meaning : mapping of str to str, optional
        What the loss and the error are, for the axes: {"loss": "Cross-entropy", "error": "Share misclassified"}.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D
    """

    def __init__(self, history: Sequence[EpochRecord], meaning: Mapping[str, str] | None = None) -> None:
        if not history:
            raise ValueError("history is empty: there is nothing to plot.")
        self.history, self.meaning = history, meaning or {"loss": "Loss", "error": "Error"}

    @classmethod
    def from_estimator(
        cls, estimator: BaseNMFNet, *, curve: Literal["loss", "error"] = "loss", ax: Axes | None = None, **line: Any
    ) -> Self:
        """Plot the loss or the error of each epoch; the parameters are those of :meth:`HistoryDisplay.plot`."""
        check_is_fitted(estimator)
        return cls(estimator.history_, _meaning(estimator)).plot(curve=curve, ax=ax, **line)

    def plot(self, *, curve: Literal["loss", "error"] = "loss", ax: Axes | None = None, **line: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        curve : {"loss", "error"}, default="loss"
            Which entries of the history to draw, of training and validation samples.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        **line
            Passed to ``ax.plot``.

        Returns
        -------
        self
        """
        if curve not in ("loss", "error"):
            raise ValueError(f"curve must be 'loss' or 'error'; got {curve!r}.")
        self.ax_, self.figure_ = new_axes(ax)
        self.lines_ = []
        for part, label in LABELS.items():
            points = [(r["epoch"], r[f"{part}_{curve}"]) for r in self.history if f"{part}_{curve}" in r]  # type: ignore[literal-required]
            if points:
                style = {"color": COLOURS[part], "label": label, "marker": "o" if len(points) == 1 else None, **line}
                self.lines_ += self.ax_.plot(*zip(*points, strict=True), **style)
        self.ax_.set(xlabel="Epoch", ylabel=f"{self.meaning[curve]}, after the epoch")
        whole_numbers(self.ax_.xaxis)
        low, high = self.ax_.get_ylim()
        if low < 0 <= min((float(min(drawn.get_ydata())) for drawn in self.lines_), default=-1.0):
            self.ax_.set_ylim(bottom=-MARGIN * high)  # no ticks below 0, but a line at 0 does not hide in the axis
        self.ax_.legend()
        return self


def _meaning(estimator: BaseNMFNet) -> Mapping[str, str]:
    """What the numbers of an estimator's history are."""
    if not is_classifier(estimator):
        return dict.fromkeys(("loss", "error"), "Mean squared error")
    fits = not estimator.network_.output.has_classes
    return {"loss": "Mean squared error of 0/1 targets" if fits else "Cross-entropy", "error": "Share misclassified"}
