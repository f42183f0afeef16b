"""A factorization of sparse rows on disk, beside scikit-learn's MiniBatchNMF.

    python benchmarks/factorization/larger_than_memory.py make FOLDER             # 100,000 x 30,000, 5 % of it: 1.2 GB
    python benchmarks/factorization/larger_than_memory.py nmfnet FOLDER 2 5 10    # passes
    python benchmarks/factorization/larger_than_memory.py sklearn FOLDER 1 2 4    # passes

The rows are counts from 50 planted topics, in 20 files of scipy.sparse.save_npz.  nmfnet gets the folder.
MiniBatchNMF gets all rows in memory, with its default batches of 1024: its `fit` keeps Z, whereas its `partial_fit`,
which could read files, solves for the Z of each batch anew.  Seconds are those of `fit`; of MiniBatchNMF they are
without reading.  Each fit is a process of its own, with one thread.  Its error is that of 5000 rows from all files,
`|X - Z H| / |X|`, with the Z of nmfnet's `transform` for both.  Lines of JSON go to
benchmarks/results/factorization_on_disk.jsonl.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse

ROWS, COLUMNS, RANK, DENSITY, FILES, SCORED = 100_000, 30_000, 50, 0.05, 20, 5000
RESULTS = Path(__file__).parents[1] / "results" / "factorization_on_disk.jsonl"


def make(folder):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    topics = rng.gamma(0.3, size=(RANK, COLUMNS)).astype(np.float32)
    topics /= topics.mean()
    for number in range(FILES):
        blocks = []
        for _ in range(ROWS // FILES // 500):
            Z = rng.gamma(0.2, size=(500, RANK)).astype(np.float32)
            rate = (1.1 * DENSITY / Z.sum(1, keepdims=True)) * Z @ topics  # means of counts
            rate *= rng.gamma(2.0, 0.5, (500, 1)).astype(np.float32)  # rows are of different lengths
            there = rng.random(rate.shape, dtype=np.float32) < -np.expm1(-rate)
            rows, columns = there.nonzero()
            values = 1 + rng.poisson(rate[rows, columns] / 2).astype(np.float32)
            blocks.append(scipy.sparse.csr_matrix((values, (rows, columns)), rate.shape))
        scipy.sparse.save_npz(folder / f"part-{number:02}.npz", scipy.sparse.vstack(blocks, "csr"), compressed=False)


def fitted(way, folder, passes):
    """H (k, n) after so many passes, and the seconds that they took."""
    if way == "nmfnet":
        from nmfnet import NMF

        model, start = NMF(RANK, init="random", max_iter=passes, tol=0, random_state=0), time.perf_counter()
        model.fit(folder)
    else:
        from sklearn.decomposition import MiniBatchNMF

        model = MiniBatchNMF(RANK, init="random", max_iter=passes, tol=0, max_no_improvement=None, random_state=0)
        X, start = in_memory(folder), time.perf_counter()
        model.fit(X)
    return model.components_, time.perf_counter() - start


def in_memory(folder):
    """All rows as one matrix, its arrays filled file by file."""
    paths = sorted(folder.glob("*.npz"))
    stored = [scipy.sparse.load_npz(path).nnz for path in paths]
    data, columns = np.empty(sum(stored), np.float32), np.empty(sum(stored), np.int32)
    starts, place, rows = np.zeros(ROWS + 1, np.int32), 0, 0
    for path in paths:
        X = scipy.sparse.load_npz(path)
        data[place : place + X.nnz], columns[place : place + X.nnz] = X.data, X.indices
        starts[rows + 1 : rows + 1 + X.shape[0]] = X.indptr[1:] + place
        place, rows = place + X.nnz, rows + X.shape[0]
    return scipy.sparse.csr_matrix((data, columns, starts), (ROWS, COLUMNS))


def fit(way, folder, passes):
    import torch

    torch.set_num_threads(1)
    H, seconds = fitted(way, folder, passes)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    line = {"way": way, "passes": passes, "seconds": round(seconds, 1), "peak MiB": int(peak.split()[1]) // 1024}
    line["error"] = round(error(H, folder), 6)
    with RESULTS.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(line, flush=True)


def error(H, folder):
    """Relative error of some rows of all files, whose Z is the best for H."""
    from nmfnet import NMF

    paths = sorted(folder.glob("*.npz"))
    X = scipy.sparse.vstack([scipy.sparse.load_npz(path)[: SCORED // len(paths)] for path in paths], "csr")
    X = X.astype(H.dtype)
    model = NMF(RANK, init="custom", max_iter=1).fit(X, W=np.ones((X.shape[0], RANK), H.dtype), H=H.copy())
    model.components_ = H
    Z = model.transform(X)
    inner = float((Z * (X @ H.T)).sum(dtype=float))
    square = float(((Z.T @ Z).astype(float) * (H @ H.T)).sum())
    total = float((X.data.astype(float) ** 2).sum())
    return ((total - 2 * inner + square) / total) ** 0.5


if __name__ == "__main__":
    way, folder = sys.argv[1], Path(sys.argv[2])
    if way == "make":
        make(folder)
    elif len(sys.argv) == 4:
        fit(way, folder, int(sys.argv[3]))
    else:
        for passes in sys.argv[3:]:
            subprocess.run([sys.executable, __file__, way, folder, passes], check=True)
