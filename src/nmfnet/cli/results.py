"""What `nmfnet train` leaves: the files of a run, and the summary it ends with."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from rich.table import Table

import nmfnet
from nmfnet.cli.data import Task
from nmfnet.cli.output import temporary_name
from nmfnet.cli.request import Request
from nmfnet.cli.tables import Score, error_name, facts, in_words
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


def write(run: Run) -> list[str]:
    """Write the files of a run and return their names; the model first, whatever happens to the others."""
    folder = run.request.folder
    run.model.save(folder / MODEL)
    write_json(folder / SETTINGS, settings(run))
    write_json(folder / HISTORY, run.model.history_)
    return [MODEL, HISTORY, SETTINGS, *([CURVES] if draw(run, folder / CURVES) else []), *reported(run)]


def reported(run: Run) -> list[str]:
    """Write the report and return its name, if it went well: no training is to fail for it."""
    folder = run.request.folder
    try:
        for name in (FINDINGS, REPORT):
            (folder / name).unlink(missing_ok=True)  # those of a former run
        from nmfnet.cli.report import write_report

        write_report(run)
    except Exception as error:
        warnings.warn(f"the model is saved, but {folder / REPORT} could not be written: {error}", stacklevel=2)
        return []
    return [REPORT]


def draw(run: Run, path: Path) -> bool:
    """Draw the curves, and return whether it went well: no training is to fail for its picture."""
    temporary, test = temporary_name(path), run.scores.get("test")
    title = f"{run.dataset.name}: {network(run.model)}"
    try:
        path.unlink(missing_ok=True)  # that of a former run
        from nmfnet.report import curves

        curves(run.model.history_, temporary, test_error=test.error if test else None, title=title, kind=run.task)
        os.replace(temporary, path)
    except Exception as error:
        warnings.warn(f"the model is saved, but {path} could not be drawn: {error}", stacklevel=2)
        return False
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


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


def settings(run: Run) -> dict[str, Any]:
    """Everything that was asked for, what it was run with, and what came out."""
    dataset, history = run.dataset, run.model.history_
    return {
        "asked": asdict(run.request),
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "features": dataset.n_features,
            "task": run.task,
            "rows": {part: score.rows for part, score in run.scores.items()},
        },
        "result": {
            "epochs": len(history),
            "kept_epoch": run.kept_epoch,
            "interrupted": run.interrupted,
            "seconds": history[-1]["seconds"],
            **{part: score.as_dict(run.task) for part, score in run.scores.items()},
        },
        "versions": {
            "nmfnet": nmfnet.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "torch": torch.__version__,
        },
    }


def network(model: BaseNMFNet) -> str:
    """Sizes of the layers and the activation, as in ``64-100-10, relu``."""
    if model.input_shape_ is not None:
        layers = ", ".join(map(str, model.network_.hidden))
        return f"{'x'.join(map(str, model.input_shape_))}, {layers}, {model.network_.activation_names}"
    sizes = [model.n_features_in_, *(W.shape[1] for W in model.coefs_)]
    names = model.network_.activation_names
    hidden = "linear" if len(sizes) == 2 else names if isinstance(names, str) else "-".join(names)
    return f"{'-'.join(map(str, sizes))}, {hidden}"


def summary(run: Run, files: Sequence[str]) -> Table:
    """Table that ends the training, with the names of the files that were written."""
    history, dataset, folder = run.model.history_, run.dataset, run.request.folder
    kept = "" if run.kept_epoch == len(history) else f" (weights of epoch {run.kept_epoch})"
    return facts(
        [
            ("Data", f"{dataset.name}, from {dataset.source}"),
            ("Network", network(run.model)),
            ("Epochs", f"{len(history)}{kept}"),
            *(
                (f"{part.capitalize()} {error_name(run.task)}", in_words(s, run.task))
                for part, s in run.scores.items()
            ),
            ("Time", f"{history[-1]['seconds']:.1f} s"),
            ("Files", f"{', '.join(files)} in {folder}"),
        ]
    )
