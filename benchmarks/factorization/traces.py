"""Objective against time: fits whose clock stands still while their factors are looked at.

Both packages are left as they are.  A function that each calls once an iteration with its factors is wrapped, and the
wrapper stops the clock, finds the objective of these factors in float64, and lets the clock go on.
"""

import contextlib
import time
from unittest import mock

import numpy as np
import scipy.sparse
from scipy.special import xlogy
from sklearn.decomposition import NMF as TheirNMF
from sklearn.decomposition import _nmf

import nmfnet
from nmfnet.factorization.kullback_leibler import KullbackLeibler
from nmfnet.factorization.passes import LeastSquares
from nmfnet.factorization.sparse_passes import SparseLeastSquares

KL = {"solver": "mu", "beta_loss": "kullback-leibler"}
LONGER = 1.02  # an objective is found again when so much more time has passed
NEAR = 1.02  # what is so much above the end of a trace is not kept of it


class Loss:
    """``||X - Z H||^2 / 2``, or the Kullback-Leibler divergence, in float64."""

    def __init__(self, X, divergence):
        self.X, self.divergence, self.sparse = X.astype(float), divergence, scipy.sparse.issparse(X)
        values = self.X.data if self.sparse else self.X
        self.constant = (xlogy(values, values) - values).sum() if divergence else np.square(values).sum() / 2
        if self.sparse:
            self.rows, self.columns = self.X.nonzero()

    def __call__(self, Z, H):
        """Of Z (m, k) and H (k, n)."""
        Z, H = np.ascontiguousarray(Z, float), np.ascontiguousarray(H, float)
        if self.divergence:
            return float(self.constant - self._logarithms(Z, H) + Z.sum(0) @ H.sum(1))
        if self.sparse:
            products = np.vdot((self.X.T @ Z).T, H)
            return float(self.constant - products + np.vdot(Z.T @ Z, H @ H.T) / 2)
        blocks = (slice(i, i + 2048) for i in range(0, len(Z), 2048))
        return sum(float(np.square(self.X[rows] - Z[rows] @ H).sum()) for rows in blocks) / 2

    def _logarithms(self, Z, H):
        tiny = np.finfo(float).tiny
        if not self.sparse:
            return float(xlogy(self.X, np.maximum(Z @ H, tiny)).sum())
        A = np.zeros(len(self.rows))
        for z, h in zip(Z.T, H, strict=True):
            A += z[self.rows] * h[self.columns]
        return float(xlogy(self.X.data, np.maximum(A, tiny)).sum())


class Trace:
    """Points (processor seconds, objective) of a fit, until a time limit.

    Processor seconds, as other work on a shared machine does not count in them.
    """

    def __init__(self, loss, limit):
        self.loss, self.limit, self.points, self.paused, self.looks = loss, limit, [], 0.0, 0.0
        self.start = time.process_time()

    def seconds(self):
        """Since the start, without the pauses."""
        return time.process_time() - self.start - self.paused

    def look(self, Z, H):
        """Take the objective of Z (m, k) and H (k, n) now, unless it was taken a moment ago."""
        now = self.seconds()
        if now >= LONGER * self.looks:
            began, self.looks = time.process_time(), now
            self.points.append((now, self.loss(Z, H)))
            self.paused += time.process_time() - began
        if now > self.limit:
            raise TimeUp

    def end(self):
        """The time of the fit."""
        return self.seconds()

    def reached(self, bound):
        """Seconds until the objective was at most `bound`; None where it never was."""
        return next((round(seconds, 4) for seconds, value in self.points if value <= bound), None)

    def near_the_end(self):
        """The points that lowered the objective, when it was near its lowest value already."""
        lowest, kept = np.inf, []
        bound = NEAR * min((value for _, value in self.points), default=0.0)
        for seconds, value in self.points:
            if value < lowest:
                lowest = value
                if value <= bound:
                    kept.append((round(seconds, 4), float(f"{value:.9g}")))
        return kept


class TimeUp(Exception):
    """A fit has had all of its time."""


def theirs(X, rank, seed, trace, divergence=False, **settings):
    """Fit scikit-learn's as it comes; its factors W and H, or None where its time was up."""
    model = TheirNMF(rank, random_state=seed, **(KL if divergence else {}), **settings)
    descend, multiply, turns = _nmf._update_coordinate_descent, _nmf._multiplicative_update_h, [0]

    def after_descent(X, W, Ht, *others):
        violation = descend(X, W, Ht, *others)
        turns[0] += 1
        if turns[0] % 2 == 0:  # now X, W and Ht are the transpose, H and W
            trace.look(Ht, W.T)
        return violation

    def after_multiplication(X, W, H, *others, **named):
        H = multiply(X, W, H, *others, **named)
        trace.look(W, H)
        return H

    with (
        mock.patch.object(_nmf, "_update_coordinate_descent", after_descent),
        mock.patch.object(_nmf, "_multiplicative_update_h", after_multiplication),
        contextlib.suppress(TimeUp),
    ):
        return model.fit_transform(X), model.components_


def ours(X, rank, seed, trace, divergence=False, **settings):
    """Fit nmfnet's as it comes; its factors, or None where its time was up.

    All passes over all of the data count, those of the search for a start among them, with as many components.
    """
    model = nmfnet.NMF(rank, random_state=seed, **(KL if divergence else {}), **settings)
    with contextlib.ExitStack() as stack:
        for loss in (SparseLeastSquares, KullbackLeibler, LeastSquares):
            stack.enter_context(mock.patch.object(loss, "step", watched(loss.step, X.shape, rank, trace)))
        stack.enter_context(contextlib.suppress(TimeUp))
        return model.fit_transform(X), model.components_


def watched(step, shape, rank, trace):
    """A step that is followed by a look, unless it will be taken back."""

    def step_and_look(problem, Z, H, out, most=np.inf, *others, **named):
        done = step(problem, Z, H, out, most, *others, **named)
        if problem.data.shape == shape and len(H) == rank and done.objective <= most:
            trace.look(out.numpy().T, H.numpy())
        return done

    return step_and_look
