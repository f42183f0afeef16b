"""Shifted digits: a convolution finds them wherever they are, where a fully-connected network must see all places.

python examples/shifted_digits.py      writes filters.png and parts.png
"""

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

plot_weights(models["convolutions"]).figure_.savefig("filters.png")

# The paper's pre-training on patches: the filters of the first layer answer to parts of the strokes.
parts = NMFNetClassifier((Conv2d(16, 5), MaxPool2d(2), 64), solver="pinv", pretrain=NMFPretraining(n_ae=5), max_iter=3)
parts.fit(images[:1200], y[:1200])
print(f"{'parts':<16} error {100 * (1 - parts.score(images[1200:], y[1200:])):.1f} %")
plot_weights(parts).figure_.savefig("parts.png")
