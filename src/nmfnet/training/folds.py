"""What held-out rows tell of small tables: the penalty, how sure outputs may be, and networks to average with."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.source import Source, n_batches
from nmfnet.layers import build_layers
from nmfnet.linalg.products import weighted_mean
from nmfnet.network import Network
from nmfnet.network.calibration import fitted_temperature, output_rms
from nmfnet.solvers.base import Plan
from nmfnet.training.calibration import SHARE, relative_temperature
from nmfnet.training.choice import Choice
from nmfnet.training.folded import FEWEST_ROWS, FOLDS, Folded
from nmfnet.training.settings import FitSettings
from nmfnet.training.stacking import most_stacked, stacking_weights
from nmfnet.training.text import choice_of_text, has_words

PENALTIES = (0.0, 0.03, 0.3, 1.0, 3.0)  # in the solver's unit: the best one hardly depends on the width,
FOLD_UNITS = 64  # so that networks of the folds need no more units than these in a hidden layer,
STACK_FOLD_UNITS = 32  # and no more than these where they choose the weights of a sum
MOST_MEMBERS = 1 + FOLDS * len(PENALTIES)
MOST_ROWS = 20_000  # of the tables that "auto" makes folds of,
MOST_STACKED_ROWS = 10_000  # and a sum of networks for: more rows can use all units in one,
MOST_FOLDED, FEWEST_FOLDED = 2000, 500  # of which so many rows are in the folds
MOST_NUMBERS = 250_000_000  # such rows times weights
MOST_EPOCHS = 40  # of the networks of the folds
IMAGE_COLUMNS = 64  # columns of one unit that are as many as this may be pixels
MOST_PIECES = 512  # of piecewise-linear encodings that the folds try


def choose(
    network: Network, solver: Any, source: Source, settings: FitSettings, seed: int, n_members: int | str = 1,
    averages: bool = True, encodes: bool = False,
) -> Choice:  # fmt: skip
    """What a fit is to know before its first epoch: from folds of small tables, or from halves of other data.

    Parameters
    ----------
    network, solver, source, settings
        Of the fit; the network's weights are left alone.
    seed : int
        Of the folds and the weights.
    n_members : int or "auto", default=1
        Networks to average, the one that the fit is of included.  "auto" adds networks of other penalties and
        encodings, by weights that the folds choose, for tables of at most MOST_STACKED_ROWS rows, and naive Bayes
        for texts.
    averages : bool, default=True
        Whether "auto" averages.
    encodes : bool, default=False
        Whether a piecewise-linear encoding of the inputs is tried, too, unless a number of members is asked for.

    Raises
    ------
    ValueError
        If more than one network is asked for where there can be but one.
    """
    rows, auto, choice = rows_in_folds(network, solver, source, settings), n_members == "auto", None
    wanted = n_members not in (1, "auto") or settings.alpha == "auto"
    free = auto and averages and rows == min(source.n_rows, MOST_FOLDED) and settings.max_iter <= MOST_EPOCHS
    free &= settings.alpha == "auto" and network.input_shape is None and most_stacked(_widths(network)) > 1
    stacks = free and source.n_rows <= MOST_STACKED_ROWS
    if rows and wanted and (n_members not in (1, "auto") or source.n_rows <= MOST_ROWS):
        encodes = encodes and (free if auto else n_members == 1)
        choice = _from_folds(network, solver, source, settings, seed, rows, encodes, stacks)
    if choice is None and n_members not in (1, "auto"):
        raise ValueError(
            f"n_members={n_members} needs solver='relaxed', fully-connected layers, dense inputs, {FEWEST_ROWS} "
            "different samples and a training from the start: use n_members=1 or 'auto'."
        )
    if choice is None and has_words(network, solver, source, settings):
        adds = auto and averages and settings.alpha == "auto"
        return choice_of_text(network, solver, source, settings, seed, adds)
    if choice is None:
        return Choice(temperature=relative_temperature(network, solver, source, settings, seed))
    if auto:
        return choice if stacks else choice.with_members(0)
    others = int(n_members) - 1
    if choice.members and others > len(choice.members[0]):
        raise ValueError(f"n_members={n_members} must be at most {FOLDS + 1} unless alpha='auto'.")
    return choice.with_members(others)


def rows_in_folds(network: Network, solver: Any, source: Source, settings: FitSettings) -> int:
    """Rows to divide into folds; 0 where small networks cannot be trained together, or would cost much."""
    possible = hasattr(solver, "stack") and not settings.trained and not source.is_sparse and solver.stacks(network)
    pixels = source.n_features >= IMAGE_COLUMNS and not network.by_column
    if not possible or pixels or source.n_rows < FEWEST_ROWS:
        return 0
    widths = [source.n_features, *(min(width, FOLD_UNITS) for width in _widths(network)), source.n_outputs]
    affordable = MOST_NUMBERS // sum(a * b for a, b in pairwise(widths))
    rows = min(source.n_rows, MOST_FOLDED, affordable)
    return rows if rows >= min(source.n_rows, FEWEST_FOLDED) else 0


def narrowed(network: Network, solver: Any, n_in: int, hidden: list[int], generator: torch.Generator) -> Network:
    """A network like another with fewer units in the hidden layers, of scaled inputs, in float32."""
    n_out = network.weights[-1].shape[1]
    layers = build_layers(hidden, n_in, n_out, network.intercept)
    weights = solver.initial_weights(layers, generator, torch.float32)
    return replace(network, weights=weights, hidden=hidden, layers=layers, inputs=None, targets=None)


def _widths(network: Network) -> list[int]:
    """Units of the hidden layers."""
    return [W.shape[1] for W in network.weights[:-1]]


def _from_folds(
    network: Network, solver: Any, source: Source, settings: FitSettings, seed: int, rows: int, encodes: bool,
    stacks: bool,
) -> Choice | None:  # fmt: skip
    """Train networks like the one asked for on three quarters of the rows, with several penalties and encodings.

    An encoding makes more weights: alone it wants the penalty that is best without it, or the next stronger one.
    """
    generator = torch.Generator().manual_seed(seed)
    data = Folded.of(network, source, rows, generator)
    if data is None:
        return None
    unit = solver.penalty_unit(network)
    alphas = [share * unit for share in PENALTIES] if settings.alpha == "auto" else [settings.alpha]
    hidden = [min(width, STACK_FOLD_UNITS if stacks else FOLD_UNITS) for width in _widths(network)]
    standard = _tried(network, solver, data, settings, generator, alphas, hidden)
    choice = standard.choice
    found = _encoded(network, data) if encodes and choice.alpha is not None else None
    if found is None or choice.alpha is None:
        return _stacked([standard], network, solver, source, settings, generator) if stacks else choice
    inputs, encoded = found
    best = alphas.index(choice.alpha)
    some = alphas if stacks else alphas[best : best + 2]
    piecewise = _tried(network, solver, encoded, settings, generator, some, hidden, inputs)
    if stacks:
        return _stacked([standard, piecewise], network, solver, source, settings, generator)
    other = piecewise.choice
    if other.loss is None or choice.loss is None or not other.loss < choice.loss:
        return choice._replace(encoding="standard")
    return other._replace(encoding="piecewise", inputs=_of_columns(inputs, network))


@dataclass
class Tried:
    """Networks of the folds, with several penalties.

    Attributes
    ----------
    choice : Choice
        The best of them.
    outputs : Tensor of shape (P, n, k)
        For the held-out rows by each penalty; of classes, in their root mean square in training.
    network : Network
        A narrow one, for scaled inputs.
    data : Folded
    alphas : list of float
    inputs : PiecewiseLinear or None
        The encoding of scaled inputs in these data.
    """

    choice: Choice
    outputs: Tensor
    network: Network
    data: Folded
    alphas: list[float]
    inputs: PiecewiseLinear | None = None


def _of_columns(inputs: PiecewiseLinear, network: Network) -> PiecewiseLinear:
    """The encoding of inputs as they are, by that of scaled ones."""
    assert network.inputs is not None
    return inputs.after(network.inputs, network.dtype)


def _stacked(
    tried: list[Tried], network: Network, solver: Any, source: Source, settings: FitSettings,
    generator: torch.Generator,
) -> Choice:  # fmt: skip
    """Networks of all rows to add up, each by its weight and with as many units; none if none has a weight."""
    pairs = [(each, p) for each in tried for p in range(len(each.alphas)) if bool(each.outputs[p].isfinite().all())]
    if not pairs:
        return Choice()
    data = tried[0].data
    A = torch.stack([each.outputs[p] for each, p in pairs])
    widths = _widths(network)
    found = stacking_weights(network.output, A, data.Y, data.weight, most_stacked(widths)).tolist()
    units = [width // max(1, sum(share > 0 for share in found)) for width in widths]
    if not any(found):
        return tried[0].choice.with_members(0)
    sizes = (A.square().mean((1, 2)).sqrt() * A.new_tensor(found)).tolist()
    last = max((i for i, share in enumerate(found) if share), key=lambda i: (pairs[i][0].inputs is not None, sizes[i]))
    main, p = pairs[last]
    members = []
    every = data if source.n_rows <= MOST_FOLDED else data.of_all_rows(network, source)
    for each in tried:
        own = [i for i, share in enumerate(found) if share and i != last and pairs[i][0] is each]
        if own:
            alphas = [each.alphas[pairs[i][1]] for i in own]
            small = narrowed(each.network, solver, each.data.X.shape[1], units, generator)
            rows = every if each.inputs is None else _encoded_by(each.inputs, every)
            each = replace(each, network=small, data=rows)
            members.append(_members(each, solver, settings, generator, alphas, [found[i] for i in own], main.inputs))
    weights = [torch.cat(parts).to(network.dtype) for parts in zip(*members, strict=True)] if members else []
    inputs = None if main.inputs is None else _of_columns(main.inputs, network)
    encoding = None if len(tried) == 1 else "standard" if inputs is None else "piecewise"
    temperature, loss = _temperature_and_loss(network, main.outputs[p], data)
    return Choice(main.alphas[p], temperature, weights, loss, encoding, inputs, found[last])


def _members(
    tried: Tried, solver: Any, settings: FitSettings, generator: torch.Generator, alphas: list[float],
    shares: list[float], inputs: PiecewiseLinear | None,
) -> list[Tensor]:  # fmt: skip
    """Networks of all rows with some penalties, whose outputs are multiplied by their shares; inputs as encoded."""
    data = replace(tried.data, trained=torch.arange(len(tried.data.X), device=tried.data.X.device)[None])
    weights = _trained(tried.network, solver, data, settings, generator, alphas)
    for number, share in enumerate(shares):
        A = tried.network.with_weights([W[number] for W in weights]).predict(data.X)
        unit = output_rms(tried.network.output, A, data.weight) if tried.network.output.has_classes else 1.0
        weights[-1][number] *= share / unit if unit > 0 else 0.0
    weights = data.in_place(weights)
    if inputs is not None and tried.inputs is None:
        weights[0] = torch.stack([inputs.weights_of(W, tried.network.intercept) for W in weights[0]])
    return weights


def _encoded(network: Network, data: Folded) -> tuple[PiecewiseLinear, Folded] | None:
    """A piecewise-linear encoding of the inputs, and the folds with it; None where it is none, or would cost much."""
    if network.inputs is None or network.inputs.projects or network.input_shape is not None:
        return None
    X = data.X[:, data.columns.argsort()]
    inputs = PiecewiseLinear.of(X)
    if not X.shape[1] < inputs.n_out <= MOST_PIECES:
        return None
    return inputs, _encoded_by(inputs, data)


def _encoded_by(inputs: PiecewiseLinear, data: Folded) -> Folded:
    """The rows in an encoding, the pieces of their columns in the order of these."""
    order = inputs.numbers(data.columns).to(data.X.device)
    return replace(data, X=inputs(data.X[:, data.columns.argsort()])[:, order], columns=order)


def _tried(
    network: Network, solver: Any, data: Folded, settings: FitSettings, generator: torch.Generator,
    alphas: list[float], hidden: list[int], inputs: PiecewiseLinear | None = None,
) -> Tried:  # fmt: skip
    """Networks of the folds with some penalties, and the best one."""
    small = narrowed(network, solver, data.X.shape[1], hidden, generator)
    weights = _trained(small, solver, data, settings, generator, alphas)
    choice, outputs = _best(small, weights, data, alphas)
    choice = choice._replace(members=[W.to(network.dtype) for W in choice.members])
    return Tried(choice, outputs, small, data, alphas, inputs)


def _trained(
    small: Network, solver: Any, data: Folded, settings: FitSettings, generator: torch.Generator, alphas: list[float]
) -> list[Tensor]:
    """Weights (G P, n_{l-1} + 1, n_l) of networks of each of the G groups of rows with each of the P penalties."""
    P, n, device = len(alphas), data.trained.shape[1], data.X.device
    count = n_batches(n, max(min(settings.batch_size, solver.default_batch_size(n)), solver.min_batch_samples))
    groups = len(data.trained)
    starts = [solver.initial_weights(small.layers, generator, torch.float32) for _ in range(groups * P)]
    weights = [torch.stack(each).to(device) for each in zip(*starts, strict=True)]
    epochs = min(settings.max_iter, MOST_EPOCHS)
    plan = Plan(
        l1_ratio=settings.l1_ratio,
        n_samples=n,
        n_updates=epochs * count,
        batch_size=-(-n // count),
        seed=generator.initial_seed(),
    )
    # As strong for a sample as in a fit to all rows of the folds.
    strengths = torch.tensor(alphas, device=device).repeat(groups) * n / len(data.X)
    sweep = solver.stack(small, weights, strengths, plan)
    deadline = math.inf if settings.max_time is None else time.perf_counter() + settings.max_time / SHARE
    for _ in range(epochs):
        for batch in data.batches(count, generator):
            if time.perf_counter() < deadline:
                sweep(*batch)
    return [W.clone() for W in sweep.means()]


def _best(network: Network, weights: list[Tensor], data: Folded, alphas: list[float]) -> tuple[Choice, Tensor]:
    """The penalty of the least loss on held-out rows, its temperature, and all networks, the best penalty's first.

    Weights (FOLDS P, n_{l-1} + 1, n_l) are of each fold's networks with each of the P penalties in turn.
    """
    P, output = len(alphas), network.output
    A = data.Y.new_zeros(P, *data.Y.shape, dtype=torch.float64)
    for number in range(FOLDS * P):
        member, held_out = network.with_weights([W[number] for W in weights]), data.held_out[number // P]
        unit = 1.0
        if output.has_classes:
            rows = data.trained[number // P]
            weight = None if data.weight is None else data.weight[rows]
            unit = output_rms(output, member.predict(data.X[rows]), weight)
        A[number % P, held_out] = member.predict(data.X[held_out]).double() / unit
    found = [_temperature_and_loss(network, each, data) for each in A]
    order = sorted(range(P), key=lambda p: found[p][1])
    temperature, loss = found[order[0]]
    if not math.isfinite(loss):
        return Choice(), A
    numbers = torch.tensor([fold * P + p for p in order for fold in range(FOLDS) if math.isfinite(found[p][1])])
    members = data.in_place([W[numbers.to(W.device)] for W in weights])
    return Choice(alphas[order[0]], temperature, members, loss), A


def _temperature_and_loss(network: Network, A: Tensor, data: Folded) -> tuple[float | None, float]:
    """Of outputs (n, k) for held-out rows: the temperature of the least loss, and that loss; infinite if it is NaN."""
    temperature, output = None, network.output
    if not bool(A.isfinite().all()):
        return None, math.inf
    if output.has_classes:
        temperature = fitted_temperature(output, A, data.Y, data.weight)
        output = replace(output, temperature=temperature)
    each = output.prediction_loss(A, data.Y.double())
    return temperature, float(weighted_mean(each, None if data.weight is None else data.weight.double()))
