"""The paper's sweep, ``solver="pinv"``: one mini-batch, from the output layer down to the first.

Sakurai, Imakura, Inoue, Futamura (2016), section 3; the bias row and the Tikhonov term are from the
same group's later work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from nmfnet._parameters import check_settings
from nmfnet.data.scaling import Scaling
from nmfnet.data.source import Rows, Source
from nmfnet.factorization import nonlinear_least_squares, nonlinear_z_step, semi_nmf_z_step
from nmfnet.layers import Layer, Linearization
from nmfnet.layers.activations import Activation, get_activation
from nmfnet.linalg import TruncatedSVD, affine, singular_basis, truncated_svd, weighted, with_ones
from nmfnet.linalg.blocks import Blocks
from nmfnet.linalg.holders import AtHand, Holders, local, summed
from nmfnet.linalg.patches import Patches
from nmfnet.network import Network
from nmfnet.network.drift import Rescaled
from nmfnet.network.initialization import initial_weights
from nmfnet.network.outputs import Output
from nmfnet.solvers.base import Kind, Plan
from nmfnet.stateful import State, copied

FirstLayer = Callable[[Tensor, Tensor | None], tuple[TruncatedSVD, float]]


@dataclass
class Pinv(BaseEstimator):
    """Settings of the paper's solver, for ``NMFNetClassifier(solver=Pinv(n_w=25))``.

    docs/method.md describes the method.

    Parameters
    ----------
    n_w : int, default=10
        Steps on the weights of each hidden layer and of the first layer, in each batch.
    n_z : int, default=1
        Steps on the nonnegative factor of each hidden layer, in each batch.
    omega : float, default=1
        Relaxation of the steps of the first and the hidden layers, in (0, 1].
    delta : float, default=1e-2
        Threshold of the pseudo-inverses of hidden activations and of weights: singular values that are at most
        `delta` times the largest count as zero.  It is never below the rounding error of the dtype.  The authors used
        1e-14, which fails where a batch has about as many samples as a layer has units.
    delta_x : float, default=5e-3
        The same for the data X of the first layer.
    first_layer : {"data", "batch"}, default="data"
        Which pseudo-inverse the first layer uses.  "data" is the paper's: one decomposition of the whole data,
        X ~ U S Vt.  A batch of b among n samples uses its rows of U.  Its step is about b/n of a full least-squares
        step, and so averages over the epoch.  "batch" is the pseudo-inverse of the batch.
    """

    n_w: int = 10
    n_z: int = 1
    omega: float = 1.0
    delta: float = 1e-2
    delta_x: float = 5e-3
    first_layer: Literal["data", "batch"] = "data"

    min_batch_samples: ClassVar[int] = 64
    takes_ranks: ClassVar[bool] = True
    message_bits: ClassVar[int] = 0
    takes_sparse: ClassVar[bool] = False  # it decomposes X, and what remains is dense
    penalizes_bias: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.check()

    @classmethod
    def paper(cls) -> Self:
        """Return the settings of the authors' runs on MNIST: the default ones, and their threshold 1e-14.

        The rest of them are parameters of the estimator: ``NMFNetClassifier((1000, 500), solver=Pinv.paper(),
        pretrain="nmf", fit_intercept=False, batch_size=5000)``.

        Examples
        --------
        >>> from nmfnet import Pinv
        >>> Pinv.paper().delta
        1e-14
        """
        return cls(delta=1e-14)

    def check(self) -> None:
        """Refuse unfit settings, naming them."""
        check_settings(n_w=self.n_w, n_z=self.n_z, omega=self.omega, delta=self.delta, delta_x=self.delta_x)
        if self.first_layer not in ("data", "batch"):
            raise ValueError(f"first_layer must be 'data' or 'batch'; got {self.first_layer!r}.")

    @staticmethod
    def default_batch_size(n: int, real_values: int = 0, positions: int = 1) -> int:
        """The paper's 5000, or all samples."""
        return min(n, 5000)

    @staticmethod
    def default_alpha(network: Network) -> float:
        """0: no penalty, as in the paper."""
        return 0.0

    def output(self, kind: Kind) -> Output:
        """Least squares, whatever the targets."""
        return Output("identity")

    def input_scaling(self, source: Source, kind: Kind, centre: bool, partial: bool) -> Scaling | None:
        """None: the network takes X as it is, as in the paper."""
        return None

    def target_scaling(self, source: Source, kind: Kind, centre: bool) -> Scaling | None:
        """None: the network fits the targets as they are."""
        return None

    @staticmethod
    def initial_weights(layers: Sequence[Layer], generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
        """Random weights."""
        return initial_weights(layers, generator, dtype)

    def prepare(self, network: Network, source: Source, plan: Plan) -> PinvSweep:
        """Decompose the whole data set once and return the sweep over a batch of it.

        Parameters
        ----------
        network : Network
            Its weights are replaced by every call of the sweep.
        source : Source
        plan : Plan
            Its penalty is that of :func:`nmfnet.nonlinear_least_squares` on the weights of each layer.  It stands
            against the sum of squares over the whole data, so a batch of b among n samples bears b/n of it.

        Returns
        -------
        callable
            ``sweep(X_batch, Y_batch, sample_weight)``; returns the outputs (b, n_L) from before the update.
        """
        self.check()
        if network.has_skips:
            raise ValueError("solver='pinv' has no step for Residual layers: use solver='relaxed', or leave them out.")
        first_layer = None if 0 in network.frozen else self._first_layer_basis(network, source, plan)
        return PinvSweep(self, network, plan, first_layer, source.holders)

    def proceed(self, sweep: PinvSweep, source: Source, plan: Plan, rescaled: Rescaled | None = None) -> PinvSweep:
        """A sweep that is prepared for these data."""
        return self.prepare(sweep.network if rescaled is None else rescaled.network, source, plan)

    def _first_layer_basis(self, network: Network, source: Source, plan: Plan) -> FirstLayer:
        """From a batch to its rows of the decomposition of the data, and its share of the samples."""
        first, bias = network.layers[0], network.intercept

        def weighted_rows(rows: Tensor, weight: Tensor | None) -> Tensor:
            return weighted(with_ones(rows, bias), weight, 0.5)

        if self.first_layer == "batch":
            return lambda rows, weight: (truncated_svd(weighted_rows(rows, weight), self.delta_x, source.holders), 1.0)
        blocks, holders = [], source.holders
        for X, _, weight in source.blocks():
            rows = matrix(first.linearize(network.scaled_inputs(X), network.weights[0])[1])
            blocks.append(weighted_rows(rows, repeated(weight, len(rows))))
        per_sample = summed(holders, sum(map(len, blocks)))[0] / source.n_rows  # positions of an image
        s, V = singular_basis(blocks, self.delta_x, holders)
        inverse, s, V = ((V / s).to(network.dtype), s.to(network.dtype), V.to(network.dtype))

        def basis(rows: Tensor, weight: Tensor | None) -> tuple[TruncatedSVD, float]:
            U = weighted(affine(rows, inverse, bias), weight, 0.5)
            return TruncatedSVD(U, s, V), total(rows, weight, holders) / (per_sample * plan.n_samples)

        return basis


def total(X: Tensor, sample_weight: Tensor | None, holders: Holders) -> float:
    """Number of the samples, of which X (b, n_0) are at hand, by their weights."""
    return summed(holders, len(X) if sample_weight is None else float(sample_weight.double().sum()))[0]


def matrix(at: Linearization) -> Tensor:
    """Rows (r, n_in) of a layer's problem."""
    rows: Any = at.rows
    return rows.dense() if isinstance(rows, Patches) else rows


def repeated(weight: Tensor | None, rows: int) -> Tensor | None:
    """Weights of samples as those of the rows that each has, one or a position in its image each."""
    return None if weight is None else weight.repeat_interleave(rows // max(1, len(weight)))


class Problem(NamedTuple):
    """The nonlinear least-squares problem ``T ~ f([Z, 1] W)`` of a layer, by rows.

    Attributes
    ----------
    Z : Tensor of shape (r, n_in)
        Inputs: samples, or patches.
    T, A : Tensor of shape (r, n_out)
        Targets, and pre-activations.
    """

    Z: Tensor
    T: Tensor
    A: Tensor

    @classmethod
    def of(cls, at: Linearization, T: Tensor, A: Tensor, W: Tensor, f: Activation, bias: bool) -> Problem:
        """Of a layer at its inputs, with targets T and pre-activations A behind its max-pooling, if there is any.

        Where the largest numbers are the targets are those, and elsewhere what the layer puts out.
        """
        rows = matrix(at)
        if A.numel() == len(rows) * A.shape[-1]:
            return cls(rows, T.flatten(0, -2), A.flatten(0, -2))
        whole = affine(rows, W, bias)
        columns = at.columns(T - f(A))
        columns = columns.whole() if isinstance(columns, Blocks) else columns
        return cls(rows, f(whole) + columns.flatten(0, -2), whole)


class PinvSweep:
    """The paper's update of all weights from a batch."""

    retries = 0

    def __init__(
        self, settings: Pinv, network: Network, plan: Plan, first_layer: FirstLayer | None, holders: Holders = local
    ) -> None:
        self.settings, self.network, self.plan, self.first_layer = settings, network, plan, first_layer
        self.holders = holders

    def weights(self) -> list[Tensor]:
        """The network's own."""
        return self.network.weights

    def state(self) -> State:
        """The weights, which are all that changes."""
        return {"weights": self.network.weights}

    def restore(self, state: State) -> None:
        """Go on from a :meth:`state`."""
        self.network.weights[:] = copied(state["weights"])

    @torch.no_grad()
    def __call__(
        self,
        X: Rows,
        Y: Tensor,
        sample_weight: Tensor | None = None,
        share: float = 1.0,
        at_hand: AtHand | None = None,
    ) -> Tensor:
        """Update the weights from X (b, n_0) and Y (b, n_L), and return the outputs (b, n_L) from before.

        A `share` below 1 is what they move by of the way.  Of several processes each has some of the samples; which
        of the batch these are does not matter here.
        """
        outputs, W = self._update(X, Y, sample_weight)
        if share < 1:
            W = [torch.lerp(old, new, share) for old, new in zip(self.network.weights, W, strict=True)]
        self.network.weights[:] = W  # all layers or none
        return outputs

    def _update(self, X: Any, Y: Tensor, sample_weight: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Outputs from before the update, and the weights after it."""
        network, settings = self.network, self.settings
        W, F, intercept = list(network.weights), network.activations, network.intercept
        alpha = self.plan.alpha
        share = alpha * total(X, sample_weight, self.holders) / self.plan.n_samples if alpha else 0.0
        penalty: dict[str, Any] = {"alpha": share, "l1_ratio": self.plan.l1_ratio, "intercept": intercept}
        Z, A, at = network.linearize(X)
        outputs, T = A[-1], Y
        for layer in reversed(range(1, len(W))):
            # From the second layer up: T ~ g(Z W), in W and then in Z, the target of the layer below.
            top, f = layer == len(W) - 1, F[layer - 1]
            g, n_w, omega = ("identity", 1, 1.0) if top else (F[layer], settings.n_w, settings.omega)
            rows, T, fitted = Problem.of(at[layer], T, A[layer], W[layer], get_activation(g), intercept)
            if layer not in network.frozen:
                W[layer], fitted = nonlinear_least_squares(
                    T, rows, W[layer], g, n_iter=n_w, omega=omega, delta=settings.delta, A=fitted,
                    sample_weight=repeated(sample_weight, len(rows)), holders=self.holders, **penalty,
                )  # fmt: skip
            if layer == network.lowest_trained:
                return outputs, W
            if top and f.nonnegative:
                T = f.project(semi_nmf_z_step(T, rows, W[layer], intercept=intercept))
            else:
                T = nonlinear_z_step(
                    T, rows, W[layer], f, output=g, n_iter=1 if top else settings.n_z,
                    omega=settings.omega, delta=settings.delta, intercept=intercept, A=fitted,
                )  # fmt: skip
            if rows is not Z[layer]:  # patches overlap, and means stand for many numbers
                T = f.project(Z[layer] + at[layer].moved(T))
        assert self.first_layer is not None
        f = F[0] if F else get_activation("identity")
        rows, T, fitted = Problem.of(at[0], T, A[0], W[0], f, intercept)
        weight = repeated(sample_weight, len(rows))
        basis, fraction = self.first_layer(rows, weight)
        penalty["alpha"] = share / fraction  # of which a fraction is against this batch
        W[0], _ = nonlinear_least_squares(
            T, rows, W[0], f, n_iter=settings.n_w, omega=settings.omega, delta=settings.delta_x,
            basis=basis, fraction=fraction, A=fitted, sample_weight=weight, holders=self.holders, **penalty,
        )  # fmt: skip
        return outputs, W
