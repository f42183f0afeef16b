"""What is trained, by the numbers that costs follow from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from nmfnet.data.source import Source, n_batches
from nmfnet.layers import Dense
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.linalg.gram_solver import GramSolver
from nmfnet.network import Network
from nmfnet.solvers.base import Plan
from nmfnet.solvers.relaxed.adversary import Adversary
from nmfnet.solvers.relaxed.defaults import UNANCHORED_DELTA, Resolved
from nmfnet.training.scoring import recorded_rows

# Of a layer's least squares; "given" is primal with one Gram matrix for all batches.
Form = Literal["primal", "given", "earlier batch", "dual"]


class LayerSizes(NamedTuple):
    """A fully-connected layer: inputs of a unit, the bias not among them, units, and the form of its least squares."""

    n_in: int
    n_out: int
    form: Form = "primal"
    parts: int = 1  # of the units, whose steps are scaled together


@dataclass(frozen=True)
class Task:
    """A training with ``solver="relaxed"`` of a fully-connected network on dense samples.

    Attributes
    ----------
    layers : tuple of LayerSizes
        From the first one to the outputs.
    rows, batch_size, epochs : int
        Samples, most of them in a batch, passes over them.
    n_features : int
        Columns of the inputs; where they are more than the first layer has inputs, components take their place.
    recorded, validation : int
        Training samples that losses are recorded of after an epoch, and those of a validation set.
    noise : bool
        Whether inputs are masked.
    dropout : bool
        Whether hidden units are.
    adversarial, undecided : bool
        Whether inputs are moved; whether that is still open, so that errors are counted in training.
    momentum, penalty, anchored : bool
        Whether right-hand sides have momentum, weights a penalty, and steps are more than are taken at once.
    number_bytes : int
        4 for float32, 8 for float64.
    message_bits : int
        Bits of a number in the right-hand sides and Gram matrices that ranks send; 0: all of them.
    """

    layers: tuple[LayerSizes, ...]
    rows: int
    batch_size: int
    epochs: int
    n_features: int
    recorded: int = 0
    validation: int = 0
    noise: bool = False
    dropout: bool = False
    adversarial: bool = False
    undecided: bool = False
    momentum: bool = False
    penalty: bool = False
    anchored: bool = False
    number_bytes: int = 4
    message_bits: int = 0

    @classmethod
    def of(
        cls, network: Network, resolved: Resolved, source: Source, plan: Plan, epochs: int, validation: int = 0,
        message_bits: int = 0,
    ) -> Task:  # fmt: skip
        """Of a network with its settings, its samples and its plan; `validation` samples are scored after each epoch.

        Raises
        ------
        ValueError
            If layers are convolutions, or inputs sparse.
        """
        if source.is_sparse or not all(isinstance(layer, Dense) for layer in network.layers):
            raise ValueError("A plan is for dense inputs and fully-connected layers.")
        adversary = Adversary(resolved.adversarial, network, plan)
        low_rank, layers = network.output.name != "identity", []
        for number, layer in enumerate(network.layers):
            solver = DampedLeastSquares(resolved.damping, layer.bias, n_samples=plan.n_samples, low_rank=low_rank)
            given = not number and not resolved.noise and solver.wants_covariance(
                plan.batch_size, layer.n_in, layer.n_out
            )  # fmt: skip
            form = "given" if given else solver.form_of_dense(plan.batch_size, layer.n_in, layer.n_out)
            parts = len(solver.parts(layer.n_in, layer.n_out))
            layers.append(LayerSizes(layer.n_in, layer.n_out, form, parts))  # type: ignore[arg-type]
        dropout = resolved.dropout if isinstance(resolved.dropout, tuple) else (resolved.dropout,)
        return cls(
            tuple(layers), source.n_rows, plan.batch_size, epochs, source.n_features,
            recorded=recorded_rows(source.n_rows), validation=validation, noise=bool(resolved.noise),
            dropout=len(layers) > 1 and any(dropout), adversarial=bool(adversary.radius),
            undecided=not adversary.settled, momentum=bool(resolved.momentum), penalty=bool(plan.alpha),
            anchored=resolved.delta > UNANCHORED_DELTA, number_bytes=source.dtype.itemsize,
            message_bits=message_bits,
        )  # fmt: skip

    def with_adversary(self) -> Task:
        """The same while inputs are moved."""
        return replace(self, adversarial=True)

    @property
    def updates(self) -> int:
        """Of an epoch."""
        return n_batches(self.rows, self.batch_size)

    @property
    def batch_rows(self) -> float:
        """Samples of a batch, on average: batches are of about equal size."""
        return self.rows / self.updates

    @property
    def projects(self) -> bool:
        """Whether the network sees principal components of its inputs."""
        return self.n_features > self.layers[0].n_in

    @property
    def weights(self) -> int:
        """Weights of all layers, biases included."""
        return sum((layer.n_in + 1) * layer.n_out for layer in self.layers)

    def refreshes(self, form: Form) -> float:
        """Batches of an epoch whose inputs the Gram matrix takes up, on average over all epochs.

        Every other one of the first updates, then one in an interval.  Those that inputs grown fourfold cause are not
        foreseen.
        """
        if form == "given":
            return 1 / self.epochs
        if form == "dual":
            return self.updates
        total, early = self.epochs * self.updates, GramSolver.early_updates
        interval = GramSolver.refresh_interval(max(1, int(self.batch_rows)))
        due = {*range(0, min(early, total), 2), *range(0, total, interval)}
        return len(due) / self.epochs
