"""`nmfnet evaluate`, `predict`, `data` and the rest."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import nmfnet
from nmfnet import cli, datasets
from samples import settings

# --- evaluate ---


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
        ("nmfnet-iris iris.csv --target kind", "has no column 'kind'"),
        ("nmfnet-iris iris.csv --target a", "none of the targets is a class of the model"),
        ("nmfnet-iris short.csv --target species", "has no columns 'b', 'd'"),
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
        ("short.csv", "short.csv: has no columns 'b', 'd'"),
        ("iris.csv --out predictions.txt", "--out must end with .csv or .parquet"),
        ("iris.csv --out nowhere/predictions.csv", "nowhere"),
        ("digits", "is not a .csv, .tsv, .parquet, .npz or .npy file"),
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


def test_nothing_that_is_read_is_written_over(run, iris, iris_model):
    before = iris.read_bytes()
    assert "--out iris.csv is what is read" in run("predict", iris_model, iris, "--out", iris).failed()
    assert iris.read_bytes() == before
    assert (
        "iris.csv is a file: --out names a folder" in run("train", iris, "--target", "species", "--out", iris).failed()
    )
    np.save("X.npy", np.eye(3))
    assert "--target names a .npy file of them" in run("train", "X.npy").failed()
