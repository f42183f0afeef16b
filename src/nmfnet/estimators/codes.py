"""What the hidden layers make of the inputs: the transformer in every estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from nmfnet.estimators.inputs import checked_rows, like_input, network_for
from nmfnet.network import Network
from nmfnet.torch_modes import plain_tensors


class HiddenCodesMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """`transform` to the last hidden layer, with names and containers as scikit-learn has them, or to any layer."""

    network_: Network

    def transform(self, X: ArrayLike) -> Any:
        """Activations of the last hidden layer, nonnegative with the default activation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray (Tensor if X is one) of shape (n_samples, width of that layer in `coefs_`)
            Images are flattened, channel by channel.  `set_output` can ask for a data frame.
        """
        codes = self.layer_codes(X)
        return codes.reshape(len(codes), -1)

    def layer_codes(self, X: ArrayLike, layer: Any = -1) -> Any:
        """Activations of one hidden layer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        layer : int, default=-1
            Number of the layer, from 0, among those in `hidden_layer_sizes` that have weights.  Negative numbers count
            from the last.

        Returns
        -------
        ndarray (Tensor if X is one) of shape (n_samples, width of the layer in `coefs_`)
            For images (n_samples, channels, height, width), taken after max-pooling if that follows the layer.

        Raises
        ------
        ValueError
            If there is no such layer.
        """
        check_is_fitted(self)
        with plain_tensors():
            return self._layer_codes(X, layer)

    def _layer_codes(self, X: ArrayLike, layer: Any) -> Any:
        rows, n_hidden = checked_rows(self, X), len(self.network_.weights) - 1
        if not n_hidden:
            raise ValueError(
                "hidden_layer_sizes=() has no hidden layer: transform and layer_codes return the activations of one."
            )
        if not (isinstance(layer, (int, np.integer)) and -n_hidden <= layer < n_hidden):
            raise ValueError(f"layer must be the number of one of the {n_hidden} hidden layers; got {layer!r}.")
        return like_input(network_for(self.network_, X).code(rows, int(layer) % n_hidden + 1), X)

    @property
    def _n_features_out(self) -> int:
        return self.network_.sizes[-2]
