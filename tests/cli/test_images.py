"""Networks on images and sequences from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import nmfnet
from nmfnet.cli.images import hidden_layer_sizes, input_shape, rows
from nmfnet.cli.report import read_run
from nmfnet.layers import AvgPool2d, Conv1d, Conv2d, GlobalAvgPool, MaxPool1d, MaxPool2d
from samples import settings

HIDDEN = "conv4-pool-conv6-globalpool-8"


@pytest.mark.parametrize(
    ("text", "ndim", "layers"),
    [
        ("100", 2, (100,)),
        ("1000-500", 2, (1000, 500)),
        ("1000, 500", 2, (1000, 500)),
        ("none", 2, ()),
        ("", 2, ()),
        ("None", 2, ()),
        ("conv32-pool-128", 2, (Conv2d(32, 3, padding=1), MaxPool2d(2), 128)),
        ("conv8k5s2-pool3-avgpool-globalpool", 2, (Conv2d(8, 5, 2, 2), MaxPool2d(3), AvgPool2d(2), GlobalAvgPool())),
        ("conv8-pool", 1, (Conv1d(8, 3, padding=1), MaxPool1d(2))),
    ],
)
def test_hidden(text, ndim, layers):
    assert hidden_layer_sizes(text, ndim) == layers


def test_channels_last_become_channels_first():
    images = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    found = rows(images.reshape(2, -1), (4, 5, 3), (3, 4, 5))
    assert (found.reshape(2, 3, 4, 5) == images.transpose(0, 3, 1, 2)).all()
    first = images.reshape(2, -1)
    assert rows(first, (3, 4, 5), (3, 4, 5)) is first and rows(first, None, (3, 4, 5)) is first


def test_input_shape():
    assert input_shape("3x32x28") == (3, 32, 28) and input_shape("2x100") == (2, 100) and input_shape(None) is None


def colours(n=90):
    """Images of two colours at any place, with the channels last: the order of the rows decides."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = rng.random((n, 6, 5, 3)).astype(np.float32) / 4
    X[np.arange(n), rng.integers(6, size=n), rng.integers(5, size=n), y * 2] += 2
    return X, y


def test_train_evaluate_and_predict_images(run):
    X, y = colours()
    np.savez("images.npz", X=X, y=y)
    np.save("images.npy", X)
    result = run("train", "images.npz", "--hidden", HIDDEN, "--epochs", 30, "--out", "out")
    assert result.status == 0 and "3x6x5, Conv2d(4, 3, padding=1)" in result.out
    model = nmfnet.load("out/model.safetensors")
    predicted = model.predict(X.transpose(0, 3, 1, 2))
    assert model.input_shape_ == (3, 6, 5) and (predicted == y).mean() > 0.9
    wrong = int((predicted != y).sum())
    assert run("evaluate", "out", "images.npz").out.startswith(f"Error on all of images: {100 * wrong / 90:.2f}%")
    for file in ("images.npz", "images.npy"):
        assert run("predict", "out", file).out.split()[1:] == [str(each) for each in predicted]


def test_filters_are_pictures_in_the_report(run):
    X, y = colours()
    np.savez("images.npz", X=X, y=y)
    run("train", "images.npz", "--hidden", HIDDEN, "--epochs", 1, "--out", "out")
    report = read_run(Path("out"))
    assert report.image_shape == (3, 3, 3) and report.parts.shape == (4, 27)
    assert "Grey is 0, bright positive, dark negative." in Path("out/report.html").read_text(encoding="utf-8")


def test_named_images_say_their_shape(run):
    run("train", "digits", "--hidden", HIDDEN, "--epochs", 1, "--validation", 0)
    model = nmfnet.load("nmfnet-digits/model.safetensors")
    assert model.input_shape_ == (1, 8, 8)
    assert settings("nmfnet-digits")["asked"]["hidden"] == HIDDEN


def test_sequences_in_a_table(run):
    X, y = load_digits(return_X_y=True)
    table = np.column_stack([X[:200], y[:200]])
    np.savetxt("rows.csv", table, delimiter=",", header=",".join([*(f"c{i}" for i in range(64)), "y"]), comments="")
    arguments = ["rows.csv", "--target", "y", "--hidden", "conv4-pool-8", "--epochs", 1, "--out", "out"]
    assert "say what a row is by --input-shape" in run("train", *arguments).failed()
    assert run("train", *arguments, "--input-shape", "2x32").status == 0
    assert nmfnet.load("out/model.safetensors").hidden_layer_sizes[0] == Conv1d(4, 3, padding=1)
    assert run("predict", "out", "rows.csv").status == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hidden", "conv32-pol-10"], "of which 'pol' is none"),
        (["--hidden", "conv32k4"], "conv32k4 has an even kernel; use an odd one, as in conv32k5"),
        (["--hidden", "conv4", "--input-shape", "8,8"], "--input-shape must be CHANNELSxHEIGHTxWIDTH"),
        (["--hidden", "conv4", "--input-shape", "1x8x9"], "--input-shape 1x8x9 has 72 numbers"),
        (["--hidden", "16", "--input-shape", "1x8x8"], "--input-shape is for layers of images or sequences"),
        (["--hidden", "conv4-pool9"], "kernel larger than its inputs of 4 x 8 x 8"),
    ],
)
def test_errors_name_the_option(run, options, message):
    assert message in run("train", "digits", *options).failed()


def test_images_of_another_shape(run):
    X, y = colours()
    np.savez("images.npz", X=X, y=y)
    run("train", "images.npz", "--hidden", HIDDEN, "--epochs", 1, "--out", "out")
    np.save("others.npy", X[:, :5, :, :2])
    assert "but the network takes 3x6x5" in run("predict", "out", "others.npy").failed()
