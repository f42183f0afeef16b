"""docs/results/paper.md and its figures, from the stored runs."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from matplotlib.figure import Figure

from nmfnet.plotting.axes import whole_numbers

from ..interval import interval
from ..store import REPORTS, Record, Store
from ..ticks import plain_numbers
from .claims import claims, per_epoch
from .configurations import METHODS, NAMES, SCALES, Scale, methods, network_name

COLOURS = {
    "pinv-nmf": "#D55E00", "pinv": "#E69F00", "adam-sae": "#0072B2", "adam": "#56B4E9", "adamw": "#009E73",
    "relaxed": "#CC79A7",
}  # fmt: skip
INTRODUCTION = """# The paper's evaluation

[The paper](../method.md) (Sakurai et al., 2016) compares its method with backpropagation on MNIST and CIFAR-10. This
page repeats the comparison with this package, and adds backpropagation as one would do it now. *Full* runs have all
training images. *Quick* runs have a few thousand images and smaller networks.

- **Networks** are named by their hidden layers: 1000-500 has layers of 1000 and 500 units, 9 x 100 has nine of 100.
- **Errors** are those of the test set in %, after the last epoch. They are means over the seeds. ± is the 95 %
  confidence interval of the mean, where there are three seeds or more. Nothing was chosen on the test set.
- **Seconds** are by the wall clock. They are too large, because other programs used the machine at the same time. The
  line under each figure says which share of their cores the runs got: their processor seconds, divided by their
  threads and by the seconds of the wall clock. Where it is low, seconds are several times too large. Compare seconds
  only where they differ much.
- **CIFAR-10** is a copy whose images went through JPEG compression once.

All settings are in [benchmarks/paper/configurations.py](../../benchmarks/paper/configurations.py). In the names of the
methods `pinv` stands for `solver="pinv"`, the paper's method:

| method | what it is |
| --- | --- |
"""
SIZES = {
    "full": "All training images, with 20 epochs for MNIST and 10 for CIFAR-10.",
    "quick": "The first 5000 training images of MNIST for 5 epochs, or the first 3000 of CIFAR-10 for 3 epochs. The\n"
    "paper's method has batches of 1250 images in place of 5000, and a tenth of the pre-training.",
}  # fmt: skip


def write(stores: Mapping[str, Store]) -> None:
    """Write the report and its figures."""
    lines = [INTRODUCTION + "\n".join(f"| `{name}` | {method.what} |" for name, method in METHODS.items()), ""]
    runs = {scale: stored(store) for scale, store in stores.items()}
    lines += ["## The paper's claims", "", *claims(runs), ""]
    for scale, found in runs.items():
        if any(found.values()):
            command = "make paper" + (" QUICK=1" if scale == "quick" else "")
            lines += [f"## {scale.capitalize()} runs", "", SIZES[scale], ""]
            made, wanted = sum(map(len, found.values())), _planned(SCALES[scale])
            so_far = f"All of its {made} runs" if made >= wanted else f"So far {made} of its {wanted} runs"
            lines += [f"Made by `{command}`. {so_far} have been made.", ""]
            lines += [line for data in found for line in section(scale, data, found[data])]
    (REPORTS / "paper.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _planned(scale: Scale) -> int:
    return scale.seeds * sum(
        len(methods(scale, data, hidden)) for data, networks in scale.networks.items() for hidden in networks
    )


def stored(store: Store) -> dict[str, list[Record]]:
    """Runs by data set."""
    return {data: store.records(data) for data in ("mnist", "cifar10")}


def section(scale: str, data: str, runs: list[Record]) -> Iterator[str]:
    """Tables and figure of a data set."""
    if not runs:
        return
    chosen = SCALES[scale]
    everywhere = [name for name, method in METHODS.items() if method.everywhere]
    yield from (f"### {NAMES[data]}, {scale} runs", "", f"Test error in %, {_seeds(runs)}:", "")
    yield from table(chosen, data, runs, everywhere, lambda run: run["epochs"][-1]["test"], ".2f")
    yield from _diverged(runs, chosen.epochs[data])
    timed = [run for run in runs if run["load"] is not None]  # of others nobody knows what else the machine did
    if timed:
        yield from ("", f"Seconds an epoch, {_seeds(timed, 'medians')}:", "")
        yield from table(chosen, data, timed, everywhere, per_epoch, ".2f", median=True)
        yield from ("", "Seconds before the first epoch, for pre-training and decompositions, medians:", "")
        yield from table(chosen, data, timed, everywhere, lambda run: run["before"], ".2f", median=True)
    if len(timed) < len(runs):
        yield from ("", _untimed(runs, some=bool(timed)))
    main = network_name(chosen.main[data])
    of_main = [run for run in runs if run["network"] == main]
    yield from ("", f"All methods with the network {main}, errors in %:", "")
    yield from _variants(of_main, methods(chosen, data, chosen.main[data]))
    figure = f"paper-{scale}-{data}.png"
    curves(of_main, f"{NAMES[data]}, {main}").savefig(REPORTS / figure, dpi=110)
    yield from ("", "Test error after each epoch, against epochs and against seconds, as medians over the seeds:", "")
    yield from (f"![Test error of {NAMES[data]} against epochs and seconds]({figure})", "", _made(runs), "")


def _seeds(runs: list[Record], of: str = "means") -> str:
    counts = Counter((run["network"], run["method"]) for run in runs).values()
    least, most = min(counts), max(counts)
    return f"{of} of {least} seed{'s' * (most > 1)}" if least == most else f"{of} of {least} to {most} seeds"


def _untimed(runs: list[Record], some: bool) -> str:
    names = ", ".join(f"`{name}`" for name in METHODS if any(r["method"] == name and r["load"] is None for r in runs))
    unknown = "it is not known what else the machine did during runs of"
    what = "These tables leave out runs:" if some else "There is no table of seconds:"
    return _wrapped(f"{what} {unknown} {names}. Do not compare their seconds in the figure.")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, break_on_hyphens=False)


def _diverged(runs: list[Record], epochs: int) -> Iterator[str]:
    ended = Counter((run["network"], run["method"]) for run in runs if len(run["epochs"]) < epochs)
    if ended:
        what = ", ".join(f"`{name}` with {network} ({n} seeds)" for (network, name), n in ended.items())
        yield from ("", _wrapped(f"These runs diverged and were ended before the last epoch: {what}."))


def _variants(runs: list[Record], names: list[str]) -> Iterator[str]:
    yield "| method | seeds | epochs | test | test, after epoch 1 | training | version of nmfnet |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name in names:
        of = [run for run in runs if run["method"] == name]
        if of:
            epochs = " or ".join(map(str, sorted({len(run["epochs"]) for run in of})))
            errors = [[run["epochs"][i][part] for run in of] for i, part in ((-1, "test"), (0, "test"), (-1, "train"))]
            versions = ", ".join(sorted({run["versions"]["nmfnet"] for run in of}))
            cells = [f"`{name}`", str(len(of)), epochs, *(interval(each, ".2f", ".2f") for each in errors), versions]
            yield f"| {' | '.join(cells)} |"


def _made(runs: list[Record]) -> str:
    """When and where runs were made."""
    dates = sorted({run["date"] for run in runs})
    machines = {re.sub(r"\b1 threads", "1 thread", run["machine"]) for run in runs}
    parts = [" to ".join(dict.fromkeys((dates[0], dates[-1]))), *sorted(machines)]
    parts += sorted({f"torch {run['versions']['torch']}" for run in runs})
    loads = [run["load"] for run in runs if run["load"] is not None]
    if loads:
        parts.append(f"load of the machine at most {max(loads):.1f}")
    shares = [run["share"] for run in runs if "share" in run]
    if shares:
        got = " to ".join(dict.fromkeys(f"{100 * share:.0f}" for share in (min(shares), max(shares))))
        of = f" (known of {len(shares)} of {len(runs)} runs)" if len(shares) < len(runs) else ""
        parts.append(f"share of their cores that runs got: {got} %{of}")
    return _wrapped("; ".join(parts) + ".")


def table(
    scale: Scale,
    data: str,
    runs: list[Record],
    names: list[str],
    value: Callable[[Record], float],
    digits: str,
    median: bool = False,
) -> Iterator[str]:
    """A row a network, a column a method: means with intervals, or medians."""
    names = [name for name in names if any(run["method"] == name for run in runs)]
    yield "| hidden layers | " + " | ".join(f"`{name}`" for name in names) + " |"
    yield "| --- |" + " ---: |" * len(names)
    for hidden in scale.networks[data]:
        cells = []
        for name in names:
            values = [value(r) for r in runs if r["network"] == network_name(hidden) and r["method"] == name]
            shown = f"{statistics.median(values):{digits}}" if values and median else interval(values, digits, digits)
            cells.append(shown)
        if any(cells):
            yield f"| {network_name(hidden)} | " + " | ".join(cells) + " |"


def curves(runs: list[Record], title: str) -> Figure:
    """Test error against epochs, and against seconds: medians over seeds."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, colour in COLOURS.items():
        of = [run["epochs"] for run in runs if run["method"] == name]
        if not of:
            continue
        epochs = list(zip(*of, strict=False))
        error, seconds = ([statistics.median(e[key] for e in each) for each in epochs] for key in ("test", "seconds"))
        left.plot(range(1, 1 + len(epochs)), error, color=colour, label=name, marker="o", ms=3)
        right.plot(seconds, error, color=colour, label=name, marker="o", ms=3)
    left.set(xlabel="epoch", ylabel="test error (%)", title=title)
    right.set(xlabel="seconds, pre-training included", title=title)
    whole_numbers(left.xaxis)
    plain_numbers(right, "x")
    for axes in (left, right):
        low, high = axes.get_ylim()
        if high > 2 * low:
            plain_numbers(axes, "y")
        axes.grid(alpha=0.3)
    left.legend(fontsize=8)
    return figure
