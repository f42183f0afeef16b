"""`nmfnet train --checkpoint-every` and `--resume`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nmfnet
from nmfnet.cli.progress import Lines
from samples import RUN_FILES, press_ctrl_c, settings

OPTIONS = ("train", "digits", "--hidden", 20, "--epochs", 40, "--batch-size", 400)


def test_a_killed_command_goes_on(run):
    run(*OPTIONS, "--out", "alone")
    environment = os.environ | {
        "PYTHONPATH": str(Path(nmfnet.__file__).parents[1]), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    options = [str(each) for each in (*OPTIONS, "--out", "killed")]
    command = [sys.executable, "-m", "nmfnet", *options, "--checkpoint-every", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 4/"):
                break
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL and os.listdir("killed") == ["checkpoints"]
    result = run(*OPTIONS, "--out", "killed", "--checkpoint-every", 100, "--resume")
    assert result.status == 0 and "killed/checkpoints: going on from the last checkpoint" in result.out
    assert "epoch 40/40" in result.out and "epoch 1/40" not in result.out
    alone, killed = (nmfnet.load(f"{out}/model.safetensors") for out in ("alone", "killed"))
    assert all(np.array_equal(W, V) for W, V in zip(alone.coefs_, killed.coefs_, strict=True))
    assert settings("killed")["asked"]["resume"] is True and settings("killed")["result"]["epochs"] == 40
    assert sorted(os.listdir("killed")) == RUN_FILES  # a training that has ended leaves no checkpoints


def test_resume_without_a_checkpoint_starts_from_the_beginning(run):
    result = run("train", "digits", "--epochs", 2, "--resume")
    assert "no checkpoint: from the beginning" in result.out and "epoch 1/2" in result.out
    again = run("train", "digits", "--epochs", 3, "--resume")
    assert again.status == 0 and "epoch 3/3" in again.out and "epoch 1/" not in again.out
    assert os.listdir() == ["nmfnet-digits"] and settings("nmfnet-digits")["result"]["epochs"] == 3


class Killed(BaseException):
    """No exception that anything catches, as SIGKILL is none."""


def killed_after(monkeypatch, epochs):
    """Have the next training die in this epoch, once a checkpoint of it is there."""
    original = Lines.on_epoch_end

    def die(self, network, record):
        original(self, network, record)
        if record["epoch"] == epochs:
            raise Killed

    monkeypatch.setattr(Lines, "on_epoch_end", die)


def test_a_killed_extension_goes_on(run, monkeypatch):
    first, more = ("train", "digits", "--hidden", 20), ("--checkpoint-every", 1, "--resume")
    for out in ("alone", "killed"):
        assert run(*first, "--epochs", 2, "--out", out).status == 0
    assert run(*first, "--epochs", 5, "--out", "alone", *more).status == 0
    with monkeypatch.context() as patch:
        killed_after(patch, 4)
        with pytest.raises(Killed):
            run(*first, "--epochs", 5, "--out", "killed", *more)
    assert os.listdir("killed/checkpoints-after-2") and settings("killed")["result"]["epochs"] == 2
    result = run(*first, "--epochs", 5, "--out", "killed", *more)
    assert "checkpoints-after-2: going on from the last checkpoint" in result.out and "epoch 3/" not in result.out
    alone, killed = (nmfnet.load(f"{out}/model.safetensors") for out in ("alone", "killed"))
    assert all(np.array_equal(W, V) for W, V in zip(alone.coefs_, killed.coefs_, strict=True))
    assert len(killed.history_) == 5 and sorted(os.listdir("killed")) == RUN_FILES
    for epochs in (5, 3):  # a job that is started once more harms nothing
        said = run(*first, "--epochs", epochs, "--out", "killed", *more).failed()
        assert "killed has 5 epochs already: ask for more with --epochs" in said
    assert len(nmfnet.load("killed/model.safetensors").history_) == 5


def test_an_interrupted_training_goes_on_from_its_checkpoint(run, monkeypatch):
    options = ("train", "digits", "--hidden", 20, "--epochs", 4, "--checkpoint-every", 1)
    run(*options, "--out", "alone")
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, "on_epoch_end", 2)
        assert run(*options, "--out", "stopped").status == 130
    result = run(*options, "--out", "stopped", "--resume")
    assert result.status == 0 and "going on from the last checkpoint" in result.out
    alone, stopped = (nmfnet.load(f"{out}/model.safetensors") for out in ("alone", "stopped"))
    assert all(np.array_equal(W, V) for W, V in zip(alone.coefs_, stopped.coefs_, strict=True))


def test_an_unfinished_training_is_not_overwritten_without_a_word(run, monkeypatch):
    options = ("train", "digits", "--hidden", 20, "--checkpoint-every", 1, "--out", "out")
    with monkeypatch.context() as patch:
        killed_after(patch, 3)
        with pytest.raises(Killed):
            run(*options, "--epochs", 4)
    said = run(*options, "--epochs", 5, "--resume").failed()
    assert "is of another training: max_iter was 4 and is 5 now" in said
    again = run(*options, "--epochs", 4)
    assert "out has a training that was not finished: --resume would go on with it" in again.err


def test_settings_that_differ_are_named_in_words(run):
    run("train", "digits", "--epochs", 1, "--out", "out")
    said = run("train", "digits", "--epochs", 3, "--resume", "--out", "out", "--hidden", 50, "--test", 0.2).failed()
    assert "out has a model of another training: --hidden 100 then, 50 now; no --test then, 0.2 now" in said
    np.savez("a.npz", X=np.eye(30), y=np.arange(30) % 2)
    assert "DATA digits then, a.npz now" in run("train", "a.npz", "--resume", "--out", "out", "--epochs", 3).failed()
    assert (
        "out has 1 epochs already: ask for more"
        in run("train", "digits", "--epochs", 1, "--resume", "--out", "out").failed()
    )


@pytest.mark.parametrize("option", ["--checkpoint-every 0", "--checkpoint-every often"])
def test_usage(run, option):
    assert run("train", "digits", *option.split()).status == 2
