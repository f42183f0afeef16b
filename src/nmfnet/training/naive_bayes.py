"""Naive Bayes for words, as a network: the multinomial one, with its logarithms as weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nmfnet.data.source import Rows, Source
from nmfnet.linalg.sparse import SparseRows
from nmfnet.network import Network

# Added to the sum of each word in each class, in means of the values above 0.  Of TF-IDF that is 0.05 to 0.13.
# Measured: 0.03 and 0.1 are as good as each other, 0.3 and 1 are worse.
ADDED = 1 / 3


@dataclass(frozen=True)
class NaiveBayes:
    """Logarithms of the shares of the words in each class.

    Parameters
    ----------
    words : Tensor of shape (n, k)
        Not negative: each word's least logarithm is subtracted, as it adds the same to all classes.
    classes : Tensor of shape (k,)
        Logarithms of how frequent the classes are.
    """

    words: Tensor
    classes: Tensor

    @classmethod
    def of(cls, source: Source) -> NaiveBayes:
        """That of the rows of a source, with their weights; its targets are classes, its inputs not negative."""
        words = torch.zeros(source.n_features, source.n_outputs, dtype=torch.float64)
        classes = torch.zeros(source.n_outputs, dtype=torch.float64)
        stored = torch.zeros(2, dtype=torch.float64)  # their sum and number
        for X, Y, weight in source.blocks():
            values = X.values if isinstance(X, SparseRows) else X
            stored += torch.stack([values.double().sum(), values.count_nonzero().double()]).cpu()
            E = Y if weight is None else Y * weight[:, None]
            words += (X.transposed_product(E) if isinstance(X, SparseRows) else X.T @ E).cpu()
            classes += E.sum(0).cpu()
        words, classes, stored = source.holders([words, classes, stored])
        words += ADDED * stored[0] / stored[1] if stored[1] else 1.0
        words = (words / words.sum(0)).log()
        return cls(words - words.min(1, keepdim=True).values, (classes / classes.sum()).clamp(min=1e-12).log())

    def outputs(self, X: Rows) -> Tensor:
        """Logarithms (m, k) of the probabilities of the classes, but for a number for each row."""
        words = self.words.to(X.dtype)
        product = X @ words if isinstance(X, SparseRows) else X @ words.to(X.device)
        return product.double().cpu() + self.classes

    def weights(self, network: Network, share: float) -> list[Tensor]:
        """Weights (1, n_{l-1} + 1, n_l) of a network like another, that puts out these logarithms times a share.

        Its hidden layers have a unit for each class, which is never negative: a rectifier leaves it as it is.
        """
        words, k = self.words, len(self.classes)
        if network.inputs is not None:
            factor = network.inputs.factor.double().cpu()[:, None]
            words = torch.where(factor != 0, words / factor, 0.0)
        layers = [words, *(torch.eye(k, dtype=torch.float64) for _ in network.weights[1:])]
        if network.intercept:
            layers = [torch.cat([W, W.new_zeros(1, k)]) for W in layers]
            layers[-1][-1] = self.classes
        layers[-1] *= share
        return [W[None].to(network.weights[0]) for W in layers]


def takes_naive_bayes(network: Network, source: Source) -> bool:
    """Whether naive Bayes can be a part of a network like this one, for these inputs."""
    if any(f.name != "relu" for f in network.activations) or any(layer.skip for layer in network.layers):
        return False
    blocks = (block.X.values if isinstance(block.X, SparseRows) else block.X for block in source.blocks())
    negative = any(bool((values < 0).any()) for values in blocks)
    return not source.holders.any(negative)
