"""What `nmfnet train` was asked for."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from nmfnet.cli import images
from nmfnet.cli.data import Written, run_name
from nmfnet.datasets import Schema
from nmfnet.layers import Spec

LONGEST_NAME = 255  # bytes, on most file systems
# Options that a training cannot be gone on with if they differ.
MAKING = (
    "data", "target", "hidden", "activation", "solver", "pretrain", "delta_x", "delta", "bias", "validation", "seed",
    "task", "drop", "categorical", "id", "test", "dropout", "class_weight", "input_shape", "message_bits",
)  # fmt: skip


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
    drop: str | None = None
    categorical: str | None = None
    id: str | None = None
    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    test: str | None = None
    max_time: float | None = None
    patience: int | None = None
    dropout: float | None = None
    class_weight: bool = False
    threads: int | None = None
    force: bool = False
    input_shape: str | None = None
    message_bits: int | None = None

    @cached_property
    def hidden_layer_sizes(self) -> tuple[int | Spec, ...]:
        """The hidden layers; of sequences where samples have two axes."""
        shape = images.input_shape(self.input_shape)
        return images.hidden_layer_sizes(self.hidden, 2 if shape is None else len(shape) - 1)

    @cached_property
    def folder(self) -> Path:
        """Where the files go: without --out a new folder, and to resume the newest one."""
        if self.out is not None:
            return Path(self.out)
        name = f"nmfnet-{run_name(self.data)}"
        while len(os.fsencode(name)) > LONGEST_NAME:
            name = name[:-1]
        before, folder = None, Path(name)
        for number in count(2):
            if not folder.exists():
                break
            before, folder = folder, Path(f"{name}-{number}")
        return before if self.resume and before is not None else folder

    @property
    def schema(self) -> Schema:
        """How a table is to be read."""
        written = Written(self.sep, self.decimal, self.encoding)
        return asked_schema(self.target, self.drop, self.categorical, self.id, written)

    def differences(self, asked: Mapping[str, Any]) -> list[str]:
        """In words, what else a former run was asked for that makes another network of other data."""
        said = []
        for name in MAKING:
            now, then = getattr(self, name), asked.get(name)
            if now != then:
                option = "DATA" if name == "data" else f"--{name.replace('_', '-')}"
                words = f"no {option}" if then in (None, False) else option if then is True else f"{option} {then}"
                said.append(f"{words} then, {'none' if now in (None, False) else now} now")
        return said


def asked_schema(
    target: str | None, drop: str | None, categorical: str | None, id_column: str | None, written: Written
) -> Schema:
    """How a table is to be read, from the options that say so."""
    dropped, kept = _names(drop), _names(categorical)
    return Schema(target, drop=dropped, categorical=kept, id=id_column, dialect=written.dialect())


def _names(asked: str | None) -> list[str]:
    """Names with commas between; one that has commas itself stands in quotation marks, as in a .csv."""
    rows = csv.reader([asked or ""], skipinitialspace=True)
    return [name.strip() for row in rows for name in row if name.strip()]
