"""What a fit has found out before its first epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from nmfnet.data.scaling import Scaling
from nmfnet.network import Network
from nmfnet.network.merging import merged
from nmfnet.stateful import State
from nmfnet.training.records import EpochRecord


class Choice(NamedTuple):
    """What held-out rows say of the data.

    Attributes
    ----------
    alpha : float or None
        The penalty; None where none was chosen.
    temperature : float or None
        Of outputs whose root mean square in training is 1.
    members : sequence of Tensor of shape (M, n_{l-1} + 1, n_l)
        Weights of each layer of networks to average with the one that is trained on all rows; empty for none.
    loss : float or None
        Of networks with that penalty, on rows that they have not seen.
    encoding : {"standard", "piecewise"} or None
        That of numbers which has the least loss; None where there was one alone.
    inputs : Scaling or None
        That of the inputs where it is another one than the network was made with, such as a piecewise-linear encoding.
    share : float or None
        Weight of the outputs of the network that is trained on all rows, in a sum with those of the members, which
        have some of its units; None for the mean of both.
    """

    alpha: float | None = None
    temperature: float | None = None
    members: Sequence[Tensor] = ()
    loss: float | None = None
    encoding: str | None = None
    inputs: Scaling | None = None
    share: float | None = None

    def with_members(self, count: int) -> Choice:
        """The same with so many of its members."""
        return self._replace(members=[W[:count] for W in self.members] if count and self.members else ())

    @property
    def n_members(self) -> int:
        """Networks that are averaged in the end."""
        return 1 + (len(self.members[0]) if self.members else 0)

    @property
    def divided(self) -> list[int]:
        """Units of each hidden layer that the members of a sum have of those that were asked for; empty for none."""
        return [] if self.share is None else [len(W) * W.shape[2] for W in self.members[:-1]]

    def record(self) -> EpochRecord:
        """What ``history_`` says of it."""
        if self.alpha is None or self.loss is None:
            return {} if self.share is None else EpochRecord(n_members=self.n_members, naive_bayes=True)
        record = EpochRecord(alpha=self.alpha, held_out_loss=self.loss, n_members=self.n_members)
        if self.encoding is not None:
            record["numeric_encoding"] = self.encoding
        return record

    def state(self) -> State:
        """All of it, by name, in matrices, but for the encoding, which the network has."""
        return {**self._asdict(), "members": [list(W) for W in self.members], "inputs": None}

    @classmethod
    def restored(cls, state: State) -> Choice:
        """Inverse of :meth:`state`."""
        return cls(**{**state, "members": [torch.stack(each) for each in state["members"]]})


def averaged(network: Network, members: Sequence[Tensor]) -> Network:
    """One network that predicts the mean of the outputs of this one and of the members."""
    if not members:
        return network
    each = [replace(network, weights=list(W), hidden=(), layers=()) for W in zip(*members, strict=True)]
    return merged([network, *each])
