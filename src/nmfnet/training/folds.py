"""What held-out rows tell of small tables: the penalty, how sure outputs may be, and networks to average with."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from nmfnet.data.source import Source, n_batches
from nmfnet.network import Network
from nmfnet.network.calibration import fitted_temperature, output_rms
from nmfnet.solvers.base import Solver
from nmfnet.training.calibration import relative_temperature
from nmfnet.training.choice import Choice
from nmfnet.training.loop import planned
from nmfnet.training.settings import FitSettings

FOLDS = 4
PENALTIES = (0.0, 0.03, 0.1, 0.3, 1.0)  # in those that the solver expects of a table of such a size
AVERAGED = 2  # penalties, the best, whose networks are averaged
FEWEST_ROWS = 32
MOST_ROWS, MOST_NUMBERS = 20_000, 2**31  # of tables: rows, and rows times weights


@dataclass
class Folded:
    """Training rows in memory, scaled, and divided into folds.

    Attributes
    ----------
    X, Y : Tensor of shape (n, n_0) and (n, k)
        Scaled, in float32.
    weight : Tensor of shape (n,) or None
    held_out : list of Tensor
        Row numbers of each fold.
    trained : Tensor of shape (F, r)
        Row numbers that the networks of each fold are trained on: as many for each.
    """

    X: Tensor
    Y: Tensor
    weight: Tensor | None
    held_out: list[Tensor]
    trained: Tensor

    @classmethod
    def of(cls, network: Network, source: Source, generator: torch.Generator) -> Folded:
        """Random folds, with about as many rows of each class in each."""
        blocks = list(source.blocks())
        X = torch.cat([network.scaled_inputs(block.X).float() for block in blocks])
        Y = torch.cat([network.scaled_targets(block.Y).float() for block in blocks])
        weight = None if blocks[0].weight is None else torch.cat([block.weight.float() for block in blocks])
        order = torch.randperm(len(Y), generator=generator)
        if network.output.name == "softmax":
            order = order[Y.argmax(1).cpu()[order].sort(stable=True).indices]
        parts = [order[fold::FOLDS] for fold in range(FOLDS)]
        rest = [torch.cat(parts[:fold] + parts[fold + 1 :]) for fold in range(FOLDS)]
        n = min(map(len, rest))
        rest = [each[torch.randperm(len(each), generator=generator)[:n]] for each in rest]
        return cls(X, Y, weight, [part.to(X.device) for part in parts], torch.stack(rest).to(X.device))


def choose(
    network: Network, solver: Any, source: Source, settings: FitSettings, seed: int,
    n_members: int | Literal["auto"] = "auto", may_average: bool = True,
) -> Choice:  # fmt: skip
    """What a fit is to know before its first epoch, from folds of small tables, or from halves of other data.

    Parameters
    ----------
    network, solver, source, settings
        Of the fit; the network's weights are left alone.
    seed : int
        Of the folds and the weights.
    n_members : int or "auto", default="auto"
        Networks to average, the one that the fit is of included; with 1 there are no folds.
    may_average : bool, default=True
        Whether "auto" may average at all.
    """
    if n_members == 1 or not _suits_folds(network, solver, source, settings, n_members == "auto"):
        return Choice(temperature=relative_temperature(network, solver, source, settings, seed))
    choice = _from_folds(network, solver, source, settings, seed)
    kept = (len(choice.members[0]) if may_average else 0) if n_members == "auto" else n_members - 1
    return choice._replace(members=[W[:kept] for W in choice.members] if kept else ())


def _suits_folds(network: Network, solver: Any, source: Source, settings: FitSettings, auto: bool) -> bool:
    """Whether small networks on parts of the rows can be trained together, and cost little."""
    if not hasattr(solver, "stack") or settings.trained or source.is_sparse or not solver.stacks(network):
        return False
    if source.n_rows < FEWEST_ROWS:
        return False
    numbers = source.n_rows * sum(W.numel() for W in network.weights)
    return not auto or source.n_rows <= MOST_ROWS and numbers <= MOST_NUMBERS


def _from_folds(network: Network, solver: Any, source: Source, settings: FitSettings, seed: int) -> Choice:
    """Train networks like the one asked for on three quarters of the rows, with several penalties."""
    generator = torch.Generator().manual_seed(seed)
    data = Folded.of(network, source, generator)
    expected = solver.expected_alpha(network)
    alphas = [share * expected for share in PENALTIES] if settings.alpha == "auto" else [settings.alpha]
    n, rows = data.trained.shape[1], len(data.Y)
    size = min(settings.batch_size, solver.default_batch_size(n))
    count = n_batches(n, size)
    K = FOLDS * len(alphas)
    starts = [solver.initial_weights(network.layers, generator, torch.float32) for _ in range(K)]
    weights = [torch.stack(each).to(data.X.device) for each in zip(*starts, strict=True)]
    strengths = torch.tensor(alphas).repeat(FOLDS) * n / rows
    plan = replace(
        planned(replace(settings, alpha=0.0, batch_size=size, trained=False), source, generator, 1),
        n_samples=float(n), n_updates=settings.max_iter * count, batch_size=-(-n // count), seed=seed,
    )  # fmt: skip
    sweep = solver.stack(network, weights, strengths.to(data.X.device), plan)
    deadline = None if settings.max_time is None else time.perf_counter() + settings.max_time / 5
    fold = torch.arange(FOLDS).repeat_interleave(len(alphas))
    for _ in range(settings.max_iter):
        order = torch.stack([torch.randperm(n, generator=generator) for _ in range(FOLDS)]).to(data.X.device)
        for part in order.tensor_split(count, 1):
            if deadline is not None and time.perf_counter() >= deadline:
                break
            batch = data.trained.gather(1, part)
            weight = None
            if data.weight is not None:
                weight = data.weight[batch]
                weight = (weight / weight.mean(1, keepdim=True))[fold]
            sweep(data.X[batch][fold], data.Y[batch][fold], weight)
    return _chosen(network, sweep.means(), data, alphas)


def _chosen(network: Network, weights: list[Tensor], data: Folded, alphas: list[float]) -> Choice:
    P, A = len(alphas), data.Y.new_zeros(len(alphas), *data.Y.shape)
    single = replace(network, weights=[W[0] for W in weights], inputs=None, targets=None, layers=())
    rms = []
    for fold, held_out in enumerate(data.held_out):
        for p in range(P):
            member = single.with_weights([W[fold * P + p] for W in weights])
            A[p, held_out] = member.predict(data.X[held_out])
            rms.append(output_rms(network.output, member.predict(data.X[data.trained[fold]])))
    unit = torch.tensor(rms).view(FOLDS, P).square().mean(0).sqrt()
    losses = [_loss(network, A[p] / unit[p], data) if network.output.has_classes else _loss(network, A[p], data) for p in range(P)]
    order = sorted(range(P), key=lambda p: losses[p] if math.isfinite(losses[p]) else math.inf)
    best = order[:AVERAGED]
    temperature = None
    if network.output.has_classes:
        mean = A[best].mean(0)
        temperature = fitted_temperature(network.output, mean / unit[best].mean(), data.Y, data.weight)
    members = torch.tensor([fold * P + p for p in best for fold in range(FOLDS)])
    return Choice(alphas[best[0]], temperature, [W[members].to(network.dtype) for W in weights], losses[best[0]])


def _loss(network: Network, A: Tensor, data: Folded) -> float:
    output = network.output
    if output.has_classes:
        output = replace(output, temperature=fitted_temperature(output, A, data.Y, data.weight))
    each = output.prediction_loss(A.double(), data.Y.double())
    return float(each.mean() if data.weight is None else each @ data.weight.double() / data.weight.double().sum())
