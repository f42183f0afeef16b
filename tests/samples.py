"""What tests share that is no fixture."""

import itertools
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from nmfnet.cli.progress import Lines
from nmfnet.errors import DataError

N_TRAIN, N_TEST = 20, 10  # of a small image set
RUN_FILES = ["curves.png", "history.json", "model.safetensors", "report.html", "report.json", "settings.json"]


def images(shape=(28, 28), seed=0):
    """Return the four arrays of a small image set, every class in both parts."""
    rng = np.random.default_rng(seed)
    return {
        "X_train": rng.integers(0, 256, (N_TRAIN, *shape), dtype=np.uint8),
        "y_train": (np.arange(N_TRAIN) % 10).astype(np.uint8),
        "X_test": rng.integers(0, 256, (N_TEST, *shape), dtype=np.uint8),
        "y_test": np.arange(N_TEST, dtype=np.uint8)[::-1].copy(),
    }


def digit_images():
    """The digits of scikit-learn as images (n, 1, 8, 8) of values up to 1, and their labels."""
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32).reshape(-1, 1, 8, 8), y


def assert_holds(dataset, arrays, shape):
    """Check that a loaded set is these stored arrays, flattened and scaled."""
    assert dataset.image_shape == shape
    for part in ("train", "test"):
        X, y = getattr(dataset, f"X_{part}"), getattr(dataset, f"y_{part}")
        stored = arrays[f"X_{part}"]
        assert X.dtype == np.float32 and X.flags.c_contiguous
        np.testing.assert_array_equal(X, stored.reshape(len(stored), -1) / np.float32(255))
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, arrays[f"y_{part}"])


def message(call, *args, **kwargs):
    """Return the text of the DataError that a call raises, which must be one line."""
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    text = str(caught.value)
    assert text and "\n" not in text
    return text


def randoms(seed):
    """Return sources of uniform and of normal random tensors."""
    rng = np.random.default_rng(seed)

    def uniform(*shape):
        return torch.tensor(rng.random(shape))

    def normal(*shape):
        return torch.tensor(rng.standard_normal(shape))

    return uniform, normal


def settings(folder):
    """Return the settings of a run of `nmfnet train`."""
    return json.loads(Path(folder, "settings.json").read_text())


def press_ctrl_c(monkeypatch, hook, call):
    """Have Ctrl-C strike in a call of a hook, counted from 1."""
    original, calls = getattr(Lines, hook), itertools.count(1)

    def pressed(*arguments):
        original(*arguments)
        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Lines, hook, pressed)


def stream(model, X, y, size, **first):
    for start in range(0, X.shape[0], size):
        model.partial_fit(X[start : start + size], y[start : start + size], **first)
        first = {}
    return model
