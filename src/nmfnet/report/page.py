"""The report of one or several trainings: an HTML file of its own, which loads nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from nmfnet._text import printable
from nmfnet.report import charts
from nmfnet.report.curves import curves
from nmfnet.report.style import STYLE
from nmfnet.training import EpochRecord

LONGEST = 200  # characters of a value
CLASSES_LISTED = 30


@dataclass(frozen=True)
class RunReport:
    """What a report shows of one training.

    Attributes
    ----------
    name : str
        Name of the run in the report.
    settings : mapping
        Mappings "asked", "data", "result", "versions" and "machine", as far as they are known.
    history : sequence of EpochRecord
    network : str
        Sizes of the layers and the activation.
    findings : mapping, optional
        Result of :func:`nmfnet.report.findings`.
    choices : sequence of (str, str, str)
        Result of :func:`nmfnet.report.choices`.
    parts : ndarray of shape (n_parts, n_features), optional
        Weights of units of the first layer.
    image_shape : tuple of int, optional
        Shape of an image, if the parts are images.
    feature_names : sequence of str
        Names of the columns of `parts`.
    """

    name: str
    settings: Mapping[str, Any]
    history: Sequence[EpochRecord]
    network: str = ""
    findings: Mapping[str, Any] | None = None
    choices: Sequence[tuple[str, str, str]] = ()
    parts: Any = None
    image_shape: tuple[int, ...] | None = None
    feature_names: Sequence[str] = field(default_factory=tuple)

    @property
    def classifies(self) -> bool:
        """Whether the targets are classes."""
        return bool(self.settings["data"]["task"] == "classification")

    def error(self, part: str) -> float | None:
        """Of "training", "validation" or "test" rows: the fraction misclassified, or the root mean squared error."""
        found = self.settings["result"].get(part)
        return None if found is None else float(found["error"] if self.classifies else found["rmse"])


def report_page(runs: Sequence[RunReport]) -> str:
    """Write the page of a run, or the one that compares several.

    Parameters
    ----------
    runs : sequence of RunReport

    Returns
    -------
    str
        HTML, with style and pictures inside.

    Raises
    ------
    ValueError
        If there is no run, or one without an epoch.
    """
    if not runs or not all(run.history for run in runs):
        raise ValueError("runs must hold at least one run, each with at least one epoch.")
    title = f"nmfnet: {runs[0].name}" if len(runs) == 1 else f"nmfnet: {len(runs)} runs"
    body = _of_run(runs[0]) if len(runs) == 1 else _compared(runs)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Even if something slipped into the page, the browser would load and run nothing.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _text(value: object) -> str:
    """Text of others, which cannot become markup."""
    return escape(printable(value, LONGEST))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """A table of text, in a box that scrolls where it is too wide."""
    cells = "".join(f"<th>{_text(each)}</th>" for each in head)
    lines = ["<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in rows]
    top = f"<thead><tr>{cells}</tr></thead>" if head else ""
    return f'<div class="scroll"><table class="{kind}">{top}<tbody>{"".join(lines)}</tbody></table></div>'


def _section(title: str, *content: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{''.join(content)}</section>"


def _shown(run: RunReport, part: str) -> str:
    error = run.error(part)
    if error is None:
        return "–"
    return f"{100 * error:.2f} %" if run.classifies else f"{error:.4g}"


def _seconds(run: RunReport) -> str:
    seconds = float(run.settings["result"]["seconds"])
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _of_run(run: RunReport) -> Iterator[str]:
    result = run.settings["result"]
    yield f"<h1>{_text(run.name)}</h1><p class='network'>{_text(run.network)}</p>"
    name = "error" if run.classifies else "RMSE"
    tiles = [(f"{part} {name}", _shown(run, part)) for part in ("test", "validation", "training") if part in result]
    tiles += [("epochs", str(result["epochs"])), ("training time", _seconds(run))]
    yield '<div class="tiles">'
    yield from (f'<div class="tile"><b>{_text(value)}</b><span>{_text(what)}</span></div>' for what, value in tiles)
    yield "</div>"
    if result.get("interrupted"):
        yield "<p>The training was interrupted: the model is that of the epochs so far.</p>"
    test = run.error("test")
    squared = test if test is None or run.classifies else test**2
    figure = curves(run.history, test_error=squared, kind=run.settings["data"]["task"])
    yield _section("Error and loss", f'<div class="chart wide">{charts.svg(figure, "curves")}</div>')
    if run.findings is not None:
        yield from _findings(run.findings)
    if run.parts is not None and len(run.parts):
        coloured = run.image_shape is not None and run.image_shape[2:] == (3,)
        colours = "Grey is 0, bright positive, dark negative." if coloured else "Red is positive, blue negative."
        note = f"<p>The units with the largest weights. {colours}</p>"
        chart = charts.parts_chart(np.asarray(run.parts), run.image_shape, run.feature_names)
        yield _section("What units of the first layer look for", note, f'<div class="chart wide">{chart}</div>')
    if run.choices:
        yield _section("Chosen automatically", _table(("setting", "value", "why"), run.choices))
    yield _settings(run)


def _findings(found: Mapping[str, Any]) -> Iterator[str]:
    rows = f"<p>{found['rows']} {_text(found['part'])} rows.</p>"
    if found["kind"] == "regression":
        chart = f'<div class="chart">{charts.scatter_chart(found["points"])}</div>'
        yield _section("Predictions and targets", rows, chart)
    else:
        yield _section("Which classes are confused", rows, _confusion(found))
        loss = "" if found["log_loss"] is None else f"<p>Log-loss: {found['log_loss']:.4f}</p>"
        chart = f'<div class="chart">{charts.calibration_chart(found["calibration"])}</div>'
        yield _section("Can the probabilities be believed?", loss, chart)
    if found["worst"]:
        yield _section("The worst examples", _examples(found))


def _confusion(found: Mapping[str, Any]) -> str:
    """The matrix, or a list where there are too many classes; then the error of each class."""
    if found["confusion"] is None:
        matrix = _table(("class", "taken for", "rows"), found["confused"])
    else:
        head = "".join(f"<th><span>{_text(name)}</span></th>" for name in found["classes"])
        lines = []
        for i, (name, counts) in enumerate(zip(found["classes"], found["confusion"], strict=True)):
            total = sum(counts) or 1
            cells = [
                f'<td class="{"right" if i == j else "wrong"}" style="--share:{count / total:.3f}">{count or ""}</td>'
                for j, count in enumerate(counts)
            ]
            lines.append(f"<tr><th>{_text(name)}</th>{''.join(cells)}</tr>")
        corner = "<th>true \\ predicted</th>"
        matrix = (
            f'<div class="scroll"><table class="matrix"><thead><tr>{corner}{head}</tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></div>"
        )
    share = [
        (name, rows, wrong, f"{100 * wrong / rows:.1f} %" if rows else "–") for name, rows, wrong in found["per_class"]
    ]
    share.sort(key=lambda row: -row[2] / max(row[1], 1))
    which = f", the {CLASSES_LISTED} with the most of {len(share)}" if len(share) > CLASSES_LISTED else ""
    listed = _table(("class", "rows", "errors", "error"), share[:CLASSES_LISTED])
    return f"{matrix}<h3>Errors by class{which}</h3>{listed}"


def _examples(found: Mapping[str, Any]) -> str:
    """Pictures, or tables of the first columns."""
    cards = []
    for each in found["worst"]:
        probability = f", {100 * each['probability']:.0f} %" if "probability" in each else ""
        caption = (
            f"<figcaption>row {each['row']}: <b>{_text(each['true'])}</b> taken for "
            f"<b>{_text(each['predicted'])}</b>{probability}</figcaption>"
        )
        if "pixels" in each:
            image = f'<img alt="row {each["row"]}" src="{charts.picture(each["pixels"], found["image_shape"])}">'
            cards.append(f"<figure>{image}{caption}</figure>")
            continue
        more = [("…", f"{each['more']} more columns")] if each["more"] else []
        cards.append(f"<figure>{caption}{_table((), [*each['columns'].items(), *more])}</figure>")
    return f'<div class="cards">{"".join(cards)}</div>'


def _settings(run: RunReport) -> str:
    """Every setting, version and what is known of the machine."""
    parts = []
    for title, name in (("Asked for", "asked"), ("Data", "data"), ("Machine", "machine"), ("Versions", "versions")):
        if run.settings.get(name):
            rows = [
                (key, value if isinstance(value, str) else json.dumps(value))
                for key, value in run.settings[name].items()
            ]
            shown = " open" if name == "machine" else ""
            parts.append(f"<details{shown}><summary>{title}</summary>{_table((), rows)}</details>")
    return _section("Settings, versions, machine", *parts)


def _compared(runs: Sequence[RunReport]) -> Iterator[str]:
    """A table of the runs and what they differ in, their curves, and then each run."""
    yield f"<h1>{len(runs)} runs</h1>"
    asked = [run.settings.get("asked", {}) for run in runs]
    differ = [
        key
        for key in asked[0]
        if key not in ("out", "epochs") and len({json.dumps(each.get(key)) for each in asked}) > 1
    ]
    options = [key if key == "data" else f"--{key.replace('_', '-')}" for key in differ]  # not results of that name
    head = ["run", "network", "test", "validation", "training", "epochs", "time", *options]
    yield _section("Compared", _table(head, [
        [run.name, run.network, *(_shown(run, part) for part in ("test", "validation", "training")),
         run.settings["result"]["epochs"], _seconds(run),
         *("–" if each.get(key) is None else each[key] for key in differ)]
        for run, each in zip(runs, asked, strict=True)
    ], "runs"))  # fmt: skip
    kinds = {run.classifies for run in runs}
    if len(kinds) == 1:
        histories = {f"{number}. {run.name}": run.history for number, run in enumerate(runs, start=1)}
        chart = charts.comparison_chart(histories, 100 if kinds.pop() else 1)
        yield _section("Error over the epochs", f'<div class="chart wide">{chart}</div>')
    for number, run in enumerate(runs, start=1):
        summary = f"<summary>{number}. {_text(run.name)}</summary>"
        inside = "".join(_of_run(run)).replace('id="', f'id="r{number}-').replace("url(#", f"url(#r{number}-")
        inside = inside.replace('href="#', f'href="#r{number}-')
        yield f'<details class="run">{summary}{inside}</details>'
