"""Checkpoints, and trainings that go on from them."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs

import nmfnet
from nmfnet import (
    Callback,
    Checkpoint,
    CheckpointError,
    NMFNetClassifier,
    NMFNetRegressor,
    NMFPretraining,
    Pinv,
    Relaxed,
)
from nmfnet.storage.checkpoints import read, write

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


class Stop(Callback):
    """Ends a training with an error after so many batches."""

    def __init__(self, batches):
        self.left = batches

    def on_batch_end(self, batch, n_batches):
        self.left -= 1
        if not self.left:
            raise RuntimeError("power cut")


class Reach(Callback):
    """Notes how far inputs are moved, batch by batch."""

    def __init__(self, found):
        self.found = found

    def on_train_begin(self, training):
        self.sweep = training.sweep

    def on_batch_end(self, batch, n_batches):
        self.found.append(self.sweep.adversary.radius)


def weights(model):
    return model.coefs_ + model.intercepts_


def assert_same(model, other):
    for W, V in zip(weights(model), weights(other), strict=True):
        np.testing.assert_array_equal(W, V)
    strip = [[{**record, "seconds": 0} for record in each.history_] for each in (model, other)]
    assert strip[0] == strip[1]


CASES = {
    "relaxed": NMFNetClassifier((8, 6), early_stopping=True, max_iter=6, batch_size=20),
    "momentum": NMFNetClassifier((8,), solver=Relaxed(delta=0.2, dropout=0.3, noise=0.2), max_iter=5, batch_size=20),
    "penalty": NMFNetRegressor((8,), "tanh", alpha=0.1, l1_ratio=0.5, max_iter=6, batch_size=30),
    "pinv": NMFNetClassifier((8,), solver=Pinv(n_w=2), max_iter=4, batch_size=30),
    "pretrained": NMFNetClassifier((8,), pretrain=NMFPretraining(n_ae=2), max_iter=4, batch_size=30),
    "whole batches": NMFNetRegressor((), max_iter=6, batch_size=100),
}


def data(case):
    rng = np.random.default_rng(0)
    X = rng.random((100, 6)).astype(np.float32 if case == "momentum" else np.float64)
    return X, (X @ rng.normal(size=6) if case in ("penalty", "whole batches") else (4 * X[:, 0] + X[:, 1]).astype(int))


def test_a_training_resumed_after_inputs_began_to_be_moved(tmp_path):
    X, y = make_blobs(100, 20, centers=3, random_state=1)
    X += 20
    sweeps = []
    alone = NMFNetClassifier((8,), max_iter=10, batch_size=20, random_state=0, callbacks=[Reach(sweeps)]).fit(X, y)
    assert sweeps[0] == 0 and sweeps[30] > 0  # batches
    model = clone(alone).set_params(callbacks=[Checkpoint(tmp_path, 1, resume=True), Stop(32)])
    with pytest.raises(RuntimeError):
        model.fit(X, y)
    assert_same(alone, model.fit(X, y))


@pytest.mark.parametrize("every", [1, 3, None])
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_training_ends_with_the_same_weights(tmp_path, case, every):
    X, y = data(case)
    alone = clone(CASES[case]).set_params(random_state=0).fit(X, y)
    model = clone(alone).set_params(callbacks=[Checkpoint(tmp_path, every, resume=True), Stop(4)])
    for _ in range(100):
        try:
            model.fit(X, y)
        except RuntimeError:
            model.callbacks[1].left = 4 if every == 1 else 7
        else:
            break
    assert_same(model, alone)
    assert len(list(tmp_path.iterdir())) <= 2
    model.callbacks = model.callbacks[:1]
    assert_same(model.fit(X, y), alone)  # what is done is not done again


def test_it_goes_on_where_it_ended(tmp_path):
    X, y = data("relaxed")
    model = clone(CASES["pretrained"]).set_params(random_state=0, callbacks=[Checkpoint(tmp_path, 1), Stop(6)])
    with pytest.raises(RuntimeError, match="power cut"):
        model.fit(X, y)
    seen = []

    class Note(Callback):
        def on_pretrain_layer(self, layer, n_layers):
            seen.append("pretraining")

        def on_batch_end(self, batch, n_batches):
            seen.append(batch)

    model.set_params(callbacks=[Checkpoint(tmp_path, 1, resume=True), Note()]).fit(X, y)
    assert seen[:6] == [3, 4, 1, 2, 3, 4]  # the checkpoint is of the sixth batch of epochs of four


@unix
@pytest.mark.parametrize("times", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(times, tmp_path):
    """So many times and more by SIGKILL, also while a checkpoint is being written, and resumed each time."""
    command = [sys.executable, Path(__file__).with_name("kill_and_resume.py"), tmp_path, str(times), "0"]
    source = str(Path(nmfnet.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["killed"] >= times and found["while writing"] >= times // 4 and found["same"], found


FULL = """
import resource, sys, warnings
import numpy as np
from nmfnet import Callback, Checkpoint, NMFNetClassifier
class Full(Callback):
    def on_epoch_end(self, network, record):
        if record["epoch"] == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # no file may grow beyond
X = np.random.default_rng(0).random((100, 6))
model = NMFNetClassifier((8,), max_iter=4, batch_size=25, random_state=0)
model.set_params(callbacks=[Checkpoint(sys.argv[1]), Full()]).fit(X, np.arange(100) % 2)
print(len(model.history_))
"""


@unix
def test_a_full_disk(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(nmfnet.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FULL, tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stdout == "4\n", done.stderr  # the training went on
    assert "could not be written: File too large. The training goes on; the last one is checkpoint-" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"checkpoint-{n:010d}.safetensors" for n in (4, 8)]
    X = np.random.default_rng(0).random((100, 6))
    model = NMFNetClassifier((8,), max_iter=4, batch_size=25, random_state=0)
    alone = clone(model).fit(X, np.arange(100) % 2)
    assert_same(model.set_params(callbacks=[Checkpoint(tmp_path, resume=True)]).fit(X, np.arange(100) % 2), alone)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    X, y = data("relaxed")
    model = clone(CASES["relaxed"]).set_params(random_state=0, callbacks=[Checkpoint(tmp_path, 1), Stop(9)])
    with pytest.raises(RuntimeError, match="power cut"):
        model.fit(X, y)
    older, newest = sorted(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    model.set_params(callbacks=[Checkpoint(tmp_path, 1, resume=True)])
    with pytest.warns(RuntimeWarning, match="not a readable checkpoint.*An older checkpoint is used"):
        model.fit(X, y)
    assert_same(model, clone(model).set_params(callbacks=None).fit(X, y))
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        read(tmp_path / "nothing")
    assert not older.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.5}, r"alpha was auto and is 0.5 now"),
        ({"hidden_layer_sizes": (9,)}, "network was 6-8-6-5 and is 6-9-5 now"),
        ({"solver": Relaxed(tau=0.2)}, r"training: the solver's tau was auto and is 0\.2 now\. Use"),
        ({"max_iter": 9}, "max_iter was 6 and is 9 now"),
        ({"solver": Pinv()}, r"solver was Relaxed and is Pinv now; output was softmax and is identity now"),
        ({"early_stopping": False}, "there were validation data, now there are none"),
        ({"activation": "tanh", "fit_intercept": False}, "activation was relu and is tanh now; biases was True"),
        ({"random_state": 1}, "training data differ; the validation data differ"),
    ],
)
def test_another_training_is_refused(tmp_path, change, message):
    X, y = data("relaxed")
    model = clone(CASES["relaxed"]).set_params(random_state=0, callbacks=[Checkpoint(tmp_path)]).fit(X, y)
    before = weights(model)
    model.set_params(**change, callbacks=[Checkpoint(tmp_path, resume=True)])
    with pytest.raises(CheckpointError, match=message):
        model.fit(X, y)
    assert all(W is not V and np.array_equal(W, V) for W, V in zip(weights(model), before, strict=True))
    with pytest.raises(CheckpointError, match="the training data differ"):
        model.set_params(**clone(CASES["relaxed"]).get_params()).set_params(
            random_state=0, callbacks=[Checkpoint(tmp_path, resume=True)]
        ).fit(X + 1, y)


def test_a_new_training_replaces_the_checkpoints_of_the_old(tmp_path):
    X, y = data("relaxed")
    model = clone(CASES["relaxed"]).set_params(callbacks=[Checkpoint(tmp_path, 1, keep=3)]).fit(X, y)
    assert len(list(tmp_path.iterdir())) == 3
    Path(tmp_path, ".checkpoint-0000000001.safetensors.123").touch()  # of a process that was killed
    Path(tmp_path, "notes.txt").touch()
    model.set_params(callbacks=[Checkpoint(tmp_path), Stop(7)])
    with pytest.raises(RuntimeError, match="power cut"):
        model.fit(X, y)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-0000000005.safetensors", "notes.txt"]


def test_what_a_checkpoint_holds_comes_back(tmp_path):
    G = torch.randn(3, 4, dtype=torch.float64)
    content = {
        "matrix": G, "again": [G, G.T.contiguous().T], "numbers": [0.1, float("inf"), float("-inf"), 7, True, None],
        "scalar": torch.tensor(2.0), "bytes": torch.arange(5, dtype=torch.uint8), "text": {"ä": "ö"},
        "count": np.int64(3),
    }  # fmt: skip
    write(tmp_path / "state", content)
    found = read(tmp_path / "state")
    assert found["numbers"] == content["numbers"] and found["text"] == content["text"] and found["count"] == 3
    assert torch.equal(found["matrix"], G) and found["matrix"] is found["again"][0]
    assert found["again"][1].stride() == (1, 3) and torch.equal(found["again"][1], G)
    assert found["scalar"].shape == () and found["bytes"].dtype == torch.uint8


def test_partial_fit_writes_none(tmp_path):
    model = NMFNetRegressor((3,), callbacks=[Checkpoint(tmp_path / "folder", 1)])
    model.partial_fit(*data("penalty"))
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("bad", [{"every": 0}, {"every": 1.5}, {"keep": 0}, {"resume": "yes"}])
def test_unfit_settings(tmp_path, bad):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=next(iter(bad))):
        Checkpoint(tmp_path, **bad)


def test_a_checkpoint_that_lacks_a_part_is_refused_by_name(tmp_path):
    X, y = data("relaxed")
    model = clone(CASES["relaxed"]).set_params(random_state=0, callbacks=[Checkpoint(tmp_path)]).fit(X, y)
    for path in tmp_path.iterdir():
        content = read(path)
        del content["state"]["sweep"]
        write(path, content)
    with pytest.raises(CheckpointError, match=r"does not fit this nmfnet: .*sweep"):
        model.set_params(callbacks=[Checkpoint(tmp_path, resume=True)]).fit(X, y)


def test_a_training_on_sparse_data_is_resumed_with_the_same_data_alone(tmp_path):
    rng = np.random.default_rng(0)
    X, y = (
        scipy.sparse.csr_array(scipy.sparse.random(200, 40, density=0.2, random_state=rng)),
        rng.integers(3, size=200),
    )
    model = NMFNetClassifier((8,), max_iter=4, batch_size=50, random_state=0)
    alone = clone(model).fit(X, y)
    with pytest.raises(RuntimeError, match="power cut"):
        clone(model).set_params(callbacks=[Checkpoint(tmp_path), Stop(9)]).fit(X, y)
    other = X.copy()
    other.indices[0] = next(j for j in range(40) if j not in X[[0]].indices)  # the same values, one in another column
    with pytest.raises(CheckpointError, match="the training data differ"):
        clone(model).set_params(callbacks=[Checkpoint(tmp_path, resume=True)]).fit(other, y)
    assert_same(clone(model).set_params(callbacks=[Checkpoint(tmp_path, resume=True)]).fit(X, y), alone)
