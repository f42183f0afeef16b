"""Verdicts and tables of the paper's evaluation, from runs with made-up numbers."""

import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.paper import claims, report
from benchmarks.paper.__main__ import planned
from benchmarks.paper.configurations import METHODS, SCALES, methods, network_name


def runs(method, errors, network="200-100", before=1.0, epoch=1.0):
    """A run for each error: two epochs, the second with this one."""
    return [
        {
            "network": network, "method": method, "seed": seed, "load": 1.0, "before": before, "date": "2026-01-01",
            "machine": "m", "versions": {"nmfnet": "0.2.0", "torch": "2"}, "share": 0.5 + seed / 10,
            "epochs": [
                {"seconds": before + epoch * (i + 1), "test": each, "train": 0.0} for i, each in enumerate((50, error))
            ],
        }
        for seed, error in enumerate(errors)
    ]  # fmt: skip


def verdicts(*found):
    """Verdict and evidence by claim."""
    lines = claims.claims({"quick": {"mnist": [run for each in found for run in each]}})
    rows = [re.split(r" *\| *", line)[1:-1] for line in lines if line.startswith("|")]
    return {claim: (verdict, evidence) for claim, _, verdict, evidence in rows[2:]}


@pytest.mark.parametrize(
    ("paper", "verdict"),
    [
        ([5.4, 5.5, 5.6], "confirmed"),  # 1.1 times as much
        ([5.8, 5.9, 6.0], "not confirmed"),
        ([4.0, 6.0, 8.0], "no difference shown"),
        ([1.0, 1.1, 0.9], "confirmed"),
    ],
)
def test_similar_error_rates(paper, verdict):
    found = verdicts(runs("pinv-nmf", paper), runs("adam-sae", [5.0, 5.1, 4.9]))
    assert found["error rates similar to backpropagation's"][0] == verdict


def test_two_seeds_decide_nothing():
    found = verdicts(runs("pinv-nmf", [5.0, 5.1]), runs("adam-sae", [5.0, 5.1, 4.9]))
    assert "error rates similar to backpropagation's" not in found
    assert "an epoch takes a similar time" in found  # which need not be of three


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [((9, 8, 7), "confirmed"), ((9, 10, 7), "in part"), ((9, 10, 11), "not confirmed")],
)
def test_deeper_networks(errors, verdict):
    networks = [network_name(hidden) for hidden in SCALES["quick"].networks["mnist"]]
    found = verdicts(*(runs("pinv-nmf", [e] * 3, name) for name, e in zip(networks, errors, strict=False)))
    assert found["better with deeper networks"][0] == verdict


def test_times_of_epochs_and_of_pretraining():
    found = verdicts(
        runs("pinv-nmf", [5.0] * 3, before=2.0, epoch=1.1), runs("adam-sae", [5.0] * 3, before=1.9, epoch=1.0)
    )
    assert found["an epoch takes a similar time"] == ("confirmed", "`pinv-nmf` 1.10 s, `adam-sae` 1.00 s")
    assert found["pre-training takes less time"] == ("not confirmed", "`pinv-nmf` 2.00 s, `adam-sae` 1.90 s")


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [([4.0, 4.1, 3.9], "confirmed"), ([6.0, 6.1, 5.9], "not confirmed"), ([5.0, 5.2, 4.7], "no difference shown")],
)
def test_tanh_is_compared_with_what_differs_from_it_in_the_units_alone(changed, verdict):
    found = verdicts(runs("pinv", [5.0, 5.1, 4.9]), runs("pinv-tanh", changed))
    assert found["tanh units work better than ReLU (future work)"][0] == verdict


def test_seconds_of_an_epoch_leave_out_the_first_and_the_pretraining():
    (run,) = runs("pinv", [5.0], before=7.0, epoch=3.0)
    run["epochs"][0]["seconds"] += 2  # a first epoch that takes longer
    run["epochs"][1]["seconds"] += 2
    assert report.per_epoch(run) == 3


def test_a_table_has_intervals_of_three_seeds_and_a_row_for_each_network_that_was_run():
    found = [*runs("pinv", [5.0, 6.0, 7.0]), *runs("adam", [4.0], "200")]
    lines = list(
        report.table(SCALES["quick"], "mnist", found, list(METHODS), lambda r: r["epochs"][-1]["test"], ".2f")
    )
    assert lines[0] == "| hidden layers | `pinv` | `adam` |"
    assert lines[2:] == ["| 200 |  | 4.00 |", "| 200-100 | 6.00 ± 2.48 |  |"]  # 4.303 times the standard error


def test_variants_are_run_with_the_main_network_alone():
    quick = SCALES["quick"]
    assert "pinv-nmf-bias" in methods(quick, "mnist", (200, 100))
    assert "pinv-nmf-bias" not in methods(quick, "mnist", (200,))
    assert "pinv-nmf-bias" not in methods(quick, "cifar10", (200, 100)) and "pinv" in methods(
        quick, "cifar10", (200, 100)
    )
    each = list(planned("quick", ["mnist", "pinv-nmf-bias"], None))
    assert each == [("mnist", (200, 100), "pinv-nmf-bias", seed) for seed in range(quick.seeds)]


def test_where_runs_were_made():
    found = runs("pinv", [5.0, 6.0])
    found[1]["date"] = "2026-01-03"
    made = " ".join(report._made(found).split())
    assert made.startswith("2026-01-01 to 2026-01-03; m; torch 2; load of the machine at most 1.0; ")
    assert made.endswith("; share of their cores that runs got: 50 to 60 %.")


def test_a_section_says_how_many_seeds_it_has_and_whose_seconds_it_leaves_out():
    found = [*runs("pinv", [5.0, 6.0]), *runs("adam", [4.0], "200")]
    for run in found[:2]:
        run["load"] = None
    assert report._seeds(found) == "means of 1 to 2 seeds"
    assert report._seeds(found[:1], "medians") == "medians of 1 seed"
    told = " ".join(report._untimed(found, some=True).split())
    assert told.endswith("during runs of `pinv`. Do not compare their seconds in the figure.")


def test_a_scale_without_verdicts_says_so():
    lines = list(claims.claims({"full": {"mnist": runs("pinv-nmf", [5.0])}}))
    assert "- The full runs have too few seeds, and too few known times, for any verdict so far." in lines
