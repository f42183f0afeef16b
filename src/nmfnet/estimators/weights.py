"""The weights of the network and its shape, under the names that scikit-learn's MLP estimators have for them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from nmfnet.network import Network

Array = NDArray[Any]


class WeightsMixin:
    """Attributes that are read off `network_`."""

    network_: Network

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices, the l-th of shape (n_{l-1}, n_l), with the scaling of inputs and targets folded in."""
        return [W.cpu().numpy() for W, _ in self.network_.folded()]

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors, the l-th of shape (n_l,), with the scaling folded in; zeros with ``fit_intercept=False``."""
        return [b.cpu().numpy() for _, b in self.network_.folded()]

    @property
    def n_layers_(self) -> int:
        """Layers, the input's and the output's included."""
        return len(self.network_.weights) + 1

    @property
    def n_outputs_(self) -> int:
        """Outputs of the network."""
        return int(self.network_.weights[-1].shape[1])

    @property
    def out_activation_(self) -> str:
        """Name of the function over the outputs: "identity", "softmax" or "logistic", as in scikit-learn."""
        name = self.network_.output.name
        return "logistic" if name == "sigmoid" else name
