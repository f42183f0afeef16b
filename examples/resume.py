"""
A training that was killed goes on
==================================

:class:`nmfnet.Checkpoint` stores a training while it runs.  A run that ends half-way, by a crash or a pulled plug,
continues from the last checkpoint and ends with the same weights as one that was never interrupted, bit for bit.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from nmfnet import Callback, Checkpoint, NMFNetClassifier

X, y = load_digits(return_X_y=True)


class PowerCut(Callback):
    """Ends the run in the middle, as a crash would."""

    def on_epoch_end(self, network, record):
        """Fail after the eighth epoch."""
        if record["epoch"] == 8:
            raise RuntimeError("the power is gone")


def network(*callbacks):
    """The same estimator each time."""
    return NMFNetClassifier((100, 50), max_iter=20, random_state=0, callbacks=list(callbacks))


whole = network().fit(X, y, X_val=X[1500:], y_val=y[1500:])
with tempfile.TemporaryDirectory() as folder:
    try:
        network(Checkpoint(folder), PowerCut()).fit(X, y, X_val=X[1500:], y_val=y[1500:])
    except RuntimeError as error:
        print(f"The first run ended after 8 of 20 epochs: {error}")
    resumed = network(Checkpoint(folder, resume=True)).fit(X, y, X_val=X[1500:], y_val=y[1500:])
same = all(np.array_equal(a, b) for a, b in zip(whole.coefs_, resumed.coefs_, strict=True))
print(f"Are the weights the same, bit for bit? {same}")

# %%

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
losses = [record["train_loss"] for record in whole.history_]
axis.plot(range(1, 21), losses, color="#BBBBBB", linewidth=7, label="never interrupted")
losses = [record["train_loss"] for record in resumed.history_]
axis.plot(range(1, 9), losses[:8], "o-", color="#D55E00", markersize=4, label="first run, until it was killed")
axis.plot(range(8, 21), losses[7:], "o-", color="#0072B2", markersize=4, label="resumed")
axis.axvline(8.1, color="#D55E00", linestyle=":")
axis.set(xlabel="epoch", ylabel="training loss", yscale="log", xticks=[1, 5, 8, 10, 15, 20])
axis.legend(frameon=False)
plt.show()
