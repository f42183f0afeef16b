"""The Gram matrix of all inputs of the first layer, which stay what they are while a network trains."""

from __future__ import annotations

import torch
from torch import Tensor

from nmfnet.data.source import Source
from nmfnet.linalg.products import weighted
from nmfnet.linalg.sparse import SparseRows
from nmfnet.linalg.statistics import reduced_symmetric, weighted_sum
from nmfnet.network import Network

ROWS_PER_COLUMN = 2  # samples that a damped Gram matrix needs at most


def input_covariance(network: Network, source: Source) -> tuple[Tensor, Tensor]:
    """Gram matrix (n, n) of the scaled inputs over their number, and its mean diagonal.

    It is centred where the first layer has biases; the mean diagonal is that of the one that is not.
    """
    n, bias = network.layers[0].n_in, network.layers[0].bias
    step = max(1, source.n_rows // (ROWS_PER_COLUMN * n))
    gram = torch.zeros(n, n, dtype=network.dtype, device=network.weights[0].device)
    total, count = gram.new_zeros(n), torch.zeros((), dtype=torch.float64)
    chosen = source if step == 1 else source.subset(torch.arange(0, source.n_rows, step))
    for block in chosen.blocks():
        Z = network.scaled_inputs(block.X)
        Z = Z.dense() if isinstance(Z, SparseRows) else Z
        weight = None if block.weight is None else block.weight.to(Z.dtype)
        gram.addmm_(Z.T, weighted(Z, weight))
        total += weighted_sum(Z, weight)
        count += len(Z) if weight is None else float(weight.sum())
    gram, total, count = reduced_symmetric(gram, [total, count], source.holders)
    gram /= count
    size = gram.diagonal().mean()
    return (gram.addr_(total / count, total / count, alpha=-1) if bias else gram), size
