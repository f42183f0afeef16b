"""What a forward pass leaves: inputs and outputs of every layer, and how large they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.layers.base import Layer, Linearization
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.linalg.statistics import Question, sum_of_squares, total_weight


class Pass(NamedTuple):
    """A forward pass: inputs Z and their dropout masks M, outputs A and linearization `at` Z of every layer."""

    Z: list[Tensor]
    A: list[Tensor]
    M: list[Tensor | None]
    at: list[Linearization]

    def pop(self) -> None:
        """Let go of the last layer's."""
        for each in self:
            each.pop()


class Lengths(NamedTuple):
    """Root mean squares over samples.

    Attributes
    ----------
    input_rms : float or Tensor
        Of an input of the layer.
    outputs : list of Tensor
        Of the length of the pre-activations, by the parts that steps are scaled in.
    """

    input_rms: float | Tensor
    outputs: list[Tensor]


def lengths_of(
    forward: Pass,
    layers: Sequence[Layer],
    solvers: Sequence[DampedLeastSquares],
    sample_weight: Tensor | None,
    looks: bool = True,
) -> Question[list[Lengths]]:
    """Root mean squares of the inputs and outputs of every layer; those of inputs are numbers if one `looks`."""
    sums, shapes = [], [(z.shape[1:], a.shape[1:-1]) for z, a in zip(forward.Z, forward.A, strict=True)]
    for layer, solver, z, a in zip(layers, solvers, forward.Z, forward.A, strict=True):
        parts = solver.parts(layer.n_in, layer.n_out)
        sums += [
            sum_of_squares(z, sample_weight),
            *(sum_of_squares(a[..., part], sample_weight) for part in parts),
        ]
    n, *sums = yield [total_weight(forward.A[-1], sample_weight), *sums]
    mean_squares = iter([each / n.to(each.dtype) for each in sums])
    of_inputs, of_outputs = [], []
    for layer, solver, (_, same) in zip(layers, solvers, shapes, strict=True):
        of_inputs.append(next(mean_squares).sqrt())
        places = math.prod(same)  # at which the same weights are used
        of_outputs.append([(next(mean_squares) / places).sqrt() for _ in solver.parts(layer.n_in, layer.n_out)])
    together = torch.stack(of_inputs)  # of all layers by one look at what a device has computed
    roots = together.tolist() if looks else together.double().unbind()
    return [
        Lengths(rms / math.prod(shape) ** 0.5, outputs)
        for rms, (shape, _), outputs in zip(roots, shapes, of_outputs, strict=True)
    ]
