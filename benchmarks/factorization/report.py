"""Write docs/results/factorization.md from the stored results.

python benchmarks/factorization/report.py
"""

from textwrap import fill

from cases import RUNS, version
from curve_tables import best_known, cases, company, memory, seeds, streams, summary
from speed import CASES
from store import REPORTS

HEAD = """# The factorizations against scikit-learn

How long do nmfnet's factorizations take to a good result, and how good is it, beside scikit-learn's? Both packages fit
each data set with their defaults: `NMF(rank, random_state=seed)`. For the Kullback-Leibler divergence they also have
`solver="mu"` and `beta_loss="kullback-leibler"`. Each data set has three ranks. *Frobenius* means least squares.

- **Made by** the scripts in `benchmarks/factorization`, which say how in their first lines. Their results are in
  [benchmarks/results/factorization](../../benchmarks/results/factorization). `python
  benchmarks/factorization/report.py` writes this page.
- **Versions:** scikit-learn {sklearn}, PyTorch {torch}, NumPy {numpy}.
- **Code.** The curves of the Frobenius norm are of the present code (2026-12-01). Those of tfidf were made
  again after the last change, which concerns sparse data alone. The other parts are of earlier code: sparse data
  take less memory now ([Findings](../research/factorizations.md#memory-and-threads)).
- **Machines.** The next table says which part is of which machine. Both have two cores and AVX-512. Other programs ran
  on them: 3 to 23 processes at a time.

| part | Intel Xeon | AMD EPYC (Zen 4) |
| --- | --- | --- |
| curves, Frobenius norm | | all |
| curves, Kullback-Leibler divergence | the others | tfidf; words at rank 40 |
| memory | faces, tfidf, words | the others |
| mini-batches, fits beside a busy process | | all |

The data sets of the curves:

| data | what they are |
| --- | --- |
| counts | Poisson counts of 20 planted patterns |
| digits, digits-csr | scikit-learn's digits, dense and sparse |
| faces-32 | drawn pictures of 32 × 32 pixels: blobs on a grid, as parts of faces |
| fashion-2000, mnist-2000 | the first 2000 images of Fashion-MNIST and MNIST |
| spectra | mixtures of 30 drawn spectra |
| words, tfidf | sparse word counts of drawn documents, and the same as TF-IDF |

Of the divergence some seeds are missing, as the machine had no more time. Number of fits:

{seeds}

## How to read the curves

A *curve* is the objective against the time of one fit. The objective is ‖X − ZH‖²/2, or the divergence.

- *Best* is the lowest objective known for a data set and rank. Any fit of nmfnet, scikit-learn, torchnmf or nimfa
  counts: any seed, dtype and machine, also of earlier code. It is a local minimum. Nobody knows the global one.
- *s to 0.1 %*, the time to 0.1 %, are the processor seconds of one thread until the objective is at most 1.001 times
  the best. nmfnet searches for a start first. The factors found in the search count from the moment it has them.
- *To arrive* is to come that near. *Never* means: not within half a second, and not within twice the time of the
  slower default fit of the two packages.
- *Ratio* is nmfnet's time divided by scikit-learn's. If only nmfnet arrived, the end of scikit-learn's fit counts as
  its time, so the ratio is larger than it should be. If only scikit-learn arrived, the ratio is infinite, written
  *never*. If neither did, the fit is left out. So *12 of 165* are 12 of the 165 fits in which one of the two arrived.
- *Final* is the objective with default `tol` and `max_iter`, in percent above the best: the median of the seeds, in
  brackets the worst. nmfnet and scikit-learn stop by different criteria.
- *torchnmf* (version 0.3.5, in float32) and *nimfa* (version 1.4.0, in float64, with NumPy 1.26) have their defaults:
  multiplicative steps from a random start, at most 200 of torchnmf and 30 of nimfa, one seed. Their columns are final
  objectives, too, in percent above the best. An empty field was not run.

The first fit of a process takes up to a quarter of a second more. In these runs that is each fit of digits at rank 5
in float64, so the worst ratios of the time of a fit are of it. The worst of all others is 2.1 (faces-32, rank 40).
"""

EARLIER = """
## Time to scikit-learn's own final objective

How long does nmfnet take to the objective at which scikit-learn ends? The data are larger here. One seed.

| column | meaning |
| --- | --- |
| share | nmfnet's time to scikit-learn's final objective, divided by scikit-learn's time |
| share until within 0.1 % | the same for an objective that is 0.1 % higher |
| machine | *idle*: nothing else ran. *shared*: other programs ran, and the times are processor seconds |
| earlier code | the factorizations have changed since ([Findings](../research/factorizations.md)) |

Names have the data and the rank: faces are drawn pictures of 64 × 64 pixels, fashion is Fashion-MNIST, text are word
counts of drawn documents. *Tight* has a smaller `tol`. *fashion-200* has scikit-learn's first 40 iterations only.
*minibatch* is `fit` in mini-batches. *transform* finds the coefficients of 2,000 rows for the same components.

Where scikit-learn ends is partly luck, and so is the time to it. The curves above say more.
"""

MINIBATCHES = """
## Mini-batches

`partial_fit` of `NMF` and of scikit-learn's `MiniBatchNMF` on the same batches, five epochs, from the same random
start. All numbers are nmfnet's divided by scikit-learn's: below 1 nmfnet is better. They are medians of three seeds,
except *worst of all*. Other programs ran on the machine.

- *Error* of the components after the first and the last epoch: the root of twice the loss, with the best coefficients
  for these components. *Worst of all* is the largest ratio of any epoch and seed.
- *Time an epoch*: processor seconds.
- *Time to theirs*: nmfnet's seconds until its error is no larger than scikit-learn's after five epochs, divided by
  scikit-learn's seconds for these five.
"""

MEMORY = """
## Memory

Peak resident memory of a fit of at most 30 passes, minus the memory before the fit, in MiB. In each process the same
fit ran once before, so what the libraries load does not count. What is freed goes back to the system at once. The
number behind the data is the rank. *KL* is the Kullback-Leibler divergence. These runs are of earlier code
([Findings](../research/factorizations.md#memory-and-threads) has newer numbers).
"""

COMPANY = """
## Beside a busy process

Does a second thread help? Seconds of a fit with one thread / with two, on a machine of two cores. *Alone*: nothing
else runs. *Beside*: another process keeps one core busy. The last column is nmfnet's time with two threads, divided by
that with one.
"""


def speed():
    """Yield the lines of the table of times."""
    yield EARLIER
    columns = (
        "case|shape|rank|tol|scikit-learn, s (iterations)|nmfnet, s (passes)|share|share until within 0.1 %|"
        "peak MiB, scikit-learn / nmfnet|machine"
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
        threads = f"{result['threads']} thread{'s' * (result['threads'] > 1)}"
        yield (
            f"| {result['case']} | {shape} | {result['rank']} | {result.get('tol', 1e-4):g} | "
            f"{theirs[clock]:.1f} ({theirs['passes']}) | {ours[clock]:.1f} ({ours['passes']}) | {share} | {near} | "
            f"{memory} | {'idle' if result['idle'] else 'shared'}, {threads}{made} |"
        )


def quality():
    """Yield the tables of missing values and of the autoencoder."""
    for result in RUNS.records("quality"):
        yield f"\n## {result['title']}\n\n{fill(result['note'], 118)}\n"
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
        yield "\nRatios of nmfnet's time to scikit-learn's, over all fits.\n"
        yield from summary(loss, best)
        yield "Each fit, medians of the seeds: nmfnet / scikit-learn. *s to 1 %* are seconds to 1 % above the best.\n"
        yield from cases(loss, best)
    parts = ("memory", MEMORY, memory), ("streams", MINIBATCHES, streams), ("company", COMPANY, company)
    for task, title, lines in parts:
        if RUNS.records(task):
            yield title
            yield from lines()


def head():
    """The introduction, with the versions of the newest curve."""
    versions = RUNS.records("curves")[-1]
    return HEAD.format(seeds="\n".join(seeds()), **{name: versions[name] for name in ("sklearn", "torch", "numpy")})


if __name__ == "__main__":
    text = "\n".join([head(), *curves(), *speed(), *quality()]) + "\n"
    (REPORTS / "factorization.md").write_text(text)
    print(text)
