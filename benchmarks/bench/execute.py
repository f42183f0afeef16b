"""One run: a solver on a task, under the objective's clock."""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from threadpoolctl import threadpool_limits

import nmfnet
from nmfnet.layers import Spec

from .objective import Objective
from .problem import Data, Part, Problem, Settings, Solver, Task

PRECISIONS = {"float32": "highest", "bfloat16": "medium"}


def execute(
    task: Task, solver: Solver, settings: Settings, seed: int, parts: tuple[Part, Part], n_outputs: int, epochs: int
) -> dict[str, Any]:
    """Train on the first part, score on the second, and return the epochs and how it ended."""
    train, scored = parts
    objective = Objective(scored.X, scored.y, task.metric)
    problem = Problem(train, task.hidden, n_outputs, epochs, task.classification, task.linear, task.input_shape)
    wall, processor = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, that a fit of one epoch has not converged
        objective.start()
        solver.fit(problem, settings, seed, objective)
        objective.stop()
    return {
        "status": objective.status,
        "seconds": objective.seconds,
        "busy": (time.process_time() - processor) / (time.perf_counter() - wall),  # scoring included
        "epochs": objective.records,
    }


def warm_up(task: Task, solver: Solver, settings: Settings, n_features: int, n_outputs: int) -> None:
    """Let a solver meet a toy of the same kind first: what happens once in a process is no solver's time."""
    rng = np.random.default_rng(0)
    n = max(256, 4 * n_outputs)
    X = rng.random((n, n_features), dtype=np.float32)
    y = np.arange(n) % n_outputs if task.classification else rng.random((n, n_outputs), dtype=np.float32)
    toy = replace(task, hidden=tuple(each if isinstance(each, Spec) else min(each, 32) for each in task.hidden))
    execute(toy, solver, settings, 0, (Part(X, y), Part(X, y)), n_outputs, 1)


@lru_cache(2)
def loaded(load: Any) -> Data:
    """The data of a task; tasks with the same loader share them."""
    data: Data = load()
    return data


def use_threads(threads: int) -> None:
    """Set the threads of PyTorch and of scikit-learn alike; subnormal numbers count as zero everywhere."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    threadpool_limits(threads)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Products of float32 matrices in float32, or of operands that oneDNN may round to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(PRECISIONS[name])
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def conditions(alone: bool, name: str) -> dict[str, Any]:
    """Where, when and with what a run was made."""
    return {
        "alone": alone,
        "precision": name,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "processor": processor_name(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "nmfnet": nmfnet.__version__,
        },
    }


def processor_name() -> str:
    """Name of the processor, as the system gives it, and the widest matrix instructions PyTorch sees."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
