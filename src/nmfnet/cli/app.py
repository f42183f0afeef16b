"""The commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmfnet._text import printable
from nmfnet._version import __version__
from nmfnet.cli.options import (
    ActivationName,
    Alpha,
    AskedTask,
    Bandwidth,
    BatchSize,
    Bias,
    Categorical,
    CheckpointEvery,
    ClassWeight,
    Data,
    Debug,
    Decimal,
    Delta,
    DeltaX,
    Device,
    Drop,
    Dropout,
    Encoding,
    Epochs,
    Force,
    Hidden,
    Id,
    InputShape,
    L1Ratio,
    Latency,
    MaxTime,
    MessageBits,
    Model,
    Out,
    Patience,
    Predictions,
    Pretrain,
    Pretraining,
    Ranks,
    ReportFile,
    Resume,
    Rows,
    Runs,
    Seed,
    Sep,
    SolverName,
    Target,
    Test,
    Threads,
    Validation,
)
from nmfnet.cli.reporting import reporting

if TYPE_CHECKING:
    from rich.console import Console

# What computes is imported by the commands that do: help and version must be there at once.
app = typer.Typer(
    help="Train neural networks without backpropagation, by alternating nonnegative matrix factorizations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes a quarter of a second to load, more than the rest of a help page
)


def print_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"nmfnet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
@reporting
def train(
    data: Data,
    target: Target = None,
    hidden: Hidden = "100",
    input_shape: InputShape = None,
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
    task: Annotated[AskedTask, typer.Option(help="Whether the target is a class or a number.")] = AskedTask.auto,
    out: Out = None,
    checkpoint_every: CheckpointEvery = None,
    resume: Resume = False,
    drop: Drop = None,
    categorical: Categorical = None,
    id_column: Id = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    test: Test = None,
    max_time: MaxTime = None,
    patience: Patience = None,
    dropout: Dropout = None,
    class_weight: ClassWeight = False,
    message_bits: MessageBits = None,
    threads: Threads = None,
    force: Force = False,
    debug: Debug = False,
) -> int:
    """Train a network.

    Writes the model, its history, the settings, the learning curves and report.html to a folder.
    """
    from nmfnet.cli import training
    from nmfnet.cli.request import Request

    request = Request(
        data, target, hidden, activation, solver, pretrain.value, epochs, batch_size, alpha, l1_ratio, delta_x, delta,
        bias, validation, seed, device, task.value, out, checkpoint_every, resume, drop, categorical, id_column, sep,
        decimal, encoding, test, max_time, patience, dropout, class_weight, threads, force, input_shape, message_bits,
    )  # fmt: skip
    return training.train(request, console())


@app.command()
@reporting
def plan(
    data: Data,
    target: Target = None,
    hidden: Hidden = "100",
    ranks: Ranks = 1,
    epochs: Epochs = 20,
    batch_size: BatchSize = "auto",
    validation: Validation = 0.1,
    device: Device = "cpu",
    task: Annotated[AskedTask, typer.Option(help="Whether the target is a class or a number.")] = AskedTask.auto,
    bandwidth: Bandwidth = 10.0,
    latency: Latency = 50.0,
    message_bits: MessageBits = None,
    drop: Drop = None,
    categorical: Categorical = None,
    id_column: Id = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    threads: Threads = None,
    debug: Debug = False,
) -> int:
    """Predict what an epoch takes, without training.

    Prints operations, bytes between ranks, memory and seconds.  For the seconds it measures this machine.
    """
    from nmfnet.cli import planning
    from nmfnet.cli.data import Written
    from nmfnet.cli.request import asked_schema
    from nmfnet.planning import Wire

    schema = asked_schema(target, drop, categorical, id_column, Written(sep, decimal, encoding))
    asked = planning.Asked(data, schema, hidden, epochs, batch_size, validation, device, task.value, threads,
                           message_bits or 0)  # fmt: skip
    planning.plan(asked, ranks, Wire(bandwidth * 1e9 / 8, latency * 1e-6), console())
    return 0


@app.command()
@reporting
def evaluate(
    model: Model,
    data: Data,
    target: Target = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    debug: Debug = False,
) -> int:
    """Print the error of a model.

    It is measured on the test rows of DATA, or on all rows if DATA has no test rows.
    """
    from nmfnet.cli import evaluation
    from nmfnet.cli.data import Written

    evaluation.evaluate(model, data, target, Written(sep, decimal, encoding), console())
    return 0


@app.command()
@reporting
def predict(
    model: Model,
    file: Rows,
    out: Predictions = None,
    proba: Annotated[bool, typer.Option("--proba", help="Also the probability of each class.")] = False,
    id_column: Id = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    debug: Debug = False,
) -> int:
    """Predict the rows of a file.

    Prints the predictions or writes them to a file.  Both files may be larger than memory.
    """
    from nmfnet.cli import evaluation
    from nmfnet.cli.data import Written

    evaluation.predict(model, file, out, proba, id_column, Written(sep, decimal, encoding))
    return 0


@app.command()
@reporting
def report(runs: Runs, out: ReportFile = Path("report.html"), debug: Debug = False) -> int:
    """Write a report of one or several runs.

    It is one .html file with learning curves, confusion matrix, worst examples and settings.
    """
    from nmfnet.cli import report as reports

    reports.report(runs, out, console())
    return 0


@app.command("data")
@reporting
def list_data(debug: Debug = False) -> int:
    """List the named data sets and their folder."""
    from nmfnet import datasets
    from nmfnet.cli import tables

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
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
