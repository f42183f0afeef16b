"""Ctrl-C, and what is shown on a terminal."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import nmfnet
from nmfnet import datasets
from nmfnet.cli import evaluation
from nmfnet.cli.progress import Bar
from nmfnet.cli.request import Request
from nmfnet.cli.training import train
from samples import RUN_FILES, press_ctrl_c, settings

# --- Ctrl-C ---


@pytest.mark.parametrize("validation", [0, 0.1])
def test_interrupted_training_is_saved(run, monkeypatch, validation):
    press_ctrl_c(monkeypatch, "on_epoch_end", 2)  # between two sweeps, where it would be lost
    result = run("train", "digits", "--epochs", 50, "--validation", validation)
    assert result.status == 130 and result.err == ""
    assert "Interrupted" in result.out and "Test error" in result.out
    assert sorted(os.listdir("nmfnet-digits")) == RUN_FILES
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
    assert model.solver == nmfnet.Pinv(delta_x=0.02) and model.pretrain == nmfnet.NMFPretraining(delta_x=0.02)
    assert "epoch 1/2: " not in console.file.getvalue()  # the bar goes at the end, and leaves no lines


def test_bar_shows_where_the_training_is():
    console = Console(force_terminal=True, file=io.StringIO(), width=100, highlight=False, color_system=None)

    def shown(bar):
        with console.capture() as capture:
            console.print(bar._now.live.get_renderable())
        return capture.get()

    bar = Bar(console, "classification")
    bar.on_fit_begin(None, 4)
    bar.on_pretrain_layer(1, 2)
    assert "pre-training layer 1 of 2" in shown(bar) and "left" not in shown(bar)
    bar.on_batch_end(1, 3)
    assert "epoch 1/4" in shown(bar) and "batch 1/3" in shown(bar) and "left" in shown(bar)
    bar.on_batch_end(3, 3)
    record = {"epoch": 1, "train_loss": 0.5, "train_error": 0.25, "val_loss": 0.75, "val_error": 0.125, "seconds": 1.0}
    bar.on_epoch_end(None, record)
    assert "after epoch 1: training loss 0.5, error 25.00%; validation loss 0.75, error 12.50%" in shown(bar)
    bar.on_batch_end(2, 3)
    assert "epoch 2/4" in shown(bar) and "batch 2/3" in shown(bar)
    bar.on_fit_end(None)
