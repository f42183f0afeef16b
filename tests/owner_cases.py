"""Cases of ranks of which each factorizes some of the Gram matrices, however small these are."""

from contextlib import contextmanager

from nmfnet import DivergenceError, NMFNetClassifier, Relaxed, distributed
from nmfnet.linalg import owners
from nmfnet.linalg.gram_solver import GramSolver
from shards import digits, mine, weights_of

OPTIONS = {"hidden_layer_sizes": (30, 20), "max_iter": 2, "batch_size": 100, "random_state": 0}


@contextmanager
def all_owned(spared=0.0):
    """No matrix is too small."""
    before, owners.MIN_SPARED = owners.MIN_SPARED, spared
    try:
        yield
    finally:
        owners.MIN_SPARED = before


def owned(rank, size, of, **options):
    """Another case, and how many matrices this rank has factorized."""
    import rank_cases

    factorize, own = GramSolver.factorize, []
    GramSolver.factorize = lambda self: (own.append(len(self.gram)), factorize(self))[1]
    try:
        with all_owned():
            return {**getattr(rank_cases, of)(rank, size, **options), "own": own}
    finally:
        GramSolver.factorize = factorize


def an_owner_fails(rank, size, call):
    """A fit in which a decomposition of rank 0 fails once, which the others cannot know but from rank 0."""
    factorize, calls = GramSolver.factorize, []

    def failing(self):
        calls.append(1)
        if rank == 0 and len(calls) == call:
            raise DivergenceError("A matrix to decompose is not finite")
        return factorize(self)

    X, y = mine(rank, size, *digits(600))
    GramSolver.factorize = failing
    try:
        with all_owned():
            return weights_of(NMFNetClassifier(**{**OPTIONS, "n_members": 1}).fit(X, y))
    except DivergenceError as error:
        return {"said": str(error)}
    finally:
        GramSolver.factorize = factorize


def owned_messages(rank, size):
    """Messages and bytes of a fit, with inverses of other ranks and without, and what a plan says of these."""
    from nmfnet.estimators.untrained import untrained
    from nmfnet.planning import Task, messages

    X, y = digits(600, "float32")
    solver, counts = Relaxed(), []
    with distributed.alone():
        network, source, _, plan, held_out = untrained(NMFNetClassifier(solver=solver, **OPTIONS), X, y)
        task = Task.of(network, solver.resolved(network, plan, source), source, plan, OPTIONS["max_iter"], held_out)
    with all_owned():
        planned = [each for each in messages(task, size) if each.part == "Inverses"]
    for spared in (0.0, 1e9):
        with all_owned(spared), distributed.together() as ranks:
            before = ranks.messages, ranks.bytes
            NMFNetClassifier(solver=solver, **OPTIONS).fit(*mine(rank, size, X, y))
            counts.append([after - first for after, first in zip((ranks.messages, ranks.bytes), before, strict=True)])
    return {"counts": counts, "planned": [tuple(each) for each in planned], "epochs": OPTIONS["max_iter"]}
