"""
Parts of digits
===============

:class:`nmfnet.NMF` describes every handwritten digit as a sum of a few parts.  Parts are only added, never subtracted,
so they come out as strokes that one can recognize.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from nmfnet import NMF

X = load_digits().data / 16
model = NMF(16, alpha_W=1e-3, l1_ratio=1.0, max_iter=500, random_state=0)
Z = model.fit_transform(X)
print(f"{len(X)} images of {X.shape[1]} pixels as sums of {model.n_components_} parts:")
print(f"relative error {model.reconstruction_err_ / np.linalg.norm(X):.3f} after {model.n_iter_} passes;")
print(f"{100 * (Z == 0).mean():.0f} % of the coefficients are zero.")

# %%
# The sixteen parts, and then one digit with the parts that it is made of.  Each part is drawn as dark as its
# coefficient makes it.

figure = plt.figure(figsize=(8, 5), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(2, 1))
above.suptitle("Sixteen parts")
for axis, part in zip(above.subplots(2, 8).flat, model.components_, strict=True):
    axis.imshow(part.reshape(8, 8), cmap="gray_r")
    axis.axis("off")

digit = 19  # a nine
shares = Z[digit] * model.components_.sum(axis=1)
largest = np.argsort(-shares)[:5]
pictures = [X[digit], *(Z[digit, j] * model.components_[j] for j in largest), Z[digit] @ model.components_]
titles = ["a digit  =", *["+"] * 4, "+ ...", "sum of all parts"]
below.suptitle("One digit, and its five largest parts")
for axis, picture, title in zip(below.subplots(1, 7), pictures, titles, strict=True):
    axis.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    axis.set_title(title, fontsize=9)
    axis.axis("off")
plt.show()
