"""A run of `nmfnet train`: the training that has ended, and the folder with its files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmfnet.cli.data import Task
from nmfnet.cli.output import temporary_name
from nmfnet.cli.request import Request
from nmfnet.cli.tables import Score
from nmfnet.datasets import Dataset
from nmfnet.errors import NMFNetError
from nmfnet.estimators.base import BaseNMFNet

MODEL, HISTORY, SETTINGS, CURVES = "model.safetensors", "history.json", "settings.json", "curves.png"
FINDINGS, REPORT = "report.json", "report.html"
CHECKPOINTS = "checkpoints"  # folder in the folder of a run


@dataclass(frozen=True)
class Run:
    """A training that has ended, and how good its model is."""

    request: Request
    dataset: Dataset
    task: Task
    model: BaseNMFNet
    interrupted: bool
    scores: dict[str, Score]

    @property
    def kept_epoch(self) -> int:
        """Epoch whose weights were kept: that of the least validation loss, or the last."""
        return self.model.best_epoch_ or len(self.model.history_)


@contextmanager
def run_folder(folder: Path, replaces: bool) -> Iterator[None]:
    """Make a folder early, so that a long training cannot fail at it; leave none that is empty.

    Raises
    ------
    NMFNetError
        If it holds anything but a former run, or a model that is not to be replaced.
    OSError
        If it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise NMFNetError(f"{folder} is a file: --out names a folder, in which the model and its report are written")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in folder.iterdir()}
    if names - {CHECKPOINTS} and SETTINGS not in names:
        raise NMFNetError(f"{folder} holds files that are not of a former run: choose another folder with --out")
    if MODEL in names and not replaces:
        raise NMFNetError(f"{folder} holds a model: --force replaces it, --out DIR names another folder")
    try:
        yield
    finally:
        if made and not any(folder.iterdir()):
            folder.rmdir()


def network(model: BaseNMFNet) -> str:
    """Sizes of the layers and the activation, as in ``64-100-10, relu``."""
    if model.input_shape_ is not None:
        layers = ", ".join(map(str, model.network_.hidden))
        return f"{'x'.join(map(str, model.input_shape_))}, {layers}, {model.network_.activation_names}"
    sizes = [model.n_features_in_, *(W.shape[1] for W in model.coefs_)]
    names = model.network_.activation_names
    hidden = "linear" if len(sizes) == 2 else names if isinstance(names, str) else "-".join(names)
    return f"{'-'.join(map(str, sizes))}, {hidden}"


def write_json(path: Path, content: Any) -> None:
    """Write data as text."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write under another name first, so that an interrupted write leaves the old file whole."""
    temporary = temporary_name(path)
    try:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
