"""What `nmfnet train` was asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nmfnet.cli.data import run_name

LONGEST_NAME = 255  # bytes, on most file systems


@dataclass(frozen=True)
class Request:
    """The options of `nmfnet train`, as they were given."""

    data: str
    target: str | None
    hidden: str
    activation: str
    solver: str
    pretrain: str
    epochs: int
    batch_size: str
    alpha: float | None
    l1_ratio: float
    delta_x: float | None
    delta: float | None
    bias: bool
    validation: float
    seed: int
    device: str
    task: str
    out: str | None
    checkpoint_every: int | None = None
    resume: bool = False

    @property
    def folder(self) -> Path:
        """Where the files go."""
        name = f"nmfnet-{run_name(self.data)}"
        while len(os.fsencode(name)) > LONGEST_NAME:
            name = name[:-1]
        return Path(self.out or name)
