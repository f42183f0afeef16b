"""Write docs/results/factorization.md from the stored results.

python benchmarks/factorization/report.py
"""

from cases import RUNS, version
from curve_tables import best_known, cases, company, memory, seeds, streams, summary
from speed import CASES
from store import REPORTS

HEAD = """# The factorizations against scikit-learn

Written by `python benchmarks/factorization/report.py` from
[benchmarks/results/factorization](../../benchmarks/results/factorization). The scripts in `benchmarks/factorization`
make the results, and say how in their first lines. scikit-learn is {sklearn}, PyTorch {torch}, NumPy {numpy}. The
curves are of the present code, of one machine: an AMD EPYC (Zen 4, AVX-512) of two cores, that other work shared, with
a load of 5 to 12. Sections of earlier code say so.

## How to read the curves

Both packages fit each data set as they come: `NMF(rank, random_state=seed)`, and for the divergence `solver="mu"` and
`beta_loss="kullback-leibler"`. There are three ranks. How many fits there are, as the machine's
time ran out: {seeds}.

- *Best*: the lowest objective that any fit of nmfnet, scikit-learn or torchnmf reached on this data set and rank, over
  all seeds and dtypes, with all the time it had, with earlier code and on other machines, too. It is that of a local
  minimum; nobody knows the global one.
- *Time to 0.1 %*: processor seconds of one thread until the objective is at most 1.001 times the best. The objective
  is ‖X − ZH‖²/2, or the divergence. Factors of the search for a start count from the moment it has them. *never*: not
  within twice the time of the slower default fit, or half a second.
- *Ratio*: nmfnet's time over scikit-learn's. Where scikit-learn never arrived, the end of its fit counts, so that the
  ratio is too large. Where scikit-learn alone arrived, the ratio is infinite. Where neither did, the fit is left out.
- *Final*: at default `tol` and `max_iter`, in percent above the best: median of the seeds and, in brackets, the worst.
  nmfnet and scikit-learn stop by different criteria. The first fit of a process takes a quarter of a second more,
  which is digits at rank 5 with the Frobenius norm.

*torchnmf* 0.3.5 takes multiplicative steps from a random start, one seed, with its default settings. nimfa 1.4.0 does
not run with NumPy 2, and so is not in the tables.
"""

EARLIER = """
## Time to scikit-learn's own final objective

Larger data, one seed. A run marked *shared* was made while other work ran on the machine: there the times are
processor seconds. *Earlier code*: the factorizations have changed since; [the log](../research/log.md) says what
the change brought. *fashion-200* is compared with scikit-learn's first 40 iterations; *transform* is of 2,000 rows
with the same components. How high scikit-learn's end is depends on luck, and so does the time to it: the curves above
say more.
"""

MINIBATCHES = """
## Mini-batches

`partial_fit` on the same batches, five epochs, from the same random start. Errors are nmfnet's over those
of scikit-learn's MiniBatchNMF: the root of twice the loss of the best coefficients for the components. *Time to
theirs*: seconds until nmfnet's error is no larger than scikit-learn's after five epochs, over the time of these five.
Errors and times are medians of three seeds, and *worst of all* is the largest ratio of an epoch. A loaded machine.
"""

MEMORY = """
## Memory

Peak resident memory of a fit of at most 30 passes, less that before the fit, in MiB. The same fit comes before it in
its process, so that what libraries load does not count, and what is freed is given back at once.
"""

COMPANY = """
## Beside a busy process

Seconds of a fit with one thread / with two, on two cores: alone, and beside a process that keeps one core busy.
"""


def speed():
    """Yield the lines of the table of times."""
    yield EARLIER
    columns = (
        "case|shape|rank|tol|scikit-learn, s (iterations)|nmfnet, s (passes)|share|share until within 0.1 %|"
        "peak MiB, theirs / ours|machine"
    )
    yield f"| {columns.replace('|', ' | ')} |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for result in RUNS.records("speed"):
        clock = "seconds" if result["idle"] else "cpu"
        theirs, ours = result["theirs"], result["ours"]
        gap = ours["objective"] / theirs["objective"] - 1
        share = f"**{ours[clock] / theirs[clock]:.2f}**" if ours["reached"] else f"ends {100 * gap:.2g} % above"
        near = f"{ours['near'][clock] / theirs[clock]:.2f}" if ours.get("near") else "-"
        memory = " / ".join(f"{result['memory'][k]:.0f}" for k in ("theirs", "ours")) if "memory" in result else "-"
        made = "" if result["version"] == version(CASES[result["case"]]) else ", earlier code"
        shape = " × ".join(map(str, result["shape"]))
        yield (
            f"| {result['case']} | {shape} | {result['rank']} | {result.get('tol', 1e-4):g} | "
            f"{theirs[clock]:.1f} ({theirs['passes']}) | {ours[clock]:.1f} ({ours['passes']}) | {share} | {near} | "
            f"{memory} | {'idle' if result['idle'] else 'shared'}, {result['threads']} thread{made} |"
        )


def quality():
    """Yield the tables of missing values and of the autoencoder."""
    for result in RUNS.records("quality"):
        yield f"\n## {result['title']}\n\n{result['note']}\n"
        yield "| " + " | ".join(result["columns"]) + " |"
        yield "| --- " + "| ---: " * (len(result["columns"]) - 1) + "|"
        for row in result["rows"]:
            yield "| " + " | ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row) + " |"
        if "picture" in result:
            yield f"\n![{result['title']}](factorization/{result['picture']})"


def curves():
    """Yield the tables of objective against time, of mini-batches and of threads."""
    best = best_known()
    for loss, name in (("frobenius", "Frobenius norm"), ("kullback-leibler", "Kullback-Leibler divergence")):
        yield f"\n## {name}: time to near the best objective"
        yield "\nRatios over all fits.\n"
        yield from summary(loss, best)
        yield "Medians over the seeds: nmfnet / scikit-learn.\n"
        yield from cases(loss, best)
    parts = ("memory", MEMORY, memory), ("streams", MINIBATCHES, streams), ("company", COMPANY, company)
    for task, title, lines in parts:
        if RUNS.records(task):
            yield title
            yield from lines()


def head():
    """The introduction, with the versions of the newest curve."""
    versions = RUNS.records("curves")[-1]
    return HEAD.format(seeds=seeds(), **{name: versions[name] for name in ("sklearn", "torch", "numpy")})


if __name__ == "__main__":
    text = "\n".join([head(), *curves(), *speed(), *quality()]) + "\n"
    (REPORTS / "factorization.md").write_text(text)
    print(text)
