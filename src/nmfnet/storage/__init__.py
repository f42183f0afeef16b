"""Model files and checkpoints."""

from nmfnet.storage.checkpoints import Checkpoint
from nmfnet.storage.models import FORMAT_VERSION, SKOPS_TYPES, load, save

__all__ = ["FORMAT_VERSION", "SKOPS_TYPES", "Checkpoint", "load", "save"]
