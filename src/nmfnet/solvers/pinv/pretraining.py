"""Pre-training: the stacked autoencoder of nonnegative matrix factorizations (the paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from nmfnet._parameters import check_settings
from nmfnet.data.sharded import Sharded
from nmfnet.data.source import InMemory
from nmfnet.errors import DataError
from nmfnet.factorization import nonlinear_least_squares
from nmfnet.factorization._common import check_nonnegative
from nmfnet.factorization.data import DenseData
from nmfnet.factorization.nmf import starting_factors
from nmfnet.factorization.passes import LeastSquares, Penalties
from nmfnet.layers.activations import Activation
from nmfnet.linalg import truncated_svd, with_ones
from nmfnet.network import Network
from nmfnet.solvers.pinv.sweep import matrix

Progress = Callable[[int], None]
PATCHED_IMAGES = 500  # that patches are taken of, and that pass a layer at a time


@dataclass
class NMFPretraining(BaseEstimator):
    """Settings of the pre-training, for ``NMFNetClassifier(pretrain=NMFPretraining(n_ae=5))``.

    Parameters
    ----------
    n_ae : int, default=20
        Rounds of NMF and least squares per layer.
    n_nmf : int, default=25
        Multiplicative NMF updates in a round.
    n_ls : int, default=25
        Nonlinear least-squares steps on the weights in a round.
    omega : float, default=1
        Relaxation of the least-squares steps.
    delta : float, default=1e-14
        Relative threshold of the singular values kept in the pseudo-inverses above the first layer.
    delta_x : float, default=5e-3
        The same for the data, and for a fully-connected layer on the pixels that a convolution returns.
    batch_size : int, default=5000
        Samples used, drawn at random once; and patches, for a convolution.  Each of several processes has all of them.
    """

    n_ae: int = 20
    n_nmf: int = 25
    n_ls: int = 25
    omega: float = 1.0
    delta: float = 1e-14
    delta_x: float = 5e-3
    batch_size: int = 5000

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse unfit settings, naming them."""
        check_settings(**self.get_params())

    @torch.no_grad()
    def __call__(
        self,
        network: Network,
        source: InMemory | Sharded,
        generator: torch.Generator,
        progress: Progress | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        """Replace the weights of `network`, layer after layer; the last layer is fitted to the targets.

        Of several processes each gets the samples that are used, and computes the same from them: sums over these
        samples would be a thousand messages, each as large as the factors.

        Parameters
        ----------
        network : Network
        source : InMemory or Sharded
            Nonnegative dense inputs, and targets as the network scales them.  Where samples have weights, they are
            drawn with these as probabilities, and put back.
        generator : torch.Generator
        progress : callable, optional
            Called with the number of the layer before it is trained, from 1.
        feature_names : sequence of str, optional
            Of the columns of X, for messages.

        Raises
        ------
        DataError
            If X is negative somewhere and there are hidden layers.
        DivergenceError
            If numbers overflow.
        """
        self.check()
        if len(network.weights) > 1 and len(source.Y):
            check_data(source.X, feature_names)
        batch = source.subset(self._drawn(source, generator)).collected()
        A, Y, _ = batch.take(torch.arange(batch.n_rows, device=batch.device))
        assert isinstance(A, Tensor)
        if network.input_shape is not None:
            self._stack_on_images(network, A, Y, generator, progress)
            return
        widths = [W.shape[1] for W in network.weights[:-1]]
        encoders, _, A = self.stack(A, widths, network.activations, network.intercept, generator, progress)
        network.weights[:-1] = encoders
        last = network.weights[-1]
        delta = self.delta if widths else self.delta_x
        fit = nonlinear_least_squares(Y, A, torch.zeros_like(last), delta=delta, intercept=network.intercept)
        network.weights[-1] = fit.W

    def _drawn(self, source: InMemory | Sharded, generator: torch.Generator) -> Tensor:
        """Numbers (b,) among all samples of those that are used."""
        n = source.n_rows
        if source.weight is None:
            return torch.randperm(n, generator=generator)[: self.batch_size]
        weight = source.joined(source.weight).double().cpu()
        points = torch.rand(min(n, self.batch_size), generator=generator, dtype=torch.float64)
        return torch.searchsorted((weight / weight.sum()).cumsum(0), points).clamp(max=n - 1)

    def _stack_on_images(
        self, network: Network, Z: Tensor, Y: Tensor, generator: torch.Generator, progress: Progress | None
    ) -> None:
        """Autoencoders one on another, those of convolutions on patches: their filters are parts of images.

        As many patches as there are samples in a batch, of at most PATCHED_IMAGES images, stand for all.
        """
        if network.has_skips:
            raise ValueError("pretrain is not for Residual layers, whose outputs are sums: use pretrain=None.")
        for number, (layer, f) in enumerate(zip(network.layers, network.activations, strict=False)):
            if progress is not None:
                progress(number + 1)
            some = Z[:PATCHED_IMAGES] if layer.shares_weights else Z
            rows = matrix(layer.linearize(some, network.weights[number])[1])
            rows = rows[torch.randperm(len(rows), generator=generator)[: self.batch_size].to(rows.device)]
            A, H = starting_factors(rows, layer.n_out, None, None, generator)
            delta = self._threshold(Z, rows.shape[1], layer.shares_weights, number == 0)
            W, _, _ = self.layer(rows, A, H, f, delta, network.intercept)
            network.weights[number] = W
            Z = torch.cat([f(layer.forward(part, W)).clamp_(min=0) for part in Z.split(PATCHED_IMAGES)])
        last = network.weights[-1]
        rows = matrix(network.layers[-1].linearize(Z, last)[1])
        delta = self._threshold(Z, rows.shape[1], False, not network.activations)
        fit = nonlinear_least_squares(Y, rows, torch.zeros_like(last), delta=delta, intercept=network.intercept)
        network.weights[-1] = fit.W

    def _threshold(self, Z: Tensor, n: int, on_patches: bool, is_first: bool) -> float:
        """Threshold of the singular values of the rows, of n numbers, that a layer makes of its inputs Z.

        A fully-connected layer on images has a weight for each pixel of a channel.  Pixels at the border are nearly
        constant, in codes as in the data: without the threshold of the data their weights would be in the thousands.
        """
        pixel_by_pixel = Z.ndim > 2 and not on_patches and n > Z.shape[-1]  # channels come last
        return self.delta_x if is_first or pixel_by_pixel else self.delta

    def stack(
        self,
        A: Tensor,
        widths: Sequence[int],
        activations: Sequence[Activation],
        intercept: bool,
        generator: torch.Generator,
        progress: Progress | None = None,
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Autoencoders one on another, each on the codes of the one below.

        Parameters
        ----------
        A : Tensor of shape (m, n), nonnegative
        widths : sequence of int
            Components of each.
        activations : sequence of Activation
            Of each encoder.
        intercept, generator, progress
            As in a call.

        Returns
        -------
        encoders, decoders : list of Tensor
            W and H of :meth:`layer`, from the data up.
        A : Tensor of shape (m, widths[-1])
            The codes of the last.
        """
        encoders, decoders = [], []
        for number, (width, f) in enumerate(zip(widths, activations, strict=True), 1):
            if progress is not None:
                progress(number)
            Z, H = starting_factors(A, width, None, None, generator)
            W, A, H = self.layer(A, Z, H, f, self.delta_x if number == 1 else self.delta, intercept)
            encoders.append(W)
            decoders.append(H)
        return encoders, decoders, A

    def layer(
        self, A: Tensor, Z: Tensor, H: Tensor, f: Activation, delta: float, intercept: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One autoencoder, A ~ Z H with the code Z = f([A, 1] W).

        The nonnegative part of the code starts the next round of NMF, which needs it where f has negative values.

        Parameters
        ----------
        A : Tensor of shape (m, n), nonnegative
        Z : Tensor of shape (m, r), H : Tensor of shape (r, n)
            Nonnegative starting factors.
        f : Activation
        delta : float
        intercept : bool

        Returns
        -------
        W : Tensor of shape (n, r), or (n + 1, r) with bias
            The encoder.
        Z : Tensor of shape (m, r)
            The code, nonnegative.
        H : Tensor of shape (r, n)
            The decoder.
        """
        basis = truncated_svd(with_ones(A, intercept), delta)
        problem = LeastSquares(DenseData(A), len(H), Penalties(), multiplicative=True)
        W = A.new_zeros(A.shape[1] + intercept, Z.shape[1])
        for _ in range(self.n_ae):
            F = Z.T.contiguous()
            for _ in range(self.n_nmf):
                H = problem.h_step(H, problem.sweep(F, H, F, value=False))
            W, P = nonlinear_least_squares(
                F.T.contiguous(), A, W, f, n_iter=self.n_ls, omega=self.omega, intercept=intercept, basis=basis
            )
            Z = f(P).clamp_(min=0)
        return W, Z, H


def check_data(X: Any, feature_names: Sequence[str] | None = None) -> None:
    """Refuse data that NMF cannot take, and say what to do about it."""
    try:
        check_nonnegative(X, "X", feature_names)
    except ValueError as error:
        raise DataError(
            f"pretrain='nmf': {error} Scale X to [0, 1] (sklearn.preprocessing.MinMaxScaler) or use pretrain=None."
        ) from None
