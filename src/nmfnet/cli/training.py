"""`nmfnet train`: from what was asked to a model."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from sklearn.exceptions import ConvergenceWarning

import nmfnet
from nmfnet._text import printable
from nmfnet.cli import data as cli_data
from nmfnet.cli import images
from nmfnet.cli.data import Array, Task
from nmfnet.cli.progress import CtrlC, reporter
from nmfnet.cli.ranks import all_ranks, own_rows
from nmfnet.cli.reporting import INTERRUPTED
from nmfnet.cli.request import Request
from nmfnet.cli.results import summary, write
from nmfnet.cli.runs import CHECKPOINTS, MODEL, SETTINGS, Run, run_folder
from nmfnet.cli.tables import Score, score
from nmfnet.datasets import Dataset
from nmfnet.distributed import now
from nmfnet.errors import NMFNetError
from nmfnet.estimators.base import BaseNMFNet
from nmfnet.estimators.data import split_rows
from nmfnet.layers import takes_images
from nmfnet.solvers import PRETRAININGS, SOLVERS
from nmfnet.storage.checkpoints import ALL, Checkpoint
from nmfnet.training import Callback


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
    with all_ranks(console) as console:
        return _train(request, console)


def _train(request: Request, console: Console) -> int:
    """As :func:`train`, in each of the processes; rank 0 has the folder, and all rows to judge by."""
    estimator(request, "classification")._check_parameters()  # before any data is read
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    first = now().rank == 0
    folder = run_folder(request.folder, request.force or request.resume) if first else nullcontext()
    with folder, CtrlC() as ctrl_c:
        if not first:
            now().any(False)  # rank 0 fetches what is not on this machine
        if not cli_data.is_here(request.data):
            console.print(printable(f"{request.data} is not on this machine: fetching it"))
        dataset = cli_data.read(request.data, request.schema, request.task)
        if first:
            now().any(False)
        if request.test is not None:
            dataset = cli_data.with_test(dataset, request.test, request.seed, request.schema.dialect)
        dataset = with_images(request, dataset)
        y = cli_data.targets(dataset)
        task = cli_data.task_of(y, request.task)
        if request.validation and task == "classification":
            cli_data.check_split(y, request.validation)
        model, checkpoint = prepared(request, task, dataset, console)
        console.print(printable(headline(dataset, task, request.validation)), soft_wrap=True)
        if request.class_weight:
            said = "Of an epoch, losses and errors count every class alike; the table below, every row."
            console.print(said, soft_wrap=True)
        callbacks = [*([] if checkpoint is None else [checkpoint]), ctrl_c]
        interrupted = fit(model, *own_rows(cli_data.features(dataset), y), task, callbacks, console)
        unfinished = interrupted and not model.warm_start
        if not first:
            return 0
        model.set_params(warm_start=False, max_iter=request.epochs)
        cli_data.remember(model, dataset, request.schema)
        run = Run(request, dataset, task, model, interrupted, scores(model, dataset, task, request.validation))
        files = write(run)
        discard_checkpoints(request.folder, unfinished)
    console.print(summary(run, files))
    if interrupted:
        console.print("Interrupted: the model is that of the epochs so far.")
    elif request.max_time is not None and model.history_[-1]["seconds"] >= request.max_time:
        console.print("--max-time ended the training: with more of it, --resume goes on.")
    return INTERRUPTED if interrupted else 0


def estimator(request: Request, task: Task, dataset: Dataset | None = None) -> BaseNMFNet:
    """Estimator with the parameters that were asked for; what its images are the data set may say."""
    if not 0 <= request.validation < 1:
        raise ValueError(
            f"--validation must be a fraction of the rows, at least 0 and below 1; got {request.validation}"
        )
    hidden, shape = request.hidden_layer_sizes, images.input_shape(request.input_shape)
    cls = nmfnet.NMFNetClassifier if task == "classification" else nmfnet.NMFNetRegressor
    model = cls(
        hidden,
        request.activation,
        input_shape=images.shape_of(dataset, shape) if dataset is not None and takes_images(hidden) else shape,
        solver=with_thresholds(
            request.solver,
            SOLVERS,
            delta_x=request.delta_x,
            delta=request.delta,
            dropout=request.dropout,
            message_bits=request.message_bits,
        ),
        pretrain=with_thresholds(request.pretrain, PRETRAININGS, delta_x=request.delta_x),
        alpha="auto" if request.alpha is None else request.alpha,
        l1_ratio=request.l1_ratio,
        batch_size=batch_size(request.batch_size),
        max_iter=request.epochs,
        max_time=request.max_time,
        n_iter_no_change=request.patience or math.inf,  # without, all epochs are done
        early_stopping=request.validation > 0,
        validation_fraction=request.validation or 0.1,
        fit_intercept=request.bias,
        random_state=request.seed,
        device=request.device,
    )
    if request.class_weight:
        if task == "regression":
            raise ValueError("--class-weight is for classes, and these targets are amounts: leave it out")
        model.set_params(class_weight="balanced")
    return model


def prepared(request: Request, task: Task, dataset: Dataset, console: Console) -> tuple[BaseNMFNet, Checkpoint | None]:
    """The estimator to fit, a new one or one to go on with, and what writes its checkpoints, if they were asked for.

    There are checkpoints of trainings only that have not ended: these go before a model that is there.
    """
    every, wanted = request.checkpoint_every, request.checkpoint_every is not None or request.resume
    checkpoint = Checkpoint(request.folder / CHECKPOINTS, every, resume=request.resume)
    if request.resume and (request.folder / MODEL).exists() and checkpoint.planned_epochs() != request.epochs:
        model = extended(request, task, dataset)
        folder = request.folder / f"{CHECKPOINTS}-after-{len(model.history_)}"
        checkpoint = Checkpoint(folder, every, resume=True)
        begin = f"going on from the model after {len(model.history_)} epochs"
    else:
        model, begin = estimator(request, task, dataset), "no checkpoint: from the beginning"
    if request.resume:
        begin = "going on from the last checkpoint" if checkpoint.resumes() else begin
        console.print(printable(f"{checkpoint.folder}: {begin}"), soft_wrap=True)
    elif any((request.folder / CHECKPOINTS).glob(ALL)):
        warnings.warn(f"{request.folder} has a training that was not finished: --resume would go on with it; this one "
                      "begins anew", stacklevel=2)  # fmt: skip
    return model, checkpoint if wanted else None


def extended(request: Request, task: Task, dataset: Dataset) -> BaseNMFNet:
    """The model that is in the folder, to go on with for the epochs that it lacks.

    Raises
    ------
    NMFNetError
        If it was made of other data or with other options, which are named, or has as many epochs.
    """
    model = nmfnet.load(request.folder / MODEL)
    asked = json.loads((request.folder / SETTINGS).read_text(encoding="utf-8"))["asked"]
    differences = request.differences(asked)
    if differences:
        raise NMFNetError(
            f"--resume: {request.folder} has a model of another training: {'; '.join(differences)}. Give the options "
            "of that training, or train anew with another --out"
        )
    done = len(model.history_)
    if done >= request.epochs:
        raise NMFNetError(f"--resume: {request.folder} has {done} epochs already: ask for more with --epochs")
    return model.set_params(
        **estimator(request, task, dataset).get_params(deep=False)
        | {"warm_start": True, "max_iter": request.epochs - done}
    )


def discard_checkpoints(folder: Path, unfinished: bool) -> None:
    """Remove the checkpoints of trainings that have ended, or that began from a model which is no longer there."""
    for each in folder.glob(f"{CHECKPOINTS}*"):
        if not unfinished or each.name != CHECKPOINTS:
            Checkpoint(each).clear()


def with_thresholds(name: str, options: Mapping[str, type], **thresholds: float | None) -> Any:
    """Settings of that name with the thresholds that were asked for; a name without any, or None, stays."""
    given = {key: value for key, value in thresholds.items() if value is not None}
    if name == "none":
        return None
    if not given or name not in options:
        return name
    unknown = [f"--{key.replace('_', '-')}" for key in given if key not in options[name]().get_params()]
    if unknown:
        raise ValueError(f"{' and '.join(unknown)}: {name} has no such setting")
    return options[name](**given)


def with_images(request: Request, dataset: Dataset) -> Dataset:
    """The data set, with images channel by channel where the network that was asked for has layers of them."""
    asked = images.input_shape(request.input_shape)
    if takes_images(request.hidden_layer_sizes):
        return images.arranged(dataset, images.shape_of(dataset, asked))
    if asked is not None:
        raise ValueError(
            "--input-shape is for layers of images or sequences: give some, as in --hidden conv32-pool-128"
        )
    return dataset


def batch_size(text: str) -> int | str:
    """From ``"500"`` to a number; ``"auto"`` stays."""
    if text != "auto" and not re.fullmatch(r"[1-9][0-9]*", text):
        raise ValueError(f"--batch-size must be a number of rows, or auto; got {text!r}")
    return text if text == "auto" else int(text)


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
    what = f"{len(np.unique(cli_data.targets(dataset)))} classes" if task == "classification" else "regression"
    return f"{dataset.name}: {', '.join(parts)} rows, {dataset.n_features} features, {what}.{without}"


def fit(model: BaseNMFNet, X: Any, y: Array, task: Task, callbacks: Sequence[Callback], console: Console) -> bool:
    """Fit the model, and return whether Ctrl-C ended it."""
    interrupted = False
    show = warnings.showwarning

    def note(message: Warning | str, category: type[Warning], *rest: Any, **others: Any) -> None:
        nonlocal interrupted
        if issubclass(category, ConvergenceWarning) and "interrupted" in str(message):
            interrupted = True
        else:
            show(message, category, *rest, **others)

    with warnings.catch_warnings():
        warnings.showwarning = note
        warnings.simplefilter("always", ConvergenceWarning)
        model.callbacks = [*callbacks, reporter(console, task, len(getattr(model, "history_", [])))]
        try:
            model.fit(X, y)
        except KeyboardInterrupt:
            interrupted = True
    model.callbacks = None
    if not getattr(model, "history_", []):
        raise KeyboardInterrupt("interrupted: nothing was saved")
    return interrupted


def scores(model: BaseNMFNet, dataset: Dataset, task: Task, validation: float) -> dict[str, Score]:
    """How good the final weights are on each part, every row counted once, whatever weights classes have."""
    y = cli_data.targets(dataset)
    predicted = cli_data.by_blocks(model.predict, cli_data.features(dataset))
    if validation:
        labels = np.unique(y, return_inverse=True)[1] if task == "classification" else None
        training, held_out = split_rows(len(y), validation, labels, model.random_state)
        found = {
            "training": score(predicted[training], y[training], task),
            "validation": score(predicted[held_out], y[held_out], task),
        }
    else:
        found = {"training": score(predicted, y, task)}
    if dataset.X_test is not None and dataset.y_test is not None:
        X_test = cli_data.with_names(dataset.X_test, dataset.feature_names)
        found["test"] = score(cli_data.by_blocks(model.predict, X_test), dataset.y_test, task)
    return found
