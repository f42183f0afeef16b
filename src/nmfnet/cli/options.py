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


SOURCE = f"A data set ({', '.join(NAMES)}), a .csv, .parquet, .npz or .npy file, or a folder of such files."
Data = Annotated[str, typer.Argument(metavar="DATA", help=SOURCE, show_default=False)]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, or the folder that train wrote.")]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column to predict. For a .npy file: the number of a column, or a .npy file of targets. "
        "A trained model knows its target.",
        show_default=False,
    ),
]
Drop = Annotated[
    str | None,
    typer.Option(metavar="COLUMNS", help='Columns to leave out, separated by commas. "a, b" in quotes is one column.'),
]
Categorical = Annotated[
    str | None,
    typer.Option(metavar="COLUMNS", help="Columns to treat as categories although they hold numbers."),
]
Id = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Column that names the rows: not an input, copied to predictions."),
]
Sep = Annotated[
    str | None, typer.Option(metavar="CHARACTER", help="Separator of the columns of a .csv; by default detected.")
]
Decimal = Annotated[
    str | None, typer.Option(metavar="MARK", help="Decimal mark in a .csv, a point or a comma; by default detected.")
]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="Encoding of a .csv, as utf-8 or latin-1; by default detected.")
]
Test = Annotated[
    str | None, typer.Option(metavar="FILE|FRACTION", help="Test rows: a file, or the fraction of DATA to hold out.")
]
MaxTime = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="Largest number of seconds to train, those before --resume included."),
]
Patience = Annotated[
    int | None,
    typer.Option(min=1, metavar="EPOCHS", help="End after this many epochs without progress; by default never."),
]
Dropout = Annotated[
    float | None,
    typer.Option(metavar="RATE", help="Probability that a hidden unit is set to 0 in an update (relaxed)."),
]
ClassWeight = Annotated[
    bool, typer.Option("--class-weight", help="Give each class the same total weight, also rare ones.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Number of CPU threads.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the model in the output folder.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Hidden = Annotated[
    str,
    typer.Option(
        metavar="LAYERS",
        help="Hidden layers: widths, as in 1000-500, or none for a linear model. For images, as in "
        "conv32-pool-conv64-pool-128; conv32k5s2 has a kernel of 5 and a stride of 2; there are also pool3, avgpool "
        "and globalpool.",
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        metavar="CxHxW",
        help="Shape of an image, as 3x32x32, or of a sequence, as 3x200, if DATA has them as rows of numbers.",
        show_default=False,
    ),
]
ActivationName = Annotated[str, typer.Option(metavar="NAME", help=f"One of {', '.join(ACTIVATIONS)}.")]
SolverName = Annotated[
    str,
    typer.Option(
        metavar="NAME", help=f"How a batch updates the weights: {' or '.join(SOLVERS)} (the paper's method)."
    ),
]
Pretrain = Annotated[Pretraining, typer.Option(help="nmf: initial weights from an NMF autoencoder; needs DATA >= 0.")]
Epochs = Annotated[int, typer.Option(min=1, help="Number of passes over the training rows.")]
DeltaX = Annotated[
    float | None,
    typer.Option("--delta-x", metavar="SHARE", help="Threshold for the singular values of the inputs (pinv)."),
]
Delta = Annotated[
    float | None,
    typer.Option(
        "--delta",
        metavar="SHARE",
        help="Relative step of the first update (relaxed). Threshold for the singular values of hidden layers (pinv).",
    ),
]
BatchSize = Annotated[
    str, typer.Option(metavar="ROWS", help="Largest number of rows in a batch; auto: at most 1000 (pinv: 5000).")
]
Alpha = Annotated[
    float | None, typer.Option(min=0, help="Strength of the penalty on the weights; by default chosen from the data.")
]
L1Ratio = Annotated[float, typer.Option(min=0, max=1, help="Share of L1 in the penalty; the rest is L2.")]
Bias = Annotated[bool, typer.Option("--bias/--no-bias", help="Whether layers have biases.")]
Validation = Annotated[float, typer.Option(help="Fraction of the rows held out to choose the best epoch; 0: none.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the weights, the order of rows and the split.")]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, or auto (a GPU if there is one).")]
Out = Annotated[str | None, typer.Option(metavar="DIR", help="Folder to write; by default a new one, nmfnet-NAME.")]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(min=1, metavar="BATCHES", help="Write a checkpoint each time this number of batches is done."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Continue from the last checkpoint. With more --epochs, train a finished model further."
    ),
]
Predictions = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="A .csv or .parquet file; by default the predictions are printed."),
]
Rows = Annotated[
    str, typer.Argument(metavar="FILE", help="A .csv, .parquet or .npy file, or an .npz file with X_test or X.")
]
Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that train wrote.")]
ReportFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The .html file to write.")]
MessageBits = Annotated[
    int | None,
    typer.Option(
        metavar="BITS",
        help="With several ranks: bits of a number in the messages between them, 2, 4 or 8; 0: as in memory.",
    ),
]
Ranks = Annotated[int, typer.Option(min=1, help="Number of processes that train together.")]
Bandwidth = Annotated[
    float, typer.Option(min=1e-6, metavar="GBIT/S", help="Bandwidth between ranks, each way, in Gbit/s.")
]
Latency = Annotated[
    float, typer.Option(min=0, metavar="MICROSECONDS", help="Latency of one step of a message between ranks.")
]
