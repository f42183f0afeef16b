"""Peak memory of a fit beyond its data, nmfnet's and scikit-learn's, with one thread and with two.

    python benchmarks/factorization/memory.py           all cases, some minutes; with names of cases: those
    python benchmarks/factorization/report.py           writes docs/results/factorization.md

Each case is a process of its own, in which the same fit comes before, so that what libraries load and keep does not
count.  The number is the highest resident memory of the process during the second fit, less that before it.  What is
freed is given back at once: else the number would depend on what the allocator happens to keep.  Linux only.
"""

import os
import subprocess
import sys
import warnings
from pathlib import Path

from cases import add, load, version
from sklearn.decomposition import NMF as TheirNMF
from traces import KL

import nmfnet

CASES = {
    "fashion-20000, 50": ({"data": "fashion-20000"}, 50, {}),
    "fashion-20000 float32, 50": ({"data": "fashion-20000", "dtype": "float32"}, 50, {}),
    "fashion-2000, 20": ({"data": "fashion-2000"}, 20, {}),
    "faces, 50": ({"data": "faces"}, 50, {}),
    "counts, 20": ({"data": "counts"}, 20, {}),
    "tfidf, 20": ({"data": "tfidf"}, 20, {}),
    "text, 50": ({"data": "text"}, 50, {}),
    "counts, 20, KL": ({"data": "counts"}, 20, KL),
    "words, 20, KL": ({"data": "words"}, 20, KL),
}
FITS = {"theirs": TheirNMF, "ours": nmfnet.NMF}
PASSES = 30
GIVEN_BACK = {"MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(field):
    """MiB of a line of the process's status: "VmRSS" now, "VmHWM" the most since that was cleared."""
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(field)) / 1024


def peak(which, case):
    """MiB of one fit; called in a process of its own."""
    data, rank, settings = CASES[case]
    X = load(data)
    FITS[which](rank, random_state=0, max_iter=PASSES, **settings).fit(X)
    before = resident("VmRSS")
    CLEAR.write_text("5")
    FITS[which](rank, random_state=0, max_iter=PASSES, **settings).fit(X)
    return resident("VmHWM") - before


def measure(which, case, threads):
    """The same, from another process."""
    command = [sys.executable, __file__, "--fit", which, case]
    environment = {**os.environ, **GIVEN_BACK, "OMP_NUM_THREADS": str(threads)}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def main():
    for case in sys.argv[1:] or CASES:
        result = {which: [round(measure(which, case, threads), 1) for threads in (1, 2)] for which in FITS}
        print(case, result, flush=True)
        add("memory", case, version(case), False, 2, {"mib": result})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--fit"]:
        print(peak(*sys.argv[2:]))
    else:
        main()
