"""The relaxed sweep of several ranks, who tell each other of a batch by one message, or two where inputs are moved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from nmfnet.data.source import Rows
from nmfnet.linalg.holders import AtHand, Holders, batch_rows
from nmfnet.linalg.owners import factorize_together
from nmfnet.linalg.sparse import SparseRows
from nmfnet.linalg.statistics import Moments, Question, answers, summed_moments
from nmfnet.solvers.relaxed.passes import Lengths, Pass, lengths_of
from nmfnet.solvers.relaxed.sweep import RelaxedSweep


class Told(NamedTuple):
    """What all ranks know of a batch after a message.

    Attributes
    ----------
    counts : list of Tensor
        For the adversary.
    lengths : list of Lengths
        Of all layers.
    statistics : list of (int, Moments)
        Layers that are trained, from the output down, and what their steps are made of.
    inputs : list
        Of the layers whose Gram matrices are not among the statistics.
    """

    counts: list[Tensor]
    lengths: list[Lengths]
    statistics: list[tuple[int, Moments]]
    inputs: list[Any]


class RankedSweep(RelaxedSweep):
    """As the sweep of one process, with the same result, but with fewer messages.

    One process decides one thing after another from sums over a batch: whether to accept it, which Gram matrices are
    due, how long steps are.  Here all of these sums go in one message, with the statistics that steps are made of.  If
    the batch is not accepted, these were formed in vain.  If the inputs of a layer turn out to have grown so much that
    its Gram matrix is due, this follows in another message.  Both are rare.

    Large Gram matrices are factorized by one rank each, who tells the others the inverse, also in another message.

    Where a layer takes a dual form, in which ranks exchange rows, messages follow each other as in one process.
    """

    @torch.no_grad()
    def __call__(
        self,
        X: Rows,
        Y: Tensor,
        sample_weight: Tensor | None = None,
        share: float = 1.0,
        at_hand: AtHand | None = None,
    ) -> Tensor:
        """Update the weights from those samples of a batch that are at hand."""
        m = batch_rows(len(Y), at_hand)
        if isinstance(X, SparseRows) or not self._all_primal(m):
            return super().__call__(X, Y, sample_weight, share, at_hand)
        network, Y, drawn = self.network, self.network.scaled_targets(Y), self.masks.state()
        begins, self.masks.at_hand = self._begin(share), at_hand
        forward = self._forward(X, network.weights)
        outputs = forward.A[-1]
        E = self.settings.tau * network.output.residual(Y, outputs)
        asked = self._loss(outputs, Y, sample_weight)
        shift, told = None, None
        if self.adversary.radius:
            away = self.adversary.shift(forward.Z[0], self._of_inputs(forward, E), sample_weight)
            loss, shift = answers(self.reduce, asked, away)
        else:
            told, (loss,) = self._told(m, forward, E, Y, sample_weight, asked)
        if not self._accepts(loss, X, Y, sample_weight, drawn):
            self._roll_back()
            return network.original_outputs(outputs)
        self.averaging.update(network.weights, self.looks.well)
        if told is None:
            forward = self._forward(X, network.weights, shift)
            E = self.settings.tau * network.output.residual(Y, forward.A[-1])
            told, _ = self._told(m, forward, E, Y, sample_weight)
        self.adversary.observe(told.counts, share)
        self._look(begins)
        for layer, statistics in self._factorized(self._completed(m, told, sample_weight)):
            self._step(layer, statistics, told.lengths[layer])
        self._finish()
        return network.original_outputs(outputs)

    def _all_primal(self, m: int) -> bool:
        """Whether steps on batches of m samples are made of sums over samples alone, in all layers."""
        return all(
            layer.shares_weights or solver.form_of_dense(m, layer.n_in, layer.n_out) == "primal"
            for layer, solver in zip(self.network.layers, self.solvers, strict=True)
        )

    def _told(
        self, m: int, forward: Pass, E: Tensor, Y: Tensor, sample_weight: Tensor | None, *loss: Question[Tensor]
    ) -> tuple[Told, list[Tensor]]:
        """What one message says of a pass with residuals E, and the loss, if that is asked for."""
        schedule = self.schedule
        due = [solver.primal.expected(m, schedule.updates, schedule.share) for solver in self.solvers]
        inputs = [None if known else at.rows for known, at in zip(due, forward.at, strict=True)]
        counts = self.adversary.counts(forward.A[-1], Y, sample_weight)
        lengths = lengths_of(forward, self.network.layers, self.solvers, sample_weight, self.looks.now)
        moments = self._moments(forward, E, sample_weight)
        counts, lengths, statistics, *found = answers(self.reduce, counts, lengths, moments, *loss)
        return Told(counts, lengths, statistics, inputs), found

    def _moments(self, forward: Pass, E: Tensor, sample_weight: Tensor | None) -> Question[list[tuple[int, Moments]]]:
        """Statistics of the layers that are trained, whose inputs are taken not to have grown much."""
        layers, found = zip(*self._statistics(forward, E, [None] * len(self.solvers), sample_weight), strict=True)
        summed = yield from summed_moments(list(found))
        return list(zip(layers, summed, strict=True))

    def _completed(self, m: int, told: Told, sample_weight: Tensor | None) -> list[tuple[int, Moments]]:
        """The statistics, with those Gram matrices that are due because inputs have grown."""
        schedule, found = self.schedule, dict(told.statistics)
        late = [
            layer
            for layer, moments in told.statistics
            if self.solvers[layer].primal.due(m, schedule.updates, told.lengths[layer].input_rms, schedule.share)
            and moments.gram is None
        ]
        if late:
            inputs = ((found[layer], told.inputs[layer]) for layer in late)
            asked = [moments.gram_sums(Z, sample_weight, self.masks.at_hand) for moments, Z in inputs]
            found |= zip(late, answers(self.reduce, *asked), strict=True)
        return list(found.items())

    def _factorized(self, statistics: list[tuple[int, Moments]]) -> list[tuple[int, Moments]]:
        """Without the Gram matrices, which the solvers have taken up and the ranks factorized together."""
        due = [self.solvers[layer].primal for layer, moments in statistics if moments.gram is not None]
        for layer, moments in statistics:
            if moments.gram is not None:
                strength = self._strength(self.network.layers[layer].positions)
                self.solvers[layer].primal.take_up(moments, strength * (1 - self.plan.l1_ratio))
        factorize_together(due, cast(Holders, self.reduce))
        return [(layer, replace(moments, gram=None)) for layer, moments in statistics]
