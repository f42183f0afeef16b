"""nmfnet's solver of the paper, with its defaults."""

from ._nmfnet import solver

SOLVERS = [solver("pinv")]
