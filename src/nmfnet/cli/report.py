"""The report of a run, and `nmfnet report`: several runs on one page."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

import nmfnet
from nmfnet._text import printable
from nmfnet.cli import data as cli_data
from nmfnet.cli.runs import FINDINGS, HISTORY, MODEL, REPORT, SETTINGS, Run, network, write_json, write_text
from nmfnet.data.on_disk import RowsOnDisk
from nmfnet.errors import NMFNetError
from nmfnet.report import RunReport, choices, findings, report_page

MOST_ROWS_OF_FILES = 10_000  # of a folder of files, which the report looks at


def write_report(run: Run) -> None:
    """Write what was found, and the page of it."""
    folder = run.request.folder
    write_json(folder / FINDINGS, found_by(run))
    write_text(folder / REPORT, report_page([read_run(folder, run.model)]))


def found_by(run: Run) -> dict[str, Any]:
    """What a report needs of the data, which a later one does not have."""
    dataset, model = run.dataset, run.model
    if dataset.X_test is not None and dataset.y_test is not None:
        part, X, y = "test", cli_data.with_names(dataset.X_test, dataset.feature_names), dataset.y_test
    else:
        part, X, y = "training and validation", cli_data.features(dataset), cli_data.targets(dataset)
    if isinstance(X, RowsOnDisk) and len(X) > MOST_ROWS_OF_FILES:
        rows = np.linspace(0, len(X) - 1, MOST_ROWS_OF_FILES).astype(int)
        part, X, y = f"{MOST_ROWS_OF_FILES} of the {part}", X.subset(rows), y[rows]
    if isinstance(X, RowsOnDisk):
        X = cli_data.with_names(X[:].numpy(), X.names)
    shape = dataset.image_shape
    found = findings(model, X, y, part, image_shape=shape, feature_names=dataset.feature_names)
    machine = {
        "machine": platform.machine(),
        "system": platform.system(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(model.network_.weights[0].device),
    }
    return {"findings": found, "machine": machine}


def read_run(folder: Path, model: Any = None) -> RunReport:
    """What is in the folder of a run; a run of an earlier version has less in it.

    Raises
    ------
    NMFNetError
        If the folder is not of a run.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
        model = model or nmfnet.load(folder / MODEL)
    except FileNotFoundError as missing:
        raise NMFNetError(f"{folder} is not the folder of a run: it has no {Path(missing.filename).name}") from missing
    try:
        stored = json.loads((folder / FINDINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        stored = {"findings": None, "machine": {}}
    found = stored["findings"]
    shape = tuple(found["image_shape"]) if found and found["image_shape"] else None
    parts, shape, names = _parts(model, shape)
    settings["machine"] = stored["machine"]
    name = f"{settings['data']['name']} in {folder}"
    return RunReport(name, settings, history, network(model), found, choices(model), parts, shape, names)


def _parts(model: Any, image_shape: tuple[int, ...] | None) -> tuple[Any, tuple[int, ...] | None, list[str]]:
    """The largest weights of the first layer, the shape of each as a picture, and the names of their columns."""
    from nmfnet.plotting import WeightsDisplay

    parts, shape, names = WeightsDisplay.parts_of(model, 24)
    shape = shape or image_shape  # filters have one of their own
    if shape is not None and math.prod(shape) != parts.shape[1]:
        shape = None
    written = [printable(name, 40) for name in names] if names is not None and len(names) <= 30 else []
    return np.asarray(parts), shape, written


def report(folders: Sequence[Path], out: Path, console: Console) -> None:
    """Write one page of one or several runs.

    Parameters
    ----------
    folders : sequence of pathlib.Path
        Of runs of `nmfnet train`.
    out : pathlib.Path
        HTML file to write.
    console : rich.console.Console
    """
    write_text(out, report_page([read_run(folder) for folder in folders]))
    console.print(printable(f"{out}: {len(folders)} {'run' if len(folders) == 1 else 'runs'}"), soft_wrap=True)
