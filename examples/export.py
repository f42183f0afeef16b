"""
A model in ONNX, and a digit that turns
=======================================

``to_onnx`` writes a network with its scaling and its calibrated probabilities.  Here onnxruntime, which knows
nothing of nmfnet, follows a six while it is turned upside down, until the model takes it for a nine.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from scipy.ndimage import rotate
from sklearn.datasets import load_digits

from nmfnet import NMFNetClassifier

X, y = load_digits(return_X_y=True)
model = NMFNetClassifier((100, 50), max_iter=15, random_state=0).fit(X[:1500], y[:1500])
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.onnx"
    model.to_onnx(path, dtype="float32")
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")
    session = onnxruntime.InferenceSession(path)

# %%
# The graph has one input, and the outputs ``label`` and ``probabilities``.

angles = np.arange(0, 181, 5)
six = X[y == 6][3].reshape(8, 8)
turned = np.stack([rotate(six, angle, reshape=False, order=1).ravel() for angle in angles]).astype(np.float32)
P = session.run(["probabilities"], {"X": turned})[0]
difference = np.abs(P - model.predict_proba(turned)).max()
print(f"Largest difference from the estimator's probabilities: {difference:.1e}")

figure = plt.figure(figsize=(9, 4.4), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 3))
for axis, k in zip(above.subplots(1, 10), range(0, 37, 4), strict=True):
    axis.imshow(turned[k].reshape(8, 8), cmap="gray_r")
    axis.set_title(f"{angles[k]}°", fontsize=9)
    axis.axis("off")
axis = below.subplots()
for digit in range(10):
    if P[:, digit].max() > 0.15:
        axis.plot(angles, P[:, digit], linewidth=2, label=f"{digit}")
axis.set(xlabel="angle", ylabel="probability (onnxruntime)", xlim=(0, 180), xticks=range(0, 181, 20))
axis.legend(title="digit", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
plt.show()
