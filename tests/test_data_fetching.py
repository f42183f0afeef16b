"""Fetching the named sets from OpenML, staged, and keeping them."""

from __future__ import annotations

import dataclasses
import http.client
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

from nmfnet.datasets import load
from nmfnet.datasets._types import IMAGE_SETS
from samples import N_TEST, N_TRAIN, assert_holds, images, message


@pytest.fixture
def openml(monkeypatch):
    """Stage OpenML: a small set under each name, and a record of what was asked for."""
    state = SimpleNamespace(calls=[], data=None, target=None, error=None)
    for name in IMAGE_SETS:
        small = dataclasses.replace(IMAGE_SETS[name], n_train=N_TRAIN, n_test=N_TEST, test_class_counts=(1,) * 10)
        monkeypatch.setitem(IMAGE_SETS, name, small)

    def fetch_openml(**kwargs):
        state.calls.append(kwargs)
        Path(kwargs["data_home"], "leftover").write_text("OpenML's own file")
        if state.error:
            raise state.error
        return SimpleNamespace(data=state.data, target=state.target)

    def stage(arrays):
        X = np.concatenate([arrays["X_train"], arrays["X_test"]])
        if X.ndim == 4:
            X = X.transpose(0, 3, 1, 2)
        state.data = X.reshape(len(X), -1).astype(np.float64)
        y = np.concatenate([arrays["y_train"], arrays["y_test"]])
        state.target = y.astype(str).astype(object)  # as OpenML has them

    state.stage = stage
    stage(images())
    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    return state


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("mnist", (28, 28), {"name": "mnist_784", "version": 1}),
        ("fashion-mnist", (28, 28), {"name": "Fashion-MNIST", "version": 1}),
        ("cifar10", (32, 32, 3), {"data_id": 40927}),
    ],
)
def test_fetched_once_and_kept(tmp_path, openml, name, shape, wanted):
    home = tmp_path / "new" / "folder"
    arrays = images(shape)
    openml.stage(arrays)
    assert_holds(load(name, data_home=home), arrays, shape)
    assert_holds(load(name, data_home=home), arrays, shape)
    assert len(openml.calls) == 1
    call = openml.calls[0]
    assert wanted.items() <= call.items() and call["as_frame"] is False
    assert call["parser"] == "pandas" and Path(call["data_home"]).parent == home
    assert [path.name for path in home.iterdir()] == [f"{name}.npz"]
    with np.load(home / f"{name}.npz") as kept:
        assert kept["X_train"].dtype == np.uint8


@pytest.mark.parametrize(
    "error",
    [
        URLError("no route to host"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
        http.client.IncompleteRead(b""),
        ValueError("md5 checksum\ndoes not match"),
    ],
)
def test_fetch_that_fails(tmp_path, openml, error):
    openml.error = error
    text = message(load, "fashion-mnist", data_home=tmp_path)
    assert "cannot be fetched" in text and "fashion-mnist.npz" in text
    assert str(tmp_path) in text and "NMFNET_DATA" in text
    assert list(tmp_path.iterdir()) == []


def _set(array, index, value):
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda X, y: (X[:-1], y[:-1]), "its shape is (29, 784), not (30, 784)"),
        (lambda X, y: (X[:, :-1], y), "its shape is (30, 783)"),
        (lambda X, y: (X, y[:-1]), "y_test has shape (9,)"),
        (lambda X, y: (_set(X, (3, 3), 256), y), "pixels are not in 0..255"),
        (lambda X, y: (_set(X, (3, 3), np.nan), y), "pixels are not in 0..255"),
        (lambda X, y: (X / 255, y), "pixels are not integers"),
        (lambda X, y: (X.astype(str).astype(object) + "x", y), "pixels are not numbers"),
        (lambda X, y: (X, _set(y, 0, "cat")), "labels are not numbers"),
        (lambda X, y: (X, _set(y, 0, "10")), "labels in 0..10, not 0..9"),
        (lambda X, y: (X, _set(y, -1, "5")), "not the standard test part"),
    ],
)
def test_wrong_contents_are_not_kept(tmp_path, openml, change, expected):
    openml.data, openml.target = change(openml.data, openml.target)
    text = message(load, "mnist", data_home=tmp_path)
    assert expected in text and "not kept" in text and "mnist.npz" in text
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(tmp_path, openml):
    (tmp_path / "file").write_text("in the way")
    text = message(load, "mnist", data_home=tmp_path / "file" / "folder")
    assert "cannot be kept" in text and not openml.calls


def test_failure_to_write_leaves_nothing(tmp_path, openml, monkeypatch):
    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    assert "No space left" in message(load, "mnist", data_home=tmp_path)
    assert list(tmp_path.iterdir()) == []
