"""A process whose children train, are killed with SIGKILL, and resume: started by test_resuming.py.

    python tests/kill_and_resume.py FOLDER KILLS SEED

The children are forked from one process that has loaded all libraries and runs nothing else, so that two dozen kills
take seconds, not minutes of imports.  What is killed, and what it leaves on the disk, is the same.  It prints JSON:
how often they were killed, how often of that a half-written checkpoint was left, and whether all ended with the
weights of a training that was left alone.
"""

import itertools
import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from nmfnet import Checkpoint, NMFNetClassifier, NMFNetRegressor, Pinv, Relaxed
from nmfnet.storage import container

torch.set_num_threads(1)


def models(callbacks):
    """What is trained: momentum, masks, principal components, early stopping, the other solver, several epochs."""
    X, y = load_digits(return_X_y=True)
    X, y = np.repeat(X[:400] / 16, 3, axis=1).astype(np.float32), y[:400]
    options = {"random_state": 0, "batch_size": 50, "n_iter_no_change": 100, "callbacks": callbacks}
    yield NMFNetClassifier((20, 10), solver=Relaxed(dropout=0.2), max_iter=5, early_stopping=True, **options), X, y
    yield NMFNetRegressor((10,), "tanh", alpha=0.1, max_iter=3, **options), X[:, :20], X[:, 30]
    yield NMFNetClassifier((10,), solver=Pinv(n_w=2), pretrain="nmf", max_iter=2, **options), X[:, :60], y


def train(folder, path):
    """Train all models, from their checkpoints if there are any, and write their weights."""
    warnings.simplefilter("ignore")
    checkpoint = Checkpoint(folder, every=1, resume=True)
    results = {}
    for number, (model, X, y) in enumerate(models([checkpoint])):
        checkpoint.folder = Path(folder, str(number))
        model.fit(X, y)
        results |= {f"{number}.{i}": W for i, W in enumerate(model.coefs_ + model.intercepts_)}
        results[f"{number}.objective"] = np.array([record["objective"] for record in model.history_])
    temporary = f"{path}.tmp.npz"
    np.savez(temporary, **results)
    os.replace(temporary, path)


def forked(work, *arguments):
    """Process number of a child at work."""
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return child


def kill_self_in(name, call):
    """Have SIGKILL strike in a call of a function of the operating system, counted from now."""
    original, calls = getattr(os, name), itertools.count()

    def killed(*arguments):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    setattr(container.os, name, killed)


def killed_in_a_write(folder, path, name, call):
    """Train until a checkpoint is half done."""
    kill_self_in(name, call)
    train(folder, path)


def attempt(folder, path, seconds, exact, rng):
    """Train once more until it is killed, and return whether it was; at a moment of a write, or at any."""
    if exact:
        child = forked(killed_in_a_write, folder, path, rng.choice(["fsync", "replace"]), rng.randrange(12))
    else:
        child = forked(train, folder, path)
        time.sleep(rng.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main(folder, kills, seed):
    rng, folder = random.Random(seed), Path(folder)
    os.waitpid(forked(train, folder / "alone", folder / "alone.npz"), 0)
    start = time.perf_counter()
    os.waitpid(forked(train, folder / "timed", folder / "timed.npz"), 0)
    seconds = time.perf_counter() - start
    alone, found = np.load(folder / "alone.npz"), {"killed": 0, "while writing": 0, "trainings": 0, "same": True}
    while found["killed"] < kills:  # one training after the other, each killed several times
        name = f"killed-{found['trainings']}"
        for number in itertools.count():
            before = set(folder.glob(f"{name}/*/.checkpoint*"))
            if not attempt(folder / name, folder / f"{name}.npz", seconds, number % 2 == 0, rng):
                break
            found["killed"] += 1
            found["while writing"] += bool(set(folder.glob(f"{name}/*/.checkpoint*")) - before)
        other = np.load(folder / f"{name}.npz")
        found["same"] &= all(np.array_equal(alone[each], other[each]) for each in alone.files)
        found["trainings"] += 1
    print(json.dumps({**found, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
