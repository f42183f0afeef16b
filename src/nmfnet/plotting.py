"""Plots of a fitted estimator as display objects in scikit-learn's style; needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from nmfnet._text import printable
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.layers import Conv1d, Conv2d
from nmfnet.training import EpochRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nmfnet.estimators.base import BaseNMFNet

__all__ = ["HistoryDisplay", "LayerCodesDisplay", "WeightsDisplay", "plot_history", "plot_layer_codes", "plot_weights"]
Array = NDArray[Any]
COLOURS = {"train": "#0072B2", "val": "#D55E00"}  # of Okabe and Ito's palette
LABELS = {"train": "training", "val": "validation"}
# Text of others is drawn as it is: a "$" in it begins no formula.
VERBATIM: dict[str, Any] = {"parse_math": False, "usetex": False}
LONGEST = 40  # characters of a tick's label
MOST_NAMES = 30  # of columns or labels that are written out


def pyplot() -> Any:
    """Matplotlib, or an error that names the extra."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'nmfnet[cli]'") from error
    return plt


class HistoryDisplay:
    """Loss or error of the training and validation samples over the epochs.

    Parameters
    ----------
    history : sequence of dict
        ``history_`` of an estimator.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D
    """

    def __init__(self, history: Sequence[EpochRecord]) -> None:
        if not history:
            raise ValueError("history is empty: there is nothing to plot.")
        self.history = history

    @classmethod
    def from_estimator(
        cls, estimator: BaseNMFNet, *, curve: Literal["loss", "error"] = "loss", ax: Axes | None = None, **line: Any
    ) -> Self:
        """Plot the loss or the error of each epoch; the parameters are those of :meth:`HistoryDisplay.plot`."""
        check_is_fitted(estimator)
        return cls(estimator.history_).plot(curve=curve, ax=ax, **line)

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
        self.ax_, self.figure_ = _axes(ax)
        self.lines_ = []
        for part, label in LABELS.items():
            points = [(r["epoch"], r[f"{part}_{curve}"]) for r in self.history if f"{part}_{curve}" in r]  # type: ignore[literal-required]
            if points:
                style = {"color": COLOURS[part], "label": label, "marker": "o" if len(points) == 1 else None, **line}
                self.lines_ += self.ax_.plot(*zip(*points, strict=True), **style)
        self.ax_.set(xlabel="Epoch", ylabel=f"{curve.capitalize()} after the epoch")
        whole_numbers(self.ax_.xaxis)
        if min((float(min(drawn.get_ydata())) for drawn in self.lines_), default=-1.0) >= 0:
            self.ax_.set_ylim(bottom=max(0.0, self.ax_.get_ylim()[0]))  # errors of 0 have none below
        self.ax_.legend()
        return self


class WeightsDisplay:
    """Weights of the units of the first layer, or components of a factorization, as images or a heat map.

    Parameters
    ----------
    parts : ndarray of shape (n_parts, n_features)
        Drawn as images, or as rows of a heat map.
    image_shape : tuple of int, optional
        Shape of an image, if the inputs are images.
    feature_names : sequence of str, optional
        Names of the columns, for the heat map.
    meaning : str, default="Weight"
        What the numbers are, for the colour bar.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
    ax_ : matplotlib.axes.Axes
        The first of them.
    figure_ : matplotlib.figure.Figure
    """

    def __init__(
        self,
        parts: Array,
        image_shape: tuple[int, ...] | None = None,
        feature_names: Sequence[str] | None = None,
        meaning: str = "Weight",
    ) -> None:
        self.parts, self.image_shape, self.feature_names = np.asarray(parts), image_shape, feature_names
        self.meaning = meaning
        if image_shape is not None and math.prod(image_shape) != self.parts.shape[1]:
            raise ValueError(f"image_shape={image_shape} does not have the {self.parts.shape[1]} features.")

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseNMFNet,
        *,
        n_parts: int = 25,
        image_shape: tuple[int, ...] | None = None,
        ax: Axes | None = None,
        **image: Any,
    ) -> Self:
        """Plot the units of the first layer that have the largest weights, or the largest components.

        Parameters
        ----------
        estimator : NMFNetClassifier, NMFNetRegressor, NMF, SemiNMF, NonlinearSemiNMF or NMFAutoencoder
            Fitted.  If a network scales columns one by one, weights are per standard deviation of a column, so that
            columns with large units do not seem unimportant.  For a factorization `components_` is shown.
        n_parts : int, default=25
            Largest number of units shown.
        image_shape : tuple of int, optional
            Shape of an image, if the inputs are images; otherwise units are rows of one heat map.  Filters of a
            convolution have a shape of their own: with three channels in colours, otherwise their mean is shown.
        ax : matplotlib.axes.Axes, optional
            For the heat map; images make axes of their own.
        **image
            Passed to ``ax.imshow``.
        """
        parts, image_shape, names = cls.parts_of(estimator, n_parts, image_shape)
        return cls(parts, image_shape, names, _parts_of(estimator)[1]).plot(ax=ax, **image)

    @staticmethod
    def parts_of(
        estimator: Any, n_parts: int, image_shape: tuple[int, ...] | None = None
    ) -> tuple[Array, tuple[int, ...] | None, Sequence[str] | None]:
        """Parts (n_parts, n_features) of a fitted estimator, their shape as images, and the columns' names."""
        check_is_fitted(estimator)
        parts, _ = _parts_of(estimator)
        largest = np.argsort(-np.linalg.norm(parts, axis=1), kind="stable")[:n_parts]
        hidden = estimator.network_.hidden if getattr(estimator, "input_shape_", None) else ()
        first = next((each for each in hidden if isinstance(each, (int, Conv1d, Conv2d))), None)
        if isinstance(first, Conv2d) and image_shape is None:
            filters = parts.reshape(len(parts), -1, *first.window.kernel)
            parts, image_shape = _filters(filters), (*first.window.kernel, *([3] if filters.shape[1] == 3 else []))
        encoded = getattr(estimator, "_encoded_names", None)
        names = getattr(estimator, "feature_names_in_", None) if encoded is None else encoded()
        return parts[largest], image_shape, names

    def plot(self, *, ax: Axes | None = None, **image: Any) -> Self:
        """Draw the parts with one colour scale, symmetric around 0; see :meth:`from_estimator`."""
        reach = float(np.abs(self.parts).max()) or 1.0
        settings = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach, **image}
        if self.image_shape is None:
            given = [] if self.feature_names is None else list(self.feature_names)
            names = [printable(name, LONGEST) for name in given] if len(given) <= MOST_NAMES else []
            self.ax_, self.figure_ = _axes(ax, height=4.8 + 0.08 * max(map(len, names), default=0))
            self.axes_ = np.array([self.ax_])
            drawn = self.ax_.imshow(self.parts, **{"aspect": "auto", **settings})
            self.ax_.set(xlabel="Feature", ylabel="Unit")
            whole_numbers(self.ax_.yaxis)
            if names:
                self.ax_.set_xticks(range(len(names)), names, rotation=90, **VERBATIM)
            else:
                whole_numbers(self.ax_.xaxis)
            self.figure_.colorbar(drawn, ax=self.ax_, label=self.meaning)
            return self
        if ax is not None:
            raise ValueError("ax is for the heat map; images need axes of their own: leave it out.")
        plt = pyplot()

        columns = math.ceil(math.sqrt(len(self.parts)))
        rows = math.ceil(len(self.parts) / columns)
        size = (1.2 * columns, 1.2 * rows)
        self.figure_, grid = plt.subplots(rows, columns, squeeze=False, figsize=size, layout="constrained")
        self.axes_ = grid.ravel()
        self.ax_ = self.axes_[0]
        for panel, part in zip(self.axes_, self.parts, strict=False):
            image_of = part.reshape(self.image_shape)
            if image_of.ndim == 3:  # colours have no map, but a range
                image_of = image_of / (2 * reach) + 0.5
            panel.imshow(image_of, **settings)
        for panel in self.axes_:
            panel.set_axis_off()
        return self


def _filters(filters: Array) -> Array:
    """Filters (k, c, rows, columns) as rows of numbers: three channels last, as images have them, or their mean."""
    shown = filters.transpose(0, 2, 3, 1) if filters.shape[1] == 3 else filters.mean(1)
    return shown.reshape(len(filters), -1)


class LayerCodesDisplay:
    """Activations of a hidden layer as a heat map: a row for each sample, ordered by label if there are labels.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_units) or (n_samples, channels, ...)
        Of a convolution the channels follow each other, place by place.
    y : array-like of shape (n_samples,), optional

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    image_ : matplotlib.image.AxesImage
    """

    def __init__(self, codes: Array, y: ArrayLike | None = None) -> None:
        self.codes, self.y = np.asarray(codes), None if y is None else np.asarray(y)
        self.codes = self.codes.reshape(len(self.codes), -1)
        if self.y is not None and self.y.shape != (len(self.codes),):
            raise ValueError(
                f"y must have a label for each of the {len(self.codes)} samples; its shape is {self.y.shape}."
            )

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseNMFNet,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        layer: int = -1,
        ax: Axes | None = None,
        **image: Any,
    ) -> Self:
        """Plot the activations of hidden layer `layer` for X (or the factor Z of a factorization), ordered by y."""
        codes = estimator.layer_codes(X, layer) if hasattr(estimator, "layer_codes") else estimator.transform(X)
        return cls(codes.cpu().numpy() if hasattr(codes, "cpu") else codes, y).plot(ax=ax, **image)

    def plot(self, *, ax: Axes | None = None, **image: Any) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
        **image
            For ``ax.imshow``.

        Returns
        -------
        self
        """
        self.ax_, self.figure_ = _axes(ax)
        codes = self.codes
        if self.y is not None:
            order = np.argsort(self.y, kind="stable")
            codes = codes[order]
        self.image_ = self.ax_.imshow(codes, **{"aspect": "auto", "cmap": "viridis", "interpolation": "none", **image})
        self.ax_.set(xlabel="Unit", ylabel="Sample")
        for axis in (self.ax_.xaxis, self.ax_.yaxis):
            whole_numbers(axis)
        if self.y is not None:
            self._name_rows(self.y[order])
        self.figure_.colorbar(self.image_, ax=self.ax_, label="Activation")
        return self

    def _name_rows(self, y: Array) -> None:
        """Ticks of the labels of ordered rows; where there are many, of some rows with their targets."""
        labels, first, counts = np.unique(y, return_index=True, return_counts=True)
        if len(labels) <= MOST_NAMES:
            middle = first + (counts - 1) / 2
            named = _apart(middle, counts, len(y) / MOST_NAMES)
            names = [printable(label, LONGEST) for label in labels[named]]
            self.ax_.set_yticks(middle[named], names, **VERBATIM)
            for line in first[1:]:
                self.ax_.axhline(line - 0.5, color="white", linewidth=0.5)
            self.ax_.set_ylabel("Label")
            return
        rows = np.unique(np.linspace(0, len(y) - 1, 7).round().astype(int))
        names = [f"{v:.4g}" if isinstance(v, float) else printable(v, LONGEST) for v in y[rows].tolist()]
        self.ax_.set_yticks(rows, names, **VERBATIM)
        self.ax_.set_ylabel("Target of the row, in ascending order")


def _apart(places: Array, sizes: Array, least: float) -> list[int]:
    """Numbers of the places that can be written at without overlap, the largest first."""
    taken: list[int] = []
    for i in np.argsort(-sizes, kind="stable").tolist():
        if all(abs(places[i] - places[j]) >= least for j in taken):
            taken.append(i)
    return sorted(taken)


def _parts_of(estimator: Any) -> tuple[Array, str]:
    """Parts (n_parts, n_features) of a fitted estimator, and what their numbers are."""
    if hasattr(estimator, "components_"):
        return np.asarray(estimator.components_), "Component"
    network = estimator.network_
    if network.inputs is None or network.inputs.projects or not network.by_column:
        return network.folded()[0][0].cpu().numpy().T, "Weight"
    W = network.weights[0][: network.inputs.n_out]
    if isinstance(network.inputs, PiecewiseLinear):
        return network.inputs.changes(W).cpu().numpy().T, "Change from the least value to the greatest"
    return W.cpu().numpy().T, "Weight, per standard deviation"


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers alone: of epochs, units and samples."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _axes(ax: Axes | None, height: float = 4.8) -> tuple[Any, Any]:
    """Axes to draw in, new ones if there are none, and their figure; the height in inches."""
    if ax is None:
        _, ax = pyplot().subplots(figsize=(6.4, height), layout="constrained")
    return ax, ax.figure


plot_history = HistoryDisplay.from_estimator
plot_weights = WeightsDisplay.from_estimator
plot_layer_codes = LayerCodesDisplay.from_estimator
