"""`nmfnet predict`: what it shows while it works, and what it leaves when it is ended."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import nmfnet
from nmfnet import datasets
from nmfnet.cli import output, progress
from nmfnet.datasets import read_parts

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
linux = pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="needs files without a name")
# Predicts, and waits for its end once the first rows are written.
WAITING = """
import sys, time
from nmfnet.cli import evaluation, main
named = evaluation.named
def slow(*arguments):
    print("writing", flush=True)
    time.sleep(60 if slow.calls else 0)
    slow.calls += 1
    return named(*arguments)
slow.calls = 0
evaluation.named = slow
from nmfnet import datasets
from functools import partial
datasets.read_parts = partial(datasets.read_parts, numbers=40)
main(sys.argv[1:])
"""


def ended(number, file, *options):
    """Predict in a process that is ended by a signal while it writes; return its exit status and stderr."""
    environment = os.environ | {"PYTHONPATH": str(Path(nmfnet.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, "predict", *map(str, file), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["writing\n"] * 2
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, err


@unix
@pytest.mark.parametrize(
    ("name", "status", "ending"),
    [("SIGTERM", 128 + 15, "csv"), ("SIGINT", 130, "parquet"), pytest.param("SIGKILL", -9, "csv", marks=linux)],
)
def test_a_signal_leaves_no_file(iris, iris_model, name, status, ending):
    before = sorted(os.listdir())
    found, err = ended(getattr(signal, name), (iris_model, iris), "--out", f"predictions.{ending}")
    assert found == status and "Traceback" not in err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("refusal", ["no such files", "no names for them", None])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_any_file_system_will_do(run, iris, iris_model, monkeypatch, refusal, ending):
    def refuse(*arguments, **options):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if refusal == "no such files":
        original = os.open
        flag = getattr(os, "O_TMPFILE", 0)
        monkeypatch.setattr(output.os, "O_TMPFILE", flag, raising=False)
        monkeypatch.setattr(
            output.os, "open", lambda p, f, *r: refuse() if flag and f & flag == flag else original(p, f, *r)
        )
    elif refusal:
        monkeypatch.setattr(output.os, "link", refuse)
    old = Path(f"predictions.{ending}")
    old.write_text("an older one")
    before = sorted(os.listdir())
    assert run("predict", iris_model, iris, "--out", old).status == 0
    frame = pd.read_csv(old) if ending == "csv" else pd.read_parquet(old)
    assert len(frame) == 150 and sorted(os.listdir()) == before
    assert old.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    """Of this process."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@unix
def test_what_a_killed_process_left_goes_with_the_next_file(run, iris, iris_model):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    names = {
        "gone": f".nmfnet-{process.pid}.csv",
        "ours": f".nmfnet-{os.getpid()}.parquet",
        "new": ".nmfnet-9999999.csv",
    }
    for name in names.values():
        Path(name).touch()
    for name in (names["gone"], names["ours"]):
        os.utime(name, (0, 0))
    Path(".nmfnet-notes").touch()
    assert run("predict", iris_model, iris, "--out", "predictions.csv").status == 0
    assert not Path(names["gone"]).exists()
    assert all(map(os.path.exists, (names["ours"], names["new"], ".nmfnet-notes")))


def test_progress_is_shown_on_a_terminal(run, iris, iris_model, monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(progress, "Console", lambda **options: screen)
    monkeypatch.setattr(datasets, "read_parts", partial(read_parts, numbers=200))
    original = screen.status
    shown = []

    def noting(*arguments):
        assert arguments == ("reading rows",)  # what is shown until the first are done
        status = original(*arguments)
        update = status.update
        monkeypatch.setattr(status, "update", lambda text: (shown.append(text), update(text)))
        return status

    monkeypatch.setattr(screen, "status", noting)
    result = run("predict", iris_model, iris, "--out", "predictions.csv")
    assert result.status == 0 and result.out == ""
    assert [text.split(" rows, ")[0] for text in shown] == ["40", "80", "120", "150"]
    assert all(text.endswith(" a second") for text in shown)


def test_nothing_is_shown_elsewhere(run, iris, iris_model):
    result = run("predict", iris_model, iris, "--out", "predictions.csv")
    assert (result.status, result.out, result.err) == (0, "", "")
