"""Clipped data: nonlinear semi-NMF sees two causes where a linear factorization needs many.

python examples/clipped_data.py
"""

import numpy as np

from nmfnet import NonlinearSemiNMF, SemiNMF

rng = np.random.default_rng(0)
Z, H = rng.gamma(1, 1, (300, 3)), rng.standard_normal((3, 40))
X = np.maximum(Z @ H, 0)  # a detector that shows nothing below zero
print(f"Rank of the clipped data: {np.linalg.matrix_rank(X)}; of what was clipped: 3.")
for model in (SemiNMF(3, random_state=0), NonlinearSemiNMF(3, "relu", max_iter=1000, tol=1e-6, random_state=0)):
    model.fit(X)
    print(f"{type(model).__name__:<18}relative error {model.reconstruction_err_ / np.linalg.norm(X):.4f}")
