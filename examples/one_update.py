"""
One update, as it moves through a network
=========================================

This example writes the relaxed sweep down in NumPy, for one batch and a network of two hidden layers with five
units each.  It leaves out what makes the method robust (averaging, dropout, the divergence check): see :doc:`the
full description </relaxed-steps>`.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import TwoSlopeNorm
from sklearn.datasets import make_moons

rng = np.random.default_rng(3)
X, y = make_moons(200, noise=0.15, random_state=0)
X = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])  # the third input is always 1: a bias
Y = np.where(y == 1, 1.0, -1.0)[:, None]
sizes = [3, 5, 5, 1]
W = [rng.standard_normal((n, k)) * np.sqrt(2 / n) for n, k in itertools.pairwise(sizes)]
W[-1] *= 0.3  # outputs start small


def relu(A):
    """The activation function of the hidden layers."""
    return np.maximum(A, 0)


def forward(X, W):
    """Inputs Z of each layer and its pre-activations A."""
    Z, A = [X], []
    for number, weights in enumerate(W):
        A.append(Z[-1] @ weights)
        if number < len(W) - 1:
            Z.append(relu(A[-1]))
    return Z, A


def update(X, Y, W, delta=0.2, damping=0.1):
    """Differences E between target and output of each layer, and the step on its weights, from the last layer down."""
    Z, A = forward(X, W)
    E, steps = [Y - A[-1]], []  # the residual
    for Z_l, A_l, W_l in zip(Z[::-1], A[::-1], W[::-1], strict=True):
        gram = Z_l.T @ Z_l / len(X)
        gram += damping * np.trace(gram) / len(gram) * np.eye(len(gram))
        D = np.linalg.solve(gram, Z_l.T @ E[-1] / len(X))  # damped least squares
        length = delta * np.sqrt(np.mean(A_l**2) / np.mean((Z_l @ D) ** 2))  # a share of the layer's own size
        steps.append(length * D)
        if Z_l is not X:
            below = A[len(W) - 1 - len(steps)]  # pre-activations of the layer below
            E.append(relu(below + E[-1] @ W_l.T) - Z_l)  # its nonnegative target, minus its output
    return Z, A, E[::-1], steps[::-1]


Z, A, E, steps = update(X, Y, W)
losses = [np.mean((Y - A[-1]) ** 2)]
moved = W
for t in range(30):
    delta = 0.2 * (1 - t / 30)  # the relative step falls to zero over the planned updates
    moved = [w + step for w, step in zip(moved, update(X, Y, moved, delta)[3], strict=True)]
    losses.append(np.mean((Y - forward(X, moved)[1][-1]) ** 2))
print(f"Mean squared residual: {losses[0]:.2f} at first, {losses[1]:.2f} after one update, {losses[-1]:.2f} after 30")

# %%
# The three stages, for one sample of the batch.  Circles are units, lines are weights.  In the second picture a
# red unit should have been larger and a blue one smaller.  No derivative of the activation function is needed for
# that: a target is what the layer puts out after its pre-activations are moved.  In the third picture all samples
# of the batch have a say.

sample = int(np.argmax(np.abs(E[-1][:, 0])))


def draw(axis, title, units, lines, lines_map):
    """The network, with a value in each unit and one on each weight."""
    places = [np.column_stack([np.full(n, 2.0 * k), np.arange(n) - (n - 1) / 2]) for k, n in enumerate(sizes)]
    for start, end, values in zip(places[:-1], places[1:], lines, strict=True):
        reach = np.abs(values).max()
        for i, j in np.ndindex(values.shape):
            share = values[i, j] / reach
            axis.plot(
                *zip(start[i], end[j], strict=True),
                color=lines_map(0.5 + share / 2),
                linewidth=0.4 + 3 * abs(share),
                zorder=1,
            )
    for place, values in zip(places, units, strict=True):
        shown = np.zeros(len(place)) if values is None else values
        reach = max(np.abs(shown).max(), 1e-9)  # colours are relative to the layer
        norm = TwoSlopeNorm(0, -reach, reach)
        axis.scatter(*place.T, c=shown, cmap="RdBu_r", norm=norm, s=330, edgecolors="#333333", linewidths=1, zorder=2)
        if values is not None:
            for (x, height), value in zip(place, values, strict=True):
                dark = abs(value) > 0.6 * reach
                axis.text(
                    x,
                    height,
                    f"{value:+.1f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if dark else "black",
                )
    axis.set(title=title, xlim=(-0.6, 6.6), ylim=(-2.6, 2.6))
    axis.axis("off")


grey = plt.get_cmap("Greys")  # weights of the forward pass by their size
figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
activations = [*(z[sample] for z in Z), A[-1][sample]]
draw(axes[0], "1. Forward pass: activations →", activations, [np.abs(w) for w in W], grey)
draw(axes[1], "2. ← Target minus output", [None, *(e[sample] for e in E)], [np.abs(w) for w in W], grey)
draw(axes[2], "3. Steps on the weights, by least squares", [None] * 4, steps, plt.get_cmap("RdBu_r"))
plt.show()

# %%
# Thirty such updates:

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
grid = np.stack(np.meshgrid(np.linspace(-2.3, 2.3, 100), np.linspace(-2.3, 2.3, 100)), axis=-1).reshape(-1, 2)
for axis, weights, title in ((left, W, "before"), (middle, moved, "after 30 updates")):
    outputs = forward(np.column_stack([grid, np.ones(len(grid))]), weights)[1][-1].reshape(100, 100)
    axis.imshow(outputs, origin="lower", extent=(-2.3, 2.3, -2.3, 2.3), cmap="RdBu_r", vmin=-2, vmax=2, aspect="auto")
    axis.scatter(*X[:, :2].T, c=Y[:, 0], cmap="RdBu_r", s=10, edgecolors="white", linewidths=0.3)
    axis.set(title=title, xticks=[], yticks=[])
right.plot(losses, "o-", markersize=3, color="#0072B2")
right.set(xlabel="update", title="mean squared residual", ylim=(0, None))
plt.show()
