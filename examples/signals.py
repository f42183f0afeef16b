"""
Shapes in noisy signals
=======================

A signal is a row of numbers along time.  Convolutions along it (``Conv1d``) recognize a shape wherever it appears.
Here each signal holds one of three shapes at a random place, in noise.
"""

import matplotlib.pyplot as plt
import numpy as np

from nmfnet import NMFNetClassifier
from nmfnet.layers import Conv1d, MaxPool1d

rng = np.random.default_rng(0)
LENGTH = 128
t = np.linspace(-1, 1, 32)
SHAPES = {
    "pulse": np.exp(-8 * t**2),
    "ripple": np.sin(5 * np.pi * t) * np.exp(-3 * t**2),
    "step": np.where(t > 0, 1.0, -1.0) * np.exp(-2 * t**2),
}


def signals(n):
    """Signals (n, 1, length) and the numbers of their shapes."""
    X, y = 0.35 * rng.standard_normal((n, 1, LENGTH)), rng.integers(0, 3, n)
    for row, label, at in zip(X[:, 0], y, rng.integers(0, LENGTH - 32, n), strict=True):
        row[at : at + 32] += list(SHAPES.values())[label]
    return X.astype(np.float32), y


X_train, y_train = signals(600)
X_test, y_test = signals(600)
flat = NMFNetClassifier((100, 50), max_iter=15, random_state=0).fit(X_train[:, 0], y_train)
convolutions = (Conv1d(16, 9, padding="same"), MaxPool1d(4), Conv1d(32, 5, padding="same"), MaxPool1d(4), 50)
model = NMFNetClassifier(convolutions, max_iter=15, random_state=0).fit(X_train, y_train)
print(f"fully connected: error {100 * (1 - flat.score(X_test[:, 0], y_test)):.1f} %")
print(f"convolutions:    error {100 * (1 - model.score(X_test, y_test)):.1f} %")

# %%
# Above: one signal of each shape, and the shape that is hidden in it.  Below: the sixteen filters of the first
# layer, sorted by how fast they oscillate.

figure = plt.figure(figsize=(9, 5), layout="constrained")
above, below = figure.subfigures(2, 1)
for label, (axis, name) in enumerate(zip(above.subplots(1, 3, sharey=True), SHAPES, strict=True)):
    row = int(np.flatnonzero(y_test == label)[1])
    said = list(SHAPES)[int(model.predict(X_test[row : row + 1])[0])]
    axis.plot(X_test[row, 0], color="#0072B2", linewidth=1)
    axis.set_title(f"{name}; the network says {said}", fontsize=10)
    axis.set_ylim(-1.8, 3.2)  # room for the shape without noise
    inset = axis.inset_axes((0.03, 0.68, 0.3, 0.29))
    inset.plot(SHAPES[name], color="#D55E00")
    inset.set(xticks=[], yticks=[])
filters = model.coefs_[0].T
filters = filters[np.argsort(np.abs(np.diff(filters, axis=1)).sum(axis=1) / np.abs(filters).sum(axis=1))]
for axis, each in zip(below.subplots(2, 8, sharey=True).flat, filters, strict=True):
    axis.plot(each, color="black")
    axis.axhline(0, color="#999999", linewidth=0.6)
    axis.axis("off")
below.suptitle("Filters of the first layer")
plt.show()
