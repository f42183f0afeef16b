"""The data of the comparisons, and how their results are stored."""

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

import nmfnet

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where `store` is, for all scripts of this folder
from store import RESULTS, Store

RUNS = Store(RESULTS / "factorization", "case")  # of the tasks "speed" and "quality"
SOURCE = Path(nmfnet.__file__).parent


def load(case):
    """Return the array of a case."""
    dtype = case.get("dtype", "float64")
    if case["data"] == "fashion":
        return nmfnet.datasets.load("fashion-mnist").X_train.astype(dtype)
    rng = np.random.default_rng(0)
    if case["data"] == "faces":  # Olivetti's size, 400 x 4096: blobs on a grid that forty people share in ten poses
        grid = np.stack(np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 64)), -1).reshape(-1, 2)
        centers, widths = rng.random((120, 2)), rng.uniform(0.02, 0.15, 120)
        parts = np.exp(-((grid[None] - centers[:, None]) ** 2).sum(-1) / (2 * widths[:, None] ** 2))
        people = rng.gamma(0.5, 1, (40, 120)).repeat(10, 0)
        X = (people * rng.gamma(4, 0.25, (400, 120))) @ parts
        return (X / X.max() + 0.02 * rng.random(X.shape)).astype(dtype)
    m, n, entries = 20_000, 50_000, 1_000_000  # words by Zipf's law in forty topics, 0.1 % of the matrix
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
    return X.astype(dtype)


def version(*settings):
    """Hash of the code that is measured and of a case's settings: another one makes a stored result stale."""
    sources = sorted(file for part in ("factorization", "decomposition") for file in (SOURCE / part).glob("*.py"))
    content = [file.read_bytes() for file in sources]
    return hashlib.sha1(b"".join(content) + json.dumps(settings).encode()).hexdigest()[:12]


def stored(task, case, key, idle):
    """Whether this result is there, of this version, and made on an idle machine if that is asked for."""
    result = RUNS.find(task, case)
    return result is not None and result["version"] == key and (result["idle"] or not idle)


def add(task, case, key, idle, threads, result):
    """Write a result as soon as it is there."""
    conditions = {
        "version": key, "idle": idle, "threads": threads, "load": os.getloadavg()[0], "machine": platform.machine(),
        "sklearn": sklearn.__version__, "torch": torch.__version__, "numpy": np.__version__,
    }  # fmt: skip
    RUNS.add(task, {"case": case, **result, **conditions})
