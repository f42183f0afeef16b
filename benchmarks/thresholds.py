"""How the thresholds of the pseudo-inverses act: error on held-out training data, never the test set.

    python benchmarks/thresholds.py DATA DELTA_X DELTA [DATA DELTA_X DELTA ...]   run what is not stored
    python benchmarks/thresholds.py table                                         docs/results/thresholds.md

784-1000-500-10 without bias, pre-training of 5 rounds, then 5 epochs, on five sixths of the training set;
error on the last sixth.
"""

import sys

import numpy as np
import torch
from store import REPORTS, RESULTS, Record, Store

import nmfnet
from nmfnet import Callback, NMFNetClassifier, NMFPretraining, Pinv

RUNS = Store(RESULTS / "thresholds", "delta", "delta_x")
EPOCHS = 5
INTRODUCTION = """# Thresholds of the pseudo-inverses

How does [the paper's method](../method.md) depend on the threshold for the singular values of X? `delta_x` is this
threshold, `delta` that of the hidden layers.

- **Task.** 784-1000-500-10 without biases, batches of 5000, pre-training of 5 rounds, one seed.
- **Numbers** are errors in % after each epoch. They are of the last sixth of the training rows, which was held out.
  Test rows were not read.

What follows from it: [Findings](../research/paper.md#the-threshold-for-x).

Made by `python benchmarks/thresholds.py table`.
"""


class Validate(Callback):
    def __init__(self, X, y):
        self.X, self.y, self.errors = torch.from_numpy(X), y, []

    def on_epoch_end(self, network, record):
        found = network.predict(self.X).argmax(1).numpy()
        self.errors.append(100 * float(np.mean(found != self.y)))


def run(name: str, delta_x: float, delta: float) -> Record:
    data = nmfnet.datasets.load(name)
    n = len(data.X_train) * 5 // 6
    validate = Validate(data.X_train[n:], data.y_train[n:])
    model = NMFNetClassifier(
        (1000, 500), solver=Pinv(delta_x=delta_x, delta=delta), fit_intercept=False, max_iter=EPOCHS, random_state=0,
        pretrain=NMFPretraining(n_ae=5, delta_x=delta_x, delta=delta), callbacks=[validate],
    )  # fmt: skip
    model.fit(data.X_train[:n], data.y_train[:n])
    return {
        "data": name,
        "delta_x": delta_x,
        "delta": delta,
        "validation_error": validate.errors,
        "train_error": [100 * record["train_error"] for record in model.history_],
        "seconds": model.history_[-1]["seconds"],
    }


def main() -> None:
    arguments = sys.argv[1:]
    if arguments == ["table"]:
        write_table()
        return
    if not arguments or len(arguments) % 3:
        sys.exit(__doc__)
    for name, delta_x, delta in zip(*(iter(arguments),) * 3, strict=True):
        if RUNS.find(name, float(delta), float(delta_x)) is None:
            found = run(name, float(delta_x), float(delta))
            RUNS.add(name, found)
            print({key: found[key] for key in ("data", "delta_x", "delta", "validation_error")}, flush=True)


def write_table() -> None:
    """One row a run, with the error after every epoch."""
    epochs = " | ".join(f"epoch {e + 1}" for e in range(EPOCHS))
    lines = [
        INTRODUCTION,
        f"| data | delta_x | delta | {epochs} | training rows, epoch {EPOCHS} |",
        "| --- | ---: | ---: |" + " ---: |" * (EPOCHS + 1),
    ]
    for r in RUNS.records():
        errors = " | ".join(f"{e:.2f}" for e in r["validation_error"])
        lines.append(f"| {r['data']} | {r['delta_x']:g} | {r['delta']:g} | {errors} | {r['train_error'][-1]:.2f} |")
    (REPORTS / "thresholds.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
