"""Cases of rank_cases.py in which ranks send numbers of a few bits."""

import numpy as np
import scipy.sparse

from nmfnet import Checkpoint, NMFNetClassifier, Relaxed, distributed
from shards import bounds, digits, weights_of


def rounded(rank, size, bits=4, shares=None, kind="dense", **options):
    """Weights, error and bytes of a fit that sends few bits; `shares` are the last rows of each rank."""
    n = 600
    X, y = digits(n, "float32")
    a, b = bounds(n, size)[rank : rank + 2] if shares is None else (0, *shares)[rank : rank + 2]
    rows, others, hidden = X[a:b], digits(1200, "float32"), (60, 50)
    if kind == "sparse":
        rows = scipy.sparse.csr_array(rows)
    if kind == "images":
        from nmfnet.layers import Conv2d

        rows, others = rows.reshape(-1, 1, 8, 8), (others[0].reshape(-1, 1, 8, 8), others[1])
        hidden = [Conv2d(8, 3), 40]
    options = {"max_iter": 6, "batch_size": 150, "random_state": 0, **options}
    with distributed.together() as ranks:
        before = getattr(ranks, "bytes", 0)
        model = NMFNetClassifier(hidden, solver=Relaxed(message_bits=bits), **options).fit(rows, y[a:b])
        sent = getattr(ranks, "bytes", 0) - before
    return {**weights_of(model), "error": 1 - model.score(*others), "bytes": sent}


def one_diverges(rank, size, call):
    """A fit in which a decomposition of rank 0 fails once."""
    from nmfnet import DivergenceError
    from nmfnet.linalg.gram_solver import GramSolver

    factorize, calls = GramSolver.factorize, []

    def failing(self, *arguments):
        calls.append(1)
        if rank == 0 and len(calls) == call:
            raise DivergenceError("A matrix to decompose is not finite")
        return factorize(self, *arguments)

    GramSolver.factorize = failing
    try:
        return rounded(rank, size, 0)
    finally:
        GramSolver.factorize = factorize


def not_finite(rank, size, batch):
    """A fit that sends few bits, and in which the residuals of a batch are not finite on rank 0."""
    from nmfnet.linalg.statistics import Moments

    of, calls = Moments.of, []

    def failing(*arguments):
        calls.append(1)
        found = of(*arguments)
        if rank == 0 and len(calls) == batch:
            found.cross[0, 0] = np.inf
        return found

    Moments.of = failing
    try:
        return rounded(rank, size)
    finally:
        Moments.of = of


def rounded_resumed(rank, size, folder):
    """A fit that sends few bits, and one that goes on from its checkpoint."""
    whole = rounded(rank, size, callbacks=[Checkpoint(folder, every=17)])
    return whole, rounded(rank, size, callbacks=[Checkpoint(folder, resume=True)])
