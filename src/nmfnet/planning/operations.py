"""Operations of an epoch, and numbers that go through memory beside its products.

Symbols: m samples of a batch that a rank has, n inputs and k units of a layer.  An operation is an addition or a
multiplication, so that a product of (m, n) and (n, k) has 2 m n k.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nmfnet.linalg.owners import owners
from nmfnet.planning.task import LayerSizes, Task

FORWARD, RESIDUALS, SIDES, GRAMS = "Forward", "Residuals", "Right-hand sides", "Gram matrices"
SOLVES, FACTORS, RECORDS, SCALING = "Steps", "Cholesky factors", "Recorded losses", "Components of inputs"
ADVERSARIAL = "Adversarial inputs"
RECORDED_ROWS = 1024  # about as many are predicted at a time

# Numbers read and written for each of a matrix beside its products, counted from the code.
PASSES_OF_WEIGHTS = 18  # sums divided and centred, length of the step, step, average, check that all are finite
PASSES_OF_ANCHOR, PASSES_OF_MOMENTUM, PASSES_OF_PENALTY = 3, 6, 5
PASSES_OF_GRAM = 10  # divided, centred, into the running one, damped
PASSES_OF_OUTPUTS = 40  # two losses, one of them in float64, targets and their residual
PASSES_OF_ADVERSARY = 16  # of the inputs: their direction, its length, the shift


class Product(NamedTuple):
    """Products of matrices (m, n) and (n, k) in an epoch.

    Attributes
    ----------
    part : str
        Of the update.
    m, n, k : float
        The number of samples is that of an average batch, which need not be whole.
    times : float
        In an epoch.
    left, right : bool
        Whether the one or the other matrix is a transposed one.
    """

    part: str
    m: float
    n: float
    k: float
    times: float
    left: bool = False
    right: bool = False

    @property
    def operations(self) -> float:
        """In an epoch."""
        return 2 * self.m * self.n * self.k * self.times


def products(task: Task, ranks: int = 1) -> list[Product]:
    """Products of an epoch that each of the ranks takes."""
    m, u, found = task.batch_rows / ranks, task.updates, list[Product]()
    if task.projects:
        found.append(Product(SCALING, m, task.n_features, task.layers[0].n_in, u))
    for number, layer in enumerate(task.layers):
        n, k, _, _ = layer
        found.append(Product(FORWARD, m, n, k, u))
        if number:
            found.append(Product(RESIDUALS, m, k, n, u, right=True))
        if task.adversarial:
            found += [Product(ADVERSARIAL, m, k, n, u, right=True), Product(ADVERSARIAL, m, n, k, u)]
        found += of_least_squares(layer, task, m)
    return [*found, *of_records(task, ranks)]


def of_least_squares(layer: LayerSizes, task: Task, m: float) -> Iterator[Product]:
    """Right-hand side ``Zt E``, Gram matrix ``Zt Z`` where it is due, and step ``(G + d I)^-1 Zt E`` of a layer.

    The other forms take the rows of the whole batch in each rank: they replace a matrix of (n, n) by one of (b, b).
    """
    n, k, form, _ = layer
    u, b, refreshes = task.updates, task.batch_rows, task.refreshes(form)
    if form in ("primal", "given"):
        yield Product(SIDES, n, m, k, u, left=True)
        yield Product(SOLVES, n, n, k, u)
        if form == "primal":
            yield Product(GRAMS, n, m, n, refreshes, left=True)
        return
    yield Product(GRAMS, b, n, b, refreshes, right=True)
    yield Product(SIDES, n, b, k, u, left=True)
    if form == "dual":
        yield from (Product(SOLVES, b, b, k, u), Product(SOLVES, b, b, k, u))  # two triangles are solved with
        if task.penalty or task.momentum:  # the length of the step, and the penalty on the samples
            yield Product(SOLVES, b, n, k, u * (1 + task.penalty))
    else:
        yield from (Product(SOLVES, b, n, k, u), Product(SOLVES, b, b, k, u))
        yield from (Product(SOLVES, k, b, n, u, left=True), Product(SOLVES, b, n, k, u))


def of_records(task: Task, ranks: int) -> Iterator[Product]:
    """Forward passes of the samples that losses are recorded of, some at a time."""
    rows = task.recorded + task.validation
    blocks = max(1, -(-rows // (RECORDED_ROWS * ranks)))
    m = rows / ranks / blocks
    if task.projects:
        yield Product(RECORDS, m, task.n_features, task.layers[0].n_in, blocks)
    for layer in task.layers:
        yield Product(RECORDS, m, layer.n_in, layer.n_out, blocks)


def factorizations(task: Task, ranks: int = 1) -> list[tuple[int, float]]:
    """Sizes n of matrices whose Cholesky factor and inverse a rank computes, and how often in an epoch.

    Either takes n³ / 3 or twice as many operations, together n³.  Where ranks own matrices, those of the rank that has
    most to do.
    """
    found = []
    for layer in task.layers:
        size = layer.n_in if layer.form in ("primal", "given") else round(task.batch_rows)
        found.append((size, task.refreshes(layer.form)))
    owner = owners_of(task, ranks)
    if owner is None:
        return found
    primal = [number for number, layer in enumerate(task.layers) if layer.form == "primal"]
    loads = [
        [found[number] for number, rank in zip(primal, owner, strict=True) if rank == each] for each in range(ranks)
    ]
    most = max(loads, key=lambda load: sum(n**3 for n, _ in load))
    return [*most, *(each for each, layer in zip(found, task.layers, strict=True) if layer.form != "primal")]


def owners_of(task: Task, ranks: int) -> list[int] | None:
    """Who factorizes the Gram matrices that are refreshed, one rank each; None where each rank factorizes all."""
    summed = all(layer.form in ("primal", "given") for layer in task.layers)
    if ranks == 1 or task.message_bits or not summed:
        return None
    return owners([layer.n_in for layer in task.layers if layer.form == "primal"], ranks)


def moved_numbers(task: Task, ranks: int = 1) -> float:
    """Numbers that a rank moves in an epoch beside products: passes over batches, weights, Gram matrices."""
    m, passes = task.batch_rows / ranks, float(2 * task.n_features)  # a batch is gathered
    passes += (2 if task.projects else 4) * task.n_features + 6 * task.noise * task.n_features
    of_units = 2 + 2 + 2 + 2 + 1 + 2 + 3 + 2 + 6 * task.dropout  # A, f(A), lengths, sums, E Wt added to A, f, - Z
    passes += of_units * sum(layer.n_out for layer in task.layers[:-1])
    passes += PASSES_OF_OUTPUTS * task.layers[-1].n_out + 2 * task.layers[0].n_in
    if task.adversarial:
        passes += (of_units - 4) * sum(layer.n_out for layer in task.layers[:-1])
        passes += PASSES_OF_ADVERSARY * task.layers[0].n_in
    of_weights = PASSES_OF_WEIGHTS + PASSES_OF_ANCHOR * task.anchored
    of_weights += PASSES_OF_MOMENTUM * task.momentum + PASSES_OF_PENALTY * task.penalty
    of_weights += 3 * (ranks > 1)  # packed, reduced
    grams = sum(PASSES_OF_GRAM * size**2 * count for size, count in factorizations(task))
    return task.updates * (m * passes + of_weights * task.weights) + grams
