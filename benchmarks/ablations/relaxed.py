"""What each part of the relaxed sweep is worth: held-out error with one setting changed at a time.

    python benchmarks/ablations/relaxed.py list               the variants, and which runs are stored
    python benchmarks/ablations/relaxed.py run mnist 0 1      the missing runs of a data set, these seeds
    python benchmarks/ablations/relaxed.py report             docs/results/ablations.md, from what is stored

The last 10,000 training rows are held out; test rows are not read.  Several processes may run side by side.
"""

import contextlib
import statistics
import sys
import textwrap
from pathlib import Path
from typing import Any

import torch
from changes import CHANGES

from nmfnet import Callback, NMFNetClassifier, Relaxed, datasets
from nmfnet.network import Network
from nmfnet.training import EpochRecord

sys.path.append(str(Path(__file__).resolve().parents[1]))
from store import REPORTS, RESULTS, Store

RUNS = Store(RESULTS / "ablations", "variant", "seed")
HELD_OUT, EPOCHS = 10_000, 15
HIDDEN = {"mnist": (1000, 500), "fashion-mnist": (1000, 500), "cifar10": (2000, 1000, 500)}
# What came last is off in all variants but those that say otherwise, so that one thing at a time is compared.
BASE: dict[str, Any] = {"adversarial": 0.0, "momentum": 0.0}
AUTO: dict[str, Any] = {"adversarial": "auto", "momentum": "auto"}
# name -> (settings of the solver, parameters of the estimator)
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "adversarial=0": ({}, {}),
    "label_smoothing=0": ({"label_smoothing": 0.0}, {}),
    "label_smoothing=0.4": ({"label_smoothing": 0.4}, {}),
    "explained_variance=1": ({"explained_variance": 1.0, "noise": 0.17}, {}),
    "explained_variance=0.9": ({"explained_variance": 0.9}, {}),
    "noise=0": ({"noise": 0.0}, {}),
    "noise=0.3": ({"noise": 0.3}, {}),
    "dropout=0": ({"dropout": 0.0}, {}),
    "dropout=0.2": ({"dropout": 0.2}, {}),
    "damping=0.1": ({"damping": 0.1}, {}),
    "damping=10": ({"damping": 10.0}, {}),
    "tau=0.01": ({"tau": 0.01}, {}),
    "tau=1": ({"tau": 1.0}, {}),
    "delta=0.02": ({"delta": 0.02}, {}),
    "delta=0.1": ({"delta": 0.1}, {}),
    "averaging=0": ({"averaging": 0.0}, {}),
    "averaging=30": ({"averaging": 30.0}, {}),
    "batch_size=300": ({}, {"batch_size": 300}),
    "batch_size=6000": ({}, {"batch_size": 6000}),
    "batch_size=20000": ({}, {"batch_size": 20000}),
    "hidden=2048-2048": ({}, {"hidden_layer_sizes": (2048, 2048)}),
    "hidden=10 x 500": ({}, {"hidden_layer_sizes": (500,) * 10}),
    "adversarial=0.05": ({"adversarial": 0.05}, {}),
    "adversarial=0.2": ({"adversarial": 0.2}, {}),
    "defaults": (AUTO, {}),
    "defaults, batch_size=6000": (AUTO, {"batch_size": 6000}),
    "defaults, batch_size=20000": (AUTO, {"batch_size": 20000}),
    **dict.fromkeys(CHANGES, ({}, {})),
}
# (heading, what stands above the table, {variant: what it means})
TABLES: list[tuple[str, str, dict[str, str]]] = [
    (
        "Settings",
        "One setting differs from the first row. None of these trainings has adversarial inputs or momentum.",
        {
            "adversarial=0": "**to compare with**",
            "label_smoothing=0": "labels not smoothed (default 0.2)",
            "label_smoothing=0.4": "labels smoothed more",
            "explained_variance=1": "all columns, no principal components (default 0.96 of the variance); "
            "`noise=0.17`, about what it is with them",
            "explained_variance=0.9": "fewer principal components",
            "noise=0": "inputs not masked (default about 0.16)",
            "noise=0.3": "inputs masked more",
            "dropout=0": "no dropout (default about 0.1)",
            "dropout=0.2": "more dropout",
            "damping=0.1": "less damping (default 1)",
            "damping=10": "more damping",
            "tau=0.01": "nearer targets (default 0.1)",
            "tau=1": "more distant targets",
            "delta=0.02": "shorter steps (default 0.05)",
            "delta=0.1": "longer steps",
            "averaging=0": "the average is over all updates alike (default 8: over about the last ninth of them)",
            "averaging=30": "the average is over fewer updates",
            "batch_size=300": "smaller batches (default 1000)",
            "batch_size=6000": "larger batches",
            "batch_size=20000": "larger batches",
            "hidden=2048-2048": "wider layers (otherwise 1000-500)",
            "hidden=10 x 500": "ten layers of 500",
        },
    ),
    (
        "Adversarial inputs and large batches",
        "*Defaults* are those of the package: adversarial inputs with a radius of 0.1, from the update on at which "
        "the training error is below 5 %, and momentum with batches of 10,000 and more.",
        {
            "adversarial=0": "neither adversarial inputs nor momentum",
            "adversarial=0.05": "adversarial inputs from the first update on",
            "adversarial=0.2": "the same, with a larger radius",
            "defaults": "all defaults",
            "defaults, batch_size=6000": "the same, larger batches",
            "defaults, batch_size=20000": "the same, larger batches, with momentum",
        },
    ),
    (
        "What is no setting",
        "Here the code was changed. The first row is again the one to compare with. A are pre-activations of a hidden "
        "layer, Z = f(A) its activations, E is the difference between target and output of the layer above, and W its "
        "weights ([all symbols](../relaxed-steps.md#symbols)).",
        {"adversarial=0": "**to compare with**", **{name: meaning for name, (_, meaning) in CHANGES.items()}},
    ),
]


class HeldOut(Callback):
    """Error in % on rows that are not trained on, after every epoch."""

    def __init__(self, X: Any, y: Any) -> None:
        self.X, self.y, self.errors = torch.from_numpy(X), y, []

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:
        """Measure."""
        self.errors.append(100 * float((network.predict(self.X).argmax(1).numpy() != self.y).mean()))


def run(data: str, variant: str, seed: int) -> None:
    """Train one variant and store the run; a stored run is kept."""
    if RUNS.find(data, variant, seed) is not None:
        return
    solver, parameters = VARIANTS[variant]
    change = CHANGES[variant][0]() if variant in CHANGES else contextlib.nullcontext()
    loaded = datasets.load(data)
    X, y = loaded.X_train, loaded.y_train
    held_out = HeldOut(X[-HELD_OUT:], y[-HELD_OUT:])
    parameters = {"hidden_layer_sizes": HIDDEN[data], "max_iter": EPOCHS, **parameters}
    model = NMFNetClassifier(
        **parameters, solver=Relaxed(**(BASE | solver)), tol=0, n_iter_no_change=EPOCHS, random_state=seed,
        callbacks=[held_out],
    )  # fmt: skip
    with change:
        model.fit(X[:-HELD_OUT], y[:-HELD_OUT])
    last = model.history_[-1]
    found = {"errors": held_out.errors, "train_error": 100 * last["train_error"], "seconds": last["seconds"]}
    RUNS.add(data, {"data": data, "variant": variant, "seed": seed, **found})
    print(f"{data}, {variant}, seed {seed}: {held_out.errors[-1]:.2f} %", flush=True)


def report() -> None:
    """Write the tables."""
    stored = RUNS.records()
    names = [name for name in HIDDEN if any(r["data"] == name for r in stored)]
    lines = [
        "# What each part of the relaxed sweep is worth",
        "",
        "What happens if one part of [the relaxed sweep](../relaxed.md) is changed or left out? All trainings have "
        f"{EPOCHS} epochs.",
        "",
        "- **Errors** are in %, after the last epoch, on the last 10,000 training rows. These were held out.",
        "  Test rows were not read.",
        "- **Means** are over seeds, whose number is in brackets. Seeds differ by about 0.05 on MNIST.",
        "- **Networks** are 784-1000-500-10 on MNIST.",
        "- **Made by** `python benchmarks/ablations/relaxed.py report` from",
        "  [benchmarks/results/ablations](../../benchmarks/results/ablations).",
    ]
    for heading, above, variants in TABLES:
        lines += ["", f"## {heading}", "", *textwrap.wrap(above, 120), ""]
        lines += [f"| variant | what it means | {' | '.join(names)} |", "| --- | --- " + "| ---: " * len(names) + "|"]
        for variant, meaning in variants.items():
            cells = []
            for name in names:
                errors = [r["errors"][-1] for r in stored if (r["data"], r["variant"]) == (name, variant)]
                cells.append(f"{statistics.mean(errors):.2f} ({len(errors)})" if errors else "")
            if any(cells):
                lines.append(f"| {variant} | {meaning} | {' | '.join(cells)} |")
    (REPORTS / "ablations.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run what the command line asks for."""
    match sys.argv[1:]:
        case ["list"]:
            for variant in VARIANTS:
                runs = [f"{r['data']} {r['seed']}" for r in RUNS.records() if r["variant"] == variant]
                print(f"{variant:24} {', '.join(runs) or 'none stored'}")
        case ["run", data, *seeds] if data in HIDDEN:
            for seed in seeds or ["0"]:
                for variant in VARIANTS:
                    run(data, variant, int(seed))
        case ["report"]:
            report()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
