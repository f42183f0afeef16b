"""How often an update waits for the device: each `.item()`, `float()`, `int()` or `bool()` of a tensor does."""

import traceback

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils._python_dispatch import TorchDispatchMode

from nmfnet import Augmentation, Callback, NMFNetClassifier, NMFNetRegressor, Relaxed
from nmfnet.layers import Conv2d, MaxPool2d
from nmfnet.linalg.damped_least_squares import DampedLeastSquares
from nmfnet.solvers.relaxed.looks import LOOK_INTERVAL, Looks

# Those that wait by themselves: some return as many numbers as they find, others look at whether LAPACK has succeeded.
WAIT = {
    *("_local_scalar_dense", "equal", "nonzero", "masked_select", "repeat_interleave.Tensor", "unique_consecutive"),
    *("cholesky_inverse", "linalg_cholesky", "linalg_inv", "_linalg_svd", "_linalg_eigh", "_linalg_solve_ex"),
}


class HostReads(TorchDispatchMode):
    """Notes them by the line of nmfnet that they come from; draws of numbers on the CPU are none."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        names = {operation._schema.name, f"{operation._schema.name}.{operation._overloadname}"}
        masked = operation._schema.name == "aten::index" and any(
            part is not None and part.dtype == torch.bool for part in args[1]
        )
        to_cpu = operation._schema.name == "aten::_to_copy" and str(kwargs.get("device")) == "cpu"
        if {name.removeprefix("aten::") for name in names} & WAIT or masked or to_cpu:
            self.note()
        return operation(*args, **kwargs)

    def note(self):
        frame = next(each for each in reversed(traceback.extract_stack()) if "nmfnet" in each.filename)
        if "generator" not in frame.line:
            self.lines.append(f"{frame.filename}:{frame.lineno} {frame.line}")


class AtUpdates(Callback):
    """What was read in each update."""

    def __init__(self, reads):
        self.reads, self.updates, self.looked_at = reads, [], []

    def on_train_begin(self, training):
        self.sweep = training.sweep

    def on_epoch_begin(self, epoch):
        self.reads.lines.clear()

    def on_batch_end(self, batch, n_batches):
        self.updates.append(list(self.reads.lines))
        self.looked_at.append(self.sweep.looks.now)
        self.reads.lines.clear()


IMAGES = [Conv2d(4, 3, padding=1), MaxPool2d(2), Conv2d(6, 3), 10]
CASES = {
    "classes": (NMFNetClassifier, (30, 20, 20, 20), {}),
    "real targets": (NMFNetRegressor, (30,), {}),
    "adversarial inputs": (NMFNetClassifier, (30, 20), {"solver": Relaxed(adversarial=0.1, noise=0.2)}),
    "small batches": (NMFNetClassifier, (30, 20), {"batch_size": 20}),
    "a penalty and momentum": (NMFNetRegressor, (30,), {"alpha": 1.0, "solver": Relaxed(momentum=0.9)}),
    "images": (NMFNetClassifier, IMAGES, {"augmentation": Augmentation(shift=1, flip=True, cutout=2)}),
    "the form dual": (NMFNetClassifier, (30,), {}),
    "an earlier batch": (NMFNetClassifier, (30,), {}),
}
WIDE = {"the form dual": "primal_max_features", "an earlier batch": "gram_features"}  # where these are fewer


@pytest.mark.parametrize("name", CASES)
def test_an_update_that_is_not_looked_at_waits_for_nothing(monkeypatch, name):
    """As on a GPU: one of LOOK_INTERVAL updates is looked at."""
    monkeypatch.setattr(Looks, "at_hand", ())
    cls, hidden, options = CASES[name]
    X, y = load_digits(return_X_y=True)
    X = (X[:500] / 16).astype(np.float32)
    if name in WIDE:
        monkeypatch.setattr(DampedLeastSquares, WIDE[name], 200)
        X = np.random.default_rng(0).standard_normal((500, 600), dtype=np.float32)
    reads, tolist = HostReads(), torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda A: (reads.note(), tolist(A))[1])  # which is not dispatched
    counted = AtUpdates(reads)
    options = {"max_iter": 4, "batch_size": 50, "random_state": 0, "callbacks": [counted], **options}
    with reads:
        cls(hidden, **options).fit(X.reshape(-1, 1, 8, 8) if hidden is IMAGES else X, y[:500])
    seldom = [read for read, looked_at in zip(counted.updates, counted.looked_at, strict=True) if not looked_at]
    assert len(seldom) == len(counted.updates) - -(-round(counted.sweep.schedule.updates) // LOOK_INTERVAL)
    assert not any(seldom), "\n".join(line for each in seldom for line in each)
    assert any(counted.updates)  # they were counted
    if name in WIDE:
        assert name.endswith(counted.sweep.solvers[0].form)


@pytest.mark.parametrize(
    ("cls", "hidden", "most"), [(NMFNetClassifier, (30, 20, 20, 20), 10), (NMFNetRegressor, (30,), 5)]
)
def test_an_update_that_is_looked_at_seldom_waits(monkeypatch, cls, hidden, most):
    X, y = load_digits(return_X_y=True)
    reads, tolist = HostReads(), torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda A: (reads.note(), tolist(A))[1])
    counted = AtUpdates(reads)
    with reads:
        cls(hidden, max_iter=1, batch_size=50, random_state=0, callbacks=[counted]).fit(
            (X[:500] / 16).astype(np.float32), y[:500]
        )
    assert len(counted.updates) == 10 and all(counted.looked_at)
    # One each for the loss, lengths, finite weights and the adversary; of Gram matrices when they are factorized, and
    # another one when they are inverted, which is not among these.
    reads = [[line for line in each if "cholesky_inverse" not in line] for each in counted.updates[1:]]
    assert np.mean([len(each) for each in reads]) <= most, "\n".join(reads[-1])
