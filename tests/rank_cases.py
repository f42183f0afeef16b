"""What the processes of ranks.py do: each case is a function of the rank, their number, and arguments."""

import os
import signal
import tempfile
import time
import traceback
import warnings

import numpy as np
import scipy.sparse

from nmfnet import Callback, Checkpoint, NMFNetClassifier, NMFNetRegressor, RankError, Relaxed, distributed
from owner_cases import an_owner_fails, owned, owned_messages  # noqa: F401
from paper_cases import of_other_fits, other_components, paper, stacked, warm  # noqa: F401
from rounded_cases import not_finite, one_diverges, rounded, rounded_resumed  # noqa: F401
from shards import bounds, digits, mine, weights_of


def classifier(
    rank, size, dtype="float64", weighted=False, n=600, sorted_rows=False, solver=None, hidden=(20, 15), **options
):
    X, y = digits(n, dtype)
    if sorted_rows:
        order = np.argsort(y, kind="stable")
        X, y = X[order], y[order]
    weight = np.random.default_rng(0).random(len(y)) + 0.1 if weighted else None
    X, y, weight = mine(rank, size, X, y, weight)
    options = {"max_iter": 3, "batch_size": 100, "random_state": 0, "solver": Relaxed(**(solver or {})), **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMFNetClassifier(hidden, **options).fit(X, y, sample_weight=weight)
    return weights_of(model)


def of_seeds(rank, size, kind, seeds, **options):
    """Weights of another case, with one seed after another."""
    case = {"dense": classifier, "images": images, "sparse": sparse}[kind]
    return [case(rank, size, random_state=seed, **options)["weights"] for seed in range(seeds)]


def seldom(rank, size, **options):
    """As on GPUs: one of some updates is looked at."""
    from nmfnet.solvers.relaxed.looks import Looks

    at_hand, Looks.at_hand = Looks.at_hand, ()
    try:
        return classifier(rank, size, **options)
    finally:
        Looks.at_hand = at_hand


def grown(rank, size, dtype="float64"):
    """Inputs of a hidden layer that have grown since its Gram matrix was formed."""

    class Grow(Callback):
        def on_train_begin(self, training):
            self.sweep = training.sweep

        def on_batch_end(self, batch, count):
            if batch == 3:  # before an update in which none is due otherwise
                self.sweep.solvers[1].primal.input_rms /= 100

    X, y = mine(rank, size, *digits(600, dtype))
    model = NMFNetClassifier((20, 15), max_iter=1, batch_size=100, callbacks=[Grow()], random_state=0)
    return weights_of(model.fit(X, y))


def regressor(rank, size, dtype="float64", targets=3, **options):
    X, _ = digits(500, dtype)
    X, Y = mine(rank, size, X[:, :40] * np.arange(1, 41, dtype=dtype), X[:, 40 : 40 + targets])
    options = {"max_iter": 3, "batch_size": 70, "random_state": 0, **options}
    return weights_of(NMFNetRegressor((20,), "tanh", **options).fit(X, Y if targets > 1 else Y[:, 0]))


def images(rank, size, augmentation=None, n=300, dtype="float64", solver=None, **options):
    from nmfnet import Augmentation
    from nmfnet.layers import Conv2d, MaxPool2d

    X, y = mine(rank, size, *digits(n, dtype))
    solver = Relaxed(**{"dropout": 0.2, **(solver or {})})
    model = NMFNetClassifier(
        [Conv2d(6, 3, padding=1), MaxPool2d(2), Conv2d(8, 3), 20], solver=solver,
        augmentation=augmentation and Augmentation(**augmentation), **{"batch_size": 60, "random_state": 0, **options},
    )  # fmt: skip
    return weights_of(model.fit(X.reshape(-1, 1, 8, 8), y))


def sparse(rank, size, n_features=400, n=300, dtype="float64", hidden=(10,), solver=None, **options):
    rng = np.random.default_rng(0)
    X = scipy.sparse.random(n, n_features, 0.05, "csr", random_state=rng)
    y = (X @ rng.random(n_features) > X.mean() * n_features / 2).astype(int) + np.arange(n) % 2
    X, y = mine(rank, size, X.astype(dtype), y)
    options = {"max_iter": 2, "batch_size": 60, "random_state": 0, "solver": Relaxed(**(solver or {})), **options}
    return weights_of(NMFNetClassifier(hidden, **options).fit(X, y))


def one_row(rank, size, sparse=False, **options):
    """Ranks of one row: of none in most batches, and of none to validate with, or to train with; with checkpoints."""
    X, y = digits(300)
    if sparse:  # of rows that differ in length
        X = scipy.sparse.random(300, 40, 0.2, "csr", random_state=np.random.default_rng(0))
    a, b = [*range(size), 300][rank : rank + 2]  # the last rank has all but some
    options = {"max_iter": 2, "batch_size": 60, "random_state": 0, **options}
    with tempfile.TemporaryDirectory() as folder:
        model = NMFNetClassifier((10,), callbacks=[Checkpoint(folder, every=3)], **options)
        return weights_of(model.fit(X[a:b], y[a:b]))


def module(rank, size, early_stopping=False, real=False):
    import torch
    from torch import nn

    from nmfnet import fit_module

    torch.manual_seed(rank)  # rank 0's weights count
    net = nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Dropout(0.1), nn.Linear(20, 3 if real else 10))
    X, y = digits(500, "float32")
    y = X[:, :3] if real else y
    X, y, X_val, y_val = *mine(rank, size, X[:400], y[:400]), *mine(rank, size, X[400:], y[400:])
    options = {"early_stopping": early_stopping, "max_iter": 3, "random_state": 0}
    history = fit_module(net, X, y, X_val=X_val, y_val=y_val, **options)
    weights = [W.detach().numpy() for W in net.parameters()]
    return {"weights": weights, "history": history, "best": None, "temperature": None, "classes": []}


def many_categories(rank, size, **options):
    import pandas as pd

    rng = np.random.default_rng(0)
    n, shops = 900, 300
    shop = rng.permutation(np.arange(n) % shops)
    y = rng.normal(size=shops)[shop] + 0.3 * rng.normal(size=n) > 0
    frame = pd.DataFrame({"shop": [f"shop {i}" for i in shop], "size": rng.normal(size=n)})
    frame.loc[::50, "shop"] = None
    a, b = bounds(n, size)[rank : rank + 2]
    model = NMFNetClassifier((10,), max_iter=2, random_state=0, **options).fit(frame[a:b], y[a:b])
    return {**weights_of(model), "classes": [*model.classes_, *model._encoded_names()]}


def table(rank, size, **options):
    import pandas as pd

    rng = np.random.default_rng(0)
    n = 240
    kinds = np.array(["red", "green", "blue", "rare"])[np.minimum(rng.integers(0, 30, n) // 9, 3)].astype(object)
    kinds[::17] = None
    number = rng.random(n)
    y = np.where(number + (kinds == "red") > 0.9, "yes", "no")
    number[::13] = np.nan
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    frame = pd.DataFrame({"kind": kinds, "number": number, "other": rng.random(n) * 1e3, "day": days})
    a, b = bounds(n, size)[rank : rank + 2]
    model = NMFNetClassifier((10,), max_iter=2, random_state=0, **options).fit(frame[a:b], y[a:b])
    return {**weights_of(model), "classes": [*model.classes_, *model._encoded_names()]}


def factorization(
    rank,
    size,
    model="NMF",
    n=300,
    dtype="float64",
    missing=False,
    weights=0,
    sparse=False,
    start=False,
    files=False,
    **options,
):
    """Components, and the factor of the rows of a rank."""
    import nmfnet

    rng = np.random.default_rng(0)
    X, k = digits(n, dtype)[0], options.get("n_components", 6)
    X = X - X.mean() if model == "SemiNMF" else X
    factors = {"W": rng.random((n, k)), "H": rng.random((k, 64))} if start else {"W": None, "H": None}
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    weight = [None, rng.random(n), rng.random(X.shape)][weights]
    X, weight, factors["W"] = mine(rank, size, X, weight, factors["W"])
    if sparse:
        X = scipy.sparse.csr_array(X)
    options = {"n_components": 6, "max_iter": 12, "tol": 0, "random_state": 0, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = getattr(nmfnet, model)(**options)
        with tempfile.TemporaryDirectory() as folder:
            if files:
                np.save(os.path.join(folder, "X.npy"), X)
            given = folder if files and size > 1 else X
            Z = fitted.fit_transform(given, weights=weight, **factors)
    found = {"objective": fitted.objective_, "error": fitted.reconstruction_err_, "passes": fitted.n_iter_}
    same_as_transform = float(np.abs(fitted.transform(X, weights=weight) - Z).max())
    return {
        "weights": [fitted.components_], "history": [found], "best": None, "classes": [], "Z": Z,
        "of transform": same_as_transform,
    }  # fmt: skip


class At(Callback):
    """Does something at a batch, on one rank."""

    def __init__(self, act, rank, batch):
        self.act, self.on_rank, self.batch, self.seen = act, rank, batch, 0

    def on_batch_end(self, batch, n_batches):
        self.seen += 1
        if self.seen == self.batch and distributed.now().rank == self.on_rank:
            self.act()


class Alone(Relaxed):
    takes_ranks = False


def fails():
    raise KeyError("spilled coffee")


def failing(rank, size, where):
    """One rank raises an error: in its data, or in a callback; then all go on with another fit."""
    X, y = mine(rank, size, *digits(200))
    model = NMFNetClassifier((10,), max_iter=2, random_state=0)
    if where == "data" and rank == 1:
        X = X.copy()
        X[3, 2] = np.inf
    if where == "columns" and rank == 1:
        X = X[:, :-1]
    if where == "callback":
        model.set_params(callbacks=[At(fails, 1, 2)])
    if where == "parameters":
        model.set_params(max_iter=2 + rank % 2)
    if where == "solver":
        model.set_params(solver=Alone())
    start = time.perf_counter()
    try:
        model.fit(X, y)
    except RankError as error:
        said = str(error)
    assert not hasattr(model, "network_")
    seconds = time.perf_counter() - start
    X, y = mine(rank, size, *digits(200))
    after = NMFNetClassifier((10,), max_iter=2, random_state=0).fit(X, y)
    with distributed.alone():
        own = NMFNetClassifier((10,), max_iter=2, random_state=0).fit(X, y)
    return {"said": said, "seconds": seconds, "after": after.coefs_[0], "own": own.coefs_[0]}


def dying(rank, size, folder, batch, every=3, resume=False, killed=True, fail=False):
    """A training that stores checkpoints; the last rank is killed by itself after a batch."""
    X, y = mine(rank, size, *digits(300))
    die = At(lambda: os.kill(os.getpid(), signal.SIGKILL), size - 1, batch)
    checkpoint = Checkpoint(folder, every=every, resume=resume)
    model = NMFNetClassifier(
        (10,), max_iter=4, batch_size=50, random_state=0, early_stopping=True, solver=Relaxed(dropout=0.2),
        callbacks=[checkpoint, *([die] if killed else [])],
    )  # fmt: skip
    start = time.perf_counter()
    try:
        return weights_of(model.fit(X, y))
    except RankError as error:
        return {"said": str(error), "seconds": time.perf_counter() - start}


def stored(rank, size, folder, weighted=False, pixels=False, **options):
    """Files of its own for each rank; one process has all in memory."""
    X, y = digits(300, "float32")
    if pixels:  # of which few principal components are enough
        rng = np.random.default_rng(0)
        X = (X @ rng.standard_normal((64, 192)) + 0.1 * rng.standard_normal((300, 192))).astype("float32")
    weight = np.arange(300) % 4.0 if weighted else None
    options = {"max_iter": 1, "batch_size": 60, "random_state": 0, **options}
    if size == 1:
        return weights_of(NMFNetClassifier((10,), **options).fit(X, y, weight))
    X, y, weight = mine(rank, size, X, y, weight)
    path = os.path.join(folder, f"{rank}-of-{size}.npy")
    np.save(path, X)
    return weights_of(NMFNetClassifier((10,), **options).fit(path, y, weight))


def many(rank, size, cases):
    """Several cases in one process group: what each finds, or the traceback of its error."""
    found = {}
    for name, (case, arguments) in cases.items():
        try:
            found[name] = globals()[case](rank, size, **arguments)
        except Exception:
            found[name] = traceback.format_exc()
    return found


def joined(rank, size, port):
    """Form a group by the variables of torchrun, whose store rank 0 keeps here, and do something together."""
    import torch.distributed as dist

    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "1",
    }  # fmt: skip
    server = dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False) if rank == 0 else None
    distributed.join()
    distributed.join()  # does nothing
    with distributed.together() as ranks:
        found = ranks.objects(rank), (ranks.messages, ranks.size), distributed.now() is ranks
        assert ranks.objects("a" * 3000 * rank) == ["", "a" * 3000]  # too long for one message
        assert ranks.shared("b" * 3000 if rank == 0 else None) == "b" * 3000
        assert ranks.messages == 5
        with distributed.alone():
            assert distributed.now().size == 1
    dist.barrier()
    dist.destroy_process_group()
    del server
    return found


def own_memory(rank, size):
    """Whether sums are as those of one process: numbers of a matrix begin where those of any tensor do."""
    import torch

    with distributed.together() as ranks:
        numbers = [torch.ones(3), torch.ones(70, 71), torch.ones(5, dtype=torch.float64), torch.ones(80, 30)]
        found = ranks(numbers)
    return [each.data_ptr() % 64 == 0 and bool((each == size).all()) for each in found]


def momentum(rank, size, folder):
    """Real targets have momentum; its means are in the checkpoints."""
    X, _ = digits(300, "float32")
    X, Y = mine(rank, size, X[:, :40], X[:, 40:44])
    model = NMFNetRegressor((100,), max_iter=2, batch_size=50, random_state=0)
    model.set_params(callbacks=[Checkpoint(folder, every=5)]).fit(X, Y)
    resumed = NMFNetRegressor((100,), max_iter=2, batch_size=50, random_state=0)
    resumed.set_params(callbacks=[Checkpoint(folder, resume=True)]).fit(X, Y)
    return weights_of(model), weights_of(resumed)


def counted(rank, size, hidden=(40, 30), n=600, **options):
    """Messages and bytes of each epoch, and those that are planned."""
    from nmfnet.estimators.untrained import untrained
    from nmfnet.planning import Task, messages

    class Counts(Callback):
        def __init__(self):
            self.found = []

        def on_epoch_end(self, network, record):
            ranks = distributed.now()
            self.found.append((ranks.messages, ranks.bytes))

    X, y = digits(n, "float32")
    a, b = n * rank // size, n * (rank + 1) // size
    solver, counts = Relaxed(message_bits=options.pop("message_bits", 0)), Counts()
    given = {"max_iter": 3, "batch_size": 100, "random_state": 0, "n_iter_no_change": 3, **options}
    with distributed.alone():
        model = NMFNetClassifier(hidden, solver=solver, **given)
        network, source, _, plan, held_out = untrained(model, X, y)
        resolved = solver.resolved(network, plan, source)
        task = Task.of(network, resolved, source, plan, given["max_iter"], held_out, solver.message_bits)
    NMFNetClassifier(hidden, solver=solver, callbacks=[counts], **given).fit(X[a:b], y[a:b])
    planned = [tuple(each) for each in messages(task, size)]
    return {"epochs": np.diff(counts.found, axis=0).tolist(), "planned": planned}
