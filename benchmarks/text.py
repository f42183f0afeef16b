"""Documents of seven classes by TF-IDF, against scikit-learn's logistic regression and MLP.

    python -m benchmarks.text                    # over an hour; runs are stored, and go on where they were stopped
    python -m benchmarks.text drawn-500x5000 docstrings-2000      # some cases alone
    python -m benchmarks.text report             # docs/results/text.md from what is stored

Cases of 500 words have the most frequent ones.  Drawn cases have about 60 words a document, a share of them of the
topic, by a Dirichlet distribution over words, the others by Zipf's law.  The others are real texts of at most 40
words, or pieces of 120 (benchmarks/corpora.py).  All models have their defaults and one hidden layer of 100; nmfnet
also has none; logistic regression also has its C chosen among 1, 10, 100 and 1000 by three folds.  Settings of nmfnet
are chosen on development cases: half of the texts of three corpora, and drawn ones.  The other half of them and three
corpora are held back.  Error in per cent, log-loss, seconds of a processor with one thread.  To measure a changed
nmfnet delete its lines in benchmarks/results/text.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import platform
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.corpora import tfidf
from benchmarks.store import REPORTS, RESULTS, Store
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from nmfnet import NMFNetClassifier

RUNS = Store(RESULTS / "text", "case", "model", "seed")
TEST, CLASSES, WORDS, SPREAD = 1000, 7, 60, 0.02
DEVELOPMENT, HELD_BACK = "development", "held_back"


@dataclass(frozen=True)
class Case:
    """Documents of a corpus or a half of it, with its most frequent `words` or all of them.

    Or drawn ones with `columns` words and a share of them of the `topic`.
    """

    rows: int
    seeds: range
    corpus: str | None = None
    half: int | None = None
    columns: int = 0
    topic: float = 0.0
    words: int | None = None

    def split(self, seed: int) -> tuple[Any, np.ndarray, Any, np.ndarray]:
        """Training rows and classes, and those of the test."""
        if self.corpus is not None:
            return tfidf(self.corpus, self.rows, TEST, seed, self.half, self.words)
        X, y = documents(self.rows + TEST, self.columns, self.topic, seed)
        return X[: self.rows], y[: self.rows], X[self.rows :], y[self.rows :]


SIZES = {500: 3, 2000: 3, 5000: 1}  # rows of real texts -> seeds
FEW_WORDS = 500
WHOLE = ("docstrings", "library", "pieces")  # corpora that are held back
MOST = {"packages": 2000, "manuals": 500, "library": 500}  # rows of corpora that have no more texts
DRAWN = ((500, 5000, 0.2, 2), (2000, 2000, 0.1, 2), (3000, 12_000, 0.1, 1), (6000, 5000, 0.08, 1))
CASES = {
    half: {
        **{
            f"{corpus}-{n}{name}": Case(n, range(first, first + seeds), corpus, half_of_texts)
            for corpus, half_of_texts in corpora.items()
            for n, seeds in SIZES.items()
            if n <= MOST.get(corpus, n)
        },
        **{
            f"{corpus}-500-of-{FEW_WORDS}-words{name}": Case(
                500, range(first, first + 3), corpus, half_of_texts, words=FEW_WORDS
            )
            for corpus, half_of_texts in corpora.items()
        },
        **{
            f"drawn-{n}x{columns}{name}": Case(n, range(first, first + seeds), columns=columns, topic=topic)
            for n, columns, topic, seeds in DRAWN
        },
    }
    for half, corpora, first, name in (
        (DEVELOPMENT, {"packages": 0, "code": 0, "manuals": 0}, 100, "-development"),
        (
            HELD_BACK,
            {"packages": 1, "code": 1, "manuals": 1, "docstrings": None, "library": None, "pieces": None},
            0,
            "",
        ),
    )
}
MODELS: dict[str, Any] = {
    "nmfnet": lambda seed: NMFNetClassifier((100,), random_state=seed),
    "nmfnet, linear": lambda seed: NMFNetClassifier((), random_state=seed),
    "logistic regression, C = 1": lambda seed: LogisticRegression(max_iter=1000),
    "logistic regression, C chosen": lambda seed: LogisticRegressionCV(
        Cs=[1, 10, 100, 1000], cv=3, scoring="neg_log_loss", max_iter=1000, use_legacy_attributes=False
    ),
    "MLPClassifier": lambda seed: MLPClassifier((100,), random_state=seed),
}


def documents(n: int, columns: int, topic: float, seed: int) -> tuple[Any, np.ndarray]:
    """TF-IDF (n, columns) and the classes (n,)."""
    rng = np.random.default_rng(seed)
    common = 1 / np.arange(1, columns + 1)
    common /= common.sum()
    y = rng.integers(0, CLASSES, n)
    rows = np.repeat(np.arange(n), 1 + rng.poisson(WORDS * rng.gamma(4, 0.25, n)))
    words = drawn(rng, common, len(rows))
    of_topic = rng.random(len(rows)) < topic
    for label in range(CLASSES):
        mine = of_topic & (y[rows] == label)
        words[mine] = drawn(rng, rng.gamma(SPREAD, 1, columns) * common**0.5, int(mine.sum()))
    counts = csr_matrix((np.ones(len(rows)), (rows, words)), shape=(n, columns))
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts), y


def drawn(rng: np.random.Generator, weights: np.ndarray, n: int) -> np.ndarray:
    """Numbers of n words, with such weights."""
    return np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(n) * (1 - 1e-6))


def run(half: str, name: str, case: Case) -> None:
    """Fit what is not stored of a case."""
    for seed in case.seeds:
        missing = [model for model in MODELS if RUNS.find(half, name, model, seed) is None]
        if not missing:
            continue
        X, y, X_test, y_test = case.split(seed)
        for model in missing:
            start = time.process_time()
            fitted = MODELS[model](seed).fit(X, y)
            seconds = time.process_time() - start
            P = fitted.predict_proba(X_test)
            found = {
                "shape": list(X.shape),
                "words": X.nnz / X.shape[0],
                "error": 100 * float(np.mean(fitted.predict(X_test) != y_test)),
                "log_loss": float(log_loss(y_test, P, labels=fitted.classes_)),
                "seconds": seconds,
                "epochs": int(np.max(fitted.n_iter_)),
            }
            RUNS.add(half, {"case": name, "model": model, "seed": seed, **found})
            print(f"{name}, {model}, {seed}: {found['error']:.2f} {found['log_loss']:.3f} {seconds:.1f}", flush=True)


INTRODUCTION = f"""# Text

How good is nmfnet on short texts, beside scikit-learn's logistic regression and `MLPClassifier`? All get the same
TF-IDF matrix and predict one of seven classes. Cases *of 500 words* have the most frequent ones only. Made by
`python -m benchmarks.text`, which says what the texts are.

The first word in the name of a case says which texts it has:

| word | texts | classes |
| --- | --- | --- |
| packages | one-line descriptions of Debian's packages | sections of Debian |
| manuals | the beginnings of manual pages | sections of the manual |
| code, docstrings | functions and classes of seven Python packages | the packages |
| library | functions and classes of seven packages of Python's own library | the packages |
| pieces | pieces of 120 words of the files of seven Python packages | the packages |
| drawn | random words, some of them from a distribution of the class | seven distributions |

| column | model |
| --- | --- |
| nmfnet | `NMFNetClassifier((100,))`, one hidden layer of 100 units |
| nmfnet, linear | `NMFNetClassifier(())`, no hidden layer |
| logistic regression, C = 1 | `LogisticRegression`, whose default this is |
| logistic regression, C chosen | `LogisticRegressionCV`: the C is 1, 10, 100 or 1000, chosen by three folds |
| MLPClassifier | one hidden layer of 100 units |

All other settings are the defaults. Errors and log-losses are those of 1000 other documents, means over the seeds. The
best of a row is bold. Seconds are processor seconds of a fit on one thread ({platform.machine()}). Other programs ran
on the machine, so compare seconds with each other only. Behind the seconds is the number of epochs, of a logistic
regression that of iterations.

Settings of nmfnet were chosen on one part of the texts, and the other part was held back for this comparison."""
TITLES = {
    DEVELOPMENT: "Texts on which settings were chosen",
    HELD_BACK: "Texts that were held back",
}
REMARKS = {
    DEVELOPMENT: "",
    HELD_BACK: "Of some of these an earlier choice of settings had been measured once:\n"
    "[Findings](../research/text.md#how-good-the-defaults-are) says which. Other pieces of the same files led to\n"
    "[two rules](../research/text.md#the-case-that-was-reported), so *pieces* were not quite held back.\n",
}
FIGURES = (("Error, %", ".2f"), ("Log-loss", ".3f"), ("Processor seconds (epochs)", ".1f"))


def report() -> None:
    """Write the page: tables for each half, with means of the seeds, and ratios over all cases of it."""
    lines = [INTRODUCTION]
    for half, title in TITLES.items():
        lines += ["", f"## {title}", "", *([REMARKS[half]] if REMARKS[half] else [])]
        found = {name: {model: _runs(half, name, model) for model in MODELS} for name in CASES[half]}
        lacking = [name for name, runs in found.items() if not runs["nmfnet"]]
        found = {name: runs for name, runs in found.items() if runs["nmfnet"]}
        means = np.array([_of_case(runs) for runs in found.values()])
        lines += _cases(found)
        for i, (figure, digits) in enumerate(FIGURES):
            lines += ["", f"{figure}:", "", f"| case |{''.join(f' {model} |' for model in MODELS)}"]
            lines.append("| --- |" + " ---: |" * len(MODELS))
            for name, each in zip(found, means, strict=True):
                lines.append(f"| {name} | {' | '.join(_cells(each, i, digits))} |")
        if found:
            lines += ["", *_ratios(means)]
        if lacking:
            lines += ["", f"Not run with this version: {', '.join(lacking)}."]
    (REPORTS / "text.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _cases(found: dict[str, dict[str, list[dict[str, Any]]]]) -> list[str]:
    """A table of what the cases are."""
    lines = ["| case | documents × words | words a document | seeds |", "| --- | --- | ---: | ---: |"]
    for name, runs in found.items():
        first = runs["nmfnet"][0]
        rows, columns = first["shape"]
        lines.append(f"| {name} | {rows} × {columns} | {first['words']:.0f} | {_seeds(runs)} |")
    return lines


def _ratios(figures: np.ndarray) -> list[str]:
    """Of nmfnet's figures to those of each other model, over the cases; (cases, models, figures)."""
    lines = [
        f"nmfnet's figures divided by those of another model: geometric means over these {len(figures)} cases, as far "
        "as both were run.",
        "In brackets: in how many cases nmfnet's figure is no larger.",
        "",
        "| nmfnet over | error | log-loss | seconds |",
        "| --- | ---: | ---: | ---: |",
    ]
    for i, model in enumerate(MODELS):
        if i:
            ratios = np.exp(np.nanmean(np.log(figures[:, 0, :3] / figures[:, i, :3]), axis=0))
            no_more = (figures[:, 0, :3] <= figures[:, i, :3]).sum(0)
            cells = [f"{ratio:.2f} ({count})" for ratio, count in zip(ratios, no_more, strict=True)]
            lines.append(f"| {model} | {' | '.join(cells)} |")
    return lines


def _seeds(runs: dict[str, list[dict[str, Any]]]) -> int:
    """How many seeds all models of a case have, of those that were run."""
    return min(len(each) for each in runs.values() if each)


def _of_case(runs: dict[str, list[dict[str, Any]]]) -> np.ndarray:
    """Means of each model over the seeds that all have; (models, figures)."""
    return np.array([_means(each[: _seeds(runs)]) for each in runs.values()])


def _runs(half: str, case: str, model: str) -> list[dict[str, Any]]:
    return [each for each in RUNS.records(half) if each["case"] == case and each["model"] == model]


def _means(runs: list[dict[str, Any]]) -> np.ndarray:
    """Error, log-loss, seconds and epochs; NaN of no runs."""
    fields = ("error", "log_loss", "seconds", "epochs")
    return np.mean([[run[field] for field in fields] for run in runs], axis=0) if runs else np.full(4, np.nan)


def _cells(figures: np.ndarray, i: int, digits: str) -> list[str]:
    """A figure of all models, the least of them bold; the seconds with the epochs."""
    cells = []
    for each in figures:
        text = f"{each[i]:{digits}}"
        text = f"**{text}**" if each[i] == np.nanmin(figures[:, i]) else text
        text = f"{text} ({each[3]:.0f})" if i == len(FIGURES) - 1 else text
        cells.append("–" if np.isnan(each[i]) else text)
    return cells


def main(names: list[str]) -> None:
    """Measure cases and write the page."""
    warnings.simplefilter("ignore")  # ConvergenceWarning of the MLP
    for half, cases in CASES.items():
        for name, case in cases.items():
            if not names or name in names:
                run(half, name, case)
    report()


if __name__ == "__main__":
    main(sys.argv[1:])
