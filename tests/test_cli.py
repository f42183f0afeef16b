"""The command line: what it writes, prints and exits with."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import train_test_split

import nmfnet
from nmfnet import cli, datasets
from nmfnet.cli import evaluation
from nmfnet.cli.data import task_of
from nmfnet.cli.progress import Bar, Lines
from nmfnet.cli.results import Request
from nmfnet.cli.training import hidden_layer_sizes, train
from nmfnet.errors import DataError

FILES = ["curves.png", "history.json", "model.safetensors", "settings.json"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run in an empty folder, without this user's data sets, terminal and ways of ignoring Ctrl-C."""

    def refuse(*args, **kwargs):
        raise AssertionError("unexpected fetch")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    monkeypatch.setenv("NMFNET_DATA", str(tmp_path / "unused"))
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield here
    signal.signal(signal.SIGINT, before)


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


def settings(folder):
    """Return the settings of a run."""
    return json.loads(Path(folder, "settings.json").read_text())


# --- train ---


def test_train_writes_four_files(run):
    result = run("train", "digits", "--hidden", "30-20", "--epochs", 3)
    assert result.status == 0 and result.err == ""
    assert sorted(os.listdir("nmfnet-digits")) == FILES
    model = nmfnet.load("nmfnet-digits/model.safetensors")
    assert json.loads(Path("nmfnet-digits/history.json").read_text()) == model.history_
    assert len(model.history_) == 3 and [W.shape[1] for W in model.coefs_] == [30, 20, 10]
    assert Path("nmfnet-digits/curves.png").read_bytes().startswith(b"\x89PNG")
    lines = result.out.splitlines()
    assert lines[0] == "digits: 1212 training, 135 validation, 450 test rows, 64 features, 10 classes."
    assert [line.split(":")[0] for line in lines[1:4]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("objective" in line and "validation error" in line for line in lines[1:4])
    for name in ("Data", "Network", "Training error", "Validation error", "Test error", "Time", "Files"):
        assert any(line.startswith(name) for line in lines[4:])


def test_train_settings_and_scores(run):
    run("train", "digits", "--epochs", 4, "--seed", 3, "--validation", 0.2, "--out", "out/run")
    found, model, digits = settings("out/run"), nmfnet.load("out/run/model.safetensors"), datasets.load("digits")
    assert found["asked"]["seed"] == 3 and found["asked"]["epochs"] == 4 and found["asked"]["out"] == "out/run"
    assert found["data"]["source"] == "scikit-learn"
    assert found["data"]["rows"] == {"training": 1077, "validation": 270, "test": 450}
    assert found["versions"]["nmfnet"] == nmfnet.__version__ and "torch" in found["versions"]
    result = found["result"]
    assert result["test"]["error"] == pytest.approx(1 - model.score(digits.X_test, digits.y_test))
    # The training error is worked out from that of all rows: compare it with that of the split.
    X, X_val, y, y_val = train_test_split(
        digits.X_train, digits.y_train, test_size=0.2, random_state=3, stratify=digits.y_train
    )
    assert result["training"]["error"] == pytest.approx(1 - model.score(X, y))
    assert result["validation"]["error"] == pytest.approx(1 - model.score(X_val, y_val))
    errors = [record["val_error"] for record in model.history_]
    assert result["kept_epoch"] == errors.index(min(errors)) + 1
    assert result["epochs"] == 4 and result["interrupted"] is False


def test_train_options_reach_the_estimator(run):
    options = "--activation tanh --alpha 0.5 --l1-ratio 0.25 --batch-size 300 --no-bias --validation 0 --seed 7"
    result = run("train", "digits", "--hidden", "none", "--epochs", 12, "--task", "regression", *options.split())
    assert result.status == 0
    model = nmfnet.load("nmfnet-digits/model.safetensors")
    expected = {
        "hidden_layer_sizes": (), "activation": "tanh", "alpha": 0.5, "l1_ratio": 0.25, "batch_size": 300,
        "max_iter": 12, "fit_intercept": False, "early_stopping": False, "random_state": 7, "pretrain": None,
    }  # fmt: skip
    assert {name: model.get_params()[name] for name in expected} == expected
    assert isinstance(model, nmfnet.NMFNetRegressor)
    assert len(model.history_) == 12  # whatever the progress
    assert "64-10" not in result.out and "64-1, linear" in result.out


def test_train_the_same_seed_gives_the_same_model(run):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("train", "digits", "--epochs", 2, "--seed", seed, "--out", out)
    a, b, c = (nmfnet.load(f"{out}/model.safetensors").coefs_[0] for out in "abc")
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_train_says_what_is_pretrained(run):
    result = run("train", "digits", "--hidden", "12-8", "--pretrain", "nmf", "--epochs", 1)
    assert "pre-training layer 1 of 2\npre-training layer 2 of 2\nepoch 1/1" in result.out
    assert nmfnet.load("nmfnet-digits/model.safetensors").pretrain == "nmf"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_train_classifies_a_table(run, iris, ending):
    if ending == "parquet":
        pd.read_csv(iris).to_parquet("iris.parquet", index=False)
    result = run("train", f"iris.{ending}", "--target", "species", "--epochs", 2)
    assert "no test part: the validation error" in result.out and "3 classes" in result.out
    model = nmfnet.load("nmfnet-iris/model.safetensors")
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    assert "test" not in settings("nmfnet-iris")["result"]


def test_train_regresses_on_a_table(run, diabetes):
    result = run("train", diabetes, "--target", "target", "--epochs", 2, "--validation", 0)
    assert "neither a test part nor a validation part" in result.out and "validation RMSE" not in result.out
    assert "R² 0." in result.out
    model, frame = nmfnet.load("nmfnet-diabetes/model.safetensors"), pd.read_csv(diabetes)
    found = settings("nmfnet-diabetes")["result"]["training"]
    assert found["r2"] == pytest.approx(model.score(frame.drop(columns="target"), frame["target"]))
    assert found["rmse"] ** 2 == pytest.approx(found["mean_squared_error"])


def test_train_on_arrays(run):
    digits = datasets.load("digits")
    np.savez("few.npz", X=digits.X_train[:300], y=digits.y_train[:300])
    assert run("train", "few.npz", "--epochs", 1).status == 0
    assert settings("nmfnet-few")["data"]["rows"] == {"training": 270, "validation": 30}


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.arange(100) % 10, "classification"),
        (np.arange(100.0) % 10, "classification"),
        (np.arange(100) % 2 == 0, "classification"),
        (np.array(["a", "b"] * 50), "classification"),
        (np.array([str(i) for i in range(100)]), "classification"),
        (np.arange(100) % 4 / 2, "regression"),
        (np.arange(100), "regression"),
        (np.arange(1000) % 40, "classification"),  # 40 values are many, but in 4% of the rows
    ],
)
def test_task(y, task):
    assert task_of(y) == task


@pytest.mark.parametrize(
    ("text", "widths"), [("100", (100,)), ("1000-500", (1000, 500)), ("none", ()), ("", ()), ("None", ())]
)
def test_hidden(text, widths):
    assert hidden_layer_sizes(text) == widths


def test_warnings_are_lines(run):
    result = run("train", "digits", "--epochs", 1, "--batch-size", 99999)
    assert result.status == 0
    assert result.err == "warning: batch_size=99999 is larger than the 1212 training samples; using 1212.\n"


# --- what train refuses ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mnst", "no data set is named 'mnst': did you mean 'mnist'"),
        ("nothing.csv", "nothing.csv: no such file"),
        ("data.txt", "not a .npz, .csv or .parquet file"),
        ("digits --target label", "--target 'label' names a column of a table"),
        ("digits --hidden 10x20", "--hidden must be widths such as 1000-500"),
        ("digits --hidden 10--20", "--hidden must be"),
        ("digits --hidden 0", "--hidden must be"),
        ("digits --activation cube", "activation must be one of 'relu'"),
        ("digits --solver magic", "solver must be 'pinv'"),
        ("digits --batch-size few", "--batch-size must be a number of rows, or auto"),
        ("digits --validation 1", "--validation must be a fraction"),
        ("digits --validation nan", "--validation must be a fraction"),
        ("digits --validation 0.001", "both parts need a row for each of 10 classes"),
        ("digits --alpha inf", "alpha must be a finite number"),
        ("digits --device abacus", "device='abacus' cannot be used"),
        ("iris.csv", "column 'species' is not numeric"),
        ("iris.csv --target sort", "has no column 'sort'"),
        ("iris.csv --target species --task regression", "--task regression needs numeric targets"),
        ("numbers.csv", "which column is to be learned? --target COLUMN, one of a, b, c, ones"),
        ("numbers.csv --target c --task classification", "--task classification needs whole numbers or text"),
        ("numbers.csv --target ones", "every row has the target 1"),
        ("numbers.csv --target a --pretrain nmf", "pretrain='nmf': X must be nonnegative"),
        ("single.csv --target y", "class 1 has a single row"),
        ("huge.npz", "non-finite"),
        ("no_y.npz", "has no targets y_train or y"),
    ],
)
def test_train_refuses_in_one_line(run, iris, arguments, message):
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "c"])
    numbers.assign(ones=1).to_csv("numbers.csv", index=False)
    pd.DataFrame({"x": range(20), "y": [1] + 19 * [2]}).to_csv("single.csv", index=False)
    np.savez("huge.npz", X=1e300 * rng.normal(size=(60, 3)), y=np.arange(60) % 3)
    np.savez("no_y.npz", X=np.ones((5, 3)))
    before = sorted(os.listdir())
    assert message in run("train", *arguments.split()).failed()
    assert sorted(os.listdir()) == before  # no folder is left


@pytest.mark.parametrize("arguments", ["--epochs 0", "--alpha -1", "--pretrain magic", "--task guess", "--epocs 3"])
def test_usage_errors_exit_with_2(run, arguments):
    result = run("train", "digits", *arguments.split())
    assert result.status == 2 and arguments.split()[0] in result.err


def test_debug_shows_the_traceback(folder):
    with pytest.raises(DataError, match="no data set is named"):
        cli.main(["train", "mnst", "--debug"])


def test_unexpected_errors_keep_their_type(run, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: 1 / 0)
    assert run("train", "digits").failed() == "error: ZeroDivisionError: division by zero (--debug shows where)\n"


def test_train_does_not_overwrite_what_is_not_a_run(run):
    Path("precious").mkdir()
    Path("precious/thesis.tex").write_text("...")
    message = run("train", "digits", "--out", "precious").failed()
    assert "precious holds files that are not of a former run" in message
    assert os.listdir("precious") == ["thesis.tex"]
    assert "precious/thesis.tex" in run("train", "digits", "--out", "precious/thesis.tex").failed()


def test_train_overwrites_a_former_run_only_when_done(run):
    run("train", "digits", "--epochs", 1, "--out", "out")
    before = {name: Path("out", name).read_bytes() for name in FILES}
    run("train", "digits", "--epochs", 2, "--out", "out", "--device", "abacus").failed()
    assert {name: Path("out", name).read_bytes() for name in FILES} == before
    assert run("train", "digits", "--epochs", 2, "--out", "out").status == 0
    assert settings("out")["result"]["epochs"] == 2 and sorted(os.listdir("out")) == FILES


# --- Ctrl-C ---


def press_ctrl_c(monkeypatch, hook, call):
    """Have Ctrl-C strike in a call of a hook, counted from 1."""
    original, calls = getattr(Lines, hook), itertools.count(1)

    def pressed(*arguments):
        original(*arguments)
        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Lines, hook, pressed)


@pytest.mark.parametrize("validation", [0, 0.1])
def test_interrupted_training_is_saved(run, monkeypatch, validation):
    press_ctrl_c(monkeypatch, "on_epoch_end", 2)  # between two sweeps, where it would be lost
    result = run("train", "digits", "--epochs", 50, "--validation", validation)
    assert result.status == 130 and result.err == ""
    assert "Interrupted" in result.out and "Test error" in result.out
    assert sorted(os.listdir("nmfnet-digits")) == FILES
    model = nmfnet.load("nmfnet-digits/model.safetensors")
    assert len(model.history_) == 2 == len(json.loads(Path("nmfnet-digits/history.json").read_text()))
    assert settings("nmfnet-digits")["result"]["interrupted"] is True
    digits = datasets.load("digits")
    assert model.score(digits.X_test, digits.y_test) > 0.9


def test_interrupted_when_all_is_done(run, monkeypatch):
    press_ctrl_c(monkeypatch, "on_epoch_end", 3)
    result = run("train", "digits", "--epochs", 3)
    assert result.status == 0 and settings("nmfnet-digits")["result"]["interrupted"] is False


@pytest.mark.parametrize(("hook", "call"), [("on_pretrain_layer", 2), ("on_batch_end", 1)])
def test_interrupted_before_the_first_epoch(run, monkeypatch, hook, call):
    press_ctrl_c(monkeypatch, hook, call)
    result = run("train", "digits", "--hidden", "12-8", "--pretrain", "nmf", "--batch-size", 500)
    assert result.status == 130
    assert result.err == "interrupted: nothing was saved\n"
    assert os.listdir() == []


def test_interrupted_elsewhere(run, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "evaluate", interrupt)
    result = run("evaluate", "model", "digits")
    assert (result.status, result.err) == (130, "interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
@pytest.mark.parametrize(("options", "line"), [("", "epoch 2/"), ("--pretrain nmf", "pre-training layer 1")])
def test_sigint(options, line):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (2000, 28, 28), dtype=np.uint8)
    np.savez("random.npz", X_train=X, y_train=rng.integers(0, 10, 2000))
    command = "train random.npz --hidden 150-100 --epochs 10000 --batch-size 500 --out out " + options
    environment = os.environ | {
        "PYTHONPATH": str(Path(nmfnet.__file__).parents[1]), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "nmfnet", *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # it may be ignored where we run
    )
    try:
        assert process.stdout is not None
        for text in process.stdout:
            if text.startswith(line):
                break
        process.send_signal(signal.SIGINT)
        if not options:  # impatience loses nothing
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    if options:
        assert err == "interrupted: nothing was saved\n" and not Path("out").exists()
    else:
        assert "stopping after this batch, then saving" in err and "Interrupted" in out
        model = nmfnet.load("out/model.safetensors")
        assert 2 <= len(model.history_) < 10000
        assert model.history_ == json.loads(Path("out/history.json").read_text())


# --- on a terminal ---


def test_bar_of_a_terminal():
    console = Console(force_terminal=True, file=io.StringIO(), width=100, highlight=False, color_system=None)
    request = Request(
        data="digits", target=None, hidden="12-8", activation="relu", solver="pinv", pretrain="nmf", epochs=2,
        batch_size="500", alpha=0.0, l1_ratio=0.0, delta_x=0.02, delta=None,
        bias=True, validation=0.1, seed=0, device="cpu", task="auto",
        out=None,
    )  # fmt: skip
    assert train(request, console) == 0
    model = nmfnet.load("nmfnet-digits/model.safetensors")
    assert model.solver == nmfnet.Pinv(delta_x=0.02) and model.pretrain == nmfnet.NMFAutoencoder(delta_x=0.02)
    assert "epoch 1/2: " not in console.file.getvalue()  # the bar goes at the end, and leaves no lines


def test_bar_shows_where_the_training_is():
    console = Console(force_terminal=True, file=io.StringIO(), width=100, highlight=False, color_system=None)

    def shown(bar):
        with console.capture() as capture:
            for part in bar.display.get_renderables():
                console.print(part)
        return capture.get()

    bar = Bar(console, "classification")
    bar.on_fit_begin(None, 4)
    bar.on_pretrain_layer(1, 2)
    assert "pre-training layer 1 of 2" in shown(bar) and "left" not in shown(bar)
    bar.on_batch_end(1, 3)
    assert "epoch 1/4" in shown(bar) and "batch 1/3" in shown(bar) and "left" in shown(bar)
    bar.on_batch_end(3, 3)
    record = {"epoch": 1, "objective": 0.5, "train_error": 0.25, "val_error": 0.125, "seconds": 1.0}
    bar.on_epoch_end(None, record)
    assert "after epoch 1: objective 0.5, training error 25.00%, validation error 12.50%" in shown(bar)
    bar.on_batch_end(2, 3)
    assert "epoch 2/4" in shown(bar) and "batch 2/3" in shown(bar)


# --- evaluate ---


@pytest.fixture
def iris_model(run, iris):
    """Return the folder of a model of iris."""
    run("train", iris, "--target", "species", "--epochs", 1)
    return Path("nmfnet-iris")


def test_evaluate_on_the_test_part(run):
    run("train", "digits", "--epochs", 1)
    for model in ("nmfnet-digits", "nmfnet-digits/model.safetensors"):
        result = run("evaluate", model, "digits")
        assert result.status == 0
        error = settings("nmfnet-digits")["result"]["test"]["error"]
        assert result.out.startswith(f"Error on the test part of digits: {100 * error:.2f}%")
        matrix = [line.split() for line in result.out.splitlines() if line.strip()[:1].isdigit()][-10:]
        counts = np.array([[int(cell.replace("·", "0")) for cell in row[1:]] for row in matrix])
        assert counts.sum() == 450 and counts.trace() == 450 - round(450 * error)


def test_evaluate_a_table_whose_columns_are_in_another_order(run, iris, iris_model):
    frame = pd.read_csv(iris)
    model = nmfnet.load(iris_model / "model.safetensors")
    wrong = int((model.predict(frame[["a", "b", "c", "d"]]) != frame["species"]).sum())
    frame.assign(colour="blue")[["d", "species", "colour", "b", "c", "a"]].to_parquet("other.parquet")
    result = run("evaluate", iris_model, "other.parquet", "--target", "species")
    assert f"({wrong} of 150 rows)" in result.out and "all of other" in result.out
    assert result.err == ""


def test_evaluate_a_regressor(run, diabetes):
    run("train", diabetes, "--target", "target", "--epochs", 1, "--validation", 0, "--out", "out")
    result = run("evaluate", "out", diabetes, "--target", "target")
    r2 = settings("out")["result"]["training"]["r2"]
    assert result.out.startswith("RMSE on all of diabetes: ") and f"R² {r2:.4f}" in result.out


def test_evaluate_lists_confusions_of_many_classes(run):
    rng = np.random.default_rng(0)
    y = np.arange(600) % 30
    np.savez("many.npz", X=rng.normal(size=(600, 5)), y=y)
    run("train", "many.npz", "--hidden", "none", "--epochs", 1, "--task", "classification")
    result = run("evaluate", "nmfnet-many", "many.npz")
    assert "Most frequent confusions" in result.out
    rows = result.out.split("──")[-1].strip(" ─\n").splitlines()
    model = nmfnet.load("nmfnet-many/model.safetensors")
    predicted = model.predict(np.load("many.npz")["X"])
    assert len(rows) == 10
    true, guess, count, share = rows[0].split()
    assert int(count) == ((y == int(true)) & (predicted == int(guess))).sum()
    assert share == f"{100 * int(count) / 20:.1f}%"


def test_evaluate_counts_classes_that_the_model_does_not_know_as_errors(run, iris, iris_model):
    frame = pd.read_csv(iris)
    frame.loc[:9, "species"] = "orchid"
    frame.to_csv("new.csv", index=False)
    result = run("evaluate", iris_model, "new.csv", "--target", "species")
    assert result.status == 0 and "orchid" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("missing iris.csv --target species", "There is no model file missing"),
        ("iris.csv iris.csv --target species", "not a readable nmfnet model"),
        (". iris.csv --target species", "There is no model file"),
        ("nmfnet-iris iris.csv", "which column is to be learned?"),
        ("nmfnet-iris iris.csv --target kind", "has no column 'kind'"),
        ("nmfnet-iris iris.csv --target a", "none of the targets is a class of the model"),
        ("nmfnet-iris short.csv --target species", "lacks columns 'b', 'd'"),
        ("nmfnet-iris digits", "64 features"),
    ],
)
def test_evaluate_refuses_in_one_line(run, iris, iris_model, arguments, message):
    pd.read_csv(iris)[["a", "c", "species"]].to_csv("short.csv", index=False)
    assert message in run("evaluate", *arguments.split()).failed()


# --- predict ---


def test_predict_prints(run, iris, iris_model):
    result = run("predict", iris_model, iris)
    model, frame = nmfnet.load(iris_model / "model.safetensors"), pd.read_csv(iris)
    assert result.status == 0 and result.err == ""
    assert result.out.splitlines() == ["prediction", *model.predict(frame[["a", "b", "c", "d"]])]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predict_writes(run, iris, iris_model, ending):
    frame = pd.read_csv(iris)
    frame[["d", "c", "b", "a"]].to_csv("backwards.csv", index=False)
    out = f"predictions.{ending}"
    assert run("predict", iris_model, "backwards.csv", "--out", out, "--proba").out == ""
    written = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    model, X = nmfnet.load(iris_model / "model.safetensors"), frame[["a", "b", "c", "d"]]
    assert list(written["prediction"]) == list(model.predict(X))
    assert list(written.columns[1:]) == [f"probability_{name}" for name in model.classes_]
    np.testing.assert_allclose(written[written.columns[1:]], model.predict_proba(X))


def test_predict_arrays(run):
    digits = datasets.load("digits")
    run("train", "digits", "--epochs", 1)
    np.savez("x.npz", X=digits.X_test)
    np.savez("both.npz", X=digits.X_train, X_test=digits.X_test)
    expected = ["prediction", *map(str, nmfnet.load("nmfnet-digits/model.safetensors").predict(digits.X_test))]
    for file in ("x.npz", "both.npz"):
        assert run("predict", "nmfnet-digits", file).out.splitlines() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("short.csv", "short.csv: lacks columns 'b', 'd'"),
        ("iris.csv --out predictions.txt", "--out must end with .csv or .parquet"),
        ("iris.csv --out nowhere/predictions.csv", "nowhere"),
        ("digits", "not a .npz, .csv or .parquet file"),
        ("y.npz", "holds y, but neither X_train nor X"),
        ("wide.npz", "9 features"),
    ],
)
def test_predict_refuses_in_one_line(run, iris, iris_model, arguments, message):
    pd.read_csv(iris)[["a", "c", "species"]].to_csv("short.csv", index=False)
    np.savez("y.npz", y=np.ones(3))
    np.savez("wide.npz", X=np.ones((3, 9)))
    assert message in run("predict", iris_model, *arguments.split()).failed()


def test_predict_has_no_probabilities_of_a_regressor(run, diabetes):
    run("train", diabetes, "--target", "target", "--epochs", 1)
    assert "--proba is for classifiers" in run("predict", "nmfnet-diabetes", diabetes, "--proba").failed()


# --- the rest ---


def test_data_lists_the_sets(run, tmp_path, monkeypatch):
    result = run("data")
    for name in datasets.NAMES:
        assert name in result.out
    assert "yes (scikit-learn)" in result.out and result.out.count("to be fetched") == 3
    assert f"Folder: {tmp_path / 'unused'}" in result.out and "NMFNET_DATA names" in result.out
    monkeypatch.delenv("NMFNET_DATA")
    assert "Set the environment variable NMFNET_DATA" in run("data").out


def test_version_and_help(run):
    assert run("--version").out == f"nmfnet {nmfnet.__version__}\n"
    help_ = run("--help").out
    assert all(command in help_ for command in ("train", "evaluate", "predict", "data"))


def test_main_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(cli, "NEEDED", ("typer", "no_such_package"))
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == "error: the command line needs no_such_package: pip install 'nmfnet[cli]'"


def test_main_runs_the_app(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nmfnet", "--version"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 0 and capsys.readouterr().out.startswith("nmfnet ")
