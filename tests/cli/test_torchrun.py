"""`torchrun -m nmfnet train`: ranks started by a launcher, killed and started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nmfnet

OPTIONS = ["--hidden", "20", "--epochs", "6", "--batch-size", "40", "--seed", "1"]


def train(out, *options, ranks=0, restarts=0, meanwhile=None):
    """Output of a training, by ranks of torchrun if there are any."""
    launch = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--max-restarts={restarts}", "-m"]
    command = [
        sys.executable,
        *(launch if ranks else ["-m"]),
        "nmfnet",
        "train",
        "digits",
        "--out",
        str(out),
        *options,
    ]
    process = subprocess.Popen(
        [*command, *OPTIONS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if meanwhile is not None:
        meanwhile(process)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return said


def kill_one_rank(process, out, checkpoints):
    """SIGKILL for a child of torchrun, as soon as there are checkpoints."""
    while process.poll() is None and len(list(Path(out, "checkpoints").glob("checkpoint-*"))) < checkpoints:
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_a_killed_rank_is_started_again_and_the_training_ends_as_if_nothing_had_happened(tmp_path):
    train(tmp_path / "whole", ranks=2)
    options, out = ["--checkpoint-every", "5", "--resume"], tmp_path / "killed"
    said = train(out, *options, ranks=2, restarts=2, meanwhile=lambda process: kill_one_rank(process, out, 2))
    assert said.count("going on from the last checkpoint") == 1 and said.count("Test error") == 1
    one, two = (nmfnet.load(folder / "model.safetensors") for folder in (tmp_path / "whole", out))
    assert one.best_epoch_ == two.best_epoch_ and len(one.history_) == len(two.history_) == 6
    for W, V in zip(one.coefs_, two.coefs_, strict=True):
        assert np.array_equal(W, V)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_ranks_end_with_the_threads_of_their_group(tmp_path):
    """A thread of gloo that is still there when Python ends aborts the process."""
    program = tmp_path / "ranks.py"
    program.write_text(
        "import os\n"
        "import torch\n"
        "from nmfnet.distributed import join, leave, together\n"
        "threads = lambda: len(os.listdir('/proc/self/task'))\n"
        "join()\n"
        "with together() as ranks:\n"
        "    assert ranks([torch.ones(1)])[0] == 2\n"
        "del ranks\n"
        "begun = threads()\n"
        "leave()\n"
        "assert threads() < begun, (threads(), begun)\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(program)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
