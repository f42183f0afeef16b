"""Missing data: NaN is a hole, not a number, and the factors fill it.

python examples/missing_data.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.impute import SimpleImputer

from nmfnet import NMF

X = load_digits().data / 16
hidden = np.random.default_rng(0).random(X.shape) < 0.2
holes = np.where(hidden, np.nan, X)

model = NMF(12, alpha_W=1e-3, max_iter=1000, random_state=0)
filled = model.inverse_transform(model.fit_transform(holes))
mean = SimpleImputer(keep_empty_features=True).fit_transform(holes)
after_mean = NMF(12, max_iter=1000, random_state=0)
rebuilt = after_mean.inverse_transform(after_mean.fit_transform(mean))

print("Relative error on the hidden fifth of the pixels:")
for name, guess in (("mean of the column", mean), ("mean, then NMF", rebuilt), ("NMF around the holes", filled)):
    print(f"  {name:<22}{np.linalg.norm((guess - X)[hidden]) / np.linalg.norm(X[hidden]):.3f}")
