"""scikit-learn's own tests of its MLP and NMF, run from the installed package with our classes in place of theirs.

    python tests/peer_checks.py            # a minute or two; further arguments go to pytest, as in -k early_stopping

Nothing of theirs is copied: their names are replaced before their test files are imported.  Parameters that ours lack
on purpose are left out.  What fails is compared with peer_failures.py, which has the reason for each; it is an error
if another test fails, or one that is listed passes.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
import sklearn
import sklearn.decomposition
import sklearn.neural_network
import torch

import nmfnet
from peer_failures import RIGHT, VERSION, WRONG

FILES = ["neural_network/tests/test_mlp.py", "decomposition/tests/test_nmf.py"]
QUIET = ["-q", "--tb=no", "--no-header", "--no-summary", "-W", "ignore", "-p", "no:cacheprovider", "-c", os.devnull]


class Results:
    """A plugin of pytest that notes which tests ran, which failed, and which use our classes."""

    def __init__(self) -> None:
        self.ran: set[str] = set()
        self.failed: set[str] = set()
        self.ours: set[str] = set()
        self.running = ""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.running = short(item.nodeid)
        self.ran.add(self.running)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(short(report.nodeid))

    def adapted(self, name: str, ours: type, adapt: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
        """What makes one of ours of the arguments that theirs takes."""
        known = list(inspect.signature(ours).parameters)

        def make(*positional: Any, **named: Any) -> Any:
            self.ours.add(self.running)
            given = adapt({**dict(zip(known, positional, strict=False)), **named})
            return ours(**{key: value for key, value in given.items() if key in known})

        make.__name__ = name  # in the names of the tests
        return make


def short(name: str) -> str:
    return name.rpartition("/")[2]


def network(given: dict[str, Any]) -> dict[str, Any]:
    """Our own solver in place of lbfgs, sgd and adam."""
    return {"max_iter": 200, **given, "solver": "relaxed"}


def online(given: dict[str, Any]) -> dict[str, Any]:
    """MiniBatchNMF is NMF with a batch_size."""
    solver = "cd" if given.get("beta_loss", 2) in ("frobenius", 2) else "mu"
    return {"batch_size": 1024, "solver": solver, **given}


def replace_names(results: Results) -> None:
    networks, factorizations = sklearn.neural_network, sklearn.decomposition
    networks.MLPClassifier = results.adapted("MLPClassifier", nmfnet.NMFNetClassifier, network)
    networks.MLPRegressor = results.adapted("MLPRegressor", nmfnet.NMFNetRegressor, network)
    factorizations.NMF = results.adapted("NMF", nmfnet.NMF, dict)
    factorizations.MiniBatchNMF = results.adapted("MiniBatchNMF", nmfnet.NMF, online)


def listed(test: str, tests: list[str]) -> bool:
    return test in tests or test.partition("[")[0] in tests


def report(results: Results) -> int:
    """Print what failed and why; return 1 where that is not what is listed."""
    print(f"\n{len(results.ran)} tests of scikit-learn {sklearn.__version__} ran, {len(results.ours)} of them on ours")
    expected = set()
    for what, reasons in {"rightly": RIGHT, "to be mended": WRONG}.items():
        for reason, tests in reasons.items():
            expected |= (here := {test for test in results.ran if listed(test, tests)})
            if here:
                print(f"{len(here & results.failed):4} fail, {what}: {reason}")
    for test in sorted(results.failed - expected):
        print(f"fails, and is not listed: {test}")
    for test in sorted(expected - results.failed):
        print(f"is listed, and passes: {test}")
    if not sklearn.__version__.startswith(f"{VERSION}."):
        print(f"The list is that of scikit-learn {VERSION}.")
    return int(not results.ran or results.failed != expected)


def main(arguments: list[str]) -> int:
    results, root = Results(), os.path.dirname(sklearn.__file__)
    replace_names(results)
    torch.set_num_threads(1)
    pytest.main([*QUIET, "--rootdir", root, *(os.path.join(root, file) for file in FILES), *arguments], [results])
    return report(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
