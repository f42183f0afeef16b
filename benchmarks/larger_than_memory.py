"""An epoch of a training set on disk: its memory and its speed beside the same in memory.

    python benchmarks/larger_than_memory.py [GB] [FOLDER]     # 2 GB in a temporary folder by default

Every training is a process of its own.  Memory is the largest resident set that the process ever had (VmHWM).  The
files are warm in the page cache unless they are larger than it.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTH, SHARDS = 1000, 8
TRAINING = """
import json, resource, sys, time
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from nmfnet import NMFNetClassifier, Relaxed
folder, where = Path(sys.argv[1]), sys.argv[2]
if where == "memory":
    X, y = (np.concatenate([np.load(path) for path in sorted(folder.glob(f"{name}*"))]) for name in "Xy")
elif where == "disk":
    X, y = folder, "y"
else:
    print(json.dumps({"peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    raise SystemExit
model = NMFNetClassifier((256, 128), max_iter=1, random_state=0, solver=Relaxed(explained_variance=1.0))
start, cpu = time.perf_counter(), time.process_time()
model.fit(X, y)
found = {"fit s": time.perf_counter() - start, "cpu s": time.process_time() - cpu}
found["epoch s"] = model.history_[-1]["seconds"]
found["train error"] = model.history_[-1]["train_error"]
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
print(json.dumps({**found, "peak MiB": int(peak) / 1024}))
"""


def make(folder, gigabytes):
    rng = np.random.default_rng(0)
    rows = int(gigabytes * 1e9 / (4 * WIDTH * SHARDS))
    means = rng.standard_normal((10, WIDTH), dtype=np.float32)
    for shard in range(SHARDS):
        y = np.sort(rng.integers(0, 10, rows))  # neighbours are alike: the order must be shuffled
        X = rng.standard_normal((rows, WIDTH), dtype=np.float32)
        X += 0.1 * means[y]
        np.save(folder / f"X-{shard}.npy", X)
        np.save(folder / f"y-{shard}.npy", y)


def main(gigabytes=2.0, place=None):
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        start = time.perf_counter()
        make(folder, float(gigabytes))
        print(f"{gigabytes} GB written in {time.perf_counter() - start:.0f} s")
        for where in ("imports", "disk", "memory"):
            done = subprocess.run(
                [sys.executable, "-c", TRAINING, name, where], capture_output=True, text=True, check=True
            )
            found = json.loads(done.stdout)
            print(where, {key: round(value, 3) for key, value in found.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
