"""The options of the commands.  Nothing large is imported here: help must be there at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# Written out, as their modules import PyTorch; the tests compare.
NAMES = ("digits", "mnist", "fashion-mnist", "cifar10")
ACTIVATIONS = ("relu", "leaky_relu", "logistic", "tanh", "softplus", "identity", "sigmoid")
SOLVERS = ("relaxed", "pinv")


class Pretraining(StrEnum):
    """How the weights start."""

    nmf = "nmf"
    none = "none"


class AskedTask(StrEnum):
    """What the targets are."""

    auto = "auto"
    classification = "classification"
    regression = "regression"


SOURCE = f"{', '.join(NAMES)}, a .csv, .parquet, .npz or .npy file, or a folder of such files."
Data = Annotated[str, typer.Argument(metavar="DATA", help=SOURCE, show_default=False)]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, or the folder of a training.")]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of a table to learn; of a .npy its number, or a .npy of targets. A model knows its own.",
        show_default=False,
    ),
]
Drop = Annotated[
    str | None, typer.Option(metavar="COLUMNS", help='Columns to leave out, with commas between; "a, b" is one.')
]
Categorical = Annotated[
    str | None, typer.Option(metavar="COLUMNS", help="Columns that are categories, even if they hold numbers.")
]
Id = Annotated[
    str | None, typer.Option("--id", metavar="COLUMN", help="Column that names the rows; predictions carry it.")
]
Sep = Annotated[str | None, typer.Option(metavar="CHARACTER", help="Between columns of a .csv; found if left out.")]
Decimal = Annotated[str | None, typer.Option(metavar="MARK", help="In numbers of a .csv: . or ,; found if left out.")]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of a .csv: utf-8, latin-1, ...; found if left out.")
]
Test = Annotated[
    str | None, typer.Option(metavar="FILE|FRACTION", help="Rows to test on: a file, or a fraction held out.")
]
MaxTime = Annotated[
    float | None, typer.Option(min=0, metavar="SECONDS", help="Most seconds of training, resumed ones included.")
]
Patience = Annotated[
    int | None, typer.Option(min=1, metavar="EPOCHS", help="End after so many without progress; all if left out.")
]
Dropout = Annotated[
    float | None, typer.Option(metavar="RATE", help="With relaxed: share of units left out at random.")
]
ClassWeight = Annotated[bool, typer.Option("--class-weight", help="Let all classes weigh the same.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads to compute with.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the model that is in the folder.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Hidden = Annotated[
    str,
    typer.Option(
        metavar="LAYERS",
        help="Hidden layers: widths, as in 1000-500, or none; of images conv32-pool-conv64-pool-128, where conv32k5s2 "
        "has a kernel of 5 and a stride of 2. Also pool3, avgpool, globalpool.",
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        metavar="CxHxW",
        help="Of images, as 3x32x32, or CxL of sequences, where a row of a file does not say.",
        show_default=False,
    ),
]
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
Out = Annotated[str | None, typer.Option(metavar="DIR", help="Folder to write; a new nmfnet-NAME if left out.")]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(min=1, metavar="BATCHES", help="Store the training so often, in the folder of the run."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint, or with more --epochs from the model.")
]
Predictions = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help=".csv or .parquet; printed if left out.")
]
Rows = Annotated[str, typer.Argument(metavar="FILE", help="A .csv, .parquet, .npy or .npz (X_test or X).")]
Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of trainings.")]
ReportFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The .html file to write.")]
MessageBits = Annotated[
    int | None,
    typer.Option(metavar="BITS", help="With several ranks: send numbers of 2, 4 or 8 bits; 0: whole ones."),
]
Ranks = Annotated[int, typer.Option(min=1, help="Processes that train together.")]
Bandwidth = Annotated[
    float, typer.Option(min=1e-6, metavar="GBIT/S", help="Of the network between ranks, each way, in Gbit/s.")
]
Latency = Annotated[float, typer.Option(min=0, metavar="MICROSECONDS", help="Of a step of a message between ranks.")]
