"""Damped least-squares steps by a running Gram matrix of the inputs: the primal form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nmfnet.errors import DivergenceError
from nmfnet.linalg.blocks import Blocks
from nmfnet.linalg.cholesky import cholesky_inverse, damped_cholesky, damping_term
from nmfnet.linalg.holders import AtHand, batch_rows
from nmfnet.linalg.momentum import Momentum
from nmfnet.linalg.patches import Patches
from nmfnet.linalg.products import check_finite, inner_product
from nmfnet.linalg.statistics import Moments, symmetric, triangle, triangle_numbers
from nmfnet.stateful import State, Stateful


@dataclass(frozen=True)
class Penalty:
    """A penalty on weights as a least-squares step sees it.

    Attributes
    ----------
    gradient : Tensor of shape (n, k)
        Of the penalty at the weights, without the bias row.
    curvature : float
        Its second derivative, added to the damping term.
    """

    gradient: Tensor
    curvature: float


@dataclass(frozen=True)
class Step:
    """A step on the weights of a layer, for some of its outputs.

    Attributes
    ----------
    D : Tensor of shape (n + bias, their number)
    square : Tensor, a scalar
        Mean over samples of the squared length of ``[Z, 1] D``.
    """

    D: Tensor
    square: Tensor


class GramSolver(Stateful):
    """Steps ``(G + d I)^-1 Zt E / m`` on batches, with a running Gram matrix G of the inputs.

    G is centred where there is a bias row: the bias is fitted exactly and not damped, as in ridge regression.  G
    averages over the batches at which it is factorized again: every few of them, and whenever inputs have grown much.
    Of inputs that do not change it can be given once and for all, by :meth:`start`.

    Parameters
    ----------
    damping : float
        d, relative to the mean diagonal of G.
    bias : bool
        Whether steps have a bias row.
    momentum : float, default=0
        Of the right-hand sides ``Zt E / m`` and the biases.

    Attributes
    ----------
    retries : int
        Factorizations that failed and were repeated with ten times the damping.
    """

    memory: ClassVar[float] = 0.9  # share of the old G when a new one comes in
    refresh_samples: ClassVar[int] = 10_000  # between two factorizations, about,
    refresh_batches: ClassVar[int] = 10  # but at most so many batches
    early_updates: ClassVar[int] = 20  # in which every other one factorizes
    early_share: ClassVar[float] = 0.25  # of an update, after which these do where batches are shares of one
    exact_damping: ClassVar[float] = 1e-2  # below it the inverse may be too inexact to tell the length of a step
    growth: ClassVar[float] = 4.0  # of the inputs since the last factorization, after which G begins anew

    fields: ClassVar[tuple[str, ...]] = ("gram", "inverse", "ridge", "input_rms", "since", "retries")

    def __init__(self, damping: float, bias: bool, momentum: float = 0.0) -> None:
        self.damping, self.bias, self.momentum = damping, bias, Momentum(momentum)
        self.gram: Tensor | None = None
        self.inverse: Tensor | None = None
        self.ridge: Tensor | None = None
        self.input_rms: float | Tensor = 0.0  # at the last factorization
        self.since = 0.0  # updates since then
        self.retries = 0
        self.looks = True  # at what a device has computed
        self.size: Tensor | None = None  # mean square of inputs whose Gram matrix was given

    def start(self, gram: Tensor, size: Tensor) -> None:
        """Take the Gram matrix of all samples, for good: batches add nothing to it, and it is factorized once.

        Parameters
        ----------
        gram : Tensor of shape (n, n)
            Of all inputs, centred where there is a bias row.
        size : Tensor, a scalar
            Mean diagonal of the one that is not centred.
        """
        self.gram, self.size = gram, size

    def state(self) -> State:
        """The fields, and the running means."""
        return {**super().state(), "momentum": self.momentum.state()}

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        super().restore(state)
        self.momentum.restore(state["momentum"])

    def begin(self, looks: bool) -> None:
        """Begin an update, in which one `looks` at what a device has computed, or does not."""
        if looks and not self.looks and self.inverse is not None and not bool(self.inverse[0, 0]):
            self.inverse = None  # a factorization has failed unseen: it is repeated
            self.retries += 1
        self.looks = looks

    def forget(self) -> None:
        """Start the running means anew."""
        self.forget_matrices()
        self.momentum.forget()

    def forget_matrices(self) -> None:
        """Forget what was seen of the inputs, but not what was given."""
        if self.size is None:
            self.gram = self.inverse = None

    @classmethod
    def refresh_interval(cls, m: int) -> int:
        """Batches of m samples between two factorizations."""
        return min(cls.refresh_batches, max(1, cls.refresh_samples // m))

    @classmethod
    def regular(cls, m: int, update: int) -> bool:
        """Whether an update of whole batches of m samples factorizes, whatever its inputs."""
        early = update < cls.early_updates and update % 2 == 0
        return early or update % cls.refresh_interval(m) == 0

    def due(self, m: int, updates: float, input_rms: float | Tensor, share: float) -> bool:
        """Whether G is to take up a batch of m samples, whose inputs have such a root mean square.

        `updates` have been made so far, and the batch is a `share` of one.  Only who looks sees that inputs
        have grown.
        """
        if self.size is not None:
            return False
        if self.looks and input_rms > self.growth * self.input_rms:
            self.forget_matrices()
        due = self.expected(m, updates, share)
        self.since = 0.0 if due else self.since + share
        self.input_rms = input_rms if due else self.input_rms
        return due

    def expected(self, m: int, updates: float, share: float) -> bool:
        """What :meth:`due` will say, if inputs have not grown much."""
        if self.size is not None:
            return False
        if share < 1:  # of batches that overlap each has something new
            due = self.since + share >= (self.early_share if updates < self.early_updates else 1.0)
        else:
            due = self.regular(m, int(updates))
        return due or self.inverse is None

    def collect(
        self,
        Z: Tensor | Patches,
        E: Tensor | Blocks,
        weight: Tensor | None,
        updates: float,
        input_rms: float | Tensor | None,
        share: float = 1.0,
        at_hand: AtHand | None = None,
    ) -> Moments:
        """Statistics of a batch, to be reduced and given to :meth:`steps`.

        Who does not know the root mean square of the inputs yet asks :meth:`due` later.
        """
        m = batch_rows(len(E), at_hand)
        due = self.expected(m, updates, share) if input_rms is None else self.due(m, updates, input_rms, share)
        return Moments.of(Z, E, weight, self.bias, due, at_hand)

    def steps(self, sums: Moments, parts: Sequence[slice], penalty: Penalty | None = None) -> Iterator[Step]:
        """Steps from the reduced statistics of a batch, for one part of the outputs after another.

        Their lengths come from G, without a pass over Z.  The sums of products are written into.
        """
        n = sums.n.to(sums.cross.dtype)
        mean = None if sums.inputs is None else sums.inputs / n
        bias = None if sums.residuals is None else sums.residuals / n
        C = sums.cross.div_(n)  # as large as the weights: no copy
        if mean is not None and bias is not None:
            C = torch.zeros_like(C) if sums.alone else C.addr_(mean, bias, alpha=-1)
        curvature = 0.0 if penalty is None else penalty.curvature
        if self.size is not None and self.inverse is None:
            self._damp(self.size, curvature)
            self.factorize()
        elif sums.gram is not None:
            self.take_up(sums, curvature)
            self.factorize()
        if penalty is not None:
            C -= penalty.gradient
        C = self.momentum("right-hand side", C)
        bias = None if bias is None else self.momentum("bias", bias)
        assert self.inverse is not None
        for part in parts:
            D = C.new_empty(len(C) + self.bias, part.stop - part.start)
            weights = self._solved(C[:, part], D[: len(C)])
            square = self._square(C[:, part], weights)
            if mean is not None and bias is not None:
                square = bias[part].square().sum() + square
                torch.sub(bias[part], mean @ weights, out=D[-1])
            yield Step(D, square)

    def _solved(self, C: Tensor, out: Tensor) -> Tensor:
        """``(G + d I)^-1 C``, written into `out`."""
        assert self.inverse is not None
        if self.inverse.dtype == C.dtype:
            return torch.mm(self.inverse, C, out=out)
        return out.copy_(self.inverse @ C.to(self.inverse.dtype))

    def _square(self, C: Tensor, D: Tensor) -> Tensor:
        """``tr(Dt G D)``."""
        assert self.gram is not None and self.ridge is not None
        if self.damping < self.exact_damping:
            return inner_product(self.gram @ D, D)
        return inner_product(C, D) - self.ridge * inner_product(D, D)  # G D = C - d D, without another product

    def take_up(self, sums: Moments, curvature: float) -> None:
        """Let the Gram matrix of a batch, which is written into, into the running one: :meth:`factorize` is due."""
        assert sums.gram is not None
        count, inputs = (sums.n, sums.inputs) if sums.gram_n is None else (sums.gram_n, sums.gram_inputs)
        rows = count.to(sums.cross.dtype)
        G = sums.gram.div_(rows)
        size = G.diagonal().mean()
        if inputs is not None and not sums.alone:
            centre = inputs / rows
            G.addr_(centre, centre, alpha=-1)
        self.gram = G if self.gram is None else G.lerp_(self.gram, self.memory)
        self._damp(size, curvature)

    def _damp(self, size: Tensor, curvature: float) -> None:
        assert self.gram is not None
        self.ridge = damping_term(self.damping, self.gram.diagonal().mean(), size, curvature)
        self.inverse = None  # its memory is needed

    def factorize(self) -> None:
        """Invert the damped Gram matrix."""
        assert self.gram is not None and self.ridge is not None
        L, self.ridge, retries = damped_cholesky(self.gram, self.ridge, self.looks)
        self.inverse = cholesky_inverse(L, self.looks)
        self.retries += retries
        if self.size is not None and self.damping >= self.exact_damping:
            self.inverse = self.inverse.float()  # for directions that is enough, and takes half the time and memory

    def inverse_to_tell(self, mine: bool) -> Tensor:
        """A triangle of the inverse, the ridge and the retries, if it is `mine` to factorize, and otherwise zeros.

        NaN if that fails: then all ranks are to fail.
        """
        assert self.gram is not None
        if not mine:
            return self.gram.new_zeros(triangle_numbers(len(self.gram)) + 2)
        try:
            self.factorize()
        except DivergenceError:
            return self.gram.new_full((triangle_numbers(len(self.gram)) + 2,), torch.nan)
        assert self.inverse is not None and self.ridge is not None
        return torch.cat([triangle(self.inverse), torch.stack([self.ridge, self.ridge.new_tensor(self.retries)])])

    def take_inverse(self, told: Tensor) -> None:
        """Take what the rank has told that has factorized the matrix.

        Raises
        ------
        DivergenceError
            If it has failed.
        """
        assert self.gram is not None
        self.ridge = check_finite(told[-2:])[0].clone()
        self.retries = int(told[-1])
        self.inverse = symmetric(told[:-2], len(self.gram)).mT  # as LAPACK leaves it: products have the same bits
