"""
Decision boundaries, next to an MLP's
=====================================

Three small data sets have two columns each, so their points lie in a plane.  The pictures show the probabilities that
:class:`nmfnet.NMFNetClassifier` and scikit-learn's ``MLPClassifier`` predict everywhere in this plane.  Both have two
hidden layers of 100 units, and otherwise their defaults, but for the number of epochs.  In the middle row nmfnet has
no penalty on the weights (``alpha=0``).  The numbers are accuracies on 200 points that were not trained on.  On the
third data set, whose classes overlap, the automatic penalty makes nmfnet's boundaries softer.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from sklearn.datasets import make_circles, make_classification, make_moons
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nmfnet import NMFNetClassifier

data = {
    "moons": make_moons(400, noise=0.25, random_state=0),
    "circles": make_circles(400, noise=0.15, factor=0.5, random_state=0),
    "three blobs": make_classification(
        400, 2, n_informative=2, n_redundant=0, n_classes=3, n_clusters_per_class=1, class_sep=0.9, random_state=4
    ),
}
models = {
    "NMFNetClassifier": NMFNetClassifier((100, 100), max_iter=60, random_state=0),
    "alpha=0": NMFNetClassifier((100, 100), alpha=0, max_iter=60, random_state=0),
    "MLPClassifier": make_pipeline(
        StandardScaler(), MLPClassifier((100, 100), early_stopping=False, max_iter=400, random_state=0)
    ),
}

# %%
# The shade is the probability of the most probable class: where it is pale, the model is unsure.

colours = np.array([[0.00, 0.45, 0.70], [0.84, 0.37, 0.00], [0.00, 0.62, 0.45]])
figure, axes = plt.subplots(3, 3, figsize=(9, 8.5), layout="constrained")
for column, (title, (X, y)) in zip(axes.T, data.items(), strict=True):
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    low, high = X.min(axis=0) - 0.5, X.max(axis=0) + 0.5
    plane = np.stack(np.meshgrid(np.linspace(low[0], high[0], 150), np.linspace(low[1], high[1], 150)), axis=-1)
    for axis, (name, model) in zip(column, models.items(), strict=True):
        model.fit(X_train, y_train)
        P = model.predict_proba(plane.reshape(-1, 2))
        shade = 1 - P @ (1 - colours[: P.shape[1]])
        accuracy = model.score(X_test, y_test)
        print(f"{title:<12} {name:<17} accuracy {accuracy:.3f}")
        axis.imshow(
            shade.reshape(150, 150, 3), origin="lower", extent=(low[0], high[0], low[1], high[1]), aspect="auto"
        )
        axis.scatter(
            *X_train.T, c=y_train, cmap=ListedColormap(colours[: P.shape[1]]), s=12, edgecolors="white", linewidths=0.4
        )
        axis.text(0.97, 0.04, f"{accuracy:.2f}", transform=axis.transAxes, ha="right", weight="bold")
        axis.set(xticks=[], yticks=[], title=f"{title}: {name}")
plt.show()
