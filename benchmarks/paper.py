"""The paper's method on MNIST and CIFAR-10: test error after every epoch, run by run.

    python benchmarks/paper.py list                   the configurations, and which runs are stored
    python benchmarks/paper.py run mnist-paper 0 1 2  one configuration, several seeds; stored runs are kept
    python benchmarks/paper.py report                 docs/results/paper.md and its plot, from what is stored

The data are read as ``nmfnet.datasets.load`` does, from the folder named by NMFNET_DATA.
"""

import os
import platform
import sys
from datetime import date
from typing import Any

import torch
from store import REPORTS, RESULTS, Store

import nmfnet
from nmfnet import Callback, NMFNetClassifier, NMFPretraining, Pinv
from nmfnet.network import Network
from nmfnet.training import EpochRecord

RUNS = Store(RESULTS / "paper", "configuration", "seed")

# The settings of the paper's group: batches of 5000, thresholds 5e-3 for X and 1e-14 elsewhere, 10 and 1 inner
# steps, 20 rounds of pre-training with 25 + 25 updates; for CIFAR-10 25 inner steps on both factors.
MNIST = {"data": "mnist", "hidden": (1000, 500), "epochs": 20, "solver": Pinv(delta=1e-14), "bias": False}
PRETRAIN = NMFPretraining()
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "mnist-paper": {**MNIST, "pretrain": PRETRAIN},
    "mnist-random": {**MNIST, "pretrain": None},
    "mnist-bias": {**MNIST, "pretrain": PRETRAIN, "bias": True},
    "mnist-batch": {**MNIST, "pretrain": PRETRAIN, "solver": Pinv(delta=1e-14, first_layer="batch")},
    "mnist-delta": {
        **MNIST,
        "pretrain": NMFPretraining(delta_x=4e-2),
        "solver": Pinv(delta=1e-14, delta_x=4e-2),
    },
    "cifar10-paper": {
        "data": "cifar10",
        "hidden": (1500, 1000, 500),
        "epochs": 10,
        "solver": Pinv(n_w=25, n_z=25, delta=1e-14),
        "bias": False,
        "pretrain": PRETRAIN,
    },
}
WHAT = {
    "mnist-paper": "the paper's own: NMF pre-training, no bias",
    "mnist-random": "random start instead of pre-training",
    "mnist-bias": "with a bias row in every layer",
    "mnist-batch": "first layer: a pseudo-inverse of each batch",
    "mnist-delta": "the group's other threshold for X, 4e-2",
    "cifar10-paper": "NMF pre-training, no bias",
}


class Recorder(Callback):
    """Adds the errors on the whole training and test sets to the history; its time is not counted."""

    def __init__(self, data: nmfnet.datasets.Dataset) -> None:
        self.data = data
        self.epochs: list[dict[str, float]] = []

    def on_epoch_end(self, network: Network, record: EpochRecord) -> None:
        """Measure after the epoch."""
        errors = {
            "train": self.error(network, self.data.X_train, self.data.y_train),
            "test": self.error(network, self.data.X_test, self.data.y_test),
        }
        self.epochs.append({**record, **errors})
        print({k: round(v, 5) for k, v in self.epochs[-1].items()}, flush=True)

    @staticmethod
    def error(network: Network, X: Any, y: Any) -> float:
        """Percentage misclassified; the labels are 0 to 9."""
        return 100 * float((network.predict(torch.from_numpy(X)).argmax(1).numpy() != y).mean())


def run(name: str, seed: int) -> None:
    """Train one configuration with one seed and store the run."""
    c = CONFIGURATIONS[name]
    if RUNS.find(c["data"], name, seed) is not None:
        print(f"{name}, seed {seed}, is stored")
        return
    data = nmfnet.datasets.load(c["data"])
    recorder = Recorder(data)
    model = NMFNetClassifier(
        c["hidden"], solver=c["solver"], pretrain=c["pretrain"], fit_intercept=c["bias"], batch_size=5000,
        max_iter=c["epochs"], n_iter_no_change=c["epochs"] + 1, random_state=seed, callbacks=[recorder],
    )  # fmt: skip
    model.fit(data.X_train, data.y_train)
    record = {
        "configuration": name,
        "settings": {k: str(v) for k, v in c.items()},
        "seed": seed,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": {"nmfnet": nmfnet.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "epochs": recorder.epochs,
    }
    RUNS.add(c["data"], record)


def main() -> None:
    """Run what the command line asks for."""
    match sys.argv[1:]:
        case ["list"]:
            for name in CONFIGURATIONS:
                stored = [str(r["seed"]) for r in RUNS.records() if r["configuration"] == name]
                print(f"{name:15} {WHAT[name]}; seeds stored: {', '.join(stored) or 'none'}")
        case ["run", name, *seeds] if name in CONFIGURATIONS:
            for seed in seeds or ["0"]:
                run(name, int(seed))
        case ["report"]:
            import paper_report

            paper_report.write(RUNS.records(), CONFIGURATIONS, WHAT, REPORTS)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
