"""The weights of the network and its shape, under the names that scikit-learn's MLP estimators have for them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from nmfnet.estimators.input_encoder import InputEncoder
from nmfnet.network import Network
from nmfnet.training import EpochRecord

Array = NDArray[Any]


class WeightsMixin:
    """Attributes that are read off `network_` and `history_`."""

    network_: Network
    history_: list[EpochRecord]
    input_encoder_: InputEncoder

    @property
    def n_members_(self) -> int:
        """Number of networks whose mean outputs the model predicts; their hidden layers stand side by side."""
        return next((record["n_members"] for record in self.history_ if "n_members" in record), 1)

    @property
    def alpha_(self) -> float | None:
        """The penalty that cross-validation has chosen, for sample weights of mean 1; None without one."""
        return next((record["alpha"] for record in self.history_ if "alpha" in record), None)

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
        """Number of layers, including input and output."""
        return len(self.network_.weights) + 1

    @property
    def n_outputs_(self) -> int:
        """Number of outputs of the network."""
        return int(self.network_.weights[-1].shape[1])

    @property
    def out_activation_(self) -> str:
        """Name of the function over the outputs: "identity", "softmax" or "logistic", as in scikit-learn."""
        name = self.network_.output.name
        return "logistic" if name == "sigmoid" else name

    def _encoded_names(self) -> list[str] | None:
        """Names of what the network is given, where the inputs have names."""
        return self.input_encoder_.get_feature_names_out(getattr(self, "feature_names_in_", None))
