"""nmfnet's relaxed solver, with its defaults; there from the version of nmfnet on that has it."""

from nmfnet.training import SOLVERS as KNOWN

from ._nmfnet import solver

SOLVERS = [solver("relaxed")] if "relaxed" in KNOWN else []
