"""Training: the sweeps, the one loop, and the pre-training."""

from nmfnet.training.alternating import Pinv
from nmfnet.training.callbacks import Callback, EpochRecord, PrintLog, announced
from nmfnet.training.loop import Progress, Settings, epoch, planned, train
from nmfnet.training.pretraining import NMFPretraining
from nmfnet.training.relaxed_settings import Relaxed
from nmfnet.training.resuming import Training
from nmfnet.training.solver import Solver, Sweep

SOLVERS = {"relaxed": Relaxed, "pinv": Pinv}
PRETRAININGS = {"nmf": NMFPretraining}

__all__ = [
    "PRETRAININGS",
    "SOLVERS",
    "Callback",
    "EpochRecord",
    "NMFPretraining",
    "Pinv",
    "PrintLog",
    "Progress",
    "Relaxed",
    "Settings",
    "Solver",
    "Sweep",
    "Training",
    "announced",
    "epoch",
    "planned",
    "train",
]
