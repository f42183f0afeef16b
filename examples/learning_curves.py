"""
Learning curves against Muon and AdamW
======================================

The same network is trained on the same digits for the same number of epochs in three ways: by nmfnet with its
defaults, and by PyTorch's Muon and AdamW with a cosine schedule, each at three learning rates.  One small data set
proves little.  The :doc:`results </results/bench>` compare nmfnet with tuned optimizers on 24 data sets.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from nmfnet import NMFNetClassifier

EPOCHS = 15
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split((X / 16).astype(np.float32), y, test_size=0.5, random_state=0)

model = NMFNetClassifier((200, 100), max_iter=EPOCHS, random_state=0)
model.fit(X_train, y_train, X_val=X_test, y_val=y_test)
curves = {"nmfnet, defaults": [100 * record["val_error"] for record in model.history_]}


# %%
# The baselines.  Muon moves matrices; biases and the output layer are left to AdamW, as its authors advise.


def by_gradients(name, rate):
    """Test error in percent after each epoch."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10))
    matrices = [net[0].weight, net[2].weight] if name == "Muon" else []
    others = [p for p in net.parameters() if all(p is not matrix for matrix in matrices)]
    optimizers = [torch.optim.AdamW(others, lr=1e-3 if name == "Muon" else rate)]
    optimizers += [torch.optim.Muon(matrices, lr=rate)] if matrices else []
    steps = EPOCHS * -(-len(X_train) // 64)
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(each, steps) for each in optimizers]
    inputs, labels, errors = torch.tensor(X_train), torch.tensor(y_train), []
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(64):
            net.zero_grad()
            nn.functional.cross_entropy(net(inputs[rows]), labels[rows]).backward()
            for each in (*optimizers, *schedules):
                each.step()
        with torch.no_grad():
            errors.append(100 * np.mean(net(torch.tensor(X_test)).argmax(dim=1).numpy() != y_test))
    return errors


for rate in (0.02, 0.08, 0.32):
    curves[f"Muon, {rate}"] = by_gradients("Muon", rate)
for rate in (0.001, 0.004, 0.016):
    curves[f"AdamW, {rate}"] = by_gradients("AdamW", rate)
for name, errors in curves.items():
    print(f"{name:<18} {errors[0]:6.2f} % after one epoch, {errors[-1]:5.2f} % at the end")

# %%

figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
colours = {"nmfnet": "#0072B2", "Muon": "#D55E00", "AdamW": "#009E73"}
styles = iter(["-", ":", "--", "-", ":", "--", "-"])
for name, errors in curves.items():
    solver = name.split(",")[0]
    width = 3 if solver == "nmfnet" else 1.4
    axis.plot(range(1, EPOCHS + 1), errors, next(styles), color=colours[solver], linewidth=width, label=name)
axis.set(xlabel="epoch", ylabel="test error (%)", yscale="log", xticks=[1, 5, 10, 15])
axis.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
axis.grid(color="#DDDDDD", linewidth=0.6)
axis.legend(frameon=False)
plt.show()
