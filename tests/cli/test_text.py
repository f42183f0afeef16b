"""Names, labels and messages of any characters, on terminals and in files of any encoding."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import nmfnet
from nmfnet import cli, report
from nmfnet._text import printable
from nmfnet.cli.reporting import show_warning
from samples import RUN_FILES, settings

LATIN_1 = os.fsdecode("caf\xe9".encode("latin-1"))  # as the command line hands over a name that is not UTF-8
NAMES = [
    "a$b",
    "$x^",
    r"a_{b} \frac",
    "日本",
    "🎉",
    "é[red]:smile:",
    "tab\tand\x1b[31m",
    LATIN_1,
    "n" * 240,
    "\u202eabc",
]
UNPRINTABLE = "\x00\x07\x1b\r\n\x7f\x85\u2028\u202e\udce9"


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that runs a command on a terminal of some encoding: the exit status, and what it shows."""

    def call(encoding, *arguments):
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2))
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as exit_:
                cli.main([str(argument) for argument in arguments])
        assert (out.errors, err.errors) == ("strict", "strict")  # as they were
        for stream in (out, err):
            stream.flush()
        return exit_.value.code, *(stream.buffer.getvalue().decode(encoding) for stream in (out, err))

    return call


def table(name, labels=None, column="a"):
    """Write a small table; without labels for regression."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=40) if labels is None else [labels[i % len(labels)] for i in range(40)]
    frame = pd.DataFrame({column: rng.normal(size=40) + np.arange(40) % 2, "b": rng.normal(size=40), "y": y})
    with open(f"{name}.csv", "w", encoding="utf-8", newline="") as file:
        frame.to_csv(file, index=False)
    return f"{name}.csv"


@pytest.mark.parametrize("encoding", ["cp932", "ascii", "latin-1", "utf-8"])
def test_every_command_ends_well_on_every_code_page(terminal, folder, encoding):
    table("r"), table("日本é$²", ["é[b]:smile:", "日本", "²"])
    for data, out in (("r.csv", "r"), ("日本é$².csv", "c")):
        status, shown, err = terminal(encoding, "train", data, "--target", "y", "--epochs", 1, "--out", out)
        assert (status, err) == (0, "") and "epoch 1/1" in shown and sorted(os.listdir(out)) == RUN_FILES
        status, shown, err = terminal(encoding, "evaluate", out, data, "--target", "y")
        assert (status, err) == (0, "") and "40 rows" in shown
        if out == "r":
            assert "R² 0." in shown or "R^2 0." in shown or "R² -" in shown or "R^2 -" in shown
        assert terminal(encoding, "predict", out, data)[0] == 0
    for arguments in (["--help"], ["train", "--help"], ["data"], ["--version"]):
        status, shown, err = terminal(encoding, *arguments)
        assert (status, err) == (0, "") and shown
    for arguments in (["train", "日本.csv"], ["evaluate", "r", "日本é$²", "--target", "y"], ["train", "--日本"]):
        status, shown, err = terminal(encoding, *arguments)
        assert status in (1, 2) and err.startswith("error: ") and err.count("\n") == 1


def test_labels_are_never_made_alike(terminal, folder):
    data = table("c", ["x²", "x^2", "é"])
    terminal("utf-8", "train", data, "--target", "y", "--epochs", 1, "--validation", 0)
    model = nmfnet.load("nmfnet-c/model.safetensors")
    predicted = model.predict(pd.read_csv(data)[["a", "b"]])
    shown = terminal("ascii", "predict", "nmfnet-c", data)[1].splitlines()[1:]
    assert shown == [label.encode("ascii", "backslashreplace").decode() for label in predicted]
    assert terminal("ascii", "predict", "nmfnet-c", data, "--out", "p.csv")[0] == 0
    assert pd.read_csv("p.csv", encoding="utf-8")["prediction"].tolist() == predicted.tolist()


@pytest.mark.figures
@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_and_columns(run, folder, name):
    if name == LATIN_1 and sys.platform != "linux":
        pytest.skip("names are Unicode here")
    column = "a" if name == LATIN_1 else name
    result = run("train", table(name, column=column), "--target", "y", "--epochs", 1)
    assert result.status == 0 and result.err == ""
    (out,) = (found for found in os.listdir() if found.startswith("nmfnet-"))
    assert sorted(os.listdir(out)) == RUN_FILES and settings(out)["asked"]["data"] == f"{name}.csv"
    assert not set(UNPRINTABLE) & set(result.out.replace("\n", ""))
    result = run("evaluate", out, f"{name}.csv", "--target", "y")
    assert result.status == 0 and printable(name) in result.out
    with open(f"{name}.parquet", "wb") as file:
        pd.read_csv(f"{name}.csv").to_parquet(file)
    for ending in ("csv", "parquet"):
        result = run("predict", out, f"{name}.{ending}", "--out", f"{name}.new.{ending}"[-250:])
        assert result.status == 0 and result.err == ""
    written = pd.read_csv(f"{name}.new.csv"[-250:], encoding="utf-8", float_precision="round_trip")
    assert run("predict", out, f"{name}.csv").out.splitlines()[1:] == written["prediction"].astype(str).tolist()


@pytest.mark.parametrize("kind", ["undecodable", "missing", "unfit"])
def test_errors_are_one_printable_line(run, folder, kind):
    name = f"a{UNPRINTABLE[1:-1]}b"
    arguments = {
        "undecodable": ["train", f"{LATIN_1}.csv"],
        "missing": ["train", "r.csv", "--target", name],
        "unfit": ["train", "t.csv", "--target", "y"],
    }
    table("r")
    pd.DataFrame({"x": ["?" * 40, name], "y": [1, 2]}).to_csv("t.csv", index=False)
    text = run(*arguments[kind]).failed()
    assert not set(UNPRINTABLE) & set(text.rstrip("\n"))


def test_brackets_and_colons_are_shown_as_they_are(run, folder):
    data = table("[bold]:cat:", ["[red]x[/red]:smile:", "b"])
    assert "[bold]:cat:" in run("train", data, "--target", "y", "--epochs", 1, "--validation", 0).out
    shown = run("evaluate", "nmfnet-[bold]:cat:", data, "--target", "y").out
    assert "[bold]:cat:" in shown and "🐱" not in shown and ("[red]x[/red]:smile:" in shown or "0.00%" in shown)


@pytest.mark.figures
@pytest.mark.parametrize("kind", ["drawing", "importing", "writing", "title"])
def test_a_picture_that_fails_fails_no_training(run, folder, monkeypatch, kind):
    table("r")
    assert run("train", "r.csv", "--target", "y", "--epochs", 1).status == 0
    if kind == "drawing":
        monkeypatch.setattr(report, "curves", lambda *args, **kwargs: 1 / 0)
    elif kind == "importing":
        monkeypatch.setitem(sys.modules, "nmfnet.report", None)
    elif kind == "writing":
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, path: Path(path).write_text("x") / 0)
    else:
        monkeypatch.setattr("matplotlib.figure.Figure.suptitle", lambda *args, **kwargs: 1 / 0)
    result = run("train", "r.csv", "--target", "y", "--epochs", 2, "--out", "nmfnet-r", "--force")
    assert result.status == 0 and "curves.png" not in result.out and "Training RMSE" in result.out
    assert result.err.startswith("warning: the model is saved, but nmfnet-r/curves.png could not be drawn")
    missing = {"curves.png", "report.html"} if kind == "writing" else {"curves.png"}  # nor the old ones
    assert sorted(os.listdir("nmfnet-r")) == sorted({*RUN_FILES} - missing)
    assert len(nmfnet.load("nmfnet-r/model.safetensors").history_) == 2


def test_names_as_long_as_may_be(run, folder):
    data = table("ö" * 125)
    assert run("train", data, "--target", "y", "--epochs", 1).status == 0
    (out,) = (name for name in os.listdir() if name.startswith("nmfnet-"))
    assert len(out.encode()) <= 255
    assert run("predict", out, data, "--out", "p" * 251 + ".csv").status == 0


def test_labels_that_no_encoding_has(run, folder):
    """Half a pair of surrogates, as damaged text has it."""
    rng = np.random.default_rng(0)
    np.savez("x.npz", X=rng.normal(size=(40, 3)), y=np.array(["\udce9", "b$"])[np.arange(40) % 2])
    assert run("train", "x.npz", "--epochs", 1).status == 0
    assert nmfnet.load("nmfnet-x/model.safetensors").classes_.tolist() == ["b$", "\udce9"]
    assert run("evaluate", "nmfnet-x", "x.npz").status == 0
    for ending in ("csv", "parquet"):
        assert run("predict", "nmfnet-x", "x.npz", "--proba", "--out", f"p.{ending}").status == 0
    assert list(pd.read_parquet("p.parquet").columns) == ["prediction", "probability_b$", r"probability_\udce9"]
    assert list(pd.read_csv("p.csv").columns) == list(pd.read_parquet("p.parquet").columns)


@pytest.mark.parametrize(("rank", "said"), [(0, "warning: 3 rows are left out\n"), (1, "")])
def test_of_several_ranks_the_first_warns(monkeypatch, capsys, rank, said):
    monkeypatch.setattr("nmfnet.distributed.now", lambda: SimpleNamespace(rank=rank))
    show_warning("3 rows are left out", UserWarning)
    assert capsys.readouterr().err == said


def test_printable():
    assert printable("é日🎉 $") == "é日🎉 $" and printable("全\u3000角") == "全\u3000角"
    assert printable(UNPRINTABLE) == r"\x00\x07\x1b\r\n\x7f\x85\u2028\u202e\udce9"
    assert printable("a" * 50 + "b" * 50, 20) == "a" * 12 + "..." + "b" * 5
    assert printable(3.5) == "3.5"


# --- evaluate and predict read what train has learned ---


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_in_another_form(run, folder, ending):
    """The same labels as another program writes them: the model's own decide what they are."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 2)) + 4 * np.eye(3)[y][:, :2]
    frame = pd.DataFrame(X, columns=["a", "b"])
    forms = {"int": y, "float": y.astype(float), "text": y.astype(str)}
    for kind, values in forms.items():
        frame.assign(y=values).to_parquet(f"{kind}.parquet")
        frame.assign(y=values)[["y", "b", "a"]].to_csv(f"{kind}.csv", index=False)
    frame.assign(y=[f" 0{value}" for value in y]).to_csv("padded.csv", index=False)
    run("train", f"int.{ending}", "--target", "y", "--epochs", 3, "--validation", 0, "--out", "out")
    shown = {run("evaluate", "out", f"{kind}.{kind_}", "--target", "y").out.split(":", 1)[1].splitlines()[0]
             for kind, kind_ in [*((k, e) for k in forms for e in ("csv", "parquet")), ("padded", "csv")]}  # fmt: skip
    assert len(shown) == 1 and "of 60 rows" in shown.pop()


def test_one_odd_label_costs_one_row(run, folder):
    data = table("c", [0, 1])
    run("train", data, "--target", "y", "--epochs", 1, "--validation", 0)
    frame = pd.read_csv(data).astype({"y": object})
    frame.loc[7, "y"] = "?"
    frame.to_csv("odd.csv", index=False)
    before, after = (run("evaluate", "nmfnet-c", name, "--target", "y") for name in (data, "odd.csv"))
    assert after.status == 0 and "of 40 rows" in after.out and "?" in after.out
    assert after.err == "warning: odd.csv, line 9: column 'y': '?' is not one of the model's classes\n"
    wrong = [int(result.out.split("(")[1].split()[0]) for result in (before, after)]
    assert wrong[1] - wrong[0] in (0, 1)
    assert (
        "1 class" not in run("train", "odd.csv", "--target", "y", "--epochs", 1, "--validation", 0, "--out", "odd").out
    )
    assert nmfnet.load("odd/model.safetensors").classes_.tolist() == ["0", "1", "?"]
    assert "of 40 rows" in run("evaluate", "odd", data, "--target", "y").out


def test_files_of_one_label(run, folder):
    data = table("c", ["NA", "None"])
    said = run("train", data, "--target", "y", "--epochs", 1, "--validation", 0).err
    assert "40 rows have 'NA' or 'None' in the target column 'y', which counts as a class" in said
    assert nmfnet.load("nmfnet-c/model.safetensors").classes_.tolist() == ["NA", "None"]
    for label in ("NA", "None"):
        frame = pd.read_csv(data, keep_default_na=False)
        frame[frame["y"] == label].to_csv("one.csv", index=False)
        assert "of 20 rows" in run("evaluate", "nmfnet-c", "one.csv", "--target", "y").out


def test_regressors_read_numbers(run, folder):
    data = table("r")
    run("train", data, "--target", "y", "--epochs", 1)
    frame = pd.read_csv(data)
    for name, values in (("whole", np.arange(40)), ("padded", [f"{i:03}" for i in range(40)])):
        frame.assign(y=values).to_csv(f"{name}.csv", index=False)
    whole, padded = (run("evaluate", "nmfnet-r", f"{name}.csv", "--target", "y") for name in ("whole", "padded"))
    assert whole.out.split(":")[1] == padded.out.split(":")[1]
    assert (
        run("train", "padded.csv", "--target", "y", "--task", "regression", "--epochs", 1, "--out", "out").status == 0
    )
    frame.astype({"y": object}).assign(y=["odd", *range(39)]).to_csv("odd.csv", index=False)
    assert (
        "odd.csv, line 2: the target, column 'y', is not numeric (e.g. 'odd')"
        in run("evaluate", "nmfnet-r", "odd.csv", "--target", "y").failed()
    )
    text = run("train", "odd.csv", "--target", "y", "--task", "regression").failed()
    assert "--task regression needs numeric targets: odd.csv, line 2: the target, column 'y'" in text


def test_a_target_with_postal_codes(run, folder):
    data = table("zip", ["01234", "90210"])
    run("train", data, "--target", "y", "--epochs", 1, "--validation", 0)
    result = run("predict", "nmfnet-zip", data)
    assert set(result.out.splitlines()[1:]) <= {"01234", "90210"}
    assert "of 40 rows" in run("evaluate", "nmfnet-zip", data, "--target", "y").out
