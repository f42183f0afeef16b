"""One thread and two, with the machine to themselves and beside a process that keeps one core busy.

    python benchmarks/factorization/company.py           a minute or two; needs an idle machine of two cores
    python benchmarks/factorization/report.py            writes docs/results/factorization.md

Each fit is a process of its own with OMP_NUM_THREADS of 1 or 2.  Seconds are those of the wall, without imports, the
least of two.  scikit-learn's fits are there for comparison.
"""

import os
import subprocess
import sys
import time
import warnings

from cases import add, load, version
from sklearn.decomposition import NMF as TheirNMF
from traces import KL

import nmfnet

CASES = {
    "fashion-50": ({"data": "fashion-20000", "dtype": "float32"}, 50, 12, {}),
    "tfidf-20": ({"data": "tfidf"}, 20, 30, {}),
    "words-20 KL": ({"data": "words"}, 20, 20, KL),
    "counts-20 KL": ({"data": "counts"}, 20, 30, KL),
}
FITS = {"theirs": TheirNMF, "ours": nmfnet.NMF}
BUSY = "while True: pass"
REPEATS = 2


def seconds(which, case):
    """The least wall time of a fit; called in a process of its own."""
    data, rank, passes, settings = CASES[case]
    X, times = load(data), []
    for _ in range(REPEATS):
        start = time.perf_counter()
        FITS[which](rank, init="random", max_iter=passes, tol=0, random_state=0, **settings).fit(X)
        times.append(time.perf_counter() - start)
    return min(times)


def measure(which, case, threads):
    """The same, from another process."""
    command = [sys.executable, __file__, which, case]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def main():
    for case in CASES:
        result = {}
        for company in ("alone", "beside"):
            busy = subprocess.Popen([sys.executable, "-c", BUSY]) if company == "beside" else None
            try:
                for which in FITS:
                    result[f"{which}, {company}"] = [round(measure(which, case, n), 3) for n in (1, 2)]
            finally:
                if busy is not None:
                    busy.kill()
                    busy.wait()
        print(case, result, flush=True)
        add("company", case, version(case), True, 2, {"seconds": result})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if len(sys.argv) == 3:
        print(seconds(sys.argv[1], sys.argv[2]))
    else:
        main()
