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
        Penalty on the weights, which is added to the loss summed over `n_samples`.
    n_samples : float
        Number of training samples; with weights of samples, their sum.
    n_updates : int or None
        Number of batches planned; None in `partial_fit`, which has no plan.
    batch_size : int
        Samples in a batch.
    seed : int
        Seed of the solver's own random numbers.
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
        """Update the network's weights, and return its outputs (m, n_L) from before the update.

        Parameters
        ----------
        X : Tensor or SparseRows of shape (m, n_0)
            Inputs of the batch.
        Y : Tensor of shape (m, n_L)
            Targets: one-hot rows for classes, 0 and 1 for labels, numbers for real targets.
        sample_weight : Tensor of shape (m,), optional
            Positive weights of the samples.
        share : float, default=1
            Below 1 the batch counts as this fraction of an update: only so much of it is new.

        Notes
        -----
        Solvers with ``takes_ranks = True`` also get `at_hand` if several processes hold the samples of a batch.  It
        says which of them these are.  Such solvers reduce their sums by ``source.holders``.
        If the call ends half-way, by Ctrl-C or an error, :meth:`weights` must be as before it.
        """

    def weights(self) -> list[Tensor]:
        """Weights to predict with: the network's own, or an average.  Valid until the next call; copy to keep them."""

    def state(self) -> State:
        """All that calls change, including the network's weights.  Valid until the next call; copy to keep it."""

    def restore(self, state: State) -> None:
        """Continue from a copy of a :meth:`state`."""

    @property
    def retries(self) -> int:
        """Number of decompositions so far that had to be repeated with more damping, and of rejected updates."""


class Solver(Protocol):
    """Interface of a solver: its settings and defaults, and how it makes a :class:`Sweep`.

    :class:`nmfnet.Relaxed` and :class:`nmfnet.Pinv` are two solvers.  ``NMFNetClassifier(solver=...)`` takes any
    object with these methods.  docs/extending.md has an example.
    """

    @property
    def min_batch_samples(self) -> int:
        """Samples of a whole update; smaller batches are filled up with earlier samples, and count as a share."""

    @property
    def takes_sparse(self) -> bool:
        """Whether inputs may be `SparseRows`; if not, sparse data are made dense."""

    @property
    def penalizes_bias(self) -> bool:
        """Whether the L2 part of the penalty includes the biases."""

    @property
    def message_bits(self) -> int:
        """Bits of a number in the matrices that several processes send each other; 0: all that it has."""

    def default_batch_size(self, n: int, real_values: int = 0, positions: int = 1) -> int:
        """Batch size for `n` samples, each with `real_values` target values and `positions` in an image."""

    def default_alpha(self, network: Network) -> float:
        """Strength of the penalty that ``alpha="auto"`` means."""

    def output(self, kind: Kind) -> Output:
        """Function and loss of the outputs for targets that are classes, labels or real."""

    def input_scaling(self, source: Source, kind: Kind, centre: bool, partial: bool) -> Scaling | None:
        """Scaling of the inputs, or None.  `centre`: there are biases.  `partial`: `source` is only the first part."""

    def target_scaling(self, source: Source, kind: Kind, centre: bool) -> Scaling | None:
        """Scaling of the targets, or None."""

    def initial_weights(self, layers: Sequence[Layer], generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
        """Weights to start from: a matrix for each layer, with the biases in the last row."""

    def prepare(self, network: Network, source: Source, plan: Plan) -> Sweep:
        """Return the sweep for a network.  This is called once for a fit, with all training data in `source`."""

    def proceed(self, sweep: Sweep, source: Source, plan: Plan, rescaled: Rescaled | None = None) -> Sweep:
        """Return the sweep to continue with when other data follow: the same one, or a new one for these data.

        `rescaled` is the network with scalings that suit these data better, or None if the old ones do.
        """
