"""Semi-nonnegative matrix factorization as a transformer, linear and through an activation function."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmfnet.factorization.acceleration import Problem
from nmfnet.factorization.passes import LeastSquares
from nmfnet.factorization.steps import Pass
from nmfnet.factorization.surrogate import Surrogate
from nmfnet.layers.activations import ACTIVATIONS, Activation, activation_named
from nmfnet.transformers.base import BaseFactorization
from nmfnet.transformers.input import Input


class SemiNMF(BaseFactorization):
    """Semi-nonnegative matrix factorization, X ~ Z H with Z >= 0; X and H may have any sign.

    From Ding, Li and Jordan (2010).  The nonnegative factor says how much of each component a sample has, like the
    memberships of a soft clustering.  Minimizes the objective of :class:`NMF` without ``H >= 0``, by coordinate
    descent on Z and the exact minimum in H, with extrapolation.  The objective never increases.

    Parameters
    ----------
    n_components, tol, max_iter, random_state, alpha_W, alpha_H, l1_ratio, batch_size, forget_factor, device, verbose
        As in :class:`NMF`.
    init : {None, "random", "nndsvd", "custom"}, default=None
        Start of the fit.  "nndsvd" takes for Z the larger side of each left singular vector ("nndsvda" and "nndsvdar"
        are the same here).  None: "nndsvd" if there are at most as many components as samples and features, otherwise
        "random".
    solver : {"cd", "mu"}, default="cd"
        The step on Z: coordinate descent, or the multiplicative step of Ding, Li and Jordan.  The output layer of a
        network takes the latter with ``solver="pinv"``.

    Attributes
    ----------
    components_ : array of shape (n_components, n_features)
        The factor H.
    n_components_, reconstruction_err_, objective_, n_iter_, n_features_in_, feature_names_in_
        As in :class:`NMF`.

    Examples
    --------
    >>> import numpy as np
    >>> from nmfnet import SemiNMF
    >>> X = np.array([[1.0, -1.0], [2.0, -2.0], [-1.0, 3.0]])
    >>> model = SemiNMF(n_components=2, random_state=0)
    >>> Z = model.fit_transform(X)
    >>> bool((Z >= 0).all() and np.allclose(model.inverse_transform(Z), X, atol=1e-3))
    True
    """

    signed = True

    def __init__(
        self,
        n_components: int | str | None = "auto",
        *,
        init: str | None = None,
        solver: str = "cd",
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: int | np.random.RandomState | None = None,
        alpha_W: float = 0.0,
        alpha_H: float | str = "same",
        l1_ratio: float = 0.0,
        batch_size: int | None = None,
        forget_factor: float = 0.7,
        device: str | torch.device = "cpu",
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.batch_size = batch_size
        self.forget_factor = forget_factor
        self.device = device
        self.verbose = verbose

    def _problem(self, data: Input, k: int) -> Problem:
        penalties, w = self._penalties(data), data.row_weights
        if data.missing or data.weights is not None:
            return Surrogate(data.dense, k, penalties, signed=True, row_weights=w, weights=data.weights)
        return LeastSquares(
            data.data, k, penalties, signed=True, multiplicative=self.solver == "mu", row_weights=w
        )  # fmt: skip


class NonlinearSemiNMF(SemiNMF):
    """Nonlinear semi-nonnegative matrix factorization, X ~ f(Z H) with Z >= 0.

    Minimizes the matching loss of the activation function, ``sum F(a) - x a + F*(x)`` with A = Z H and F' = f, plus
    the penalties of :class:`NMF`.  The loss is 0 where X = f(Z H), and at least ``||X - f(Z H)||^2 / 2``, because f
    has a slope of at most 1.  It is convex in each factor.  For the logistic function it is the cross-entropy.  Each
    step lowers a quadratic upper bound of the loss, which is equal to it before the step; the paper's step on the
    weights rests on the same bound.  So the objective never increases.

    Parameters
    ----------
    n_components, init, tol, max_iter, random_state, alpha_W, alpha_H, l1_ratio, batch_size, forget_factor, device,
    verbose
        As in :class:`SemiNMF`.
    activation : {"relu", "leaky_relu", "logistic", "tanh", "identity"}, default="relu"
        The function f; X must lie in its range.

    Attributes
    ----------
    components_ : array of shape (n_components, n_features)
        The factor H.
    reconstruction_err_ : float
        ``||X - f(Z H)||_F`` over the entries that are not missing.
    n_components_, objective_, n_iter_, n_features_in_, feature_names_in_
        As in :class:`NMF`.

    Examples
    --------
    >>> import numpy as np
    >>> from nmfnet import NonlinearSemiNMF
    >>> X = np.maximum(np.add.outer(np.arange(8.0), -np.arange(6.0)), 0)  # of rank 6, but for the clipping 2
    >>> model = NonlinearSemiNMF(n_components=2, max_iter=2000, tol=1e-6, random_state=0)
    >>> Z = model.fit_transform(X)
    >>> bool(np.abs(model.inverse_transform(Z) - X).max() < 0.1)
    True
    """

    def __init__(
        self,
        n_components: int | str | None = "auto",
        activation: str = "relu",
        *,
        init: str | None = None,
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: int | np.random.RandomState | None = None,
        alpha_W: float = 0.0,
        alpha_H: float | str = "same",
        l1_ratio: float = 0.0,
        batch_size: int | None = None,
        forget_factor: float = 0.7,
        device: str | torch.device = "cpu",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            n_components, init=init, tol=tol, max_iter=max_iter, random_state=random_state, alpha_W=alpha_W,
            alpha_H=alpha_H, l1_ratio=l1_ratio, batch_size=batch_size, forget_factor=forget_factor, device=device,
            verbose=verbose,
        )  # fmt: skip
        self.activation = activation

    @property
    def _f(self) -> Activation:
        return activation_named(self.activation)

    def _problem(self, data: Input, k: int) -> Problem:
        if self.activation == "identity":
            return super()._problem(data, k)
        return Surrogate(
            data.dense, k, self._penalties(data), signed=True, row_weights=data.row_weights, weights=data.weights,
            activation=self._f,
        )  # fmt: skip

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self._f.matching_loss is None:
            names = ", ".join(repr(name) for name, f in ACTIVATIONS.items() if f.matching_loss is not None)
            raise ValueError(f"activation must be one of {names} here; got {self.activation!r}.")

    def _check_data(self, data: Input) -> None:
        low, high = self._f.low, self._f.high
        if low is not None and data.low < low and low == 0:
            raise ValueError(
                f"Negative values in data passed to NonlinearSemiNMF: the minimum is {data.low:.4g}, and "
                f"activation={self.activation!r} has no negative values."
            )
        if (low is not None and data.low < low) or (high is not None and data.high > high):
            raise ValueError(
                f"X must lie in [{low}, {high}], the range of activation={self.activation!r}; it goes from "
                f"{data.low:.4g} to {data.high:.4g}. Scale X (sklearn.preprocessing.MinMaxScaler)."
            )

    def _error(self, data: Input, Z: Tensor, H: Tensor, last: Pass) -> float:
        total = 0.0
        for start in range(0, data.data.shape[0], 4096):
            rows = slice(start, start + 4096)
            squares = (data.dense.block(rows) - self._f(Z[:, rows].T @ H)).nan_to_num_(0.0).square_()
            if data.weights is not None:
                squares *= data.weights[rows]
            of_rows = squares.sum(1, dtype=torch.float64)
            total += float((of_rows if data.row_weights is None else of_rows * data.row_weights[rows]).sum())
        return data.data.rows.summed(total)[0] ** 0.5 / data.scale

    def _decode(self, A: Tensor) -> Tensor:
        return self._f(A)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.positive_only = self.activation in ("relu", "logistic", "sigmoid")
        return tags
