"""The paper's claims one by one, with what the stored runs say of each."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from itertools import pairwise

from scipy.stats import ttest_ind

from ..store import Record
from .configurations import NAMES, SCALES, network_name

Runs = Mapping[str, Mapping[str, list[Record]]]  # by scale and data set
SIMILAR, TELLING, ENOUGH = 1.1, 0.05, 3
PRODUCTS = "79 % of an epoch of `pinv`, 70 % of one of `relaxed` ([measured](rate.md))"


def claims(runs: Runs) -> Iterator[str]:
    """A table: claim, verdict, evidence."""
    yield "The rules in `benchmarks/paper/claims.py` derive the verdicts from the numbers:"
    yield ""
    yield f"- **Similar errors.** The mean is at most {SIMILAR} times the other method's mean."
    yield f"- **No difference shown.** Welch's test finds no difference between the errors (p > {TELLING})."
    yield "- **Something helps.** Welch's test finds a difference, and the mean with it is the lower one."
    yield "- **Deeper networks.** Confirmed if each network has at most the mean error of the shallower one before it."
    yield "  In part, if only some network has a lower mean error than the shallowest."
    yield f"- **Similar time.** The median is at most {SIMILAR} times the other method's. **Less time:** it is lower."
    yield f"- Errors of fewer than {ENOUGH} seeds decide nothing."
    rows = {scale: list(_of_scale(scale, by_data)) for scale, by_data in runs.items()}
    for scale in rows:
        if not rows[scale]:
            yield f"- The {scale} runs have too few seeds, and too few known times, for any verdict so far."
    yield ""
    yield "Evidence is means of errors and medians of seconds. `pinv-nmf` and the other names are explained above."
    yield ""
    yield "| claim | runs | verdict | evidence |"
    yield "| --- | --- | --- | --- |"
    for found in rows.values():
        yield from found
    yield f"| almost all time is in matrix products | MNIST 1000-500 | in large part | {PRODUCTS} |"


def _of_scale(scale: str, by_data: Mapping[str, list[Record]]) -> Iterator[str]:
    for data, found in by_data.items():
        network = network_name(SCALES[scale].main[data])
        for claim, verdict, evidence in _of_data(scale, data, found):
            of = NAMES[data] if claim.startswith("better with deeper") else f"{NAMES[data]} {network}"
            yield f"| {claim} | {scale}, {of} | {verdict} | {evidence} |"


def _of_data(scale: str, data: str, runs: list[Record]) -> Iterator[tuple[str, str, str]]:
    networks = [network_name(hidden) for hidden in SCALES[scale].networks[data]]
    main = network_name(SCALES[scale].main[data])
    paper, backpropagation = _errors(runs, main, "pinv-nmf"), _errors(runs, main, "adam-sae")
    if paper and backpropagation:
        yield "error rates similar to backpropagation's", *_similar(paper, backpropagation, "pinv-nmf", "adam-sae")
    other = _errors(runs, main, "pinv-nmf-threshold")
    if other and backpropagation:
        names = "pinv-nmf-threshold", "adam-sae"
        yield "the same with the authors' other threshold", *_similar(other, backpropagation, *names)
    now = _errors(runs, main, "adamw")
    if paper and now:
        yield "the same, against tuned AdamW (not claimed by the paper)", *_similar(paper, now, "pinv-nmf", "adamw")
    yield from _of_depth([(name, _errors(runs, name, "pinv-nmf")) for name in networks])
    for claim, key in (("an epoch takes a similar time", "epoch"), ("pre-training takes less time", "before")):
        ours, theirs = (_seconds(runs, main, name, key) for name in ("pinv-nmf", "adam-sae"))
        if ours and theirs:
            ratio = statistics.median(ours) / statistics.median(theirs)
            good = ratio <= SIMILAR if key == "epoch" else ratio < 1
            evidence = f"`pinv-nmf` {statistics.median(ours):.2f} s, `adam-sae` {statistics.median(theirs):.2f} s"
            yield claim, "confirmed" if good else "not confirmed", evidence
    for claim, name, base in (
        ("biases help (future work)", "pinv-nmf-bias", "pinv-nmf"),
        ("sparse penalties help (future work)", "pinv-nmf-sparse", "pinv-nmf"),
        ("sigmoid units work better than ReLU (future work)", "pinv-nmf-sigmoid", "pinv-nmf"),
        ("tanh units work better than ReLU (future work)", "pinv-tanh", "pinv"),
    ):
        changed, without = _errors(runs, main, name), _errors(runs, main, base)
        if changed and without:
            evidence = f"`{name}` {statistics.mean(changed):.2f} %, `{base}` {statistics.mean(without):.2f} %"
            yield claim, _helps(changed, without), evidence


def _of_depth(by_network: list[tuple[str, list[float]]]) -> Iterator[tuple[str, str, str]]:
    found = [(name, statistics.mean(errors)) for name, errors in by_network if errors]
    if len(found) > 1:
        means = [mean for _, mean in found]
        falling = all(b <= a for a, b in pairwise(means))
        verdict = "confirmed" if falling else "in part" if min(means) < means[0] else "not confirmed"
        yield "better with deeper networks", verdict, ", ".join(f"{name}: {mean:.2f} %" for name, mean in found)


def _similar(ours: list[float], theirs: list[float], our: str, their: str) -> tuple[str, str]:
    mean, other = statistics.mean(ours), statistics.mean(theirs)
    evidence = f"`{our}` {mean:.2f} %, `{their}` {other:.2f} %"
    if mean <= SIMILAR * other:
        return "confirmed", evidence
    return "not confirmed" if _differ(ours, theirs) else "no difference shown", evidence


def _helps(changed: list[float], without: list[float]) -> str:
    if not _differ(changed, without):
        return "no difference shown"
    return "confirmed" if statistics.mean(changed) < statistics.mean(without) else "not confirmed"


def _differ(one: list[float], two: list[float]) -> bool:
    return bool(ttest_ind(one, two, equal_var=False).pvalue < TELLING)


def _errors(runs: list[Record], network: str, method: str) -> list[float]:
    found = [run["epochs"][-1]["test"] for run in runs if run["network"] == network and run["method"] == method]
    return found if len(found) >= ENOUGH else []


def _seconds(runs: list[Record], network: str, method: str, key: str) -> list[float]:
    of = [run for run in runs if run["network"] == network and run["method"] == method and run["load"] is not None]
    if key == "before":
        return [run["before"] for run in of]
    return [per_epoch(run) for run in of if len(run["epochs"]) > 1]


def per_epoch(run: Record) -> float:
    """Median seconds of an epoch after the first; of the first where there is no other."""
    seconds = [run["before"], *(epoch["seconds"] for epoch in run["epochs"])]
    return statistics.median(b - a for a, b in pairwise(seconds[1:] if len(seconds) > 2 else seconds))
