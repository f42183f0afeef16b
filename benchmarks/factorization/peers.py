"""torchnmf and nimfa on the cases of curves.py, with their default settings: final objectives and times.

    pip install torchnmf tqdm                                   in an environment of its own
    pip install nimfa 'numpy<2'                                 in another one
    python benchmarks/factorization/peers.py torchnmf           goes on where it was stopped; or nimfa

torchnmf 0.3.5 takes multiplicative steps from a random start, in float32 here.  nimfa 1.4.0 does alike in float64, 30
of them.  It calls `np.mat`, which NumPy 2 does not have.
"""

import itertools
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.metadata
import sys
import time

import numpy as np
import scipy.sparse
import torch
from cases import add, load, stored
from curves import GRIDS
from traces import Loss

SEEDS = range(1)  # the random start makes little difference next to the distance from the best
DTYPES = {"torchnmf": "float32", "nimfa": "float64"}


def torchnmf(X, case):
    """Its factors Z and H, and the iterations."""
    from torchnmf.nmf import NMF

    torch.manual_seed(case["seed"])
    V = torch.from_numpy(X)
    model = NMF(V.shape, rank=case["rank"])
    passes = model.fit(V, beta=2 if case["loss"] == "frobenius" else 1)
    return model.H.detach().numpy(), model.W.detach().numpy().T, passes


def nimfa(X, case):
    """Its factors Z and H, and the iterations."""
    import nimfa as package

    np.random.seed(case["seed"])  # what nimfa draws from
    update, objective = ("euclidean", "fro") if case["loss"] == "frobenius" else ("divergence", "div")
    done = package.Nmf(X, rank=case["rank"], update=update, objective=objective)()
    return np.asarray(done.basis()), np.asarray(done.coef()), done.n_iter


def fit(which, X, case):
    """Fit; the processor seconds, the objective and the iterations."""
    dense = X.toarray() if scipy.sparse.issparse(X) else X  # their sparse fits are several times as slow
    start = time.process_time()
    Z, H, passes = {"torchnmf": torchnmf, "nimfa": nimfa}[which](dense, case)
    seconds = time.process_time() - start
    return {"seconds": round(seconds, 4), "final": Loss(X, case["loss"] != "frobenius")(Z, H), "passes": passes}


def main():
    which, dtype = sys.argv[1], DTYPES[sys.argv[1]]
    version = importlib.metadata.version(which)
    torch.set_num_threads(1)
    for loss, grid in GRIDS.items():
        for data, ranks in grid.items():
            X = load({"data": data, "dtype": dtype})
            for rank, seed in itertools.product(ranks, SEEDS):
                case = {"loss": loss, "data": data, "dtype": dtype, "rank": rank, "seed": seed}
                name = " ".join(map(str, [which, *case.values()]))
                if not stored("peers", name, version, False):
                    result = fit(which, X, case)
                    print(name, result, flush=True)
                    add("peers", name, version, False, 1, {**case, "package": which, "fit": result})


if __name__ == "__main__":
    main()
