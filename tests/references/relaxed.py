"""One update of the relaxed solver in float64 NumPy, written literally, to test nmfnet against.

Samples are rows. Shapes: m samples, p inputs and q outputs of a layer. Wherever ``bias`` is true, W has the bias as
its last row and Z does not hold the ones. No noise and no dropout. Nothing modifies its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from references.paper import ACTIVATIONS, Array, inputs, split

MEMORY, SAMPLES, BATCHES, EARLY, PART = 0.9, 10_000, 10, 20, 0.25  # of the running Gram matrix
ENOUGH, MORE, FIRST = (
    64,
    1.25,
    100,
)  # samples; how many times more begin anew; updates of a stream in which parts of updates are longer
UNANCHORED_DELTA, LOOK = 0.05, 4  # the largest step without an anchor; updates between two looks at the running loss


@dataclass(frozen=True)
class Problem:
    """What does not change from batch to batch."""

    activation: str
    output: str
    bias: bool
    smoothing: float = 0.0
    delta: float = 0.05
    tau: float = 0.1
    damping: float = 1.0
    averaging: float = 8.0
    momentum: float = 0.0
    alpha: float = 0.0
    l1_ratio: float = 0.0
    n_samples: int = 1
    n_updates: int | None = None


@dataclass(frozen=True)
class State:
    """What an update changes: two sets of weights, a Gram matrix a layer, the watch over the loss."""

    fast: list[Array]
    proven: list[Array]  # average without the newest fast weights, through which no batch has gone yet
    share: float  # of these in the average with them
    delta: float
    grams: list[Array | None]  # running averages
    factorized: list[Array | None]  # G + d I when it was last factorized
    heads: list[
        Array | None
    ]  # running averages of the right-hand sides, with the mean of E below where there is a bias
    updates: float = 0
    begun: int = -1  # whole updates
    samples: int = 0  # with which running means began, up to ENOUGH
    fresh: float = 0.0  # updates since a factorization, where batches are parts of one
    first: float | None = None
    mean: float = 0.0
    lowest: float = 0.0
    worst: float = 1.0  # loss over that of no outputs, where the average had gone astray as well

    @property
    def average(self) -> list[Array]:
        """Weights to predict with."""
        c = self.share
        return [(1 - c) * mean + c * new for mean, new in zip(self.proven, self.fast, strict=True)]

    @property
    def working(self) -> list[Array]:
        """Weights that a batch goes through."""
        anchor = max(0.0, 1 - UNANCHORED_DELTA / self.delta)
        return [anchor * mean + (1 - anchor) * new for mean, new in zip(self.average, self.fast, strict=True)]


def start(weights: list[Array], problem: Problem) -> State:
    """Begin at some weights."""
    empty = [None] * len(weights)
    return State(weights, weights, 0.0, problem.delta, empty, empty, empty)


def g(name: str, A: Array) -> Array:
    """Output function (m, q) -> (m, q)."""
    if name == "softmax":
        P = np.exp(A - A.max(1, keepdims=True))
        return P / P.sum(1, keepdims=True)
    return ACTIVATIONS["logistic"](A) if name == "sigmoid" else A


def smoothed(name: str, Y: Array, e: float) -> Array:
    """(1 - e) Y + e / k, where k = 2 for each of several labels."""
    if name == "identity":
        return Y
    return (1 - e) * Y + e / (Y.shape[1] if name == "softmax" else 2)


def loss(name: str, A: Array, Y: Array) -> float:
    """Mean over samples of the loss whose derivative is g(A) - Y."""
    if name == "identity":
        return ((Y - A) ** 2).sum() / 2 / len(A)
    P = g(name, A)
    terms = Y * np.log(P) if name == "softmax" else Y * np.log(P) + (1 - Y) * np.log(1 - P)
    return -terms.sum() / len(A)


def forward(problem: Problem, weights: list[Array], X: Array) -> tuple[list[Array], list[Array]]:
    """Input Z and pre-activation A of every layer."""
    Z, A = [X], []
    for layer, W in enumerate(weights):
        A.append(inputs(Z[layer], problem.bias) @ W)
        if layer < len(weights) - 1:
            Z.append(ACTIVATIONS[problem.activation](A[layer]))
    return Z, A


def covariance(Z: Array, bias: bool) -> Array:
    """Gram matrix over samples (p, p), of centred inputs where a bias takes up the mean."""
    centred = Z - Z.mean(0) if bias else Z
    return centred.T @ centred / len(Z)


def is_refreshed(update: int, m: int) -> bool:
    """Whether the Gram matrix takes up this batch, and is factorized."""
    every = min(BATCHES, max(1, SAMPLES // m))
    return update % every == 0 or (update < EARLY and update % 2 == 0)


def right_hand_side(problem: Problem, Z: Array, E: Array, W: Array) -> Array:
    """Zt E / m less the slope of the penalty, (p, q), and below it, for the bias, the mean of E."""
    slope = problem.tau * problem.alpha / problem.n_samples
    V, _ = split(W, problem.bias)
    pull = slope * ((1 - problem.l1_ratio) * V + problem.l1_ratio * np.sign(V))
    if not problem.bias:
        return Z.T @ E / len(Z) - pull
    return np.vstack([(Z - Z.mean(0)).T @ (E - E.mean(0)) / len(Z) - pull, E.mean(0)])


def damped_step(problem: Problem, system: Array, right: Array, Z: Array) -> Array:
    """Damped least-squares step (p + bias, q), for the matrix G + d I; the bias is fitted exactly."""
    V, mean = split(right, problem.bias)
    D = np.linalg.solve(system, V)
    return np.vstack([D, mean - Z.mean(0) @ D]) if problem.bias else D


def predicted_length(problem: Problem, gram: Array, Z: Array, D: Array) -> float:
    """Root mean square length of the rows of [Z, 1] D, were the covariance of Z the running one."""
    V, _ = split(D, problem.bias)
    mean = (inputs(Z, problem.bias) @ D).mean(0) if problem.bias else np.zeros(D.shape[1])
    return float(np.sqrt(np.trace(V.T @ gram @ V) + (mean**2).sum()))


def update(problem: Problem, state: State, X: Array, Y: Array, share: float = 1.0) -> State:
    """One update from a batch, or a share of one."""
    if problem.n_updates is None and state.updates < FIRST:
        share = share**0.5
    number = int(state.updates)
    begins = number > state.begun
    state = replace(state, begun=number)
    W, last, f = state.working, len(state.working) - 1, ACTIVATIONS[problem.activation]
    Z, A = forward(problem, W, X)
    Y = smoothed(problem.output, Y, problem.smoothing)
    now = loss(problem.output, A[last], Y)
    if state.first is None:
        state = replace(state, first=now, mean=now, lowest=now)
    if not now <= limit(state, state.lowest):
        before = loss(problem.output, forward(problem, state.proven, X)[1][last], Y)
        if not now <= limit(state, before):
            return take_back(state, share)
        nothing = loss(problem.output, 0 * Y, Y)
        if not now <= limit(state, state.worst * nothing):
            return take_back(replace(state, worst=now / nothing), share)
        state = replace(state, first=None)
    if begins and number % LOOK == 0 and state.first is not None:
        mean = 0.75 * state.mean + 0.25 * now
        state = replace(state, mean=mean, lowest=min(state.lowest, mean))
    fall = 1.0 if problem.n_updates is None else max(0.0, 1 - state.updates / problem.n_updates)
    if min(len(X), ENOUGH) >= MORE * state.samples:  # more samples tell more
        empty = [None] * len(state.fast)
        state = replace(state, grams=empty, factorized=empty, heads=empty, samples=min(len(X), ENOUGH))
    fresh = state.fresh + share
    if share < 1:
        refreshed = fresh >= (PART if state.updates < EARLY else 1)
    else:
        refreshed = is_refreshed(number, len(X))
    refreshed = refreshed or state.factorized[0] is None
    state = replace(state, fresh=0.0 if refreshed else fresh)
    grams, factorized, heads = list(state.grams), list(state.factorized), list(state.heads)
    fast, proven = list(state.fast), state.average
    c = (problem.averaging + 1) * share / (state.updates + (problem.averaging + 1) * share)

    target_minus_output = problem.tau * (Y - g(problem.output, A[last]))
    for layer in range(last, -1, -1):
        E = target_minus_output
        if refreshed:
            new, old = covariance(Z[layer], problem.bias), grams[layer]
            G = new if old is None else MEMORY * old + (1 - MEMORY) * new
            grams[layer] = G
            stiffness = problem.tau * problem.alpha / problem.n_samples * (1 - problem.l1_ratio)
            factorized[layer] = G + (problem.damping * np.trace(G) / len(G) + stiffness) * np.eye(len(G))
        right, beta = right_hand_side(problem, Z[layer], E, W[layer]), problem.momentum**share
        heads[layer] = right if heads[layer] is None else beta * heads[layer] + (1 - beta) * right
        D = damped_step(problem, factorized[layer], beta * heads[layer] + (1 - beta) * right, Z[layer])
        rms = np.sqrt((A[layer] ** 2).sum(1).mean())
        step = fall * share * state.delta * rms / predicted_length(problem, grams[layer], Z[layer], D) * D
        fast[layer] = state.fast[layer] + step
        if layer > 0:
            V, _ = split(W[layer], problem.bias)
            target_minus_output = f(A[layer - 1] + E @ V.T) - Z[layer]
    return replace(
        state, fast=fast, proven=proven, share=c, grams=grams, factorized=factorized, heads=heads,
        updates=state.updates + share,
    )  # fmt: skip


def limit(state: State, loss: float) -> float:
    """Up to where a loss is of the size of another one."""
    return max(2 * loss, loss + state.first / 4)


def take_back(state: State, share: float = 1.0) -> State:
    """Back to the average of those that went well, with half the step and no Gram matrices."""
    empty = [None] * len(state.fast)
    return replace(
        state, fast=state.proven, share=0.0, delta=state.delta / 2, grams=empty, factorized=empty, heads=empty,
        updates=state.updates + share, first=None,
    )  # fmt: skip
