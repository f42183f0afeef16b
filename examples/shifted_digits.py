"""
Digits anywhere in an image
===========================

A convolution uses the same filters at every place of an image.  So it recognizes a digit wherever it lies, while a
fully-connected network must have seen it at each place.  :class:`nmfnet.Augmentation` shifts the training images at
random, which helps further.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from nmfnet import Augmentation, NMFNetClassifier, NMFPretraining
from nmfnet.layers import Conv2d, MaxPool2d
from nmfnet.plotting import plot_weights

X, y = load_digits(return_X_y=True)
images = np.zeros((len(X), 1, 14, 14), np.float32)  # (samples, channels, height, width)
rng = np.random.default_rng(0)
for image, digit, (i, j) in zip(images[:, 0], X.reshape(-1, 8, 8) / 16, rng.integers(0, 7, (len(X), 2)), strict=True):
    image[i : i + 8, j : j + 8] = digit

layers = (Conv2d(16, 3, padding="same"), MaxPool2d(2), Conv2d(32, 3, padding="same"), MaxPool2d(2), 64)
models = {
    "fully connected": NMFNetClassifier((200, 64), max_iter=15, random_state=0),
    "convolutions": NMFNetClassifier(layers, max_iter=15, random_state=0),
    "and more shifts": NMFNetClassifier(layers, max_iter=15, augmentation=Augmentation(shift=2), random_state=0),
}
for name, model in models.items():
    rows = images if model is not models["fully connected"] else images.reshape(len(images), -1)
    model.fit(rows[:1200], y[:1200])
    print(f"{name:<16} error {100 * (1 - model.score(rows[1200:], y[1200:])):.1f} %")

# %%
# The filters of the first convolution, and what they respond to in one image, behind the max-pooling.

model, shown = models["convolutions"], 1203
filters = model.coefs_[0].T.reshape(16, 3, 3)
maps = model.layer_codes(images[shown : shown + 1], 0)[0]
reach = np.abs(filters).max()
figure = plt.figure(figsize=(9, 3.6), layout="constrained")
left, middle, right = figure.subfigures(1, 3)
left.suptitle("One image")
axis = left.subplots()
axis.imshow(images[shown, 0], cmap="gray_r")
axis.axis("off")
middle.suptitle("Filters")
right.suptitle("Activations")
for axis, each in zip(middle.subplots(4, 4).flat, filters, strict=True):
    axis.imshow(each, cmap="RdBu_r", vmin=-reach, vmax=reach)
    axis.axis("off")
for axis, each in zip(right.subplots(4, 4).flat, maps, strict=True):
    axis.imshow(each, cmap="viridis", vmin=0, vmax=maps.max())
    axis.axis("off")
plt.show()


# %%
# The paper's pre-training works on patches: nonnegative factors of all patches of 5 x 5 pixels start the filters,
# which then respond to parts of the strokes.

start = NMFPretraining(n_ae=5)
parts = NMFNetClassifier((Conv2d(16, 5), MaxPool2d(2), 64), solver="pinv", pretrain=start, max_iter=3, random_state=0)
parts.fit(images[:1200], y[:1200])
print(f"{'parts':<16} error {100 * (1 - parts.score(images[1200:], y[1200:])):.1f} %")
plot_weights(parts)
plt.show()
