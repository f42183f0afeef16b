"""How often an update waits for the device: each `.item()`, `float()`, `int()` or `bool()` of a tensor does."""

import traceback

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils._python_dispatch import TorchDispatchMode

from nmfnet import Callback, NMFNetClassifier, NMFNetRegressor


class HostReads(TorchDispatchMode):
    """Counts them by the line of nmfnet that they come from; draws of numbers on the CPU are none."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation._schema.name
        to_cpu = name == "aten::_to_copy" and str((kwargs or {}).get("device")) == "cpu"
        if name in ("aten::_local_scalar_dense", "aten::equal", "aten::nonzero", "aten::masked_select") or to_cpu:
            self.note()
        return operation(*args, **(kwargs or {}))

    def note(self):
        frame = next(each for each in reversed(traceback.extract_stack()) if "nmfnet" in each.filename)
        if "generator" not in frame.line:
            self.lines.append(f"{frame.filename}:{frame.lineno} {frame.line}")


class AtUpdates(Callback):
    """How many reads there were after each update."""

    def __init__(self, reads):
        self.reads, self.counts = reads, []

    def on_batch_end(self, batch, n_batches):
        self.counts.append(len(self.reads.lines))


@pytest.mark.parametrize(
    ("cls", "hidden", "most"), [(NMFNetClassifier, (30, 20, 20, 20), 10), (NMFNetRegressor, (30,), 5)]
)
def test_an_update_seldom_waits_for_the_device(monkeypatch, cls, hidden, most):
    X, y = load_digits(return_X_y=True)
    X = (X[:500] / 16).astype(np.float32)
    reads, tolist = HostReads(), torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda A: (reads.note(), tolist(A))[1])  # which is not dispatched
    counted = AtUpdates(reads)
    model = cls(hidden, max_iter=1, batch_size=50, random_state=0, callbacks=[counted])
    with reads:
        model.fit(X, y[:500])
    in_updates = np.diff(counted.counts)
    assert len(in_updates) == 9
    # One each for the loss, lengths, finite weights and the adversary; of Gram matrices when they are factorized.
    assert in_updates.mean() <= most, "\n".join(reads.lines[counted.counts[-2] : counted.counts[-1]])
