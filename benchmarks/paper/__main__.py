"""The paper's evaluation.

    python -m benchmarks.paper run --quick             all runs that are not stored yet; without --quick it takes hours
    python -m benchmarks.paper run --only mnist 1000-500 pinv-nmf --seeds 0 1
    python -m benchmarks.paper list --quick            what is stored
    python -m benchmarks.paper report                  docs/results/paper.md and its figures, from what is stored

`make paper` runs and reports everything, `make paper QUICK=1` the small version.  Runs that are stored are skipped: to
make them again, remove their file below benchmarks/results/paper.  The data are read as ``nmfnet.datasets.load`` does,
from the folder named by NMFNET_DATA.  Seconds are of the machine as it is: leave it to the runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ..store import RESULTS, Store
from . import report
from .configurations import SCALES, Hidden, methods, network_name
from .running import run


def store(scale: str) -> Store:
    """Runs of a scale."""
    return Store(RESULTS / "paper" / scale, "network", "method", "seed")


def planned(scale: str, only: list[str], seeds: list[int] | None) -> Iterator[tuple[str, Hidden, str, int]]:
    """Data set, network, method and seed of all runs whose names are among `only`, all seeds of one after another."""
    chosen = SCALES[scale]
    for seed in range(chosen.seeds) if seeds is None else seeds:
        for data, networks in chosen.networks.items():
            for hidden in networks:
                for method in methods(chosen, data, hidden):
                    if set(only) <= {data, network_name(hidden), method}:
                        yield data, hidden, method, seed


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "list", "report"])
    parser.add_argument("--quick", action="store_true", help="5000 images of MNIST, 3000 of CIFAR-10, small networks")
    parser.add_argument("--only", nargs="+", default=[], help="a data set, a network, a method")
    parser.add_argument("--seeds", nargs="+", type=int)
    given = parser.parse_args()
    scale = "quick" if given.quick else "full"
    if given.command == "report":
        report.write({name: store(name) for name in SCALES})
        return
    for data, hidden, method, seed in planned(scale, given.only, given.seeds):
        stored = store(scale).find(data, network_name(hidden), method, seed)
        if stored is None and given.command == "run":
            stored = run(SCALES[scale], data, hidden, method, seed)
            store(scale).add(data, stored)
        last = "not stored" if stored is None else f"{stored['epochs'][-1]['test']:.2f} % test error"
        print(f"{data}, {network_name(hidden)}, {method}, seed {seed}: {last}", flush=True)


if __name__ == "__main__":
    main()
