"""A layer with weights, and the maps without weights around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nmfnet.layers.base import Linearization
from nmfnet.layers.convolution import Convolution
from nmfnet.layers.dense import Dense
from nmfnet.layers.maps import Map
from nmfnet.linalg.blocks import Blocks, image_blocks
from nmfnet.linalg.patches import Patches
from nmfnet.linalg.sparse import SparseRows


@dataclass(frozen=True)
class Stage:
    """A layer, with maps of its inputs in front of it and maps of its outputs behind it.

    Max-pooling directly behind an activation stands in front of that activation here, behind the layer: activations
    are monotone, so the order makes no difference, and f then has fewer numbers to work on.

    Parameters
    ----------
    layer : Dense or Convolution
    before, behind : tuple of Map
    skip : int, default=0
        Layers, this one among them, whose first inputs are added to the outputs of this one, before its pooling.
    """

    layer: Dense | Convolution
    before: tuple[Map, ...] = ()
    behind: tuple[Map, ...] = ()
    skip: int = 0

    @property
    def n_in(self) -> int:
        """Inputs of a unit, the bias not among them."""
        return self.layer.n_in

    @property
    def n_out(self) -> int:
        """Output units that have weights of their own."""
        return self.layer.n_out

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Of the outputs of a sample, behind the last map."""
        return self.behind[-1].out_shape if self.behind else self.layer.out_shape

    @property
    def most_numbers(self) -> int:
        """The outputs of the layer, before its pooling."""
        return self.layer.most_numbers

    @property
    def bias(self) -> bool:
        """Whether the last row of W are the biases."""
        return self.layer.bias

    @property
    def shares_weights(self) -> bool:
        """Whether the layer does."""
        return self.layer.shares_weights

    @property
    def positions(self) -> int:
        """Of the layer, before its pooling."""
        return self.layer.positions

    def mask_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        """By number where the layer sees each number on its own, else by channel: means over a mask would undo it."""
        if len(in_shape) == 1 or (isinstance(self.layer, Dense) and len(self.before) == 1):
            return in_shape
        return (1, 1, in_shape[-1])

    def initial(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Weights to start from, those of the layer."""
        return self.layer.initial(generator, dtype)

    def forward(self, Z: Any, W: Tensor) -> Tensor:
        """Pre-activations, of shape (m, *out_shape)."""
        return self.linearize(Z, W)[0]

    def linearize(self, Z: Any, W: Tensor, skipped: Tensor | None = None) -> tuple[Tensor, StageAt]:
        """Pre-activations, and the layer at these inputs; a skip connection of one layer adds its own."""
        chosen = []
        for each in self.before:
            Z, choice = each(Z)
            chosen.append(choice)
        inner = self.layer.at(Z)
        blocks = image_blocks(Z, self.most_numbers) if self.behind and not self.skip else [slice(None)]
        parts = [self._outputs(Z[block] if len(blocks) > 1 else Z, W, inner, skipped) for block in blocks]
        outputs, *choices = (_joined(each) for each in zip(*parts, strict=True))
        return outputs, StageAt(self, inner, chosen + choices, blocks)

    def _outputs(self, Z: Any, W: Tensor, inner: Linearization, skipped: Tensor | None) -> list[Any]:
        """Pre-activations behind the last map, and what each of the maps has chosen."""
        A, chosen = self.layer.forward(Z, W), []
        if self.skip:
            A.add_(inner.inputs if skipped is None else skipped)
        for each in self.behind:
            A, choice = each(A)
            chosen.append(choice)
        return [A, *chosen]


def _joined(parts: tuple[Any, ...]) -> Any:
    """The parts as one tensor; one part is left as it is."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True)
class StageAt:
    """A stage at its inputs, with what its maps have chosen from them."""

    stage: Stage
    inner: Linearization
    chosen: list[Tensor | None]
    blocks: list[slice]

    @property
    def rows(self) -> Tensor | SparseRows | Patches:
        """Rows of the layer's least-squares problem."""
        return self.inner.rows

    @property
    def inputs(self) -> Any:
        """Of the layer, behind the maps in front of it."""
        return self.inner.inputs

    def columns(self, E: Tensor) -> Tensor | Blocks:
        """A difference behind the last map, by the rows of the layer's problem.

        Block by block where the batch went through the layer so.
        """
        return Blocks(E, self._in_front, self.blocks) if len(self.blocks) > 1 else self._in_front(E, slice(None))

    def _in_front(self, E: Tensor, block: slice) -> Tensor:
        """A difference of some images, carried through the maps behind the layer."""
        chosen = self.chosen[len(self.stage.before) :]
        for each, choice in reversed(list(zip(self.stage.behind, chosen, strict=True))):
            E = each.transposed(E, None if choice is None else choice[block])
        columns = self.inner.columns(E)
        assert isinstance(columns, Tensor)
        return columns

    def moved(self, rows: Tensor) -> Tensor:
        """Difference of the inputs of the first map."""
        D = self.inner.moved(rows)
        chosen = self.chosen[: len(self.stage.before)]
        for each, choice in reversed(list(zip(self.stage.before, chosen, strict=True))):
            D = each.gain * each.transposed(D, choice)
        return D

    def carry(self, E: Tensor | Blocks, W: Tensor, onto: Tensor | None = None, skip: Tensor | None = None) -> Tensor:
        """Carry columns down to the inputs of the first map; added to `onto`, in place."""
        if isinstance(E, Blocks):
            E = torch.cat([self.inner.carry(part, W) for _, part in E])
            E = E if skip is None else E.add_(skip)
        elif not self.stage.before:
            return self.inner.carry(E, W, onto, skip)
        else:
            E = self.inner.carry(E, W, skip=skip)
        chosen = self.chosen[: len(self.stage.before)]
        for each, choice in reversed(list(zip(self.stage.before, chosen, strict=True))):
            E = each.transposed(E, choice)
        return E if onto is None else onto.add_(E)
