"""
Large batches
=============

The more rows a batch has, the better a least-squares step knows the covariance of the inputs.  So nmfnet loses less
accuracy than AdamW if batches are large and updates few.  Each point is a training of its own, and all have the same
number of epochs.  nmfnet has its defaults, AdamW the best of three learning rates at each size.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from nmfnet import NMFNetClassifier

EPOCHS, SIZES = 15, (32, 64, 128, 256, 512, 1024)
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split((X / 16).astype(np.float32), y, test_size=0.4, random_state=0)


def adamw(size, rate):
    """Test error of AdamW with a cosine schedule."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * -(-len(X_train) // size))
    inputs, labels = torch.tensor(X_train), torch.tensor(y_train)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return 100 * np.mean(net(torch.tensor(X_test)).argmax(dim=1).numpy() != y_test)


errors = {"nmfnet, defaults": [], "AdamW, best of three rates": []}
for size in SIZES:
    model = NMFNetClassifier((100,), max_iter=EPOCHS, batch_size=size, random_state=0).fit(X_train, y_train)
    errors["nmfnet, defaults"].append(100 * (1 - model.score(X_test, y_test)))
    errors["AdamW, best of three rates"].append(min(adamw(size, rate) for rate in (0.004, 0.016, 0.064)))
    print(f"batches of {size:>4}: " + ", ".join(f"{name} {each[-1]:.1f} %" for name, each in errors.items()))

# %%
# AdamW's learning rate is chosen on the test rows here, which favours AdamW.

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, each), colour, marker in zip(errors.items(), ("#0072B2", "#009E73"), "os", strict=True):
    axis.plot(SIZES, each, marker + "-", color=colour, label=name)
axis.set(xlabel=f"rows in a batch, of {len(X_train)}", ylabel="test error (%)", xscale="log", ylim=(0, None))
axis.set_xticks(SIZES, [f"{size}" for size in SIZES])
axis.minorticks_off()
axis.grid(color="#DDDDDD", linewidth=0.6)
axis.legend(frameon=False)
plt.show()
