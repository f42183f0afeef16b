"""Solvers and pre-trainings by their names."""

from __future__ import annotations

from nmfnet.solvers.base import Solver
from nmfnet.solvers.pinv.pretraining import NMFPretraining
from nmfnet.solvers.pinv.sweep import Pinv
from nmfnet.solvers.relaxed.settings import Relaxed

SOLVERS = {"relaxed": Relaxed, "pinv": Pinv}
PRETRAININGS = {"nmf": NMFPretraining}
# What a solver of somebody's own must have; see nmfnet.solvers.base.Solver.
SOLVER_METHODS = ("prepare", *sorted(name for name in vars(Solver) if not name.startswith("_") and name != "prepare"))
