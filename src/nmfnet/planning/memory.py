"""Memory of a rank, in bytes by what it is for."""

from __future__ import annotations

from nmfnet.linalg.statistics import triangle_numbers
from nmfnet.planning.task import Task

ORDER_BYTES = 16  # of a row of all ranks: where it is, and the order of an epoch
SETS_OF_WEIGHTS = 3  # that batches go through, their average, those of the last whole epoch
LEAST_POOL = 2**20  # numbers that masks are cut from


def memory(task: Task, ranks: int = 1) -> dict[str, float]:
    """Bytes of the tensors of a rank at most; Python with PyTorch takes some hundred MiB beside."""
    m, numbers = task.batch_rows / ranks, dict[str, float]()
    n_out = task.layers[-1].n_out
    hidden = sum(layer.n_out for layer in task.layers[:-1])
    primal = [layer.n_in for layer in task.layers if layer.form in ("primal", "given")]
    rows = [layer for layer in task.layers if layer.form not in ("primal", "given")]
    largest = max((layer.n_in + 1) * layer.n_out // layer.parts for layer in task.layers)  # of what is solved at once
    numbers["Samples"] = task.rows / ranks * (task.n_features + n_out)
    numbers["Weights"] = SETS_OF_WEIGHTS * task.weights
    numbers["Gram matrices"] = 2 * sum(n * n for n in primal)  # and their inverses
    numbers["Batch"] = m * (task.n_features + task.layers[0].n_in + 2 * hidden + 3 * n_out)
    numbers["Batch"] += 2 * m * max(layer.n_out for layer in task.layers)  # two differences of targets and values
    numbers["Masks"] = task.dropout * (LEAST_POOL + 1024 * task.batch_rows + (ranks > 1) * m * hidden)
    if ranks > 1:  # all right-hand sides, packed, too; a whole Gram matrix before its triangle
        message = task.weights + sum(map(triangle_numbers, primal))
        numbers["Statistics"] = 2 * message + sum(n * n for n in primal) + largest
        if task.message_bits:  # factors of Gram matrices; numbers to be rounded, and rounded ones
            numbers["Statistics"] += 2 * message + sum(n * n for n in primal)
    else:
        numbers["Statistics"] = 2 * largest + max((n * n for n in primal), default=0)
    numbers["Rows of batches"] = sum(task.batch_rows * (layer.n_in + 2 * layer.n_out) for layer in rows)
    found = {part: count * task.number_bytes for part, count in numbers.items() if count}
    if ranks > 1:
        found["Order of all rows"] = ORDER_BYTES * task.rows
    return found
