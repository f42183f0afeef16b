"""torchnmf on the cases of curves.py, with its default settings: its final objective and time.

    pip install torchnmf tqdm                          in an environment of its own
    python benchmarks/factorization/peers.py           goes on where it was stopped

torchnmf 0.3.5 takes multiplicative steps from a random start, in float32 here.  nimfa 1.4.0, the other package of the
field, calls `np.mat`, which NumPy 2 does not have, and so does not run.
"""

import itertools
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.metadata
import time

import scipy.sparse
import torch
import torchnmf.nmf
from cases import add, load, stored
from curves import GRIDS
from traces import Loss

SEEDS = range(1)  # its random start makes little difference next to its distance from the best
VERSION = importlib.metadata.version("torchnmf")


def fit(X, case):
    """Fit; the processor seconds, the objective and the iterations."""
    torch.manual_seed(case["seed"])
    V = torch.from_numpy(X.toarray() if scipy.sparse.issparse(X) else X)  # its sparse fit is several times as slow
    start = time.process_time()
    model = torchnmf.nmf.NMF(V.shape, rank=case["rank"])
    passes = model.fit(V, beta=2 if case["loss"] == "frobenius" else 1)
    seconds = time.process_time() - start
    loss = Loss(X, case["loss"] != "frobenius")
    final = loss(model.H.detach().numpy(), model.W.detach().numpy().T)
    return {"seconds": round(seconds, 4), "final": final, "passes": passes}


def main():
    torch.set_num_threads(1)
    for loss, grid in GRIDS.items():
        for data, ranks in grid.items():
            X = load({"data": data, "dtype": "float32"})
            for rank, seed in itertools.product(ranks, SEEDS):
                case = {"loss": loss, "data": data, "dtype": "float32", "rank": rank, "seed": seed}
                name = " ".join(map(str, case.values()))
                if not stored("peers", name, VERSION, False):
                    result = fit(X, case)
                    print(name, result, flush=True)
                    add("peers", name, VERSION, False, 1, {**case, "torchnmf": result})


if __name__ == "__main__":
    main()
