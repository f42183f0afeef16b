"""Mini-batches: nmfnet's `partial_fit` and that of scikit-learn's MiniBatchNMF, epoch by epoch.

    python benchmarks/factorization/streams.py           all cases, some minutes; goes on where it was stopped
    python benchmarks/factorization/report.py            writes docs/results/factorization.md

Both see the same batches in the same order, from the same random start, with their default settings.  After each epoch
the error of the components is that of the best coefficients for them, found by nmfnet's `transform` for both: the root
of twice the loss.  The processor seconds are those of the calls of `partial_fit` alone.
"""

import argparse
import itertools
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import warnings

import numpy as np
import torch
from cases import add, load, stored, version
from sklearn.decomposition import MiniBatchNMF
from threadpoolctl import threadpool_limits
from traces import KL, Loss

import nmfnet

EPOCHS, SEEDS = 5, range(5)
CASES = {  # loss: data, ranks, rows of a batch
    "frobenius": {
        "fashion-2000": (20, (10, 100, 1000)),
        "counts": (20, (10, 100, 1000)),
        "tfidf": (20, (10, 100, 1000)),
    },
    "kullback-leibler": {
        "digits": (15, (10, 100, 1000)),
        "counts": (20, (10, 100, 1000)),
        "words": (20, (10, 100, 1000)),
        "tfidf": (20, (10, 100, 1000)),
    },
}


def start(X, rank, seed):
    """Random factors whose product has the mean of X."""
    rng, size = np.random.default_rng(seed), (X.mean() / rank) ** 0.5
    return size * np.abs(rng.standard_normal((X.shape[0], rank))), size * np.abs(
        rng.standard_normal((rank, X.shape[1]))
    )


def error(X, H, loss, divergence):
    """Of the best coefficients."""
    coder = nmfnet.NMF(len(H), init="custom", max_iter=1, **(KL if divergence else {}))
    coder.fit(X[:2], W=np.ones((2, len(H))), H=H)
    coder.components_ = H
    return (2 * max(loss(coder.transform(X), H), 0.0)) ** 0.5


def compare(X, case):
    """Both, in turns, for some epochs."""
    divergence, size = case["loss"] != "frobenius", case["batch"]
    loss, (W, H) = Loss(X, divergence), start(X, case["rank"], case["seed"])
    models = {
        "theirs": MiniBatchNMF(case["rank"], init="custom", batch_size=size, beta_loss=case["loss"]),
        "ours": nmfnet.NMF(case["rank"], init="custom", **(KL if divergence else {})),
    }
    result = {which: {"seconds": [], "errors": []} for which in models}
    order = np.random.default_rng(case["seed"]).permutation(X.shape[0])
    for _ in range(EPOCHS):
        for which, model in models.items():
            began = time.process_time()
            for i in range(0, X.shape[0], size):
                rows = order[i : i + size]
                model.partial_fit(X[rows], W=W[rows].copy(), H=H.copy())
            result[which]["seconds"].append(round(time.process_time() - began, 4))
            result[which]["errors"].append(error(X, model.components_, loss, divergence))
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--loss", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--dry", action="store_true", help="print, and store nothing")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    threadpool_limits(1)
    for loss in arguments.loss:
        for data, (rank, sizes) in CASES[loss].items():
            X = load({"data": data})
            for size, seed in itertools.product(sizes, arguments.seeds):
                case = {"loss": loss, "data": data, "rank": rank, "batch": size, "seed": seed}
                name, key = " ".join(map(str, case.values())), version(case)
                if stored("streams", name, key, False) and not arguments.dry:
                    continue
                result = compare(X, case)
                print(name, result, flush=True)
                if not arguments.dry:
                    add("streams", name, key, False, 1, {**case, **result})


if __name__ == "__main__":
    main()
