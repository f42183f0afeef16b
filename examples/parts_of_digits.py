"""Parts of digits: what NMF finds in handwritten numbers, and how few numbers are enough.

python examples/parts_of_digits.py      writes parts_of_digits.png
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from nmfnet import NMF

X = load_digits().data / 16
model = NMF(16, alpha_W=1e-3, l1_ratio=1.0, max_iter=500, random_state=0)
Z = model.fit_transform(X)
print(f"{len(X)} images of {X.shape[1]} pixels as sums of {model.n_components_} parts:")
print(f"relative error {model.reconstruction_err_ / (X**2).sum() ** 0.5:.3f} after {model.n_iter_} passes, ")
print(f"{100 * (Z == 0).mean():.0f} % of the coefficients are zero.")

figure, axes = plt.subplots(2, 8, figsize=(8, 2))
for axis, part in zip(axes.flat, model.components_, strict=True):
    axis.imshow(part.reshape(8, 8), cmap="gray_r")
    axis.axis("off")
figure.savefig("parts_of_digits.png", dpi=120)
