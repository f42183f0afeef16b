"""Training: the sweeps, the one loop, and the pre-training."""

from nmfnet.training.alternating import Pinv
from nmfnet.training.callbacks import Callback, EpochRecord, PrintLog
from nmfnet.training.loop import Progress, Settings, train
from nmfnet.training.pretraining import NMFAutoencoder

SOLVERS = {"pinv": Pinv}
PRETRAININGS = {"nmf": NMFAutoencoder}

__all__ = [
    "PRETRAININGS",
    "SOLVERS",
    "Callback",
    "EpochRecord",
    "NMFAutoencoder",
    "Pinv",
    "PrintLog",
    "Progress",
    "Settings",
    "train",
]
