"""Activations of hidden layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmfnet._text import printable
from nmfnet.plotting.axes import LONGEST, MOST_NAMES, VERBATIM, new_axes, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nmfnet.estimators.base import BaseNMFNet

Array = NDArray[Any]


class LayerCodesDisplay:
    """Activations of a hidden layer as a heat map: a row for each sample, ordered by label if there are labels.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_units) or (n_samples, channels, ...)
        Of a convolution the channels follow each other, place by place.
    y : array-like of shape (n_samples,), optional
    meaning : str, default="Activation"
        What the numbers are, for the colour bar.
    column : str, default="Unit"
        What a column is.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    image_ : matplotlib.image.AxesImage
    """

    def __init__(
        self, codes: Array, y: ArrayLike | None = None, meaning: str = "Activation", column: str = "Unit"
    ) -> None:
        self.meaning, self.column = meaning, column
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
        codes = codes.cpu().numpy() if hasattr(codes, "cpu") else codes
        factors = hasattr(estimator, "components_") and not hasattr(estimator, "network_")
        return cls(codes, y, *(("Coefficient", "Component") if factors else ())).plot(ax=ax, **image)

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
        rows, names, of_labels = self._named_rows()
        self.ax_, self.figure_ = new_axes(ax, width=6.4 + 0.08 * max(map(len, names), default=0))
        codes = self.codes if self.y is None else self.codes[np.argsort(self.y, kind="stable")]
        self.image_ = self.ax_.imshow(codes, **{"aspect": "auto", "cmap": "viridis", "interpolation": "none", **image})
        self.ax_.set(xlabel=self.column, ylabel="Sample")
        for axis in (self.ax_.xaxis, self.ax_.yaxis):
            whole_numbers(axis)
        if self.y is not None:
            self.ax_.set_yticks(rows, names, **VERBATIM)
            self.ax_.set_ylabel("Label" if of_labels else "Target of the row, in ascending order")
        if of_labels and self.y is not None:
            for line in np.unique(np.sort(self.y), return_index=True)[1][1:]:
                self.ax_.axhline(line - 0.5, color="white", linewidth=0.5)
        self.figure_.colorbar(self.image_, ax=self.ax_, label=self.meaning)
        return self

    def _named_rows(self) -> tuple[Array, list[str], bool]:
        """Places and names of the labels of ordered rows; where there are many labels, some rows and their targets."""
        if self.y is None:
            return np.array([]), [], False
        y = np.sort(self.y, kind="stable")
        labels, first, counts = np.unique(y, return_index=True, return_counts=True)
        if len(labels) <= MOST_NAMES:
            middle = first + (counts - 1) / 2
            named = _apart(middle, counts, len(y) / MOST_NAMES)
            return middle[named], [printable(label, LONGEST) for label in labels[named]], True
        rows = np.unique(np.linspace(0, len(y) - 1, 7).round().astype(int))
        return rows, [f"{v:.4g}" if isinstance(v, float) else printable(v, LONGEST) for v in y[rows].tolist()], False


def _apart(places: Array, sizes: Array, least: float) -> list[int]:
    """Numbers of the places that can be written at without overlap, the largest first."""
    taken: list[int] = []
    for i in np.argsort(-sizes, kind="stable").tolist():
        if all(abs(places[i] - places[j]) >= least for j in taken):
            taken.append(i)
    return sorted(taken)
