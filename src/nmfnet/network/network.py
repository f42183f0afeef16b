"""The network: its scaling, its weights, its forward pass, its predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.scaling import Scaling
from nmfnet.layers import Layer, Linearization, Spec, build_layers, skipped_inputs
from nmfnet.layers.activations import Activation
from nmfnet.linalg import all_finite
from nmfnet.linalg.penalties import penalty
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network.outputs import LINEAR, Output

MOST_ROWS, MOST_NUMBERS = 8192, 2**22  # that predictions are computed of at a time


@dataclass
class Network:
    """A network of fully-connected layers, or of convolutions, pooling and fully-connected layers.

    Attributes
    ----------
    weights : list of Tensor
        W[l] of shape (n_{l-1} + 1, n_l) with the bias in the last row, or (n_{l-1}, n_l) without; of a convolution
        a column for each channel, with a row for each number of a patch.
    activation : Activation or sequence of Activation
        Of the hidden layers: of all, or one by one.
    intercept : bool
        Whether layers have a bias.
    output : Output
        What the outputs A[L] mean.
    inputs : Scaling or None
        Of X, before the first layer.
    targets : Scaling or None
        Of real targets: the outputs are on its scale.
    frozen : frozenset of int
        Numbers of the layers, from 0, whose weights no training changes.
    hidden : sequence of int and Spec, optional
        The hidden layers; widths, by the weights, if left out.
    input_shape : (channels, height, width) or (channels, length), optional
        Of a sample, where hidden layers are of images or sequences.
    layers : sequence of Layer, optional
        What the weights belong to; by default those of `hidden`.
    """

    weights: list[Tensor]
    activation: Activation | Sequence[Activation]
    intercept: bool = True
    output: Output = LINEAR
    inputs: Scaling | None = None
    targets: Scaling | None = None
    frozen: frozenset[int] = frozenset()
    hidden: Sequence[int | Spec] = ()
    input_shape: tuple[int, ...] | None = None
    layers: Sequence[Layer] = ()

    def __post_init__(self) -> None:
        if not self.hidden:
            self.hidden = [W.shape[1] for W in self.weights[:-1]]
        if not self.layers:
            n_in, n_out = len(self.weights[0]) - self.intercept, self.weights[-1].shape[1]
            self.layers = build_layers(self.hidden, n_in, n_out, self.intercept, self.input_shape)

    @property
    def sizes(self) -> list[int]:
        """Numbers of units n_0, ..., n_L; n_0 is the width of X."""
        first = len(self.weights[0]) - self.intercept if self.inputs is None else self.inputs.n_in
        if self.input_shape is not None:
            first = math.prod(self.input_shape)
        return [first, *(math.prod(layer.out_shape) for layer in self.layers)]

    @property
    def has_skips(self) -> bool:
        """Whether there are skip connections."""
        return any(layer.skip for layer in self.layers)

    @property
    def by_column(self) -> bool:
        """Whether inputs are scaled column by column, as those of tables are: pixels of images share a unit."""
        return self.input_shape is None and self.inputs is not None and self.inputs.by_column

    @property
    def activations(self) -> list[Activation]:
        """Of each hidden layer."""
        if isinstance(self.activation, Activation):
            return [self.activation] * (len(self.weights) - 1)
        return list(self.activation)

    @property
    def activation_names(self) -> str | list[str]:
        """Name of the activation, or of each layer's where they differ."""
        return self.activation.name if isinstance(self.activation, Activation) else [f.name for f in self.activation]

    @property
    def lowest_trained(self) -> int:
        """Number of the first layer that is not frozen: below it no targets are needed."""
        return min(set(range(len(self.weights))) - self.frozen)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.weights[0].dtype

    def scaled_inputs(self, X: Tensor | SparseRows) -> Any:
        """Inputs of the first layer, for X (m, n_0)."""
        return X if self.inputs is None else self.inputs(X)

    def forward(self, X: Tensor | SparseRows) -> tuple[list[Tensor], list[Tensor]]:
        """Forward pass.

        Returns
        -------
        Z : list of Tensor
            The inputs of every layer: X (scaled), Z[1], ..., Z[L-1].
        A : list of Tensor
            The pre-activations A[1], ..., A[L] of every layer; the last are the outputs, on the scale of
            the scaled targets.
        """
        Z, A, _ = self.linearize(X)
        return Z, A

    def linearize(self, X: Tensor | SparseRows) -> tuple[list[Tensor], list[Tensor], list[Linearization]]:
        """Forward pass, with every layer at its inputs."""
        Z, A, at = [self.scaled_inputs(X)], list[Tensor](), list[Linearization]()
        for layer, W, f in zip(self.layers, self.weights, [*self.activations, None], strict=True):
            outputs, linearization = layer.linearize(Z[-1], W, skipped_inputs(layer, at))
            A.append(outputs)
            at.append(linearization)
            if f is not None:
                Z.append(f(A[-1]))
        return Z, A, at

    def predict(self, X: Tensor | SparseRows) -> Tensor:
        """Outputs (m, n_L) for inputs (m, n_0), computed some rows at a time."""
        last = len(self.weights) - 1
        outputs = [self.layers[-1].forward(Z, self.weights[-1]) for Z in self._codes(X, last)]
        return self.original_outputs(torch.cat(outputs))

    def code(self, X: Tensor | SparseRows, layer: int) -> Tensor:
        """Activations Z[layer] (m, n_layer) of a hidden layer, from 1, for inputs (m, n_0); images (m, c, h, w)."""
        Z = torch.cat(list(self._codes(X, layer)))
        if Z.ndim == 2 or self.input_shape is None:
            return Z
        return Z.permute(0, 3, 1, 2) if len(self.input_shape) == 3 else Z[:, 0].transpose(1, 2)

    def _codes(self, X: Tensor | SparseRows, layer: int) -> Iterator[Tensor]:
        """Inputs of the layer after `layer`, part by part."""
        numbers = max(self.sizes[0], *(layer.most_numbers for layer in self.layers))
        rows = max(64, min(MOST_ROWS, MOST_NUMBERS // numbers))
        for part in X.split(rows):
            Z, at = self.scaled_inputs(part.to(self.weights[0].device)), list[Linearization | None]()
            for this, W, f in zip(self.layers[:layer], self.weights, self.activations, strict=False):
                A, linearization = this.linearize(Z, W, skipped_inputs(this, at))
                Z = f.f_(A)
                at.append(linearization if self.has_skips else None)
            yield Z

    def scaled_targets(self, Y: Tensor) -> Tensor:
        """Targets (m, n_L) on the scale of the outputs."""
        return Y if self.targets is None else self.targets(Y)

    def original_outputs(self, A: Tensor) -> Tensor:
        """Outputs (m, n_L) on the scale of the targets."""
        return A if self.targets is None else self.targets.inverse(A)

    def reshape(self, inputs: Scaling | None, hidden: Sequence[int]) -> None:
        """Give a network of fully-connected layers other inputs and widths, for which it needs new weights."""
        n_in = self.sizes[0] if inputs is None else inputs.n_out
        self.layers = build_layers(hidden, n_in, self.weights[-1].shape[1], self.intercept)
        self.inputs, self.hidden = inputs, list(hidden)

    def with_weights(self, weights: Sequence[Tensor]) -> Network:
        """Return a network like this one with other weights."""
        return replace(self, weights=list(weights))

    def folded(self) -> list[tuple[Tensor, Tensor]]:
        """Weights (n_{l-1}, n_l) and biases (n_l,) of a network without scalings that predicts the same.

        Of images the scaling is folded in where it does not shift: their padding is zero after the shift.  The first
        weights of a piecewise-linear encoding stay those of its pieces.
        """
        layers = [(W[:-1], W[-1]) if self.intercept else (W, W.new_zeros(W.shape[1])) for W in self.weights]
        if self.inputs is not None and not isinstance(self.inputs, PiecewiseLinear):
            W, b = layers[0]
            if self.input_shape is None:
                W = self.inputs.factor @ W if self.inputs.projects else self.inputs.factor[:, None] * W
                layers[0] = (W, b - self.inputs.shift @ W)
            elif not bool(self.inputs.shift.any()):
                layers[0] = (self._factor_of_rows()[:, None] * W, b)
        if self.targets is not None:
            W, b = layers[-1]
            layers[-1] = (W / self.targets.factor, self.targets.inverse(b))
        return layers

    def unfolded(self) -> Tensor:
        """First weights that predict on scaled inputs what those of this network do on inputs as they are."""
        assert self.inputs is not None and not self.inputs.projects
        W, n_in = self.weights[0].double(), len(self.weights[0]) - self.intercept
        factor = self._factor_of_rows().double()
        shift = torch.zeros_like(factor) if self.input_shape is not None else self.inputs.shift.double()
        rows = [W[-1:] + shift @ W[:-1]] if self.intercept else []
        return torch.cat([W[:n_in] / factor[:, None], *rows]).to(self.dtype)

    def _factor_of_rows(self) -> Tensor:
        """Factor of the inputs for each row of the first weights; of images one for each channel."""
        assert self.inputs is not None
        factor, n_in = self.inputs.factor, len(self.weights[0]) - self.intercept
        if self.input_shape is None:
            return factor
        channels = self.input_shape[0]
        return factor.reshape(channels, -1)[:, 0].repeat_interleave(n_in // channels)

    def is_finite(self) -> bool:
        """Whether every weight is finite."""
        return all(all_finite(W) for W in self.weights)

    def penalty(self, alpha: float, l1_ratio: float, biases: bool = True) -> float:
        """``alpha ((1 - l1_ratio) ||W||^2 / 2 + l1_ratio ||W||_1)`` over all layers; `biases`: in the L2 part."""
        if not alpha:
            return 0.0
        bare = self.intercept and not biases
        weights = [W[:-1] for W in self.weights] if bare else self.weights
        return sum(float(penalty(W, alpha, l1_ratio, self.intercept and biases)) for W in weights)

    def on(self, device: torch.device | str) -> Network:
        """Return a network with these weights on a device."""
        return self._with(lambda tensor: tensor.to(device))

    def to(self, dtype: torch.dtype) -> Network:
        """Return a network with these weights in a dtype."""
        return self._with(lambda tensor: tensor.to(dtype))

    def _with(self, change: Callable[[Tensor], Tensor]) -> Network:
        """The network with other tensors."""
        inputs, targets = (s and s.changed(change) for s in (self.inputs, self.targets))
        return replace(self, weights=[change(W) for W in self.weights], inputs=inputs, targets=targets)
