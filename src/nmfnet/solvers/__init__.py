"""What trains a network batch by batch: the relaxed sweep, the paper's sweep and its pre-training."""

from nmfnet.solvers.base import Kind, Plan, Solver, Sweep
from nmfnet.solvers.pinv.pretraining import NMFPretraining
from nmfnet.solvers.pinv.sweep import Pinv
from nmfnet.solvers.registry import PRETRAININGS, SOLVERS
from nmfnet.solvers.relaxed.settings import Relaxed

__all__ = [
    "PRETRAININGS",
    "SOLVERS",
    "Kind",
    "NMFPretraining",
    "Pinv",
    "Plan",
    "Relaxed",
    "Solver",
    "Sweep",
]
