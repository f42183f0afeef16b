"""
Probabilities that can be believed
==================================

Of all rows for which a model says "80 percent", four fifths should be right.  :class:`nmfnet.NMFNetClassifier`
calibrates its probabilities while it is fitted.  The three classes of this example overlap, so that every model is
sometimes wrong.  A model that has learned its training rows by heart does not know that, and is too sure of
itself.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nmfnet import NMFNetClassifier

X, y = make_classification(3000, 20, n_informative=6, n_classes=3, class_sep=0.8, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
models = {
    "NMFNetClassifier": NMFNetClassifier((100,), max_iter=30, random_state=0),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier((100,), max_iter=200, random_state=0)),
}

# %%
# Test rows are put in ten bins by the probability of the predicted class.  The bars below say how many rows each
# bin has.

figure, axes = plt.subplots(2, 2, figsize=(8, 5), layout="constrained", height_ratios=(3, 1), sharex=True)
for (above, below), (name, model) in zip(axes.T, models.items(), strict=True):
    P = model.fit(X_train, y_train).predict_proba(X_test)
    sure, right = P.max(axis=1), P.argmax(axis=1) == y_test
    bins = np.minimum((10 * sure).astype(int), 9)
    found = [k for k in range(10) if (bins == k).any()]
    said, true = (np.array([each[bins == k].mean() for k in found]) for each in (sure, right))
    shares = np.array([(bins == k).mean() for k in found])
    error = np.sum(shares * np.abs(said - true))
    print(f"{name:<17} accuracy {right.mean():.3f}, log-loss {log_loss(y_test, P):.3f}, calibration error {error:.3f}")
    above.plot([0.3, 1], [0.3, 1], color="#999999", linestyle="--", label="perfect")
    above.plot(said, true, "o-", color="#0072B2", label="test rows")
    above.fill_between(said, said, true, color="#D55E00", alpha=0.25, label="error")
    above.set(title=f"{name}: calibration error {error:.3f}", ylabel="share that is right", ylim=(0.1, 1.02))
    below.bar((np.array(found) + 0.5) / 10, 100 * shares, width=0.09, color="#999999")
    below.set(xlabel="probability of the predicted class", ylabel="rows (%)", xlim=(0.3, 1))
axes[0, 0].legend(frameon=False)
plt.show()
