"""How sure the outputs of a network may be: what two small networks say of rows that they have not seen."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.data.scaling import one_scale
from nmfnet.data.source import Source, n_batches
from nmfnet.errors import DivergenceError
from nmfnet.linalg.holders import Holders
from nmfnet.network import Network
from nmfnet.network.calibration import fitted_temperature, output_rms
from nmfnet.solvers.base import Kind, Solver
from nmfnet.training.loop import planned, swept, whole_update
from nmfnet.training.scoring import Predicted, concatenated, predicted
from nmfnet.training.settings import FitSettings
from nmfnet.training.unseen_words import of_one_length, seen_words, without_unseen_words

SHARE, MOST_EPOCHS = 5, 10  # one epoch of a small network for so many of the fit, at most so many,
ENOUGH_UPDATES, ENOUGH_SPARSE_UPDATES = 10, 50  # or more, for so many updates
FEWEST_ROWS = 10  # below, there is nothing to measure
ONE_HALF = 1000  # rows, from which on one half of them is enough to measure on
MOST_TRAINED, MOST_HELD_OUT = 10_000, 5000  # rows of a small network


def relative_temperature(
    network: Network, solver: Solver, source: Source, settings: FitSettings, seed: int
) -> float | None:
    """Temperature for outputs whose root mean square in training is 1; None where none can be told.

    No function of the training rows tells how sure a network may be of others.  So a network like the one asked for is
    trained on half of the rows, for a fifth of the epochs, and the temperature is fitted to its outputs for the other
    half; with few rows, to those of a second network for the first half as well.  Networks differ in the size of their
    outputs, by how long they are trained above all: temperatures are in the unit of that size.

    Parameters
    ----------
    network, solver, source, settings
        Of the fit; the network's weights are left alone.
    seed : int
        Of the halves and the weights.
    """
    if network.output.name == "identity":
        return None
    found = held_out(network, solver, source, settings, seed)
    if found is None:
        return None
    return fitted_temperature(network.output, found.outputs, found.Y, found.weight)


class HeldOut(NamedTuple):
    """Outputs for rows that a network has not seen, in the unit of the temperatures, their targets and weights.

    Attributes
    ----------
    outputs : Tensor of shape (m, k)
    Y : Tensor of shape (m, k)
    weight : Tensor of shape (m,) or None
    wrong : float
        Share of the rows that the networks were trained on whose largest output is of another class.
    """

    outputs: Tensor
    Y: Tensor
    weight: Tensor | None
    wrong: float


def held_out(
    network: Network, solver: Solver, source: Source, settings: FitSettings, seed: int, rarity: bool = True
) -> HeldOut | None:
    """What small networks, each trained on a half of the rows, put out for the other; None where they tell nothing.

    Parameters
    ----------
    network, solver, source, settings, seed
        As in :func:`relative_temperature`.
    rarity : bool, default=True
        Whether rare words are scaled up where they are words.
    """
    generator = torch.Generator().manual_seed(seed)
    if source.n_rows < FEWEST_ROWS:
        return None
    pairs = pairs_of_halves(source, generator)
    deadline = None if settings.max_time is None else time.perf_counter() + settings.max_time / SHARE
    try:
        each = [_held_out(network, solver, source, settings, generator, pair, deadline, rarity) for pair in pairs]
    except DivergenceError:
        return None
    found = concatenated([outputs for outputs, _ in each])
    return HeldOut(*found, max(wrong for _, wrong in each)) if bool(found.outputs.isfinite().all()) else None


def pairs_of_halves(source: Source, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Rows to train on and rows to measure on; of few rows each half is used for both."""
    classes = source.joined(source.Y.argmax(1))
    first, second = halves(classes.cpu(), generator)
    pairs = [(first, second)] if source.n_rows >= ONE_HALF else [(first, second), (second, first)]
    return [(_some(trained, MOST_TRAINED), _some(others, MOST_HELD_OUT)) for trained, others in pairs]


def halves(classes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two random halves of the rows, in ascending order, with about as many rows of each of their classes (n,)."""
    order = by_class(torch.randperm(len(classes), generator=generator), classes)
    return order[::2].sort().values, order[1::2].sort().values


def by_class(order: Tensor, classes: Tensor) -> Tensor:
    """Rows in an order (n,), those of one class after those of another, so that every k-th has its share of each."""
    return order[classes[order].sort(stable=True).indices]


def _held_out(
    network: Network,
    solver: Solver,
    source: Source,
    settings: FitSettings,
    generator: torch.Generator,
    pair: tuple[Tensor, Tensor],
    deadline: float | None,
    rarity: bool,
) -> tuple[Predicted, float]:
    """Outputs (m, k) for the second half by a network trained on the first, and the share of that which is wrong."""
    trained, others = pair
    part = source.subset(trained).collected(rounded=solver.message_bits > 0).normalized()[0]
    weights = solver.initial_weights(network.layers, generator, network.dtype)
    network = network.with_weights([W.to(part.device) for W in weights])
    if source.is_sparse:  # rare words are scaled by how rare they are, which held-out rows must not have a say in
        kind: Kind = "classes" if network.output.name == "softmax" else "labels"
        inputs = solver.input_scaling(part, kind, network.intercept, False) if rarity else one_scale(part)
        network = replace(network, inputs=inputs)
    size = min(settings.batch_size, solver.default_batch_size(part.n_rows))
    updates = ENOUGH_SPARSE_UPDATES if source.is_sparse else ENOUGH_UPDATES
    wanted = max(min(settings.max_iter / SHARE, MOST_EPOCHS), updates / n_batches(part.n_rows, size))
    epochs = min(settings.max_iter, math.ceil(wanted))
    alpha = solver.default_alpha(network) if settings.alpha == "auto" else settings.alpha
    alpha *= part.total_weight / source.total_weight  # as strong for a sample as in the fit
    few = replace(settings, max_iter=epochs, batch_size=size, alpha=alpha, trained=False)
    failure = None
    try:
        network = _plain_fit(network, solver, part, few, generator, deadline, source.holders)
    except DivergenceError as error:
        failure = error
    if source.holders.any(failure is not None):  # all go on, or none
        raise failure or DivergenceError("The small network of another rank has diverged.")
    of_trained = predicted(network, part)
    unit = output_rms(network.output, of_trained.outputs, of_trained.weight)
    seen = seen_words(source, part)
    rest = source.subset(others)
    one_length = seen is not None and of_one_length(rest)
    found = predicted(network, rest, lambda X: without_unseen_words(X, seen, one_length))
    wrong = float((of_trained.outputs.argmax(1) != of_trained.Y.argmax(1)).double().mean())
    return found._replace(outputs=found.outputs.double() / unit), wrong


def _plain_fit(
    network: Network,
    solver: Solver,
    source: Source,
    settings: FitSettings,
    generator: torch.Generator,
    deadline: float | None,
    holders: Holders,
) -> Network:
    """Train a network for all planned epochs, or until a time of `perf_counter`: nothing is recorded or stopped early.

    Parameters
    ----------
    network, solver, source, settings, generator
        As in :func:`fit_network`.
    deadline : float, optional
    holders : Holders
        Those who stop together.

    Raises
    ------
    DivergenceError
        If decompositions meet numbers that are not finite.
    """
    min_rows = min(whole_update(solver, settings), source.n_rows)
    sweep = solver.prepare(network, source, planned(settings, source, generator, min_rows))
    for _ in range(settings.max_iter):
        for batch in source.batches(settings.batch_size, generator, min_rows=min_rows):
            if deadline is not None and holders.any(time.perf_counter() >= deadline):
                break
            swept(sweep, batch)
    return network.with_weights(list(sweep.weights()))  # no copy: the sweep ends here


def _some(rows: Tensor, most: int) -> Tensor:
    """At most so many rows, from all over."""
    return rows if len(rows) <= most else rows[torch.linspace(0, len(rows) - 1, most).long()]
