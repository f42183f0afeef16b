"""`nmfnet train`: from what was asked to a folder with the model, its history and its curves."""

from __future__ import annotations

import json
import os
import platform
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from rich.console import Console
from sklearn.exceptions import ConvergenceWarning

import nmfnet
from nmfnet.cli import data as cli_data
from nmfnet.cli.data import Array, Task
from nmfnet.cli.progress import CtrlC, reporter
from nmfnet.cli.tables import Score, score, summary
from nmfnet.datasets import Dataset
from nmfnet.errors import NMFNetError
from nmfnet.estimators.base import BaseNMFNet

MODEL, HISTORY, SETTINGS, CURVES = "model.safetensors", "history.json", "settings.json", "curves.png"
INTERRUPTED = 130  # exit status, as of a shell


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
    alpha: float
    l1_ratio: float
    bias: bool
    validation: float
    seed: int
    device: str
    task: str
    out: str | None

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return Path(self.out or f"nmfnet-{cli_data.run_name(self.data)}")


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
        """Epoch whose weights were kept: the best on the validation part, or the last."""
        errors = [record["val_error"] for record in self.model.history_ if "val_error" in record]
        return errors.index(min(errors)) + 1 if errors else len(self.model.history_)


def train(request: Request, console: Console) -> int:
    """Train as asked, write the files and show a summary.

    Parameters
    ----------
    request : Request
    console : rich.console.Console

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    NMFNetError, ValueError, OSError
        If the data or an option is unfit, or the folder cannot be written.
    KeyboardInterrupt
        On Ctrl-C before there is anything to save.
    """
    model = estimator(request, "classification")  # options are refused before any data is read
    with run_folder(request.folder), CtrlC() as ctrl_c:
        if not cli_data.is_here(request.data):
            console.print(f"{request.data} is not on this machine: fetching it")
        dataset = cli_data.read(request.data, request.target)
        y = cli_data.targets(dataset)
        task = cli_data.task_of(y, request.task)
        if request.validation and task == "classification":
            cli_data.check_split(y, request.validation)
        model = estimator(request, task)
        console.print(headline(dataset, task, request.validation), markup=False, soft_wrap=True)
        interrupted = fit(model, cli_data.features(dataset), y, task, ctrl_c, console)
        run = Run(request, dataset, task, model, interrupted, scores(model, dataset, task, request.validation))
        write(run)
    console.print(summary_of(run))
    if interrupted:
        console.print("Interrupted: the model is that of the epochs so far.")
    return INTERRUPTED if interrupted else 0


def estimator(request: Request, task: Task) -> BaseNMFNet:
    """Estimator with the parameters that were asked for."""
    if not 0 <= request.validation < 1:
        raise ValueError(
            f"--validation must be a fraction of the rows, at least 0 and below 1; got {request.validation}"
        )
    cls = nmfnet.NMFNetClassifier if task == "classification" else nmfnet.NMFNetRegressor
    return cls(
        hidden_layer_sizes(request.hidden),
        request.activation,
        solver=request.solver,
        pretrain=None if request.pretrain == "none" else request.pretrain,
        alpha=request.alpha,
        l1_ratio=request.l1_ratio,
        batch_size=batch_size(request.batch_size),
        max_iter=request.epochs,
        n_iter_no_change=request.epochs,  # all of them are done
        early_stopping=request.validation > 0,
        validation_fraction=request.validation or 0.1,
        fit_intercept=request.bias,
        random_state=request.seed,
        device=request.device,
    )


def hidden_layer_sizes(text: str) -> tuple[int, ...]:
    """From ``"1000-500"`` to the widths; ``"none"`` has none."""
    if text.strip().lower() in ("", "none"):
        return ()
    if not re.fullmatch(r"[1-9][0-9]*(-[1-9][0-9]*)*", text):
        raise ValueError(f"--hidden must be widths such as 1000-500, or none for a linear model; got {text!r}")
    return tuple(int(width) for width in text.split("-"))


def batch_size(text: str) -> int | str:
    """From ``"500"`` to a number; ``"auto"`` stays."""
    if text != "auto" and not re.fullmatch(r"[1-9][0-9]*", text):
        raise ValueError(f"--batch-size must be a number of rows, or auto; got {text!r}")
    return text if text == "auto" else int(text)


@contextmanager
def run_folder(folder: Path) -> Iterator[None]:
    """Make a folder early, so that a long training cannot fail at it; leave none that is empty.

    Raises
    ------
    NMFNetError
        If it holds anything but a former run.
    OSError
        If it cannot be made.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / SETTINGS).is_file():
        raise NMFNetError(f"{folder} holds files that are not of a former run: choose another folder with --out")
    try:
        yield
    finally:
        if made and not any(folder.iterdir()):
            folder.rmdir()


def headline(dataset: Dataset, task: Task, validation: float) -> str:
    """Say in a line what is trained on, and what there is to judge it by."""
    n = len(dataset.X_train)
    n_validation = cli_data.held_out(n, validation)
    parts = [f"{n - n_validation} training", *([f"{n_validation} validation"] if n_validation else [])]
    without = ""
    if dataset.X_test is not None and dataset.y_test is not None:
        parts.append(f"{len(dataset.X_test)} test")
    elif n_validation:
        without = " There is no test part: the validation error is all there is to judge by."
    else:
        without = " There is neither a test part nor a validation part: only the training error is known."
    what = f"{len(np.unique(dataset.y_train))} classes" if task == "classification" else "regression"
    return f"{dataset.name}: {', '.join(parts)} rows, {dataset.n_features} features, {what}.{without}"


def fit(model: BaseNMFNet, X: Any, y: Array, task: Task, ctrl_c: CtrlC, console: Console) -> bool:
    """Fit the model, and return whether Ctrl-C ended it."""
    interrupted = False
    show = warnings.showwarning

    def note(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        nonlocal interrupted
        if issubclass(category, ConvergenceWarning) and "interrupted" in str(message):
            interrupted = True
        else:
            show(message, category, *rest)

    with warnings.catch_warnings(), reporter(console, task) as progress:
        warnings.showwarning = note
        warnings.simplefilter("always", ConvergenceWarning)
        model.callbacks = [ctrl_c, progress]
        model.fit(X, y)
    model.callbacks = None
    if not model.history_:
        raise KeyboardInterrupt
    return interrupted


def scores(model: BaseNMFNet, dataset: Dataset, task: Task, validation: float) -> dict[str, Score]:
    """How good the final weights are on each part.

    The estimator keeps its validation rows to itself, but their error is in the history: the
    rest of the error on all rows is that of the training rows.
    """
    y = cli_data.targets(dataset)
    everything = score(model, dataset.X_train, y, task)
    n, n_validation = len(y), cli_data.held_out(len(y), validation)
    found = {"training": everything}
    if n_validation:
        error = min(record["val_error"] for record in model.history_)
        rest = max(0.0, (n * everything.error - n_validation * error) / (n - n_validation))
        found["training"] = Score(n - n_validation, rest, everything.variance)
        found["validation"] = Score(n_validation, error, everything.variance)
    if dataset.X_test is not None and dataset.y_test is not None:
        found["test"] = score(model, dataset.X_test, dataset.y_test, task)
    return found


def write(run: Run) -> None:
    """Write the four files; the settings, which mark the folder as a run's, come first."""
    from nmfnet.report import curves

    folder, test = run.request.folder, run.scores.get("test")
    write_json(folder / SETTINGS, settings(run))
    write_json(folder / HISTORY, run.model.history_)
    run.model.save(folder / MODEL)
    title = f"{run.dataset.name}: {network(run.model)}"
    curves(run.model.history_, folder / CURVES, test_error=test.error if test else None, title=title, kind=run.task)


def write_json(path: Path, content: Any) -> None:
    """Write under another name first, so that an interrupted write leaves the old file whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
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
    sizes = [model.n_features_in_, *(W.shape[1] for W in model.coefs_)]
    hidden = model.network_.activation.name if len(sizes) > 2 else "linear"
    return f"{'-'.join(map(str, sizes))}, {hidden}"


def summary_of(run: Run) -> Any:
    """Table that ends the training."""
    history = run.model.history_
    kept = "" if run.kept_epoch == len(history) else f" (weights of epoch {run.kept_epoch})"
    facts = {
        "Data": run.dataset.source
        if run.dataset.source.startswith(run.dataset.name)
        else f"{run.dataset.name}, {run.dataset.source}",
        "Network": network(run.model),
        "Epochs": f"{len(history)}{kept}",
        "Time": f"{history[-1]['seconds']:.1f} s",
        "Files": f"{', '.join((MODEL, HISTORY, SETTINGS, CURVES))} in {run.request.folder}",
    }
    return summary(facts, run.scores, run.task)
