"""Losses and errors of what a network predicts, as they are recorded of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nmfnet.data.scaling import target_scaling
from nmfnet.data.source import Rows, Samples, Source
from nmfnet.network import Network
from nmfnet.network.calibration import output_rms
from nmfnet.training.records import EpochRecord
from nmfnet.training.settings import FitSettings

MOST_NUMBERS = 2**18  # outputs that are scored at a time
MOST_SAMPLED = 5000  # training samples that losses are recorded of: a pass of all would cost a fifth of an epoch,
SAMPLED_SHARE, FEWEST_SAMPLED = 0.1, 2000  # so where there are more it is a tenth, but not fewer than these


class Predicted(NamedTuple):
    """Outputs of a network for all samples of a source, their targets and weights (n,), or None where all are 1."""

    outputs: Tensor
    Y: Tensor
    weight: Tensor | None


def predicted(network: Network, source: Source, inputs: Callable[[Rows], Rows] = lambda X: X) -> Predicted:
    """What a network predicts for a source, block by block; of samples that several processes hold all have all.

    What it is given are functions of the `inputs`, by default these themselves.
    """
    parts = [Predicted(network.predict(inputs(block.X)), block.Y, block.weight) for block in source.blocks()]
    return whole(source, parts)


def whole(source: Source, parts: Sequence[Predicted]) -> Predicted:
    """All samples of a source, whoever holds them, from those at hand, block by block."""
    found = concatenated(parts)
    if source.holders.size == 1:
        return found
    A, Y, weight = found
    A, Y = source.joined(torch.cat([A, Y], 1)).tensor_split([A.shape[1]], 1)
    return Predicted(A, Y, None if weight is None else source.joined(weight))


def concatenated(parts: Sequence[Predicted]) -> Predicted:
    """All samples of the parts, of which either all or none have weights."""
    outputs, Y, weights = zip(*parts, strict=True)
    return Predicted(torch.cat(outputs), torch.cat(Y), None if weights[0] is None else torch.cat(weights))


def calibrated(network: Network, relative_temperature: float | None, training: Predicted) -> Network:
    """The network with the temperature that is `relative_temperature` times the size of its outputs in training."""
    if relative_temperature is None:
        return network
    temperature = relative_temperature * output_rms(network.output, training.outputs, training.weight)
    output = network.output if not temperature > 0 else replace(network.output, temperature=temperature)
    return replace(network, output=output)


def scores(part: Literal["train", "val"], network: Network, settings: FitSettings, found: Predicted) -> EpochRecord:
    """Loss and error of some samples, of weights of the network."""
    rows = max(64, MOST_NUMBERS // found.Y.shape[1])  # in float64, for squares of large numbers
    pairs = ((A.double(), Y.double()) for A, Y in zip(found.outputs.split(rows), found.Y.split(rows), strict=True))
    each = torch.cat([torch.stack([network.output.prediction_loss(A, Y), settings.error(A, Y)]) for A, Y in pairs], 1)
    if found.weight is None:
        loss, error = each.mean(1).tolist()
    else:
        weight = found.weight.double()
        loss, error = (each @ weight / weight.sum()).tolist()
    if part == "train":
        return EpochRecord(train_loss=loss, train_error=error)
    record = EpochRecord(val_loss=loss, val_error=error)
    if settings.score is not None:
        record["val_score"] = settings.score(found.outputs, found.Y, found.weight)
    return record


def summed_loss(network: Network, outputs: Tensor, batch: Samples) -> Tensor:
    """What is minimized, on the scale of the scaled targets, and the number of samples, by their weights: (2,)."""
    outputs, Y = outputs.double(), batch.Y.double()
    loss = network.output.loss(network.scaled_targets(outputs), network.scaled_targets(Y))
    each = torch.stack([loss, torch.ones_like(loss)])
    return each.sum(1) if batch.weight is None else each @ batch.weight.double()


def recorded_rows(n: int) -> int:
    """Of n training samples, how many losses are recorded of."""
    return n if n <= MOST_SAMPLED else min(MOST_SAMPLED, max(FEWEST_SAMPLED, int(SAMPLED_SHARE * n)))


def sampled(source: Source, seed: int) -> Source:
    """New samples that losses are of, in their own order: all, or a tenth of more than MOST_SAMPLED, at random."""
    n, before = source.n_rows, source.before
    most = recorded_rows(n)
    if most == n and not before:
        return source
    drawn = torch.arange(n)
    if most < n:
        drawn = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:most].sort().values
    return source.subset(drawn + before)


def error_unit(network: Network, source: Source, real: bool) -> float:
    """What 1 is in the unit of errors: those of real targets have the targets' unit, squared."""
    if not real:
        return 1.0
    if network.targets is not None:
        return float(network.targets.factor.double().pow(-2).mean())
    return float(target_scaling(source, network.intercept).factor.double().pow(-2).mean())
