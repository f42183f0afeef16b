"""Model files and checkpoints."""

from nmfnet.storage.checkpoints import Checkpoint
from nmfnet.storage.models import FORMAT_VERSION, load, save

__all__ = ["FORMAT_VERSION", "Checkpoint", "load", "save"]
