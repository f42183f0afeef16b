"""
What the units of a network look for
====================================

The weights of a unit of the first layer are an image: red where the unit wants ink, blue where it wants none.
``plotting.plot_weights`` draws those of the units with the largest weights.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from nmfnet import NMFNetClassifier
from nmfnet.plotting import plot_weights

X, y = load_digits(return_X_y=True)
model = NMFNetClassifier((100, 50), max_iter=20, random_state=0).fit(X[:1300], y[:1300])
print(f"Error on other digits: {100 * (1 - model.score(X[1300:], y[1300:])):.1f} %")
plot_weights(model, image_shape=(8, 8), n_parts=25, interpolation="bicubic")
plt.show()

# %%
# What does a unit respond to?  Below are eight of these units, each with the mean of the thirty digits that activate
# it most, and their labels.  Most units are for a stroke that several digits have in common.

first = model.layer_codes(X[:1300], 0)
largest = np.argsort(-np.linalg.norm(model.coefs_[0], axis=0))[:8]
figure, axes = plt.subplots(2, 8, figsize=(9, 2.6), layout="constrained")
for unit, (above, below) in zip(largest, axes.T, strict=True):
    weights = model.coefs_[0][:, unit]
    reach = np.abs(weights).max()
    above.imshow(weights.reshape(8, 8), cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="bicubic")
    strongest = np.argsort(-first[:, unit])[:30]
    below.imshow(X[strongest].mean(axis=0).reshape(8, 8), cmap="gray_r", interpolation="bicubic")
    below.set_title(" ".join(map(str, np.unique(y[strongest]))), fontsize=9)
axes[0, 0].set_title("weights", fontsize=9)
for axis in axes.flat:
    axis.axis("off")
plt.show()

# %%
# The last hidden layer describes a digit by fifty nonnegative numbers.  Sorted by label, they show how the network
# tells digits apart: some units belong to one digit, others to several.

order = np.argsort(y[1300:], kind="stable")
codes = model.transform(X[1300:])[order]
preferred = np.argsort(
    [
        np.average(np.arange(10), weights=means + 1e-9)
        for means in np.stack([codes[y[1300:][order] == digit].mean(axis=0) for digit in range(10)], axis=1)
    ]
)
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
image = axis.imshow(codes[:, preferred].T, aspect="auto", cmap="magma", vmax=np.quantile(codes, 0.99))
ends = np.searchsorted(y[1300:][order], np.arange(11))
axis.set_xticks((ends[1:] + ends[:-1]) / 2, range(10))
for end in ends[1:-1]:
    axis.axvline(end - 0.5, color="white", linewidth=0.5)
axis.set(xlabel="digit", ylabel="unit of the last hidden layer")
figure.colorbar(image, ax=axis, label="activation")
plt.show()
