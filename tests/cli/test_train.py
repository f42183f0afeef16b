"""`nmfnet train`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

import nmfnet
from nmfnet import cli, datasets
from nmfnet.cli.data import task_of
from nmfnet.errors import DataError
from samples import RUN_FILES, settings

# --- train ---


@pytest.mark.figures
def test_train_writes_four_files(run):
    result = run("train", "digits", "--hidden", "30-20", "--epochs", 3)
    assert result.status == 0 and result.err == ""
    assert sorted(os.listdir("nmfnet-digits")) == RUN_FILES
    model = nmfnet.load("nmfnet-digits/model.safetensors")
    assert json.loads(Path("nmfnet-digits/history.json").read_text()) == model.history_
    assert len(model.history_) == 3 and [W.shape[1] for W in model.coefs_] == [30, 20, 10]
    assert Path("nmfnet-digits/curves.png").read_bytes().startswith(b"\x89PNG")
    lines = result.out.splitlines()
    assert lines[0] == "digits: 1212 training, 135 validation, 450 test rows, 64 features, 10 classes."
    assert [line.split(":")[0] for line in lines[1:4]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("training loss" in line and "validation loss" in line for line in lines[1:4])
    for name in ("Data", "Network", "Training error", "Validation error", "Test error", "Time", "Files"):
        assert any(line.startswith(name) for line in lines[4:])


def test_with_class_weights_the_table_counts_rows(run):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 2)), np.repeat(["often", "seldom"], [170, 30])
    X[y == "seldom", 0] += 1
    frame = pd.DataFrame(X, columns=["a", "b"])
    frame.assign(label=y).to_csv("a.csv", index=False)
    result = run("train", "a.csv", "--target", "label", "--epochs", 2, "--out", "out", "--class-weight")
    assert "Of an epoch, losses and errors count every class alike; the table below, every row." in result.out
    model = nmfnet.load("out/model.safetensors")
    parts = train_test_split(np.arange(200), test_size=0.1, stratify=y, random_state=0)
    found = settings("out")["result"]
    for name, rows in zip(("training", "validation"), parts, strict=True):
        wrong = int((model.predict(frame.iloc[rows]) != y[rows]).sum())
        assert found[name]["error"] == wrong / len(rows)
        assert f"({wrong} of {len(rows)} rows)" in result.out
    assert found["training"]["error"] != pytest.approx(model.history_[found["kept_epoch"] - 1]["train_error"])


def test_train_settings_and_scores(run):
    run("train", "digits", "--epochs", 4, "--seed", 3, "--validation", 0.2, "--out", "out/run")
    found, model, digits = settings("out/run"), nmfnet.load("out/run/model.safetensors"), datasets.load("digits")
    assert found["asked"]["seed"] == 3 and found["asked"]["epochs"] == 4 and found["asked"]["out"] == "out/run"
    assert found["data"]["source"] == "scikit-learn"
    assert found["data"]["rows"] == {"training": 1077, "validation": 270, "test": 450}
    assert found["versions"]["nmfnet"] == nmfnet.__version__ and "torch" in found["versions"]
    result = found["result"]
    assert result["test"]["error"] == pytest.approx(1 - model.score(digits.X_test, digits.y_test))
    X, X_val, y, y_val = train_test_split(
        digits.X_train, digits.y_train, test_size=0.2, random_state=3, stratify=digits.y_train
    )
    assert result["training"]["error"] == pytest.approx(1 - model.score(X, y))
    assert result["validation"]["error"] == pytest.approx(1 - model.score(X_val, y_val))
    keys = [(record["val_loss"], record["val_error"]) for record in model.history_]
    assert result["kept_epoch"] == model.best_epoch_ == keys.index(min(keys)) + 1
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
        (np.array([str(i % 50) for i in range(100)]), "classification"),
        (np.arange(100) % 4 / 2, "regression"),
        (np.arange(100), "regression"),
        (np.arange(1000) % 40, "classification"),  # 40 values are many, but in 4% of the rows
    ],
)
def test_task(y, task):
    assert task_of(y) == task


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
        ("data.txt", "is not a .csv, .tsv, .parquet, .npz or .npy file"),
        ("digits --target label", "--target 'label' names a column of a table"),
        ("digits --hidden 10x20", "--hidden must be widths such as 1000-500"),
        ("digits --hidden 10--20", "--hidden must be"),
        ("digits --hidden 0", "--hidden must be"),
        ("digits --activation cube", "activation must be one of 'relu'"),
        ("digits --solver magic", "solver must be 'relaxed' or 'pinv'"),
        ("digits --batch-size few", "--batch-size must be a number of rows, or auto"),
        ("digits --validation 1", "--validation must be a fraction"),
        ("digits --validation nan", "--validation must be a fraction"),
        ("digits --validation 0.001", "both parts need a row for each of 10 classes: use --validation 0"),
        ("digits --alpha inf", "alpha must be a finite number"),
        ("digits --device abacus", "device='abacus' cannot be used"),
        ("iris.csv", "which column is to be learned? --target COLUMN, one of a, species"),
        ("iris.csv --target sort", "has no column 'sort'"),
        ("iris.csv --target species --task regression", "--task regression needs numeric targets"),
        ("numbers.csv", "which column is to be learned? --target COLUMN, one of a, b, c, ones"),
        ("numbers.csv --target c --task classification", "--task classification needs whole numbers or text"),
        ("numbers.csv --target ones", "every row has the target 1"),
        ("numbers.csv --target a --pretrain nmf", "pretrain='nmf': X must be nonnegative"),
        ("single.csv --target y", "class 1 has a single row"),
        ("huge.npz --solver pinv", "non-finite"),
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
    before = {name: Path("out", name).read_bytes() for name in RUN_FILES}
    run("train", "digits", "--epochs", 2, "--out", "out", "--force", "--device", "abacus").failed()
    assert {name: Path("out", name).read_bytes() for name in RUN_FILES} == before
    assert "out holds a model: --force replaces it" in run("train", "digits", "--out", "out").failed()
    assert {name: Path("out", name).read_bytes() for name in RUN_FILES} == before
    assert run("train", "digits", "--epochs", 2, "--out", "out", "--force").status == 0
    assert settings("out")["result"]["epochs"] == 2 and sorted(os.listdir("out")) == RUN_FILES
