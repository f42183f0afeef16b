"""
What a clipped detector has hidden
==================================

A detector measures the sum of three causes, and shows nothing below zero.  The clipped data have full rank, so a
linear factorization with three components cannot describe them.  :class:`nmfnet.NonlinearSemiNMF` fits ``relu(Z H)``
to the data.  So it finds the three causes, and what was hidden below zero.
"""

import matplotlib.pyplot as plt
import numpy as np

from nmfnet import NonlinearSemiNMF, SemiNMF

rng = np.random.default_rng(0)
channels = np.linspace(0, 1, 40)
Z = rng.gamma(1, 1, (300, 3))
H = np.array([np.cos(2 * np.pi * (k * channels + shift)) for k, shift in ((1, 0.1), (1.5, 0.4), (2.5, 0.2))])
signal = Z @ H
X = np.maximum(signal, 0)
print(f"Rank of the clipped data: {np.linalg.matrix_rank(X)}; of what was clipped: 3.")

linear = SemiNMF(3, random_state=0).fit(X)
clipping = NonlinearSemiNMF(3, "relu", max_iter=1000, tol=1e-6, random_state=0).fit(X)
for model in (linear, clipping):
    print(f"{type(model).__name__:<18}relative error {model.reconstruction_err_ / np.linalg.norm(X):.4f}")

# %%
# The product of the factors, without the ReLU, is the signal as it was before the detector clipped it.

recovered = clipping.transform(X) @ clipping.components_
fits = linear.inverse_transform(linear.transform(X))
figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained", sharey=True)
for axis, row in zip(axes, (7, 12, 40), strict=True):
    axis.axhspan(-9, 0, color="#EEEEEE")
    axis.plot(channels, signal[row], color="black", linewidth=4, alpha=0.3, label="signal")
    axis.plot(channels, X[row], "o", color="black", markersize=3, label="measured")
    axis.plot(channels, fits[row], color="#D55E00", linestyle="--", label="semi-NMF")
    axis.plot(channels, recovered[row], color="#0072B2", label="nonlinear semi-NMF, before the ReLU")
    axis.set(xlabel="channel", ylim=(-4.2, 4.2))
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
plt.show()
