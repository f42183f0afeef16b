"""
Wines of three cultivars, without labels
========================================

:class:`nmfnet.SemiNMF` takes data of any sign and says how much of each pattern a sample has: a soft clustering.  The
thirteen measurements of 178 wines are standardized, so half of them are negative, and NMF could not take them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from nmfnet import SemiNMF

wine = load_wine()
X = StandardScaler().fit_transform(wine.data)  # negative as often as positive
model = SemiNMF(3, alpha_W=1e-2, random_state=0, max_iter=1000)
Z = model.fit_transform(X)
strength = Z * np.linalg.norm(model.components_, axis=1)

print("Agreement with the three cultivars (adjusted Rand index; 1 is perfect):")
print(f"  strongest component  {adjusted_rand_score(wine.target, strength.argmax(1)):.2f}")
clusters = KMeans(3, n_init=10, random_state=0).fit_predict(X)
print(f"  k-means              {adjusted_rand_score(wine.target, clusters):.2f}")

# %%
# Left: each wine is a mixture of three components, and lies nearer to the corner of which it has more.  The
# colours are the cultivars, which the fit did not know.  Right: what each component stands for.

corners = np.array([[0, 0], [1, 0], [0.5, 0.87]])
place = strength / strength.sum(axis=1, keepdims=True) @ corners
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained", width_ratios=(1, 1.2))
left.plot(*corners[[0, 1, 2, 0]].T, color="#999999")
for label, (colour, marker) in enumerate((("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"))):
    left.scatter(
        *place[wine.target == label].T, c=colour, marker=marker, s=25, alpha=0.8, label=f"cultivar {label + 1}"
    )
for number, corner in enumerate(corners):
    left.annotate(
        f"component {number}", corner, xytext=(0, 8 if number == 2 else -14), textcoords="offset points", ha="center"
    )
left.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=1)
left.set(aspect="equal", ylim=(-0.1, 0.97))
left.axis("off")
reach = np.abs(model.components_).max()
image = right.imshow(model.components_.T, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
right.set_xticks(range(3), [f"component {j}" for j in range(3)])
right.set_yticks(range(13), [name.replace("_", " ") for name in wine.feature_names])
figure.colorbar(image, ax=right, label="standard deviations from the mean")
plt.show()
