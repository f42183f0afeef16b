"""What a solver is to the loop: its plan, its sweep, its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias

from torch import Tensor

from nmfnet.data.scaling import Scaling
from nmfnet.network import Network
from nmfnet.network.outputs import Output

Kind = Literal["classes", "labels", "real"]  # of targets
State: TypeAlias = dict[str, Any]  # of tensors, numbers, text, None, and lists and dicts of them


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
        Whether the network has been trained before.  Its weights may then be those of others, too, and are left alone.
    sample_weight : Tensor of shape (n,), optional
        Of all samples; positive.
    """

    alpha: float = 0.0
    l1_ratio: float = 0.0
    n_samples: float = 1
    n_updates: int | None = None
    batch_size: int = 0
    seed: int = 0
    trained: bool = False
    sample_weight: Tensor | None = None


class Sweep(Protocol):
    """An update of all weights of the network from a batch."""

    def __call__(self, X: Tensor, Y: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Move the network's weights, and return the outputs from before.

        If it ends half-way, by Ctrl-C or an error, :meth:`weights` are as they were.
        """

    network: Network

    def fork(self) -> Self:
        """A copy, whose calls leave this one as it is."""

    def weights(self) -> list[Tensor]:
        """Weights to predict with: the network's own, or an average that goes on while the list is held.

        No other than finite weights may enter an average: the list is what training goes back to if it fails.
        """

    def lend(self) -> list[Tensor]:
        """The same as of now: neither the list nor its tensors will change."""

    def state(self) -> State:
        """All that calls change, the network's weights included."""

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""

    @property
    def retries(self) -> int:
        """Factorizations so far that had to be repeated with more damping."""


class Solver(Protocol):
    """What the loop and the estimators ask of a solver's settings; see :class:`nmfnet.Pinv` for one."""

    fewest_samples: ClassVar[int]  # in a batch, with which it learns well
    keeps_state: ClassVar[bool]  # whether a sweep can go on with other data
    takes_sparse: ClassVar[bool]  # whether X may be SparseRows
    penalizes_bias: ClassVar[bool]  # whether the L2 part of the penalty includes the biases

    def default_batch_size(self, n: int, real_values: int = 0) -> int:
        """Batch size for n samples, each with so many real target values."""

    def default_alpha(self, network: Network) -> float:
        """Strength of the penalty on the weights."""

    def output(self, kind: Kind) -> Output:
        """What the outputs mean for such targets."""

    def scaling(
        self, X: Tensor, kind: Kind, centre: bool, partial: bool, sample_weight: Tensor | None = None
    ) -> Scaling | None:
        """Scaling of the inputs, if any."""

    def prepare(self, network: Network, X: Tensor, plan: Plan) -> Sweep:
        """Look at the whole data once, and return the sweep over a batch."""
