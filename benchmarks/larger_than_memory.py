"""An epoch of a training set on disk: its memory and its speed beside that of rows in memory.

    python benchmarks/larger_than_memory.py make FOLDER 12      # 12 GB of random rows in eight files
    python benchmarks/larger_than_memory.py disk FOLDER         # an epoch of all of them
    python benchmarks/larger_than_memory.py memory FOLDER 2     # of two of the files, in memory
    python benchmarks/larger_than_memory.py disk FOLDER 2       # of the same two, from disk

Each command prints a line of JSON; benchmarks/results/larger_than_memory.jsonl has them.  Memory is the largest
resident set that the process ever had (VmHWM), the libraries included.  Files that have been used before may be in the
page cache: in a control group with less memory than they take they are read from the disk.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTH, SHARDS = 1000, 8


def make(folder, gigabytes):
    rng = np.random.default_rng(0)
    rows = int(gigabytes * 1e9 / (4 * WIDTH * SHARDS))
    means = rng.standard_normal((10, WIDTH), dtype=np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(SHARDS):
        y = np.sort(rng.integers(0, 10, rows))  # neighbours are alike: the order must be shuffled
        X = rng.standard_normal((rows, WIDTH), dtype=np.float32)
        X += 0.1 * means[y]
        np.save(folder / f"X-{shard}.npy", X)
        np.save(folder / f"y-{shard}.npy", y)


def in_memory(files):
    """One array of the files, without a copy of all of them beside it."""
    parts = [np.load(path, mmap_mode="r") for path in files]
    found = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    start = 0
    for path, part in zip(files, parts, strict=True):
        found[start : start + len(part)] = np.load(path)
        start += len(part)
    return found


def train(where, folder, shards):
    import torch

    from nmfnet import NMFNetClassifier, Relaxed

    torch.set_num_threads(1)
    model = NMFNetClassifier((256, 128), max_iter=1, random_state=0, solver=Relaxed(explained_variance=1.0))
    with tempfile.TemporaryDirectory() as some:
        for path in sorted(folder.glob("*.npy")):
            if int(path.stem[2:]) < shards:
                Path(some, path.name).symlink_to(path.resolve())
        if where == "memory":
            X, y = (in_memory(sorted(Path(some).glob(f"{name}*"))) for name in "Xy")
        else:
            X, y = some, "y"
        libraries = peak()
        start, cpu = time.perf_counter(), time.process_time()
        model.fit(X, y)
    epoch = model.history_[-1]
    print(json.dumps({
        "where": where, "rows": epoch["n_samples"], "gigabytes": epoch["n_samples"] * WIDTH * 4 / 1e9,
        "before epoch s": round(time.perf_counter() - start - epoch["seconds"], 2),
        "epoch s": round(epoch["seconds"], 2), "rows per s": round(epoch["n_samples"] / epoch["seconds"]),
        "cpu s of fit": round(time.process_time() - cpu, 2), "train error": epoch["train_error"],
        "peak MiB": round(peak()), "peak MiB before": round(libraries),
    }))  # fmt: skip


def peak():
    """Largest resident set so far, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    command, folder = sys.argv[1], Path(sys.argv[2])
    if command == "make":
        make(folder, float(sys.argv[3]) if len(sys.argv) > 3 else 2.0)
    else:
        train(command, folder, int(sys.argv[3]) if len(sys.argv) > 3 else SHARDS)
