"""Losses and errors of outputs, summed over samples."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.data.scaling import target_scaling
from nmfnet.data.source import Samples, Source
from nmfnet.network import Network
from nmfnet.training.records import EpochRecord
from nmfnet.training.settings import FitSettings


def scores(network: Network, settings: FitSettings, source: Source) -> EpochRecord:
    """What is recorded of a validation set."""
    totals, outputs, blocks = torch.zeros(3, dtype=torch.float64), [], list(source.blocks())
    for block in blocks:
        outputs.append(network.predict(block.X))
        totals = totals.to(outputs[-1].device) + summed(network, settings, outputs[-1], block)
    loss, error, seen = totals.tolist()
    record = EpochRecord(val_loss=loss / seen, val_error=error / seen)
    if settings.score is not None:
        weights = [block.weight for block in blocks if block.weight is not None]
        Y = torch.cat([block.Y for block in blocks])
        record["val_score"] = settings.score(torch.cat(outputs), Y, torch.cat(weights) if weights else None)
    return record


def summed(network: Network, settings: FitSettings, outputs: Tensor, batch: Samples) -> Tensor:
    """Loss, on the scale of the scaled targets, error, and number of samples, by their weights; of shape (3,)."""
    outputs, Y = outputs.double(), batch.Y.double()  # sums and squares of large numbers
    loss = network.output.loss(network.scaled_targets(outputs), network.scaled_targets(Y))
    each = torch.stack([loss, settings.error(outputs, Y), torch.ones_like(loss)])
    return each.sum(1) if batch.weight is None else each @ batch.weight.double()


def error_unit(network: Network, source: Source, real: bool) -> float:
    """What 1 is in the unit of errors: those of real targets have the targets' unit, squared."""
    if not real:
        return 1.0
    if network.targets is not None:
        return float(network.targets.factor.double().pow(-2).mean())
    return float(target_scaling(source, network.intercept).factor.double().pow(-2).mean())
