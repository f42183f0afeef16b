"""The rows of a small table, divided into folds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nmfnet.data.contents import by_contents, drawn_by_contents
from nmfnet.data.source import Source
from nmfnet.network import Network
from nmfnet.training.calibration import by_class
from nmfnet.training.scoring import Predicted, whole

FOLDS = 4
FEWEST_ROWS = 32  # of a table that is divided


@dataclass
class Folded:
    """Training rows in memory, scaled, and divided into folds.

    Rows and columns are ordered by what they hold, so that their order does not matter, nor whether all rows are given
    twice.  Copies of a row may be in several folds, as new data may repeat it, too.

    Attributes
    ----------
    X, Y : Tensor of shape (n, n_0) and (n, k)
        Scaled, in float32: members are alike in other units of columns, whose last digits differ.
    weight : Tensor of shape (n,) or None
    columns, outputs : Tensor of shape (n_0,) and (k,)
        Numbers that the columns of X and Y have in the network.
    held_out : list of Tensor
        Row numbers of each fold.
    trained : Tensor of shape (FOLDS, r)
        Row numbers that the networks of each fold are trained on: as many for each.
    """

    X: Tensor
    Y: Tensor
    weight: Tensor | None
    columns: Tensor
    outputs: Tensor
    held_out: list[Tensor]
    trained: Tensor

    @classmethod
    def of(cls, network: Network, source: Source, rows: int, generator: torch.Generator) -> Folded | None:
        """Random folds of at most so many rows, with about as many of each class in each; None of too few."""
        device, (X, Y, weight) = source.device, _scaled(network, source)
        drawn = drawn_by_contents(X.cpu(), Y.cpu(), rows, generator.initial_seed())
        weight = None if weight is None else weight[drawn].cpu()
        found = by_contents(X[drawn].cpu(), Y[drawn].cpu(), weight).repeated(rows, generator)
        X, Y, weight = found.X, found.Y, None if found.weight is None else found.weight.to(device)
        if len(X) < FEWEST_ROWS:
            return None
        parts = _parts(Y, network.output.name == "softmax", generator)
        rest = [torch.cat(parts[:fold] + parts[fold + 1 :]) for fold in range(FOLDS)]
        fewest = min(map(len, rest))
        trained = torch.stack([each[torch.randperm(len(each), generator=generator)[:fewest]] for each in rest])
        held_out = [part.to(device) for part in parts]
        return cls(X.to(device), Y.to(device), weight, found.columns, found.outputs, held_out, trained.to(device))

    def of_all_rows(self, network: Network, source: Source) -> Folded:
        """All rows of a table that only some are drawn from, in their own order; they are in no fold."""
        X, Y, weight = _scaled(network, source)
        columns, outputs = self.columns.to(X.device), self.outputs.to(Y.device)
        weight, trained = None if weight is None else weight.to(X), torch.arange(len(X), device=X.device)[None]
        return Folded(X[:, columns], Y[:, outputs], weight, self.columns, self.outputs, [], trained)

    def in_place(self, weights: list[Tensor]) -> list[Tensor]:
        """Weights (K, n_{l-1} + 1, n_l) of members, for inputs and outputs in the order of the network."""
        weights = [W.clone() for W in weights]
        first, last = weights[0], weights[-1]
        first[:, self.columns] = first[:, : len(self.columns)].clone()
        last[:, :, self.outputs] = last.clone()
        return weights

    def batches(self, count: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """A pass in random order: inputs (FOLDS, b, n_0), targets (FOLDS, b, k), weights (FOLDS, b) of mean 1."""
        n = self.trained.shape[1]
        groups = range(len(self.trained))
        order = torch.stack([torch.randperm(n, generator=generator) for _ in groups]).to(self.X.device)
        for part in order.tensor_split(count, 1):
            rows = self.trained.gather(1, part)
            weight = None if self.weight is None else self.weight[rows]
            yield self.X[rows], self.Y[rows], None if weight is None else weight / weight.mean(1, keepdim=True)


def _scaled(network: Network, source: Source) -> Predicted:
    """Inputs, targets and weights of all rows, in float32."""
    parts = [
        Predicted(network.scaled_inputs(X).float(), network.scaled_targets(Y).float(), weight)
        for X, Y, weight in source.blocks()
    ]
    return whole(source, parts)


def _parts(Y: Tensor, classes: bool, generator: torch.Generator) -> list[Tensor]:
    """Row numbers of each fold, in ascending order."""
    order = torch.randperm(len(Y), generator=generator)
    order = by_class(order, Y.argmax(1)) if classes else order
    return [order[fold::FOLDS].sort().values for fold in range(FOLDS)]
