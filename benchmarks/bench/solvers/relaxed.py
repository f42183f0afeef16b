"""nmfnet's relaxed solver with its defaults; and with large batches, where the defaults are for the rest."""

from ._nmfnet import solver

LARGE = ("mnist", "fashion-mnist")

SOLVERS = [solver("relaxed"), *(solver("relaxed", batch_size, LARGE) for batch_size in (6000, 20_000))]
