"""docs/results/tables.md from the stored runs."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "results" / "tables.md"
FIRST_LARGE = 2668  # rows, of which 2001 are trained on: more than the folds have
HEAD = """# Tables, everybody at defaults

How good are nmfnet's defaults on tables of up to 20,000 rows, beside scikit-learn's `MLPClassifier` and `MLPRegressor`
(`mlp`) and boosted trees? Nothing is tuned for a table: every model runs as it comes.

| model | what it is |
| --- | --- |
| `nmfnet` | `NMFNetClassifier` or `NMFNetRegressor`, with its defaults: up to four networks together |
| `nmfnet-one` | `n_members=1, numeric_encoding="standard"`: the default until 2026-11-30 |
| `nmfnet-auto` | the same with `numeric_encoding="auto"`: cross-validation also chooses how numbers are encoded |
| `nmfnet-stack` | an earlier version of the default: networks of up to 64 units beside one of 256-256 |
| `nmfnet-5` | an earlier version of `n_members="auto"`: the average with the networks of the cross-validation |
| `nmfnet-rule` | an earlier version: a formula of the table's size chose the penalty, not cross-validation |
| `mlp`, `linear`, `histogram-trees` | scikit-learn's |
| `catboost`, `lightgbm`, `xgboost` | of the packages of these names |
| `realmlp`, `tabm` | RealMLP-TD and TabM-D of pytabkit 1.8.0 |

All networks but the last two have two hidden layers of 256 units. Ours take 20 epochs, and each network of the folds
20 more. `mlp` takes up to 200: it ends after ten without progress ([how many that are](selection.md)).

Tables of 2668 rows or more have more than 2000 training rows. There `nmfnet-one` was the default until 2026-12-01.
Of more than 10,000 training rows `nmfnet` is one network, whose encoding of numbers is chosen by cross-validation.

**How it was measured.** A hash of a table's name puts it into one of two halves. All constants of nmfnet, such as the
penalties that it tries, were chosen on the development half. The test half was looked at afterwards. A *split* is one
table, divided at random: three quarters of the rows for training, one quarter for the scores. Each seed divides it
anew. Every fit has one thread. Other work shared the machine, so seconds are too large. Do not compare the seconds of
models that ran on different days.

| column | what it means |
| --- | --- |
| splits | how many the model was run on. Fewer than nmfnet has are of fewer seeds, or of fewer tables |
| mean error | test error in %, or the root mean square error in standard deviations of the target |
| mean log_loss | the average negative logarithm of the true class's probability |
| ratio | error or log-loss divided by `mlp`'s, geometric mean over the splits of both. Below 1 is better than `mlp` |
| 90 % | interval of that ratio, by a bootstrap over splits |
| rank | 1 is the best model of a table. Means over tables, of seed 0, among the models that were run on all |
| calibration | expected calibration error: distance of the predicted class's probability from how often it is right |
| constant | fits that predict the same class for all rows |
| worst ratio | the ratio of the worst split |
| processor s | of all splits together |

Rows are in the order of the first ratio. Models with different splits have mean errors of different tables, so
compare their ratios. For the ratios 0.5 points are added to errors, and 0.005 to log-losses, because an error of 0 has
no ratio.

Tables are read by [benchmarks/tables/sources.py](../../benchmarks/tables/sources.py). The runs are in
[benchmarks/results/tables](../../benchmarks/results/tables), and `python -m benchmarks.tables report` makes this page
of them.
"""


def write(path: Path) -> None:
    """Write the page."""
    runs: dict[str, Any] = defaultdict(lambda: defaultdict(dict))  # by half and kind, model, table and seed
    for line in path.read_text().splitlines():
        each = json.loads(line)
        kind = "classes" if each["classification"] else "real targets"
        size = "" if each["rows"] < FIRST_LARGE else f", {FIRST_LARGE} rows or more"
        runs[f"{each['half']} half, {kind}{size}"][each["model"]][each["table"], each["seed"]] = each
    parts = [_part(title, models) for title, models in sorted(runs.items())]
    PAGE.write_text("\n".join([HEAD, *parts]))


def _part(title: str, models: dict[str, Any]) -> str:
    measures = {"error": 0.5, "log_loss": 0.005} if " classes" in title else {"error": 0.0}
    ours = set(models.get("nmfnet", next(iter(models.values()))))
    ranked = {key for key in ours if key[1] == 0}
    full = [name for name, own in models.items() if ranked <= set(own)]
    lines = [f"## {title[0].upper()}{title[1:]}: {len({table for table, _ in ours})} tables", ""]
    heads = [head for name in measures for head in (f"mean {name}", "ratio", "90 %", "rank")]
    extra = ["calibration", "constant"] if len(measures) > 1 else []
    lines += ["| model | splits | " + " | ".join([*heads, *extra, "worst ratio", "processor s"]) + " |"]
    lines += ["| --- |" + " ---: |" * (len(heads) + len(extra) + 3)]
    peer = {key: run for key, run in models.get("mlp", {}).items() if key in ours}
    order = {
        name: _logs(own, peer, "error", measures["error"]).mean() for name, own in models.items() if own.keys() & peer
    }
    for name in sorted(order, key=order.__getitem__):
        lines.append(_row(name, models, measures, ours, ranked if name in full else set(), full))
    return "\n".join([*lines, ""])


def _row(
    name: str, models: dict[str, Any], measures: dict[str, float], ours: set[Any], ranked: set[Any], full: list[str]
) -> str:
    own, peer = models[name], models.get("mlp", {})
    common = sorted(ours & set(own))
    both = [key for key in common if key in peer]
    cells = [name, str(len(common))]
    ratios: dict[str, Any] = {}
    for measure, small in measures.items():
        cells.append(f"{np.mean([own[key][measure] for key in common]):.3f}" if common else "")
        logs = _logs(own, {key: peer[key] for key in both}, measure, small)
        ratios[measure] = logs
        rng = np.random.default_rng(0)
        means = [rng.choice(logs, len(logs)).mean() for _ in range(2000)] if len(logs) else []
        low, high = np.exp(np.quantile(means, [0.05, 0.95])) if means else (np.nan, np.nan)
        cells += [f"{np.exp(logs.mean()):.3f}", f"{low:.2f} to {high:.2f}"] if len(logs) else ["", ""]
        cells.append(f"{_rank(name, models, measure, ranked, full):.2f}" if ranked else "")
    if len(measures) > 1:
        cells.append(f"{np.mean([own[key]['calibration'] for key in common]):.3f}" if common else "")
        cells.append(str(sum(own[key]["constant"] for key in common)))
    cells.append(f"{np.exp(ratios['error'].max()):.2f}" if len(both) else "")
    cells.append(f"{sum(own[key]['processor'] for key in common):.0f}")
    return "| " + " | ".join(cells) + " |"


def _logs(own: dict[Any, Any], peer: dict[Any, Any], measure: str, small: float) -> Any:
    """Logarithms of the ratios of the splits that both have."""
    both = sorted(own.keys() & peer.keys())
    return np.array([np.log((own[k][measure] + small) / (peer[k][measure] + small)) for k in both])


def _rank(name: str, models: dict[str, Any], measure: str, tables: set[Any], full: list[str]) -> float:
    """Mean over tables of 1 + the models that are better + half of those that are as good."""
    ranks = []
    for key in tables:
        values = np.array([models[each][key][measure] for each in full])
        own = models[name][key][measure]
        ranks.append((values < own).sum() + ((values == own).sum() + 1) / 2)
    return float(np.mean(ranks))
