"""Training: the one loop, its callbacks, its state."""

from nmfnet.training.calibration import relative_temperature
from nmfnet.training.callbacks import Callback, PrintLog, announced
from nmfnet.training.loop import Fitted, Updated, fit_network, plain_fit, undone_on_failure, update_network
from nmfnet.training.records import EpochRecord
from nmfnet.training.settings import FitSettings
from nmfnet.training.state import Progress, Training

__all__ = [
    "Callback",
    "EpochRecord",
    "FitSettings",
    "Fitted",
    "PrintLog",
    "Progress",
    "Training",
    "Updated",
    "announced",
    "fit_network",
    "plain_fit",
    "relative_temperature",
    "undone_on_failure",
    "update_network",
]
