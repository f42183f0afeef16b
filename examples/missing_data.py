"""
Missing pixels filled in
========================

NaN in the data of :class:`nmfnet.NMF` is a missing entry.  The factors are fitted to the entries that are there,
and their product fills in the others.  Here sixty percent of the pixels of a photograph are missing.  Its rows of
pixels are cut into patches of 8 × 8 pixels, which resemble each other and so complete each other.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image
from sklearn.impute import SimpleImputer

from nmfnet import NMF

photograph = load_sample_image("china.jpg")[40:296, 120:504].mean(axis=2) / 255
SIDE = 8


def patches(image):
    """Rows of 64 pixels, one for each patch; patches overlap by half, so that their borders do not show."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE))[:: SIDE // 2, :: SIDE // 2]
    return windows.reshape(-1, SIDE * SIDE), windows.shape[:2]


def image_of(rows, grid):
    """The picture again: the mean of the patches that cover a pixel."""
    total, count = np.zeros_like(photograph), np.zeros_like(photograph)
    for (i, j), patch in zip(np.ndindex(grid), rows, strict=True):
        at = np.s_[i * SIDE // 2 : i * SIDE // 2 + SIDE, j * SIDE // 2 : j * SIDE // 2 + SIDE]
        total[at] += patch.reshape(SIDE, SIDE)
        count[at] += 1
    return total / count


missing = np.random.default_rng(0).random(photograph.shape) < 0.6
X, grid = patches(np.where(missing, np.nan, photograph))

# %%
# Two ways to fill the holes: with the mean of the pixel over all patches, and with the factorization.

mean = image_of(SimpleImputer().fit_transform(X), grid)
model = NMF(12, alpha_W=2e-3, max_iter=60, tol=1e-3, random_state=0)
filled = image_of(model.inverse_transform(model.fit_transform(X)), grid)
print("Root mean square error of the missing pixels, of a range of 1:")
for name, guess in (("mean of the pixel", mean), ("NMF around the holes", filled)):
    print(f"  {name:<22}{np.sqrt(np.mean((guess - photograph)[missing] ** 2)):.3f}")

# %%
# The pixels that were there stay as they are.

pictures = {
    "40 % of the pixels": np.where(missing, np.nan, photograph),
    "filled in by NMF": np.where(missing, filled, photograph),
    "the photograph": photograph,
}
figure, axes = plt.subplots(1, 3, figsize=(10, 2.7), layout="constrained")
for axis, (name, picture) in zip(axes, pictures.items(), strict=True):
    axis.imshow(picture, cmap=plt.get_cmap("gray").with_extremes(bad="#D55E00"), vmin=0, vmax=1)
    axis.set_title(name)
    axis.axis("off")
plt.show()
