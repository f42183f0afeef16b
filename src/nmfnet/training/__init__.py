"""Training: the one loop, its callbacks, its state."""

from nmfnet.training.callbacks import Callback, EpochRecord, PrintLog, announced
from nmfnet.training.loop import Progress, Settings, epoch, planned, train
from nmfnet.training.state import Training

__all__ = [
    "Callback",
    "EpochRecord",
    "PrintLog",
    "Progress",
    "Settings",
    "Training",
    "announced",
    "epoch",
    "planned",
    "train",
]
