"""The data of the comparisons, and how their results are stored."""

import functools
import hashlib
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
import scipy.sparse
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfTransformer

import nmfnet

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where `store` is, for all scripts of this folder
from store import RESULTS, Store

RUNS = Store(RESULTS / "factorization", "case")  # of the tasks "speed" and "quality"
SOURCE = Path(nmfnet.__file__).parent


def load(case):
    """Return the array of a case."""
    make, dtype = DATA[case["data"]], case.get("dtype", "float64")
    return make().astype(dtype)


def fashion(rows=None):
    """Fashion-MNIST's training images, or the first of them; counts of grey from 0 to 1."""
    return nmfnet.datasets.load("fashion-mnist").X_train[:rows]


def mnist(rows=None):
    """MNIST's training images, or the first of them."""
    return nmfnet.datasets.load("mnist").X_train[:rows]


def digits():
    """scikit-learn's 1,797 images of 8 x 8, of numbers from 0 to 16."""
    return load_digits().data


def faces(side=64):
    """Olivetti's size, 400 x 4096, or smaller images: blobs on a grid that forty people share in ten poses."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, side)] * 2), -1).reshape(-1, 2)
    centers, widths = rng.random((120, 2)), rng.uniform(0.02, 0.15, 120)
    parts = np.exp(-((grid[None] - centers[:, None]) ** 2).sum(-1) / (2 * widths[:, None] ** 2))
    people = rng.gamma(0.5, 1, (40, 120)).repeat(10, 0)
    X = (people * rng.gamma(4, 0.25, (400, 120))) @ parts
    return X / X.max() + 0.02 * rng.random(X.shape)


def counts():
    """Poisson counts of 20 planted programs in 1,000 cells of 400 genes of very different sizes."""
    rng = np.random.default_rng(0)
    genes = rng.gamma(0.3, 1, (20, 400)) * rng.lognormal(0, 1, 400)
    cells = rng.dirichlet(np.full(20, 0.2), 1000) * rng.lognormal(7, 0.5, (1000, 1))
    return rng.poisson(cells @ (genes / genes.sum(1, keepdims=True))).astype(float)


def spectra():
    """800 mixtures of 30 substances at 500 wavelengths: Lorentzian lines, shot noise."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 500)
    pure = np.zeros((30, 500))
    for substance in pure:
        for center, width in zip(rng.random(12), rng.uniform(0.002, 0.02, 12), strict=True):
            substance += rng.gamma(1.0) / (1 + ((x - center) / width) ** 2)
    amounts = rng.dirichlet(np.full(30, 0.3), 800)
    return rng.poisson(2000 * amounts @ pure) / 2000


def words():
    """Sparse word counts of 2,000 documents, 3,000 words, 20 topics; a third of the words by Zipf's law alone."""
    rng = np.random.default_rng(0)
    common = 1 / np.arange(1, 3001)
    topics = rng.dirichlet(np.full(3000, 0.02), 20)
    mixtures = rng.dirichlet(np.full(20, 0.1), 2000)
    documents = []
    for mixture, length in zip(mixtures, rng.poisson(80, 2000), strict=True):
        p = 0.35 * common / common.sum() + 0.65 * mixture @ topics
        documents.append(scipy.sparse.csr_matrix(rng.multinomial(1 + length, p / p.sum())))
    return scipy.sparse.vstack(documents).tocsr().astype(float)


def tfidf():
    """The same as TF-IDF."""
    return TfidfTransformer().fit_transform(words())


def text():
    """Words by Zipf's law in forty topics, 20,000 x 50,000, 0.1 % of the matrix."""
    rng = np.random.default_rng(0)
    m, n, entries = 20_000, 50_000, 1_000_000
    words = np.arange(1, n + 1) ** -0.8
    topics = words * rng.gamma(0.1, 1, (40, n))
    topics /= topics.sum(1, keepdims=True)
    of_rows = rng.integers(40, size=m)
    rows, columns = [], []
    for topic in range(40):
        members = np.flatnonzero(of_rows == topic)
        count = round(1.25 * entries * len(members) / m)
        rows.append(rng.choice(members, count))
        columns.append(rng.choice(n, count, p=topics[topic]))
    ones = np.ones(sum(map(len, rows)))
    X = scipy.sparse.csr_matrix((ones, (np.concatenate(rows), np.concatenate(columns))), shape=(m, n))
    X.data = np.log1p(X.data)
    return X


DATA = {
    "fashion": fashion,
    "fashion-20000": lambda: fashion(20_000),
    "fashion-2000": lambda: fashion(2000),
    "mnist-2000": lambda: mnist(2000),
    "digits": digits,
    "digits-csr": lambda: scipy.sparse.csr_matrix(digits()),
    "faces": faces,
    "faces-32": lambda: faces(32),
    "counts": counts,
    "spectra": spectra,
    "words": words,
    "tfidf": tfidf,
    "text": text,
}


def version(*settings):
    """Hash of the code that is measured and of a case's settings: another one makes a stored result stale."""
    return hashlib.sha1(sources() + json.dumps(settings).encode()).hexdigest()[:12]


@functools.cache  # what runs is the code of the start, whatever becomes of its files meanwhile
def sources():
    """The code that is measured."""
    files = sorted(file for part in ("factorization", "transformers") for file in (SOURCE / part).glob("*.py"))
    return b"".join(file.read_bytes() for file in files)


def stored(task, case, key, idle):
    """Whether this result is there, of this version, and made on an idle machine if that is asked for."""
    result = RUNS.find(task, case)
    return result is not None and result["version"] == key and (result["idle"] or not idle)


@functools.cache
def processor():
    """The model of the processor, or its kind where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = dict(map(str.strip, line.split(":", 1)) for line in reversed(lines) if ":" in line)
    return " ".join(fields[name] for name in ("vendor_id", "model name") if name in fields) or platform.machine()


def add(task, case, key, idle, threads, result):
    """Write a result as soon as it is there."""
    conditions = {
        "version": key, "idle": idle, "threads": threads, "load": os.getloadavg()[0], "machine": processor(),
        "sklearn": sklearn.__version__, "torch": torch.__version__, "numpy": np.__version__,
    }  # fmt: skip
    RUNS.add(task, {"case": case, **result, **conditions})
