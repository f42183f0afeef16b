"""The commands and their options."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console

import nmfnet
from nmfnet import datasets
from nmfnet._text import printable
from nmfnet.cli import evaluation, tables, training
from nmfnet.cli.results import Request
from nmfnet.cli.streams import say
from nmfnet.layers.activations import ACTIVATIONS
from nmfnet.solvers import SOLVERS

P = ParamSpec("P")

app = typer.Typer(
    help="Train fully-connected networks by alternating nonnegative matrix factorizations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Pretraining(StrEnum):
    """How the weights start."""

    nmf = "nmf"
    none = "none"


class AskedTask(StrEnum):
    """What the targets are."""

    auto = "auto"
    classification = "classification"
    regression = "regression"


SOURCE = f"{', '.join(datasets.NAMES)}, or a .npz, .csv or .parquet file."
Data = Annotated[str, typer.Argument(metavar="DATA", help=SOURCE, show_default=False)]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, or the folder of a training.")]
Target = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of a table to learn.", show_default=False)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Hidden = Annotated[str, typer.Option(metavar="WIDTHS", help="Widths of the hidden layers, as in 1000-500, or none.")]
ActivationName = Annotated[str, typer.Option(metavar="NAME", help=f"Of the hidden layers: {', '.join(ACTIVATIONS)}.")]
SolverName = Annotated[str, typer.Option(metavar="NAME", help=f"The sweep over a batch: {', '.join(SOLVERS)}.")]
Pretrain = Annotated[Pretraining, typer.Option(help="Start from an autoencoder of NMFs; needs data >= 0.")]
Epochs = Annotated[int, typer.Option(min=1, help="Passes over the data.")]
DeltaX = Annotated[
    float | None,
    typer.Option("--delta-x", metavar="SHARE", help="With pinv: threshold of the singular values of the data."),
]
Delta = Annotated[
    float | None,
    typer.Option(
        "--delta",
        metavar="SHARE",
        help="Threshold of the singular values of hidden layers (pinv), or relative step (relaxed).",
    ),
]
BatchSize = Annotated[
    str, typer.Option(metavar="ROWS", help="Most rows in a batch; auto: up to 1000, with pinv 5000.")
]
Alpha = Annotated[
    float | None, typer.Option(min=0, help="Strength of the penalty on the weights; by default chosen by the data.")
]
L1Ratio = Annotated[float, typer.Option(min=0, max=1, help="Share of L1 in the penalty.")]
Bias = Annotated[bool, typer.Option("--bias/--no-bias", help="Whether layers have biases.")]
Validation = Annotated[float, typer.Option(help="Fraction held out to choose the best epoch; 0: train on all.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the weights, the order of rows and the split.")]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, ..., or auto.")]
Out = Annotated[str | None, typer.Option(metavar="DIR", help="Folder to write; nmfnet-NAME if left out.")]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(min=1, metavar="BATCHES", help="Store the training so often, in the folder of the run."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one, and write further ones.")
]
Predictions = Annotated[Path | None, typer.Option(metavar="FILE", help=".csv or .parquet; printed if left out.")]
Rows = Annotated[str, typer.Argument(metavar="FILE", help="A .csv, .parquet, .npy or .npz (X_test or X).")]


def reporting(command: Callable[P, int]) -> Callable[P, None]:
    """Make errors and warnings of a command lines on stderr, and what it returns the exit status."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            warnings.simplefilter("default")
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            # The columns of tables are put in order by us, and arrays have no names.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            try:
                status = command(*args, **kwargs)
            except KeyboardInterrupt as interrupt:
                say(str(interrupt) or "interrupted")
                status = training.INTERRUPTED
            except BrokenPipeError:  # as of `nmfnet predict ... | head`
                raise
            except Exception as error:
                if kwargs["debug"]:
                    raise
                say(f"error: {in_a_line(error)}")
                status = 1
        raise typer.Exit(status)

    return wrapped


def show_warning(message: Warning | str, category: type[Warning], *rest: Any, **others: Any) -> None:
    """Show a warning as a line, without the place in the code."""
    say(f"warning: {' '.join(str(message).split())}")


def in_a_line(error: Exception) -> str:
    """Return what went wrong in a line; errors that are not of our making keep their type."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    if isinstance(error, (nmfnet.NMFNetError, ValueError)) and text:
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"


def print_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"nmfnet {nmfnet.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
@reporting
def train(
    data: Data,
    target: Target = None,
    hidden: Hidden = "100",
    activation: ActivationName = "relu",
    solver: SolverName = "relaxed",
    pretrain: Pretrain = Pretraining.none,
    epochs: Epochs = 20,
    batch_size: BatchSize = "auto",
    alpha: Alpha = None,
    l1_ratio: L1Ratio = 0.0,
    delta_x: DeltaX = None,
    delta: Delta = None,
    bias: Bias = True,
    validation: Validation = 0.1,
    seed: Seed = 0,
    device: Device = "cpu",
    task: Annotated[AskedTask, typer.Option(help="Whether targets are classes or amounts.")] = AskedTask.auto,
    out: Out = None,
    checkpoint_every: CheckpointEvery = None,
    resume: Resume = False,
    debug: Debug = False,
) -> int:
    """Train a network; write the model, its history, the settings and the curves to a folder."""
    request = Request(
        data, target, hidden, activation, solver, pretrain.value, epochs, batch_size, alpha, l1_ratio, delta_x, delta,
        bias, validation, seed, device, task.value, out, checkpoint_every, resume,
    )  # fmt: skip
    return training.train(request, console())


@app.command()
@reporting
def evaluate(model: Model, data: Data, target: Target = None, debug: Debug = False) -> int:
    """Print the error of a model on a test part, or on all rows of a file without one."""
    evaluation.evaluate(model, data, target, console())
    return 0


@app.command()
@reporting
def predict(
    model: Model,
    file: Rows,
    out: Predictions = None,
    proba: Annotated[bool, typer.Option("--proba", help="Also the probability of each class.")] = False,
    debug: Debug = False,
) -> int:
    """Print what a model predicts for the rows of a file, or write it to one; both may be larger than memory."""
    evaluation.predict(model, file, out, proba)
    return 0


@app.command("data")
@reporting
def list_data(debug: Debug = False) -> int:
    """List the data sets that have a name, and the folder they are kept in."""
    screen = console()
    screen.print(tables.named_sets(datasets.available()))
    screen.print(printable(f"Folder: {datasets.data_folder()}"), soft_wrap=True)
    if os.environ.get("NMFNET_DATA"):
        screen.print("It is the one that the environment variable NMFNET_DATA names.")
    else:
        screen.print("Set the environment variable NMFNET_DATA to use another.")
    return 0


def console() -> Console:
    """Return the terminal, or whatever stdout is now; it takes text as it is, brackets and colons included."""
    return Console(highlight=False, markup=False, emoji=False)
