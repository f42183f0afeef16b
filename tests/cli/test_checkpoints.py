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
from samples import RUN_FILES, settings

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
    assert sorted(os.listdir("killed")) == sorted([*RUN_FILES, "checkpoints"])


def test_resume_without_a_checkpoint_starts_from_the_beginning(run):
    result = run("train", "digits", "--epochs", 2, "--resume")
    assert "no checkpoint: from the beginning" in result.out and "epoch 1/2" in result.out
    assert len(os.listdir("nmfnet-digits/checkpoints")) == 2  # one for each epoch
    again = run("train", "digits", "--epochs", 3, "--resume")
    assert again.status == 0 and "epoch 3/3" in again.out and "epoch 1/" not in again.out
    assert os.listdir() == ["nmfnet-digits"] and settings("nmfnet-digits")["result"]["epochs"] == 3


def test_settings_that_differ_are_named_in_words(run):
    run("train", "digits", "--epochs", 1, "--out", "out")
    said = run("train", "digits", "--epochs", 3, "--resume", "--out", "out", "--hidden", 50, "--test", 0.2).failed()
    assert "out has a model of another training: 100 --hidden then, 50 now; no --test then, 0.2 now" in said
    assert (
        "out has 1 epochs already: ask for more"
        in run("train", "digits", "--epochs", 1, "--resume", "--out", "out").failed()
    )


@pytest.mark.parametrize("option", ["--checkpoint-every 0", "--checkpoint-every often"])
def test_usage(run, option):
    assert run("train", "digits", *option.split()).status == 2
