"""
Train here, fine-tune in PyTorch, come back
===========================================

``to_torch`` turns a fitted network into a ``torch.nn.Sequential``, which PyTorch can train further with any optimizer.
``from_torch`` turns the result into an estimator again.  The last module computes probabilities; ``module[:-1]`` gives
the logits.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from nmfnet import NMFNetClassifier, datasets

digits = datasets.load("digits")
model = NMFNetClassifier((100, 50), max_iter=5, random_state=0).fit(digits.X_train, digits.y_train)
print(f"trained here: {model.score(digits.X_test, digits.y_test):.4f} of the test digits")

module = model.to_torch()
logits = module[:-1].train()
X, y = torch.tensor(digits.X_train), torch.tensor(digits.y_train)
optimizer = torch.optim.SGD(logits.parameters(), lr=0.01, momentum=0.9)
batches = torch.Generator().manual_seed(0)
losses = []
for _ in range(10):
    for rows in torch.randperm(len(X), generator=batches).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits(X[rows]), y[rows], label_smoothing=0.2).backward()
        optimizer.step()
    with torch.no_grad():
        losses.append(nn.functional.cross_entropy(logits(X), y, label_smoothing=0.2).item())

back = NMFNetClassifier.from_torch(module, classes=model.classes_)
print(f"fine-tuned there: {back.score(digits.X_test, digits.y_test):.4f}")

# %%
# How fine-tuning changed the weights, layer by layer.  Points on the line are unchanged weights.  After five epochs of
# nmfnet little is left to do, most of it in the last layers.

figure, axes = plt.subplots(1, 4, figsize=(10, 3), layout="constrained", width_ratios=(1.3, 1, 1, 1))
axes[0].plot(range(1, 11), losses, "o-", color="#0072B2", markersize=4)
axes[0].set(xlabel="epoch in PyTorch", ylabel="loss of smoothed labels", title="Fine-tuning")
for number, (axis, before, after) in enumerate(zip(axes[1:], model.coefs_, back.coefs_, strict=True), start=1):
    reach = abs(before).max()
    axis.plot([-reach, reach], [-reach, reach], color="#999999", linewidth=1)
    axis.plot(before.ravel(), after.ravel(), ".", markersize=1.5, color="#D55E00")
    axis.set(title=f"Layer {number}", xlabel="weight before")
axes[1].set_ylabel("weight after")
plt.show()
