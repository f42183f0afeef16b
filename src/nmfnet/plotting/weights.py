"""Weights of the first layer, and components of factorizations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from nmfnet._text import printable
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.layers import Conv1d, Conv2d
from nmfnet.plotting.axes import LONGEST, MOST_NAMES, VERBATIM, new_axes, pyplot, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nmfnet.estimators.base import BaseNMFNet

Array = NDArray[Any]
WIDTH = 50  # characters that fit below a heat map, side by side
MOST_COLUMNS = 300  # of a heat map: of more a screen would show means, which are pale


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
    part : str, default="Unit"
        What a row of the heat map is.

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
        part: str = "Unit",
    ) -> None:
        self.parts, self.image_shape, self.feature_names = np.asarray(parts), image_shape, feature_names
        self.meaning, self.part = meaning, part
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
        part = "Component" if hasattr(estimator, "components_") else "Unit"
        return cls(parts, image_shape, names, _parts_of(estimator)[1], part).plot(ax=ax, **image)

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
        if isinstance(first, Conv1d):
            length = first.window.kernel[0] * first.window.kernel[1]
            channel, place = np.divmod(np.arange(parts.shape[1]), length)
            places = [f"channel {c}, place {i}" for c, i in zip(channel, place, strict=True)]
            return parts[largest], image_shape, places
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
            upright = sum(map(len, names)) + 2 * len(names) > WIDTH
            self.ax_, self.figure_ = new_axes(ax, height=4.8 + 0.08 * upright * max(map(len, names), default=0))
            self.axes_ = np.array([self.ax_])
            n, features = self.parts.shape
            settings = {"aspect": "auto", "extent": (-0.5, features - 0.5, n - 0.5, -0.5), **settings}
            drawn = self.ax_.imshow(strongest(self.parts), **settings)
            self.ax_.set(xlabel="Feature", ylabel=self.part)
            whole_numbers(self.ax_.yaxis)
            if names:
                self.ax_.set_xticks(range(len(names)), names, rotation=90 if upright else 0, **VERBATIM)
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


def strongest(parts: Array) -> Array:
    """Of so many neighbouring columns that MOST_COLUMNS remain, in each row the number that is farthest from 0."""
    if parts.shape[1] <= MOST_COLUMNS:
        return parts
    ends = np.linspace(0, parts.shape[1], MOST_COLUMNS + 1).astype(int)[1:-1]
    groups = np.split(parts, ends, axis=1)
    return np.stack([np.take_along_axis(g, np.abs(g).argmax(1)[:, None], 1)[:, 0] for g in groups], axis=1)


def _filters(filters: Array) -> Array:
    """Filters (k, c, rows, columns) as rows of numbers: three channels last, as images have them, or their mean."""
    shown = filters.transpose(0, 2, 3, 1) if filters.shape[1] == 3 else filters.mean(1)
    return shown.reshape(len(filters), -1)


def _parts_of(estimator: Any) -> tuple[Array, str]:
    """Parts (n_parts, n_features) of a fitted estimator, and what their numbers are."""
    if hasattr(estimator, "components_"):
        return np.asarray(estimator.components_), "Weight in the component"
    network = estimator.network_
    if network.inputs is None or network.inputs.projects or not network.by_column:
        return network.folded()[0][0].cpu().numpy().T, "Weight"
    W = network.weights[0][: network.inputs.n_out]
    if isinstance(network.inputs, PiecewiseLinear):
        return network.inputs.changes(W).cpu().numpy().T, "Change from the least value to the greatest"
    return W.cpu().numpy().T, "Weight, per standard deviation"
