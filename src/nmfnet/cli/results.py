"""What `nmfnet train` ends with: the files of the run are written, and a summary is shown."""

from __future__ import annotations

import contextlib
import os
import platform
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from rich.table import Table

import nmfnet
from nmfnet.cli.output import temporary_name
from nmfnet.cli.runs import CURVES, FINDINGS, HISTORY, MODEL, REPORT, SETTINGS, Run, network, write_json
from nmfnet.cli.tables import error_name, facts, in_words


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
