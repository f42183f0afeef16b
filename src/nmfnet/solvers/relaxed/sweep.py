"""The relaxed sweep, ``solver="relaxed"``: small steps on weights and targets, from the output layer down.

The alternation is the paper's: a factor as the target of each layer, then a least-squares fit of its weights,
and no derivative of f anywhere.  docs/relaxed-steps.md explains each part and what is proved of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from nmfnet.data.source import Rows, Source
from nmfnet.data.words import stored_per_row
from nmfnet.layers.base import Linearization, kernel, skipped_inputs
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.linalg.gram_solver import Penalty
from nmfnet.linalg.holders import AtHand, Reducer, local
from nmfnet.linalg.penalties import gradient
from nmfnet.linalg.products import inner_product
from nmfnet.linalg.sparse import SparseRows
from nmfnet.linalg.statistics import Question, answers, reduced_together, total_weight, weighted_sum
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.adversary import Adversary
from nmfnet.solvers.relaxed.averaging import Averaging
from nmfnet.solvers.relaxed.covariance import input_covariance
from nmfnet.solvers.relaxed.defaults import CHECK_INTERVAL, MIN_OUTPUT_RMS, UNANCHORED_DELTA, Resolved
from nmfnet.solvers.relaxed.looks import Looks
from nmfnet.solvers.relaxed.masks import Masks, masking_value
from nmfnet.solvers.relaxed.passes import Lengths, Pass, lengths_of
from nmfnet.solvers.relaxed.safeguard import Safeguard
from nmfnet.solvers.relaxed.schedule import Schedule
from nmfnet.stateful import State, copied

T = TypeVar("T")


class RelaxedSweep:
    """One update of all weights from a batch, and the average of the weights so far.

    Parameters
    ----------
    settings : Resolved
        With a number for each "auto".
    network : Network
        Its weights are those that batches go through, and are written into.
    plan : Plan
    masking_value : Tensor of shape (n_0,), optional
        What a masked input becomes; left out, 0.
    reduce : callable, default=local
        Sums over the samples of all processes from those at hand.
    """

    def __init__(
        self, settings: Resolved, network: Network, plan: Plan, masking_value: Tensor | None = None,
        reduce: Reducer = local,
    ) -> None:  # fmt: skip
        self.settings, self.network, self.plan, self.reduce = settings, network, plan, reduce
        # Masking to 0 is the usual case, and takes fewer passes over X.
        self.masking_value = masking_value if masking_value is not None and bool(masking_value.any()) else None
        n = math.inf if plan.n_updates is None else plan.n_samples
        low_rank = network.output.name != "identity"  # real targets need the directions that one batch does not know
        self.solvers = [
            DampedLeastSquares(settings.damping, layer.bias, settings.momentum, n, low_rank)
            for layer in network.layers
        ]
        of_all, n_hidden = settings.dropout, len(network.layers) - 1
        self.dropout = of_all if isinstance(of_all, tuple) else (of_all,) * n_hidden
        self.schedule = Schedule(settings.delta, plan.n_updates, plan.trained)
        self.averaging = Averaging(network.weights, settings.averaging, self.schedule)
        self.safeguard = Safeguard()
        self.looks = Looks(network.weights[0].device, plan.n_updates is None)
        self.masks = Masks(plan.seed)
        self.adversary = Adversary(settings.adversarial, network, plan)

    def look_at(self, source: Source) -> None:
        """Let the first layer know all its inputs, where that spares it much: they stay what they are."""
        layer, solver, plan = self.network.layers[0], self.solvers[0], self.plan
        if source.is_sparse and source.holders.size > 1:  # ranks decide alike; a rank may have no rows of a batch
            solver.density = stored_per_row(source).mean / source.n_features
        fixed = layer.shares_weights or 0 in self.network.frozen
        if plan.n_updates is None or self.settings.noise or fixed:
            return
        if solver.wants_covariance(plan.batch_size, layer.n_in, layer.n_out):
            solver.primal.start(*input_covariance(self.network, source))

    @torch.no_grad()
    def __call__(
        self,
        X: Rows,
        Y: Tensor,
        sample_weight: Tensor | None = None,
        share: float = 1.0,
        at_hand: AtHand | None = None,
    ) -> Tensor:
        """Update the weights from a batch (b, n_0) and its targets (b, n_L), weighted by positive weights (b,).

        A `share` below 1 is a part of an update; `at_hand` says which samples of the batch these are, if not all.

        Returns
        -------
        Tensor of shape (b, n_L)
            Outputs from before the update, of the masked inputs.
        """
        network, Y, drawn = self.network, self.network.scaled_targets(Y), self.masks.state()
        begins, self.masks.at_hand = self._begin(share), at_hand
        forward = self._forward(X, network.weights)
        outputs = forward.A[-1]
        loss = self._found(self._loss(outputs, Y, sample_weight))
        if not self._accepts(loss, X, Y, sample_weight, drawn):
            self._roll_back()
            return network.original_outputs(outputs)
        self.averaging.update(network.weights, self.looks.well)
        E = self.settings.tau * network.output.residual(Y, outputs)  # T[L] - Z[L]
        if self.adversary.radius:
            forward, E = self._adversarial(X, Y, forward, E, sample_weight)
        self.adversary.observe(self._found(self.adversary.counts(forward.A[-1], Y, sample_weight)), share)
        self._look(begins)
        lengths = self._found(lengths_of(forward, network.layers, self.solvers, sample_weight, self.looks.now))
        rms = [each.input_rms for each in lengths]
        for layer, statistics in self._reduced(self._statistics(forward, E, rms, sample_weight)):
            self._step(layer, statistics, lengths[layer])
            del statistics  # a matrix, while the next is formed
        self._finish()
        return network.original_outputs(outputs)

    def weights(self) -> list[Tensor]:
        """The average of the weights so far; valid until the next call."""
        self.averaging.update(self.network.weights, self.looks.well)
        return self.averaging.mean

    @property
    def retries(self) -> int:
        """Factorizations that needed more damping than asked for, and updates that were rejected."""
        return self.schedule.rejected + sum(solver.retries for solver in self.solvers)

    @property
    def _parts(self) -> dict[str, Any]:
        """Those with a state of their own, by name."""
        names = ("schedule", "averaging", "safeguard", "looks", "masks", "adversary")
        return {name: getattr(self, name) for name in names}

    def state(self) -> State:
        """All that calls change: weights, their average, Gram matrices, counts, random numbers."""
        parts = {name: part.state() for name, part in self._parts.items()}
        solvers = [solver.state() for solver in self.solvers]
        given = {"alpha": self.plan.alpha}  # which the data may have chosen
        masking = {"noise": self.settings.noise, "masking_value": self.masking_value}  # of a stream's first samples
        return {**parts, **given, **masking, "weights": self.network.weights, "solvers": solvers}

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        self.network.weights[:] = copied(state["weights"])
        for name, part in self._parts.items():
            part.restore(state.get(name, part.state()))  # files of earlier versions have no looks
        for solver, stored in zip(self.solvers, state["solvers"], strict=True):
            solver.restore(stored)
        self.settings = replace(self.settings, noise=float(state["noise"]))
        self.plan = replace(self.plan, alpha=float(state.get("alpha", self.plan.alpha)))
        self.masking_value = copied(state["masking_value"])

    def rescale(self, network: Network, carry: Callable[[list[Tensor]], list[Tensor]], source: Source) -> None:
        """Go on with the scalings of another network, with the weights that `carry` makes of one's own."""
        self.averaging.mean = carry(self.averaging.mean)
        self.network = replace(network, weights=carry(self.network.weights))
        for solver in self.solvers:
            solver.forget()
        self.safeguard, self.schedule.delta = Safeguard(), self.schedule.start_delta
        if self.masking_value is not None:
            self.masking_value = masking_value(source)

    def _begin(self, share: float) -> int | None:
        """Begin a share of an update; the number of the update, unless it has begun before."""
        begins = self.schedule.begin(share)
        self.looks.begin(begins, self.safeguard.knows_nothing)
        for solver in self.solvers:
            solver.begin(self.looks.now)
        if self.looks.now and self.looks.found_undone():
            self._roll_back()
        return begins

    def _forward(self, X: Rows, weights: list[Tensor], shift: Tensor | None = None) -> Pass:
        """Forward pass of masked inputs, moved by a `shift` if there is one."""
        network = self.network
        X = self._masked(X) if self.settings.noise else X
        Z, M = [network.scaled_inputs(X)], list[Tensor | None]([None])
        A, at = list[Tensor](), list[Linearization]()
        if shift is not None:
            Z[0] = shift.add_(Z[0])
        for number, (layer, W) in enumerate(zip(network.layers, weights, strict=True)):
            if number:
                Z.append(network.activations[number - 1](A[-1]))
                dropout = self.dropout[number - 1]
                mask = self.masks(Z[-1], dropout, layer.mask_shape(tuple(Z[-1].shape[1:]))) if dropout else None
                M.append(mask)
                if mask is not None:
                    Z[-1].mul_(mask)
            outputs, linearization = layer.linearize(Z[-1], W, skipped_inputs(layer, at))
            A.append(outputs)
            at.append(linearization)
        return Pass(Z, A, M, at)

    def _masked(self, X: Any) -> Any:
        """Inputs (b, n_0), some of them set to the masking value."""
        if isinstance(X, SparseRows):
            return X.with_values(self.masks.of_stored(X, self.settings.noise, self.reduce) * X.values)
        mask = self.masks(X, self.settings.noise)
        if self.masking_value is None:
            return mask * X
        return torch.addcmul(self.masking_value, mask, X - self.masking_value)

    def _found(self, question: Question[T]) -> T:
        """The answer to one question, over all samples of a batch."""
        return answers(self.reduce, question)[0]

    def _loss(self, outputs: Tensor, Y: Tensor, sample_weight: Tensor | None) -> Question[Tensor]:
        """Mean loss of a batch, a scalar."""
        loss = weighted_sum(self.network.output.loss(outputs, Y), sample_weight)
        n, loss = yield [total_weight(Y, sample_weight), loss]
        return loss / n.to(loss.dtype)

    def _accepts(self, loss: Tensor, X: Rows, Y: Tensor, sample_weight: Tensor | None, drawn: State) -> bool:
        """Whether to go on from weights with such a loss of a batch, whose masks were `drawn`."""
        if not self.looks.now:
            self.looks.well = loss <= self.safeguard.most
            return True
        self.looks.well = None
        accepted = self.safeguard.accepts(float(loss))
        if not accepted and self._diverged(float(loss), X, Y, sample_weight, drawn):
            return False
        if not accepted:
            self.safeguard.reset()  # for what the data are now
        return True

    def _diverged(self, loss: float, X: Rows, Y: Tensor, sample_weight: Tensor | None, drawn: State) -> bool:
        """Whether the loss of a batch is so large because of the steps; looked at with the masks of that loss."""
        self.masks.restore(drawn)
        average = self._forward(X, self.averaging.mean).A[-1]
        of_average = float(self._found(self._loss(average, Y, sample_weight)))
        return self.safeguard.diverged(
            loss, of_average, lambda: float(self._found(self._loss(torch.zeros_like(Y), Y, sample_weight)))
        )

    def _look(self, begins: int | None) -> None:
        """Every few updates, of which one may begin, go on with the running loss, and let the adversary decide."""
        if self.looks.now and begins is not None and begins % CHECK_INTERVAL == 0:
            self.safeguard.observe(self.safeguard.newest)
            self.adversary.decide()

    def _adversarial(
        self, X: Rows, Y: Tensor, forward: Pass, E: Tensor, sample_weight: Tensor | None
    ) -> tuple[Pass, Tensor]:
        """Pass of the inputs moved away from their targets, and its residual."""
        shift = self._found(self.adversary.shift(forward.Z[0], self._of_inputs(forward, E), sample_weight))
        forward = self._forward(X, self.network.weights, shift)
        return forward, self.settings.tau * self.network.output.residual(Y, forward.A[-1])

    def _of_inputs(self, forward: Pass, E: Tensor) -> Tensor:
        """Target minus value of the inputs, from that of the outputs, E."""
        skips = dict[int, Tensor]()
        for layer in reversed(range(len(self.network.layers))):
            E = self._difference_below(layer, forward.at[layer].columns(E), forward, skips)
        return E

    def _difference_below(self, layer: int, E: Any, forward: Pass, skips: dict[int, Tensor]) -> Tensor:
        """Target minus value of a layer's inputs, from that of its outputs, E; in the memory of A below.

        An addition hands E to both of its branches: `skips` has what skip connections carry, by the layer they go to.
        """
        this, W, skip = forward.at[layer], self.network.weights[layer], self.network.layers[layer].skip
        if skip:
            skips[layer + 1 - skip] = E
        skipped = skips.pop(layer, None)
        if not layer:  # inputs have no pre-activations: their target is Z + E Wt
            return this.carry(E, W)
        f = self.network.activations[layer - 1]
        below = this.carry(E, W, onto=f.base_(forward.A[layer - 1]), skip=skipped)
        return f.change_(below, forward.Z[layer], forward.M[layer])  # f(A + E Wt) - f(A)

    def _statistics(
        self, forward: Pass, E: Tensor, rms: Sequence[float | Tensor | None], sample_weight: Tensor | None
    ) -> Iterator[tuple[int, Any]]:
        """Layers that are trained, from the output down, and what their steps on the differences E are made of.

        Targets are of weights from before the update, so that a layer may move as soon as its statistics are there.
        `rms` are the root mean squares of the inputs of the layers, where they are known.
        """
        network, lowest, schedule = self.network, self.network.lowest_trained, self.schedule
        at_hand = None if self.reduce is local else self.masks.at_hand
        skips = dict[int, Tensor]()
        for layer in reversed(range(lowest, len(network.layers))):
            at = forward.at[layer]
            columns = at.columns(E)
            below = self._difference_below(layer, columns, forward, skips) if layer > lowest else E
            if layer not in network.frozen:
                given = schedule.updates, rms[layer], schedule.share, at_hand
                yield layer, self.solvers[layer].collect(at.rows, columns, sample_weight, *given)
            E = below
            forward.pop()

    def _reduced(self, statistics: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        """Statistics over all samples: one by one where all are at hand, else all of them by one message."""
        if self.reduce is local:
            return statistics
        layers, found = zip(*statistics, strict=True)
        return zip(layers, reduced_together(found, self.reduce), strict=True)

    def _step(self, layer: int, statistics: Any, lengths: Lengths) -> None:
        """Move weights by a damped least-squares step D, so that Z D is a share delta of the size of A."""
        this, W, solver = self.network.layers[layer], self.network.weights[layer], self.solvers[layer]
        parts = solver.parts(this.n_in, this.n_out)
        # At most UNANCHORED_DELTA at once: the rest of delta comes through the average.
        delta = self.schedule.step * min(self.schedule.delta, UNANCHORED_DELTA)
        steps = solver.steps(statistics, parts, self._penalty(kernel(W, this.bias), this.positions))
        for part, length, step in zip(parts, lengths.outputs, steps, strict=True):
            if layer == len(self.network.layers) - 1:
                length = length.clamp(min=MIN_OUTPUT_RMS * (part.stop - part.start) ** 0.5)
            factor = delta * length / step.square.clamp(min=0).sqrt()
            W[:, part].addcmul_(step.D, factor.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))
        self.averaging.anchored(layer, W)

    def _penalty(self, W: Tensor, positions: int) -> Penalty | None:
        """The penalty on weights W, without biases, as a step sees it: beside means over the rows of all samples."""
        strength, l1_ratio = self._strength(positions), self.plan.l1_ratio
        return Penalty(strength * gradient(W, l1_ratio), strength * (1 - l1_ratio)) if strength else None

    def _strength(self, positions: int) -> float:
        return self.plan.alpha / (self.plan.n_samples * positions) * self.settings.tau

    def _finish(self) -> None:
        """Accept the update if its weights are finite, else roll it back: all layers or none."""
        # Finite sums of squares bound the weights and all means of them.
        finite = torch.stack([inner_product(W, W) for W in self.network.weights]).isfinite().all()
        if not self.looks.now:
            self.looks.keep_finite(self.network.weights, finite, self.averaging.mean)
        elif not finite:
            return self._roll_back()
        self.averaging.announce()
        self.schedule.accept()

    def _roll_back(self) -> None:
        """Go back to the average, and on with half the step."""
        self.schedule.reject()
        self.averaging.restart(self.network.weights)
        self.safeguard.reset()  # the next batch goes through the average: it is to learn from it, whatever its loss
        for solver in self.solvers:
            solver.forget()
