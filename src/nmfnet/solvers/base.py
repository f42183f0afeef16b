"""What a solver is to the loop: its plan, its sweep, its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from nmfnet.data.scaling import Scaling
from nmfnet.data.source import Rows, Source
from nmfnet.layers import Layer
from nmfnet.network import Network
from nmfnet.network.drift import Rescaled
from nmfnet.network.outputs import Output
from nmfnet.stateful import State

Kind = Literal["classes", "labels", "real"]  # of targets


@dataclass(frozen=True)
class Plan:
    """What a solver may know before the first batch.

    Attributes
    ----------
    alpha, l1_ratio : float
        Penalty on the weights, against the loss summed over `n_samples`.
    n_samples : float
        The sum of their weights, where there are any.
    n_updates : int or None
        Batches planned; None where there is no plan.
    batch_size : int
        Samples in a batch.
    seed : int
        Of the solver's own random numbers.
    trained : bool
        Whether the network has been trained before.
    """

    alpha: float = 0.0
    l1_ratio: float = 0.0
    n_samples: float = 1
    n_updates: int | None = None
    batch_size: int = 0
    seed: int = 0
    trained: bool = False


class Sweep(Protocol):
    """An update of all weights of the network from a batch."""

    network: Network

    def __call__(self, X: Rows, Y: Tensor, sample_weight: Tensor | None = None, share: float = 1.0) -> Tensor:
        """Move the network's weights, and return the outputs from before.

        A `share` below 1 is of an update: the batch is as large as for one, but only so much of it is new.
        Solvers with ``takes_ranks = True`` are given an `at_hand`, too, where several processes hold the samples of a
        batch: which of them these are.  They reduce their sums by ``source.holders``.
        If it ends half-way, by Ctrl-C or an error, :meth:`weights` are as they were.
        """

    def weights(self) -> list[Tensor]:
        """Weights to predict with: the network's own, or an average.  Valid until the next call: copy to keep them."""

    def state(self) -> State:
        """All that calls change, the network's weights included; valid until the next call."""

    def restore(self, state: State) -> None:
        """Go on from a copy of a :meth:`state`."""

    @property
    def retries(self) -> int:
        """Factorizations so far that had to be repeated with more damping."""


class Solver(Protocol):
    """Settings of a way to train, and its conventions.

    :class:`nmfnet.Relaxed` and :class:`nmfnet.Pinv` are two; any object with these methods is as good, as
    ``NMFNetClassifier(solver=...)``.
    """

    @property
    def min_batch_samples(self) -> int:
        """Samples of a whole update: smaller batches come with the samples before, as a share of one."""

    @property
    def takes_sparse(self) -> bool:
        """Whether inputs may be SparseRows."""

    @property
    def penalizes_bias(self) -> bool:
        """Whether the L2 part of the penalty includes the biases."""

    def default_batch_size(self, n: int, real_values: int = 0) -> int:
        """Batch size for n samples, each with so many real target values, or positions in an image or a sequence."""

    def default_alpha(self, network: Network) -> float:
        """Strength of the penalty on the weights."""

    def output(self, kind: Kind) -> Output:
        """What the outputs mean for such targets."""

    def input_scaling(self, source: Source, kind: Kind, centre: bool, partial: bool) -> Scaling | None:
        """Scaling of the inputs, if any; `partial` where the source is but a part of them."""

    def target_scaling(self, source: Source, kind: Kind, centre: bool) -> Scaling | None:
        """Scaling of the targets, if any."""

    def initial_weights(self, layers: Sequence[Layer], generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
        """Weights to start from."""

    def prepare(self, network: Network, source: Source, plan: Plan) -> Sweep:
        """Look at the whole data once, and return the sweep over a batch."""

    def proceed(self, sweep: Sweep, source: Source, plan: Plan, rescaled: Rescaled | None = None) -> Sweep:
        """The sweep to go on with where other data follow: the same one, or one that is prepared for them.

        `rescaled` is its network with scalings that fit these data better, if there are any.
        """
