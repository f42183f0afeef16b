"""Are epochs as long as `nmfnet plan` says?

    python benchmarks/plan.py [TASK...]     # prints the table of docs/results/plan.md; data in the folder $NMFNET_DATA

Each task is a process of its own, with one thread, and seconds are the processor's: rates are measured, then a fit of
some epochs is, of which each is timed from its beginning to its end.  What comes before the first epoch is left out.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

# data set, rows, hidden widths, epochs
TASKS = {
    "MNIST": ("mnist", 60_000, (1000, 500), 3),
    "CIFAR-10": ("cifar10", 20_000, (1500, 1000), 3),
    "MNIST, adversarial inputs": ("mnist", 60_000, (1000, 500), 2),
    "table of 30 columns, real targets": ("friedman", 40_000, (256, 128), 4),
    "digits": ("digits", 1797, (100, 50), 20),
}


def data(name, rows):
    if name == "digits":
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        return (X / 16).astype(np.float32), y
    if name == "friedman":  # columns of different units
        from sklearn.datasets import make_friedman1

        X, y = make_friedman1(rows, 30, random_state=0)
        return (X * np.arange(1, 31)).astype(np.float32), y.astype(np.float32)
    with np.load(Path(os.environ["NMFNET_DATA"]) / f"{name}.npz") as files:
        X, y = files["X_train"][:rows], files["y_train"][:rows]
    return X.reshape(len(X), -1).astype(np.float32) / 255, y


def once(task):
    """Print what is planned and what is measured, in this process."""
    from nmfnet import Callback, NMFNetClassifier, NMFNetRegressor, Relaxed
    from nmfnet.estimators.untrained import untrained
    from nmfnet.planning import Epoch, MeasuredRates, Task, Wire

    class Clock(Callback):
        """Processor seconds of every epoch."""

        def __init__(self):
            self.seconds = []

        def on_epoch_begin(self, epoch):
            self.start = time.process_time()

        def on_epoch_end(self, network, record):
            self.seconds.append(time.process_time() - self.start)

    name, rows, hidden, epochs = TASKS[task]
    X, y = data(name, rows)
    estimator, clock = NMFNetRegressor if "real" in task else NMFNetClassifier, Clock()
    solver = Relaxed(adversarial=0.1 if "adversarial" in task else 0)
    model = estimator(hidden, solver=solver, max_iter=epochs, random_state=0, callbacks=[clock])
    found = untrained(model, X, y)
    resolved = solver.resolved(found.network, found.plan, found.source)
    planned = Task.of(found.network, resolved, found.source, found.plan, epochs, found.validation_rows)
    dtype, start = found.source.dtype, time.process_time()
    rates = MeasuredRates(dtype=dtype, clock=time.process_time)
    parts = Epoch(planned).parts(rates, Wire())
    took = time.process_time() - start
    del found
    model.fit(X, y)
    seconds = {part: each.seconds for part, each in parts.items()}
    print(json.dumps({"task": task, "planned": sum(seconds.values()), "measured": float(np.mean(clock.seconds)),
                      "rates took": took, "parts": seconds, "epochs": clock.seconds}))  # fmt: skip


def main(tasks):
    print("| task | planned | measured | planned / measured | to measure rates |\n| --- | ---: | ---: | ---: | ---: |")
    for task in tasks or TASKS:
        command, environment = [sys.executable, __file__, "once", task], {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        line = json.loads(done.stdout.splitlines()[-1])
        print(done.stdout.splitlines()[-1], file=sys.stderr, flush=True)
        ratio = line["planned"] / line["measured"]
        cells = (
            f"{line['planned']:.3g} s",
            f"{line['measured']:.3g} s",
            f"{ratio:.2f}",
            f"{line['rates took']:.1f} s",
        )
        print(f"| {task} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    once(sys.argv[2]) if sys.argv[1:2] == ["once"] else main(sys.argv[1:])
