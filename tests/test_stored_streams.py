"""A stream that is saved, pickled or copied goes on as the live one does, bit for bit."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.sparse import csr_array
from scipy.sparse import random as random_sparse

import nmfnet
from nmfnet import ModelFileError, NMFNetClassifier, NMFNetRegressor
from nmfnet.linalg.sparse import SparseRows


def saved(model, folder):
    model.save(folder / "model")
    return nmfnet.load(folder / "model")


WAYS = {
    "file": saved,
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "copy": lambda model, _: copy.deepcopy(model),
}


def data(kind, n=700):
    rng = np.random.default_rng(0)
    if kind == "sparse":
        X = csr_array(random_sparse(n, 30, density=0.1, random_state=rng))
        return X, (X @ rng.standard_normal(30) > 0).astype(int)
    X = rng.standard_normal((n, 6)) * [1, 10, 100, 1, 1, 0.01] + 3
    X = np.abs(X).astype(np.float32) if kind == "float32" else X
    signal = X[:, 0] + X[:, 1] / 10
    if kind == "real":
        return X, 100 * signal
    if kind == "labels":
        return X, np.column_stack([signal > 0.5, X[:, 3] > 3]).astype(int)
    return X, (signal > np.median(signal)).astype(int)


def streamed(model, X, y, size, **first):
    for start in range(0, len(y), size):
        model.partial_fit(X[start : start + size], y[start : start + size], **first)
    return model


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["classes", "labels", "real", "float32", "sparse"])
@pytest.mark.parametrize("solver", ["relaxed", "pinv"])
def test_goes_on_as_the_live_one(way, kind, solver, tmp_path):
    X, y = data(kind)
    first = {} if kind == "real" else {"classes": [0, 1]}
    model = (NMFNetRegressor if kind == "real" else NMFNetClassifier)((5,), solver=solver, random_state=0)
    for n, size in ((300, 30), (340, 1), (640, 100)):  # calls of every size, and single rows
        start = 0 if n == 300 else 300 if n == 340 else 340
        streamed(model, X[start:n], y[start:n], size, **first)
        other = WAYS[way](model, tmp_path)
        for live in (model, other):
            live.partial_fit(X[n : n + 7], y[n : n + 7])
            live.partial_fit(X[:64] * 20, y[:64])  # columns that are scaled anew
        for ours, theirs in zip(model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert model.history_[-1] | {"seconds": 0} == other.history_[-1] | {"seconds": 0}


def test_after_fit_there_is_nothing_to_go_on_from(tmp_path, small):
    X, y = small
    model = NMFNetClassifier((5,), max_iter=2, random_state=0).fit(X, y)
    other = saved(model, tmp_path)
    with safe_open(tmp_path / "model", framework="pt") as file:
        assert not any(name.startswith("stream.") for name in file.keys())  # noqa: SIM118
    np.testing.assert_array_equal(model.partial_fit(X, y).coefs_[0], other.partial_fit(X, y).coefs_[0])


def test_a_pickle_of_another_version_goes_on_without_the_stream(monkeypatch, small):
    X, y = small
    text = pickle.dumps(NMFNetClassifier((5,), random_state=0).partial_fit(X, y, classes=[0, 1, 2]))
    monkeypatch.setattr("nmfnet.estimators.export_mixin.__version__", "7.0")
    with pytest.warns(nmfnet.VersionWarning):
        model = pickle.loads(text)
    assert np.isfinite(model.partial_fit(X, y).coefs_[0]).all()


def changed(path, other, change):
    with safe_open(path, framework="pt") as file:
        tensors, header = (
            {key: file.get_tensor(key) for key in list(file.keys())},
            json.loads(file.metadata()["nmfnet"]),
        )
    change(header["stream"], tensors)
    save_file({name: t.contiguous() for name, t in tensors.items()}, other, metadata={"nmfnet": json.dumps(header)})


def rename(stream, tensors):
    tensors["stream.other"] = tensors.pop(stream["recent"]["Y"]["$tensor"])


def other_tensor(path, change):
    def apply(stream, tensors):
        node = stream
        for key in path:
            node = node[key]
        tensors[node["$tensor"]] = change(tensors[node["$tensor"]])

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename, "not those it needs"),
        (lambda stream, tensors: stream.pop("plan"), "lacks 'plan'"),
        (lambda stream, tensors: stream["plan"].update(n_updates=3), "settings that no stream has"),
        (lambda stream, tensors: stream.update(unsettled=["__class__"]), "settings that no stream has"),
        (lambda stream, tensors: stream.update(age=-1), "out of bounds"),
        (other_tensor(["recent", "X"], lambda t: t[:, :-1]), "samples that do not fit"),
        (other_tensor(["recent", "X"], lambda t: t * float("nan")), "not finite"),
        (other_tensor(["sweep", "weights", 0], lambda t: t[:-1]), "weights of other shapes"),
        (other_tensor(["generator"], lambda t: t[:-1]), "RNG state|generator|size"),
    ],
)
def test_streams_that_do_not_fit_are_refused(change, message, tmp_path, small):
    X, y = small
    NMFNetClassifier((5,), random_state=0).partial_fit(X, y, classes=[0, 1, 2]).save(tmp_path / "model")
    changed(tmp_path / "model", tmp_path / "other", change)
    with pytest.raises(ModelFileError, match=message):
        nmfnet.load(tmp_path / "other")


def test_a_state_that_no_update_can_use_is_named(tmp_path, small):
    X = np.tile(small[0], (3, 1))
    NMFNetRegressor((5,), random_state=0).partial_fit(X, X[:, 0]).save(tmp_path / "model")
    path = ["sweep", "solvers", 0, "primal", "momentum", "means", "right-hand side"]
    changed(tmp_path / "model", tmp_path / "other", other_tensor(path, lambda t: t[:-1, :-1]))
    model = nmfnet.load(tmp_path / "other")
    before = model.predict(X)
    with pytest.raises(ModelFileError, match="fit it anew"):
        model.partial_fit(X, X[:, 0])
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_of_a_state(dtype):
    matrix = csr_array(random_sparse(5, 9, density=0.3, random_state=np.random.default_rng(0)).astype(dtype))
    for each in (matrix, csr_array((3, 9), dtype=dtype)):
        again = SparseRows.restored(SparseRows(each).state(), 9)
        np.testing.assert_array_equal(again.matrix.toarray(), each.toarray())
        assert again.matrix.dtype == dtype
    state = SparseRows(matrix).state()
    for stored in ([state["stored"][0], state["stored"][1] + 9, state["stored"][2]], [torch.ones(2)] * 3):
        with pytest.raises(ValueError):
            SparseRows.restored({**state, "stored": stored}, 9)
