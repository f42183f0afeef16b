"""The transformers as ONNX graphs, where what they compute is a finite graph."""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from nmfnet.export.onnx import write_layers
from nmfnet.layers.activations import activation_named
from nmfnet.network import Network


class PortableFactorization:
    """``to_onnx`` of the factorizations: of `inverse_transform` alone, as `transform` solves to a tolerance."""

    components_: NDArray[Any]

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write `inverse_transform` as an ONNX file; needs ``pip install 'nmfnet[onnx]'``.

        The input is `X` of shape (n_samples, n_components) and the dtype of the components, the output `variable` of
        shape (n_samples, n_features).  `transform` is an iteration to a tolerance, whose steps depend on the data: it
        is no graph of a fixed size.

        Parameters
        ----------
        path : path-like
        """
        check_is_fitted(self)
        f = activation_named(getattr(self, "activation", "identity"))
        write_layers(path, type(self).__name__, [torch.as_tensor(self.components_)], [f.name])


class PortableAutoencoder:
    """``to_onnx`` of the autoencoder, whose both directions are networks."""

    network_: Network

    @property
    def _depth(self) -> int:
        """Layers of the encoder."""
        raise NotImplementedError

    def to_onnx(
        self, path: str | os.PathLike[str], method: Literal["transform", "inverse_transform"] = "transform"
    ) -> None:
        """Write the encoder or the decoder as an ONNX file; needs ``pip install 'nmfnet[onnx]'``.

        The input is `X` of the dtype of the weights, the output `variable`.

        Parameters
        ----------
        path : path-like
        method : {"transform", "inverse_transform"}, default="transform"
            What the graph computes: `encode`, or `decode`.
        """
        check_is_fitted(self)
        if method not in ("transform", "inverse_transform"):
            raise ValueError(f"method must be 'transform' or 'inverse_transform'; got {method!r}.")
        network, depth = self.network_.on("cpu"), self._depth
        names = [f.name for f in network.activations]
        part = slice(depth) if method == "transform" else slice(depth, None)
        name = f"{type(self).__name__}.{method}"
        write_layers(path, name, network.weights[part], [*names, "identity"][part], network.intercept)
