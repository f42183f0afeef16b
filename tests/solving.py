"""Networks, sweeps and least-squares steps for the tests of solvers."""

import itertools

import torch

from nmfnet.data import scaling
from nmfnet.data.source import InMemory
from nmfnet.layers import Dense
from nmfnet.linalg.gram_solver import Penalty
from nmfnet.linalg.statistics import local, sum_of_squares, total_weight
from nmfnet.network import initial_weights
from nmfnet.solvers.base import Plan


def he_weights(sizes, bias, generator, dtype, last=1.0):
    """Weights of fully-connected layers of these widths."""
    layers = [Dense(a, b, bias) for a, b in itertools.pairwise(sizes)]
    return initial_weights(layers, generator, dtype, last)


def prepared(settings, network, X=None, plan=None):
    """The sweep of these settings over a network, and data X that it looks at first."""
    X = torch.zeros(1, network.sizes[0], dtype=network.dtype) if X is None else X
    return settings.prepare(network, InMemory(X, X[:, :1]), Plan() if plan is None else plan)


def solved(solver, Z, E, update, pull=None, curvature=0.0, sample_weight=None, reduce=local):
    """Step (n + bias, k) of a DampedLeastSquares, and the length of what it moves.

    `pull` (n or more, k) is added to the right-hand side.
    """
    n, k = Z.shape[1], E.shape[1]
    pulled = E.new_zeros(n, k) if pull is None else -pull[:n]
    penalty = Penalty(pulled, curvature) if pull is not None or curvature else None
    input_rms = float((sum_of_squares(Z, sample_weight) / total_weight(Z, sample_weight) / n).sqrt())
    statistics = solver.collect(Z, E, sample_weight, update, input_rms).reduced(reduce)
    steps = list(solver.steps(statistics, solver.parts(n, k), penalty))
    squares = torch.stack([step.square for step in steps])
    return torch.cat([step.D for step in steps], 1), squares.clamp(min=0).sum().sqrt()


def input_scaling(X, explained_variance, centre=True, constant=0.0, sample_weight=None):
    """Scaling of inputs that are all at hand."""
    Y = torch.zeros(len(X), 1, dtype=X.dtype)
    return scaling.input_scaling(InMemory(X, Y, sample_weight), explained_variance, centre, constant)


def target_scaling(Y, centre=True, sample_weight=None):
    """Scaling of targets that are all at hand."""
    return scaling.target_scaling(InMemory(Y, Y, sample_weight), centre)
