"""Tables of curves.py, peers.py, streams.py and company.py for the report."""

import math
from collections import Counter, defaultdict
from statistics import median

from cases import RUNS

PEERS = ("torchnmf", "nimfa")
SHARES = (0.01, 0.001, 0.0001)  # above the best objective known


def table(columns, rows):
    """Lines of a table whose first column is text."""
    yield "| " + " | ".join(columns) + " |"
    yield "| --- " + "| ---: " * (len(columns) - 1) + "|"
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def problem(record):
    """What has one best objective: sparse or dense, in any dtype, by anybody."""
    return record["loss"], record["data"].removesuffix("-csr"), record["rank"]


def best_known():
    """The lowest objective of each problem, that of fits of earlier code and on other machines among them."""
    best = defaultdict(lambda: math.inf, {problem(record): record["objective"] for record in RUNS.records("best")})
    for record in RUNS.records("curves"):
        for which in ("ours", "theirs"):
            seen = [record[which]["final"], *(value for _, value in record[which]["curve"])]
            best[problem(record)] = min(best[problem(record)], *seen)
    for record in RUNS.records("peers"):
        best[problem(record)] = min(best[problem(record)], record["fit"]["final"])
    return best


def reached(record, which, bound):
    """Seconds until the objective was at most `bound`; None where it never was."""
    return next((seconds for seconds, value in record[which]["curve"] if value <= bound), None)


def ratio(record, bound):
    """Our time over theirs, or over the end of their fit; infinite where only they arrived, None where nobody did."""
    ours, theirs = (reached(record, which, bound) for which in ("ours", "theirs"))
    if ours is None:
        return None if theirs is None else math.inf
    return ours / (record["limit"] if theirs is None else theirs)


def to_their_end(record):
    """Our time until their final objective at default settings, over the time of that fit."""
    ours = record["to_theirs"]
    return math.inf if ours is None else ours / record["theirs"]["seconds"]


def summary(loss, best):
    """Yield the table over all fits of a loss."""
    records = [record for record in RUNS.records("curves") if record["loss"] == loss]
    rows = []
    for share in SHARES:
        bounds = [best[problem(record)] * (1 + share) for record in records]
        ratios = [ratio(record, bound) for record, bound in zip(records, bounds, strict=True)]
        known = sorted(each for each in ratios if each is not None)
        pairs = list(zip(records, bounds, strict=True))
        counts = [sum(reached(r, which, bound) is not None for r, bound in pairs) for which in ("ours", "theirs")]
        at = [known[round(q * (len(known) - 1))] for q in (0.1, 0.5, 0.9, 1.0)]
        slow = sum(each > 0.8 for each in known)
        rows.append(
            [f"{100 * share:g} %", *(shown(each) for each in at), f"{slow} of {len(known)}", *map(str, counts)]
        )
    columns = ["within", "10th percentile", "median", "90th percentile", "worst", "ratio above 0.8"]
    columns += ["fits of nmfnet that arrived", "of scikit-learn"]
    yield from table(columns, rows)
    gaps = [record["ours"]["final"] / record["theirs"]["final"] - 1 for record in records]
    ends = sorted(to_their_end(record) for record in records)
    times = [record["ours"]["seconds"] / record["theirs"]["seconds"] for record in records]
    better = sum(gap <= 0 for gap in gaps)
    yield f"\nDefault settings, {len(gaps)} fits. nmfnet's final objective is no higher in {better} of them.\n"
    tail = shown(ends[round(0.9 * (len(ends) - 1))])
    yield from table(
        ["nmfnet beside scikit-learn", "median", "90th percentile", "worst"],
        [
            ["final objective, difference", f"{100 * median(gaps):+.2g} %", "", f"{100 * max(gaps):+.2g} %"],
            ["time of a fit, ratio", f"{median(times):.2f}", "", f"{max(times):.2f}"],
            ["time to scikit-learn's final objective, ratio", shown(median(ends)), tail, shown(ends[-1])],
        ],
    )
    yield ""


def shown(number):
    """A ratio."""
    return "never" if math.isinf(number) else f"{number:.2f}"


def middle(values, form):
    """The median, None counting as never."""
    value = median(math.inf if each is None else each for each in values)
    return "never" if math.isinf(value) else format(value, form)


def cases(loss, best):
    """Yield the table of each data set, rank and dtype, medians over the seeds."""
    groups = defaultdict(list)
    for record in RUNS.records("curves"):
        if record["loss"] == loss:
            groups[record["data"], record["rank"], record["dtype"]].append(record)
    peers = defaultdict(list)
    for record in RUNS.records("peers"):
        peers[record["package"], record["loss"], record["data"], record["rank"]].append(record["fit"]["final"])
    rows = []
    for (data, rank, dtype), records in sorted(groups.items()):
        lowest, row = (
            best[problem(records[0])],
            [f"{data} {' × '.join(map(str, records[0]['shape']))}, {rank}, {dtype}"],
        )
        row.append(" / ".join(above(records, which, lowest) for which in ("ours", "theirs")))
        for package in PEERS:
            finals = peers[package, loss, data, rank]
            row.append(f"{100 * (median(finals) / lowest - 1):.1f}" if finals else "")
        for share in SHARES:
            times = [[reached(r, which, lowest * (1 + share)) for r in records] for which in ("ours", "theirs")]
            row.append(" / ".join(middle(each, ".3f") for each in times))
        rows.append(row)
    columns = ["data, rank, dtype", "final, % above best: nmfnet / scikit-learn", *PEERS]
    yield from table([*columns, *(f"s to {100 * share:g} %" for share in SHARES)], rows)


def seeds():
    """Yield the table of how many fits of each seed there are."""
    counts = Counter((record["loss"], record["dtype"], record["seed"]) for record in RUNS.records("curves"))
    numbers = sorted({seed for *_, seed in counts})
    rows = [
        [loss, dtype, *(str(counts[loss, dtype, seed]) for seed in numbers)]
        for loss, dtype in sorted({each[:2] for each in counts})
    ]
    yield from table(["loss", "dtype", *(f"seed {seed}" for seed in numbers)], rows)


def above(records, which, lowest):
    """Final objectives in percent above the best, median and largest of the seeds."""
    gaps = [100 * (record[which]["final"] / lowest - 1) for record in records]
    return f"{median(gaps):.2f} ({max(gaps):.2f})"


def streams():
    """Yield the table of mini-batches, medians over the seeds and the worst of them."""
    groups = defaultdict(list)
    for record in RUNS.records("streams"):
        groups[record["loss"], record["data"], record["rank"], record["batch"]].append(record)
    rows = []
    for (loss, data, rank, batch), records in sorted(groups.items()):
        pairs = [[(o / t) for o, t in zip(r["ours"]["errors"], r["theirs"]["errors"], strict=True)] for r in records]
        epochs = [median(pair[epoch] for pair in pairs) for epoch in (0, -1)]
        spent = [sum(r["ours"]["seconds"]) / sum(r["theirs"]["seconds"]) for r in records]
        until = [seconds_to_theirs(record) for record in records]
        row = [f"{loss}, {data}, {rank}", str(batch), *(f"{each:.3f}" for each in epochs)]
        rows.append([*row, f"{max(map(max, pairs)):.3f}", f"{median(spent):.2f}", shown(median(until))])
    columns = [
        "loss, data, rank",
        "batch",
        "error, first epoch",
        "last",
        "worst of all",
        "time an epoch",
        "time to theirs",
    ]
    yield from table(columns, rows)


def seconds_to_theirs(record):
    """Our time until their error after the last epoch, over the time that they took."""
    ours, theirs = record["ours"], record["theirs"]
    for epoch, error in enumerate(ours["errors"], 1):
        if error <= theirs["errors"][-1]:
            return sum(ours["seconds"][:epoch]) / sum(theirs["seconds"])
    return math.inf


def memory():
    """Yield the table of peak memory."""
    rows = []
    for record in RUNS.records("memory"):
        pairs = zip(record["mib"]["ours"], record["mib"]["theirs"], strict=True)
        rows.append([record["case"], *(f"{ours:.0f} / {theirs:.0f}" for ours, theirs in pairs)])
    yield from table(["case", "one thread: nmfnet / scikit-learn", "two threads"], rows)


def company():
    """Yield the table of threads."""
    rows = []
    for record in RUNS.records("company"):
        pairs = [
            record["seconds"][f"{which}, {where}"] for which in ("ours", "theirs") for where in ("alone", "beside")
        ]
        rows.append(
            [record["case"], *(f"{one:.2f} / {two:.2f}" for one, two in pairs), f"{pairs[1][1] / pairs[1][0]:.2f}"]
        )
    columns = ["case", "nmfnet, alone", "beside", "scikit-learn, alone", "beside", "nmfnet: two over one, beside"]
    yield from table(columns, rows)
