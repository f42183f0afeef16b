"""Training: the sweeps, the one loop, and the pre-training."""

from nmfnet.training.alternating import Pinv
from nmfnet.training.callbacks import Callback, EpochRecord, PrintLog
from nmfnet.training.loop import Progress, Settings, train
from nmfnet.training.pretraining import NMFPretraining

SOLVERS = {"pinv": Pinv}
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
    "Settings",
    "train",
]
