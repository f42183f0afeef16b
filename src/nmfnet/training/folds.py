"""What held-out rows tell of small tables: the penalty, how sure outputs may be, and networks to average with."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from nmfnet.data.contents import by_contents, drawn_by_contents
from nmfnet.data.piecewise import PiecewiseLinear
from nmfnet.data.source import Source, n_batches
from nmfnet.layers import build_layers
from nmfnet.linalg.products import weighted_mean
from nmfnet.network import Network
from nmfnet.network.calibration import fitted_temperature, output_rms
from nmfnet.solvers.base import Plan
from nmfnet.training.calibration import SHARE, by_class, relative_temperature
from nmfnet.training.choice import Choice
from nmfnet.training.scoring import Predicted, whole
from nmfnet.training.settings import FitSettings

FOLDS = 4
PENALTIES = (0.0, 0.03, 0.3, 1.0, 3.0)  # in the solver's unit: the best one hardly depends on the width,
FOLD_UNITS = 64  # so that networks of the folds need no more units than these in a hidden layer
MOST_MEMBERS = 1 + FOLDS * len(PENALTIES)
FEWEST_ROWS, MOST_ROWS = 32, 20_000  # of the tables that "auto" makes folds of,
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
        Networks to average, the one that the fit is of included.  "auto" averages the folds' networks of the best
        penalty with it where the folds have all rows.
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
    wanted = auto or n_members != 1 or settings.alpha == "auto"
    if rows and wanted and (n_members not in (1, "auto") or source.n_rows <= MOST_ROWS):
        choice = _from_folds(network, solver, source, settings, seed, rows, encodes and n_members in (1, "auto"))
    if choice is None and n_members not in (1, "auto"):
        raise ValueError(
            f"n_members={n_members} needs solver='relaxed', fully-connected layers, dense inputs, {FEWEST_ROWS} "
            "different samples and a training from the start: use n_members=1 or 'auto'."
        )
    if choice is None:
        return Choice(temperature=relative_temperature(network, solver, source, settings, seed))
    if auto:
        whole = rows == source.n_rows and settings.max_iter <= MOST_EPOCHS
        return choice.with_members(FOLDS if averages and whole else 0)
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
    widths = [source.n_features, *_hidden(network), source.n_outputs]
    affordable = MOST_NUMBERS // sum(a * b for a, b in pairwise(widths))
    rows = min(source.n_rows, MOST_FOLDED, affordable)
    return rows if rows >= min(source.n_rows, FEWEST_FOLDED) else 0


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
        scaled = [
            Predicted(network.scaled_inputs(X).float(), network.scaled_targets(Y).float(), weight)
            for X, Y, weight in source.blocks()
        ]
        device, (X, Y, weight) = source.device, whole(source, scaled)
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
        order = torch.stack([torch.randperm(n, generator=generator) for _ in range(FOLDS)]).to(self.X.device)
        for part in order.tensor_split(count, 1):
            rows = self.trained.gather(1, part)
            weight = None if self.weight is None else self.weight[rows]
            yield self.X[rows], self.Y[rows], None if weight is None else weight / weight.mean(1, keepdim=True)


def _parts(Y: Tensor, classes: bool, generator: torch.Generator) -> list[Tensor]:
    """Row numbers of each fold, in ascending order."""
    order = torch.randperm(len(Y), generator=generator)
    order = by_class(order, Y.argmax(1)) if classes else order
    return [order[fold::FOLDS].sort().values for fold in range(FOLDS)]


def narrowed(network: Network, solver: Any, n_in: int, generator: torch.Generator) -> Network:
    """A network like another with at most FOLD_UNITS units in a hidden layer, of scaled inputs, in float32."""
    n_out, hidden = network.weights[-1].shape[1], _hidden(network)
    layers = build_layers(hidden, n_in, n_out, network.intercept)
    weights = solver.initial_weights(layers, generator, torch.float32)
    return replace(network, weights=weights, hidden=hidden, layers=layers, inputs=None, targets=None)


def _hidden(network: Network) -> list[int]:
    """Units of the hidden layers of the networks of the folds."""
    return [min(W.shape[1], FOLD_UNITS) for W in network.weights[:-1]]


def _from_folds(
    network: Network, solver: Any, source: Source, settings: FitSettings, seed: int, rows: int, encodes: bool
) -> Choice | None:
    """Train networks like the one asked for on three quarters of the rows, with several penalties and encodings.

    An encoding makes more weights: it wants the penalty that is best without it, or the next stronger one.
    """
    generator = torch.Generator().manual_seed(seed)
    data = Folded.of(network, source, rows, generator)
    if data is None:
        return None
    unit = solver.penalty_unit(network)
    alphas = [share * unit for share in PENALTIES] if settings.alpha == "auto" else [settings.alpha]
    choice = _tried(network, solver, data, settings, generator, alphas)
    found = _encoded(network, solver, data) if encodes and choice.alpha is not None else None
    if found is None:
        return choice
    inputs, encoded = found
    best = alphas.index(choice.alpha)
    other = _tried(network, solver, encoded, settings, generator, alphas[best : best + 2])
    if other.loss is None or choice.loss is None or not other.loss < choice.loss:
        return choice._replace(encoding="standard")
    return other._replace(encoding="piecewise", inputs=inputs)


def _encoded(network: Network, solver: Any, data: Folded) -> tuple[PiecewiseLinear, Folded] | None:
    """A piecewise-linear encoding of the inputs, and the folds with it; None where it is none, or would cost much."""
    if network.inputs is None or network.inputs.projects or network.input_shape is not None:
        return None
    X = data.X[:, data.columns.argsort()]
    inputs = PiecewiseLinear.of(X)
    if not X.shape[1] < inputs.n_out <= MOST_PIECES:
        return None
    order = inputs.numbers(data.columns).to(X.device)
    encoded = inputs.after(network.inputs, network.dtype)
    return encoded, replace(data, X=inputs(X)[:, order], columns=order)


def _tried(
    network: Network, solver: Any, data: Folded, settings: FitSettings, generator: torch.Generator, alphas: list[float]
) -> Choice:
    """The best of some penalties."""
    small = narrowed(network, solver, data.X.shape[1], generator)
    P, n, device = len(alphas), data.trained.shape[1], data.X.device
    count = n_batches(n, max(min(settings.batch_size, solver.default_batch_size(n)), solver.min_batch_samples))
    starts = [solver.initial_weights(small.layers, generator, torch.float32) for _ in range(FOLDS * P)]
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
    strengths = torch.tensor(alphas, device=device).repeat(FOLDS) * n / len(data.X)
    sweep = solver.stack(small, weights, strengths, plan)
    deadline = math.inf if settings.max_time is None else time.perf_counter() + settings.max_time / SHARE
    for _ in range(epochs):
        for batch in data.batches(count, generator):
            if time.perf_counter() < deadline:
                sweep(*(None if each is None else each.repeat_interleave(P, 0) for each in batch))
    choice = _best(small, sweep.means(), data, alphas)
    return choice._replace(members=[W.to(network.dtype) for W in choice.members])


def _best(network: Network, weights: list[Tensor], data: Folded, alphas: list[float]) -> Choice:
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
        return Choice()
    numbers = torch.tensor([fold * P + p for p in order for fold in range(FOLDS) if math.isfinite(found[p][1])])
    return Choice(alphas[order[0]], temperature, data.in_place([W[numbers.to(W.device)] for W in weights]), loss)


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
