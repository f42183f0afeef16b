"""Training: the one loop, its callbacks, its state."""

from nmfnet.training.callbacks import Callback, PrintLog, announced
from nmfnet.training.fingerprint import differences, fingerprint
from nmfnet.training.folds import FOLD_UNITS, choose
from nmfnet.training.loop import Fitted, fit_network
from nmfnet.training.records import EpochRecord
from nmfnet.training.settings import FitSettings
from nmfnet.training.state import Progress, Training
from nmfnet.training.updating import Updated, undone_on_failure, update_network

__all__ = [
    "FOLD_UNITS",
    "Callback",
    "EpochRecord",
    "FitSettings",
    "Fitted",
    "PrintLog",
    "Progress",
    "Training",
    "Updated",
    "announced",
    "choose",
    "differences",
    "fingerprint",
    "fit_network",
    "undone_on_failure",
    "update_network",
]
