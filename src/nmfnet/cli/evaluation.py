"""`nmfnet evaluate` and `nmfnet predict`: a saved model on data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

import nmfnet
from nmfnet._text import printable
from nmfnet.cli.data import Array, Task, Written, blocks, by_blocks, examples
from nmfnet.cli.output import table_writer
from nmfnet.cli.progress import ended_cleanly, rows_done
from nmfnet.cli.runs import MODEL
from nmfnet.cli.tables import confusion, error_name, in_words, probability_scores, score
from nmfnet.errors import DataError, NMFNetError

WRITTEN = (".csv", ".parquet")


def evaluate(path: Path, data: str, target: str | None, written: Written, console: Console) -> None:
    """Print how good a model is, and for a classifier the confusion matrix.

    Parameters
    ----------
    path : pathlib.Path
        Model file, or folder of a run.
    data : str
        Name of a data set, or file.
    target : str or None
        Column of a table; None is that of the training.
    written : Written
        How a .csv is written.
    console : rich.console.Console
    """
    model = load(path)
    what, X, y = examples(data, target, model, written)
    task: Task = "classification" if isinstance(model, nmfnet.NMFNetClassifier) else "regression"
    predicted = by_blocks(model.predict, X)
    if predicted.ndim != 1:
        raise NMFNetError(f"{path} has several targets a row, which evaluate does not support")
    if task == "classification":
        check_classes(y, model.classes_)
    elif y.dtype.kind not in "biuf":
        raise DataError(f"the model predicts numbers, but the targets of {data} are like {str(y[0])!r}")
    found = score(predicted, y, task)
    name = "Error" if task == "classification" else error_name(task)
    console.print(printable(f"{name} on {what}: {in_words(found, task)}"), soft_wrap=True)
    if task == "classification":
        for each, value in probability_scores(y, by_blocks(model.predict_proba, X), model.classes_).items():
            console.print(f"{each}: {value:.4f}")
    if task == "classification" and found.error:
        console.print(confusion(console, y, predicted, model.classes_))


def predict(path: Path, file: str, out: Path | None, proba: bool, id_column: str | None, written: Written) -> None:
    """Write predictions as a table, while the rows are read.

    Parameters
    ----------
    path : pathlib.Path
        Model file, or folder of a run.
    file : str
        Rows to predict.
    out : pathlib.Path or None
        Table to write; None prints it.
    proba : bool
        Whether to add a column with the probability of each class.
    id_column : str or None
        Column that names the rows; None is that of the training, if the file has it.
    written : Written
        How a .csv is written.
    """
    if out is not None and out.suffix.lower() not in WRITTEN:
        raise NMFNetError(f"--out must end with {' or '.join(WRITTEN)}; got {out}")
    if out is not None and out.exists() and (out.samefile(path) or (Path(file).exists() and out.samefile(file))):
        raise NMFNetError(f"--out {out} is what is read: name another file")
    model = load(path)
    if proba and not isinstance(model, nmfnet.NMFNetClassifier):
        raise NMFNetError(f"--proba is for classifiers; {path} is a regressor")
    with ended_cleanly(), rows_done() as done, table_writer(out) as write:
        for X, ids in blocks(file, model, id_column, written):
            columns = {} if ids is None else {id_column or model.file_reading_["id"]: ids}
            columns |= named("prediction", model.predict(X), getattr(model, "classes_", None))
            if proba:
                columns |= named("probability", model.predict_proba(X), model.classes_)
            write(columns)
            done(len(X))


def load(path: Path) -> Any:
    """Load a model from its file, or from the folder of a run."""
    return nmfnet.load(path / MODEL if path.is_dir() else path)


def check_classes(y: Array, classes: Array) -> None:
    """Refuse targets of which the model knows none."""
    known = set(classes.tolist())
    if known.isdisjoint(y.tolist()):
        raise DataError(
            f"none of the targets is a class of the model: they are like {y.tolist()[0]!r}, "
            f"its classes like {classes.tolist()[0]!r}"
        )


def named(what: str, values: Array, classes: Array | None) -> dict[str, Array]:
    """Columns of a table: one, or one for each class or output."""
    if values.ndim == 1:
        return {what: values}
    names = range(1, values.shape[1] + 1) if classes is None else classes
    return {f"{what}_{name}": column for name, column in zip(names, values.T, strict=True)}
