"""`nmfnet plan`."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nmfnet.cli.planning import shown_bytes, sizes
from nmfnet.planning import LayerSizes, Task


def test_a_plan(run, iris):
    out = run("plan", iris, "--target", "species", "--hidden", "20-10", "--ranks", 2, "--epochs", 3).out
    assert "4-20-10-3" in out and "135, in" in out  # 15 of 150 rows are held out
    for part in ("Forward", "Residuals", "Right-hand sides", "Gram matrices", "Cholesky factors", "Messages"):
        assert part in out
    for ranks in (1, 2, 64, 128):
        assert f"\n {ranks} " in out.replace("    ", " ").replace("   ", " ").replace("  ", " ")
    assert "256" not in out.split("by ranks")[1]  # there are no more rows


def test_regression(run, diabetes):
    assert "10-20-1" in run("plan", diabetes, "--target", "target", "--hidden", "20", "--validation", 0).out


def test_a_table_is_read_as_for_a_training(run, tmp_path):
    rows = [f"{i};{i % 7},5;{['a', 'b'][i % 2]};{i % 3};{['u', 1][i > 9]};{'xy'[i % 2]}" for i in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["id;size;city;code;odd;label", *rows]))
    asked = ("plan", tmp_path / "a.csv", "--target", "label", "--id", "id", "--categorical", "code")
    assert "--drop odd" in run(*asked, "--hidden", "8").failed()
    assert "6-8-2" in run(*asked, "--hidden", "8", "--drop", "odd").out
    assert "its columns are id;size" in run(*asked, "--sep", "|").failed()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ranks", "200"], "--ranks 200: there are 135 training rows"),
        (["--hidden", "conv3-5"], "input_shape"),
        (["--batch-size", "0"], "--batch-size must be a number of rows, or auto"),
    ],
)
def test_unfit_options_are_named(run, iris, options, message):
    assert message in run("plan", iris, "--target", "species", *options).failed()


def test_components_and_adversarial_inputs_are_told(run, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    basis = np.sin(np.outer(np.arange(1, 9), np.linspace(0, 3, 144)))
    images = (rng.standard_normal((300, 8)) + 2 * np.eye(8)[y]) @ basis + 0.01 * rng.standard_normal((300, 144))
    np.savez(tmp_path / "images.npz", X=images, y=y)
    out = run("plan", tmp_path / "images.npz", "--hidden", "20", "--batch-size", 50).out
    components = int(re.search(r"144 \(of which (\d+) components\)-20-3", out)[1])
    assert 8 <= components < 144
    assert re.search(r"Adversarial inputs +[\d.]+ s an epoch, once training turns them on", out)


def test_forms_of_least_squares_are_told_where_they_are_not_the_usual_ones():
    layers = (LayerSizes(9000, 40, "dual"), LayerSizes(40, 10))
    task = Task(layers, rows=1000, batch_size=100, epochs=5, n_features=9000)
    found = dict(sizes(task, SimpleNamespace(device="cpu")))
    assert found["Least squares"] == "9000 inputs: dual, 40 inputs: primal" and found["Network"] == "9000-40-10"
    assert "Least squares" not in dict(
        sizes(replace(task, layers=(LayerSizes(9000, 10),)), SimpleNamespace(device="cpu"))
    )


@pytest.mark.parametrize(
    ("count", "expected"),
    [(999, "999 B"), (999.6, "1 kB"), (163_000_000, "163 MB"), (2.25e9, "2.25 GB"), (4.1e12, "4.1e+03 GB")],
)
def test_bytes_in_words(count, expected):
    assert shown_bytes(count) == expected
