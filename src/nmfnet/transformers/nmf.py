"""Nonnegative matrix factorization as a transformer."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from nmfnet.factorization.acceleration import Problem
from nmfnet.factorization.data import SparseData
from nmfnet.factorization.kullback_leibler import KullbackLeibler
from nmfnet.factorization.passes import LeastSquares
from nmfnet.factorization.sparse_passes import SparseLeastSquares
from nmfnet.factorization.surrogate import Surrogate
from nmfnet.linalg.holders import local
from nmfnet.transformers.base import BaseFactorization
from nmfnet.transformers.input import Input

LOSSES = {"frobenius": "frobenius", 2: "frobenius", "kullback-leibler": "kullback-leibler", 1: "kullback-leibler"}


class NMF(BaseFactorization):
    """Nonnegative matrix factorization, X ~ Z H with Z >= 0 and H >= 0.

    Minimizes, over both factors, the loss plus the penalties of scikit-learn's NMF::

        ||X - Z H||^2 / 2 + alpha_W n_features (l1_ratio ||Z||_1 + (1 - l1_ratio) ||Z||^2 / 2)
                          + alpha_H n_samples (l1_ratio ||H||_1 + (1 - l1_ratio) ||H||^2 / 2)

    or the Kullback-Leibler divergence in place of the first term.  The objective never increases.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of components, the rank.  "auto": the number of features, or with ``init="custom"`` the rows of `H`.
    init : {None, "random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, default=None
        Start of the fit, as in scikit-learn (NNDSVD: Boutsidis and Gallopoulos, 2008).  None: "nndsvda" if there are
        at most as many components as samples and features, otherwise "random".  "custom": `W` and `H` of :meth:`fit`.
    solver : {"cd", "mu"}, default="cd"
        "cd": coordinate descent on Gram products (HALS; Cichocki and Phan, 2009), several cycles for each product with
        X (Gillis and Glineur, 2012), with extrapolation (Ang and Gillis, 2019).  "mu": multiplicative updates (Lee and
        Seung, 2001).
    beta_loss : {"frobenius", "kullback-leibler"}, default="frobenius"
        "kullback-leibler" needs ``solver="mu"``.
    tol : float, default=1e-4
        Tolerance at which the fit stops.  With "cd" the projected gradient must be at most `tol` times its data part,
        for both factors: ``||P grad_Z|| <= tol ||X Ht||`` and ``||P grad_H|| <= tol ||Zt X||``.  With "mu" ten passes
        must lower the root of the objective by less than `tol` times its first value.  0: all `max_iter` passes.
    max_iter : int, default=200
        Largest number of passes over the data.
    random_state : int, RandomState or None, default=None
        Seed of random starts, and of the search for a start.
    alpha_W : float, default=0
        Strength of the penalty on Z.
    alpha_H : float or "same", default="same"
        Strength of the penalty on H.
    l1_ratio : float, default=0
        Share of L1 (sparse factors) in the penalties.
    batch_size : int, optional
        If given, `fit` makes online steps on batches of this many rows (Mairal et al., 2010).  This is for data that
        do not fit in memory (a `numpy.memmap` is read block by block), and for a quick approximate result.
    forget_factor : float, default=0.7
        Factor by which each batch multiplies the weight of earlier batches, as in scikit-learn's MiniBatchNMF.
        :meth:`partial_fit` counts samples instead of batches, as it says.
    device : str or torch.device, default="cpu"
        Where to compute.
    verbose : int, default=0
        Above 0, a line is printed after some of the passes.

    Attributes
    ----------
    components_ : array of shape (n_components, n_features)
        The factor H.
    n_components_ : int
        Number of components.
    reconstruction_err_ : float
        ``||X - Z H||_F`` over the entries that are not missing, or the root of twice the divergence.
    objective_ : float
        The loss plus the penalties.
    n_iter_ : int
        Passes over the data, without those of the search for a start (docs/factorization.md).
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : array of shape (n_features_in_,)
        Names of the columns, if X has names that are all strings.

    Examples
    --------
    >>> import numpy as np
    >>> from nmfnet import NMF
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> model = NMF(n_components=2, max_iter=2000, random_state=0)
    >>> Z = model.fit_transform(X)
    >>> bool(np.allclose(Z @ model.components_, X, atol=1e-3))
    True
    """

    signed = False

    def __init__(
        self,
        n_components: int | str | None = "auto",
        *,
        init: str | None = None,
        solver: str = "cd",
        beta_loss: str | float = "frobenius",
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
        self.beta_loss = beta_loss
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
        penalties = self._penalties(data)
        if self._divergence:
            return KullbackLeibler(data.data, k, penalties, row_weights=data.row_weights)
        if data.missing or data.weights is not None:
            return Surrogate(data.dense, k, penalties, row_weights=data.row_weights, weights=data.weights)
        if isinstance(data.data, SparseData) and self.solver == "cd" and data.data.rows.holders is local:
            return SparseLeastSquares(data.data, k, penalties, row_weights=data.row_weights)
        return LeastSquares(
            data.data, k, penalties, multiplicative=self.solver == "mu", row_weights=data.row_weights
        )  # fmt: skip

    @property
    def _divergence(self) -> bool:
        return LOSSES[self.beta_loss] == "kullback-leibler"

    @property
    def _degree(self) -> int:  # type: ignore[override]
        return 1 if self._divergence else 2

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.beta_loss not in LOSSES:
            raise ValueError(f"beta_loss must be 'frobenius' or 'kullback-leibler'; got {self.beta_loss!r}.")
        if self._divergence and self.solver == "cd":
            raise ValueError("beta_loss='kullback-leibler' needs solver='mu'; got solver='cd'.")
        if self.solver == "mu" and self.init == "nndsvd" and not self._divergence:
            warnings.warn(
                "With solver='mu' the zeros of init='nndsvd' stay zeros, and the fit is poorer for it: use 'nndsvda'.",
                UserWarning, stacklevel=6,
            )  # fmt: skip

    def _check_data(self, data: Input) -> None:
        if data.low < 0:
            raise ValueError(
                f"Negative values in data passed to NMF: the minimum is {data.low:.4g}. SemiNMF takes any sign."
            )
        super()._check_data(data)
