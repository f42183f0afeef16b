"""What the tests of the command line share."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes, load_iris

from nmfnet import cli


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run in an empty folder, without this user's terminal and ways of ignoring Ctrl-C."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield here
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def empty_figures(request, monkeypatch):
    """Leave figures empty, which else take longer than a training, but where a test is marked `figures`."""
    if request.node.get_closest_marker("figures") is None:

        def save(figure, file, *args, **kwargs):
            drawn = Figure(figsize=(1, 1))
            drawn.set_layout_engine("none")
            return savefig(drawn, file, *args, **kwargs)

        savefig = Figure.savefig
        monkeypatch.setattr(Figure, "savefig", save)


@dataclass
class Result:
    status: int
    out: str
    err: str

    def failed(self):
        """Check that this is an error told in one line, and return it."""
        assert self.status == 1
        assert self.err.startswith("error: ") and self.err.count("\n") == 1
        return self.err


@pytest.fixture
def run(capsys):
    """Run a command as the shell would."""

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(argument) for argument in arguments])
        return Result(exit_.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def iris(folder):
    """Return the path of a table of iris, the species between the measures."""
    frame = load_iris(as_frame=True).frame
    frame.columns = ["a", "b", "c", "d", "species"]
    frame["species"] = np.array(["setosa", "versicolor", "virginica"])[frame["species"]]
    frame[["a", "species", "b", "c", "d"]].to_csv("iris.csv", index=False)
    return Path("iris.csv")


@pytest.fixture
def diabetes(folder):
    """Return the path of a table for regression."""
    load_diabetes(as_frame=True).frame.to_csv("diabetes.csv", index=False)
    return Path("diabetes.csv")


@pytest.fixture
def iris_model(run, iris):
    """Return the folder of a model of iris."""
    run("train", iris, "--target", "species", "--epochs", 1)
    return Path("nmfnet-iris")
