"""
Noise removed by an autoencoder
===============================

:class:`nmfnet.NMFAutoencoder` compresses an image to a few nonnegative numbers and rebuilds it from them.  It can only
rebuild what digits have in common.  Noise is different in every image, so it gets lost on the way.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from nmfnet import NMFAutoencoder

X, X_test = train_test_split(load_digits().data / 16, random_state=0)
rng = np.random.default_rng(0)
noisy = np.clip(X_test + 0.25 * rng.standard_normal(X_test.shape), 0, None)

model = NMFAutoencoder((40, 16), max_iter=20, random_state=0).fit(X)
clean = model.decode(model.encode(noisy))
for name, images in (("noisy", noisy), ("decoded", clean)):
    print(f"{name:<9}root mean square error {np.sqrt(((images - X_test) ** 2).mean()):.3f}")

# %%
# The autoencoder was trained on other digits, without noise.

figure, axes = plt.subplots(3, 10, figsize=(9, 3), layout="constrained")
for row, name, images in zip(axes, ("original", "noisy", "decoded"), (X_test, noisy, clean), strict=True):
    row[0].set_title(name, loc="left", fontsize=10)
    for axis, image in zip(row, images, strict=False):
        axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axis.axis("off")
plt.show()
