"""docs/results/tables.md from the stored runs."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "results" / "tables.md"
HEAD = """# Tables, everybody at defaults

Written by `python -m benchmarks.tables report` from [benchmarks/results/tables](../../benchmarks/results/tables).
Tables are those of `benchmarks/tables/sources.py`; a hash of the name divides them into two halves. Penalties, folds
and all other constants were chosen on the development half. Three quarters of the rows are trained on, one split for
each seed, one thread, in float32; models with fewer splits have seed 0 alone. `nmfnet` is the estimator as it is,
`nmfnet-auto` lets the folds choose the encoding of numbers (`numeric_encoding="auto"`), `nmfnet-5` averages
(`n_members="auto"`, of the test half by an earlier version), `nmfnet-rule` is one network of before, its penalty by a
rule from sizes, all with 256-256 units, as scikit-learn's `mlp`. Ours take 20 epochs (and each network of the folds 20
more), `mlp` up to 200: it ends after ten without progress ([how many that are](selection.md)). Ratios are geometric
means over the splits that a model and `mlp` both have, of error + 0.5 points, of log-loss + 0.005, of RMSE; below 1 is
better than `mlp`. Ranks are of seed 0, among the models that have all its tables. Intervals are 90 % of bootstraps
over splits.
Other work shared the machine, which makes
processor seconds larger than they would be, and those of different days are not to be compared.
"""


def write(path: Path) -> None:
    """Write the page."""
    runs: dict[str, Any] = defaultdict(lambda: defaultdict(dict))  # by half and kind, model, table and seed
    for line in path.read_text().splitlines():
        each = json.loads(line)
        kind = "classes" if each["classification"] else "real targets"
        runs[f"{each['half']} half, {kind}"][each["model"]][each["table"], each["seed"]] = each
    parts = [_part(title, models) for title, models in sorted(runs.items())]
    PAGE.write_text("\n".join([HEAD, *parts]))


def _part(title: str, models: dict[str, Any]) -> str:
    measures = {"error": 0.5, "log_loss": 0.005} if title.endswith("classes") else {"error": 0.0}
    ours = set(models.get("nmfnet", next(iter(models.values()))))
    ranked = {key for key in ours if key[1] == 0}
    full = [name for name, own in models.items() if ranked <= set(own)]
    lines = [f"## {title[0].upper()}{title[1:]}: {len({table for table, _ in ours})} tables", ""]
    heads = [head for name in measures for head in (f"mean {name}", "ratio", "90 %", "rank")]
    extra = ["calibration", "constant"] if len(measures) > 1 else []
    lines += ["| model | splits | " + " | ".join([*heads, *extra, "worst ratio", "processor s"]) + " |"]
    lines += ["| --- |" + " ---: |" * (len(heads) + len(extra) + 3)]
    order = {name: np.mean([r["error"] for key, r in own.items() if key in ours]) for name, own in models.items()}
    for name in sorted((each for each in order if not np.isnan(order[each])), key=order.__getitem__):
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
        logs = np.array([np.log((own[k][measure] + small) / (peer[k][measure] + small)) for k in both])
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


def _rank(name: str, models: dict[str, Any], measure: str, tables: set[Any], full: list[str]) -> float:
    """Mean over tables of 1 + the models that are better + half of those that are as good."""
    ranks = []
    for key in tables:
        values = np.array([models[each][key][measure] for each in full])
        own = models[name][key][measure]
        ranks.append((values < own).sum() + ((values == own).sum() + 1) / 2)
    return float(np.mean(ranks))
